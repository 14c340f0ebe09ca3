// Parts that were inspected and are not yet recorded: kept by the device until the server has them, over reloads, too.
import { Problem, call } from "./api.js";

const RETRY_MS = 2000;
const FINAL = [400, 404, 409, 413, 422]; // what no later moment makes better

const open = () => new Promise((done, fail) => {
  const asked = indexedDB.open("bench", 1);
  asked.onupgradeneeded = () => asked.result.createObjectStore("parts", { keyPath: "key" });
  asked.onsuccess = () => done(asked.result);
  asked.onerror = () => fail(asked.error);
});
const settled = (asked) => new Promise((done, fail) => { asked.onsuccess = () => done(asked.result); asked.onerror = () => fail(asked.error); });

/** The parts that wait. `told({key, reply, problem, waiting})` hears of each that was recorded, or never can be. */
export class Kept {
  constructor(user, told) {
    this.user = user;
    this.told = told;
    this.ended = false;
    this.busy = false;
    this.database = open();
    this.again = () => this.send();
    window.addEventListener("back", this.again);
    window.addEventListener("online", this.again);
    this.send();
  }

  async store(mode = "readonly") {
    return (await this.database).transaction("parts", mode).objectStore("parts");
  }

  /** Keep a part: {key, query, bytes}. It is on the device's disk when this is done. */
  async put(part) {
    await settled((await this.store("readwrite")).put({ ...part, user: this.user, since: Date.now() }));
    this.send();
  }

  async waiting() {
    return (await settled((await this.store()).getAll())).filter((one) => one.user === this.user).sort((a, b) => a.since - b.since);
  }

  /** Send what waits, the oldest first. */
  async send() {
    clearTimeout(this.timer);
    if (this.busy || this.ended) return;
    this.busy = true;
    try {
      for (let parts = await this.waiting(); parts.length && !this.ended; parts = await this.waiting()) await this.one(parts[0], parts.length - 1);
    } catch (problem) {
      const count = (await this.waiting().catch(() => [])).length;
      if (!this.ended) {
        this.told({ key: null, problem, waiting: count });
        this.timer = setTimeout(this.again, RETRY_MS);
      }
    } finally {
      this.busy = false;
    }
  }

  async one(part, waiting) {
    let reply = null, problem = null;
    try {
      reply = await call("POST", "/bench/inspections", { query: { ...part.query, key: part.key }, bytes: part.bytes });
    } catch (error) {
      if (!(error instanceof Problem) || !FINAL.includes(error.status)) throw error;
      problem = error;
    }
    await settled((await this.store("readwrite")).delete(part.key));
    this.told({ key: part.key, reply, problem, waiting });
  }

  close() {
    this.ended = true;
    clearTimeout(this.timer);
    window.removeEventListener("back", this.again);
    window.removeEventListener("online", this.again);
    this.database.then((one) => one.close(), () => {});
  }
}
