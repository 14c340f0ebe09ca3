// The device as a judge: the recipe's own file at work in a worker of this browser, where it can be.
import { Problem, address, get } from "./api.js";

const PATIENCE_MS = 10000; // for a frame: a worker that takes longer hangs

/** What the server judges a frame by, on the device. `open` once it is ready; `problem` where it will never be. */
export class Device {
  constructor(recipe, place, changed) {
    Object.assign(this, { open: false, device: true, problem: "", waiting: new Map(), count: 0 });
    this.ready = this.load(recipe, place).then(
      ({ threads }) => { this.threads = threads; this.open = true; changed(); },
      (error) => { this.problem = error.message || String(error); changed(); });
  }

  async load(recipe, place) {
    const [stored, file] = await Promise.all([get(`/recipes/${recipe}`), fetch(address(`/recipes/${recipe}/file`)).then((reply) => {
      if (!reply.ok) throw new Problem(reply.status, reply.statusText);
      return reply.arrayBuffer();
    })]);
    if (this.ended) throw new Error("closed");
    this.worker = new Worker(new URL("./device_worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data: { number, reply, error } }) => { const [done, fail] = this.waiting.get(number) || [() => {}, () => {}]; this.waiting.delete(number); if (error) fail(new Error(error)); else done(reply); };
    this.worker.onerror = (event) => { for (const [, fail] of this.waiting.values()) fail(new Error(event.message || "the worker has failed")); };
    return this.ask({ start: { runtime: new URL(place.runtime, location.href).href, file, options: { card: stored.card, place } } }, [file]);
  }

  ask(message, given) {
    return new Promise((done, fail) => {
      this.waiting.set(++this.count, [done, fail]);
      this.worker.postMessage({ number: this.count, ...message }, given);
    });
  }

  /** What is found in a frame; null where that failed. With `view`, in this part of it (for comparisons). */
  async look({ canvas, view }) {
    const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let timer;
    const late = new Promise((done, fail) => { timer = setTimeout(() => fail(new Error("the worker does not answer")), PATIENCE_MS); });
    try {
      return await Promise.race([this.ask({ frame: { pixels: data, width, height, view } }, [data.buffer]), late]);
    } catch (error) {
      this.open = false;
      this.problem = error.message;
      this.worker.terminate();
      return null;
    } finally {
      clearTimeout(timer);
    }
  }

  close() {
    this.ended = true;
    if (this.worker) this.worker.terminate();
    for (const [done] of this.waiting.values()) done(null);
    this.open = false;
  }
}
