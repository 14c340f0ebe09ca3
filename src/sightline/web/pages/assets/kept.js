// Parts that were inspected and are not yet recorded: kept by the device until the server has them, over reloads, too. What the
// server has refused, or found graver than was shown, is kept until a person has read it.
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

const GRAVITY = ["OK", "REVIEW", "NG"];

/**
 * The parts that wait. `told({part, kept})` hears of each that was settled: `part.reply` where it was recorded, `part.refused`
 * says why it never can be. `kept` is what `all` tells; null where the device's disk cannot be read.
 */
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
    this.tell({});
    this.send();
  }

  async store(mode = "readonly") {
    return (await this.database).transaction("parts", mode).objectStore("parts");
  }

  /** Keep a part: {key, number, verdict, query, bytes}. It is on the device's disk when this is done. */
  async put(part) {
    await settled((await this.store("readwrite")).put({ ...part, user: this.user, since: Date.now() }));
    this.send();
  }

  /** What is kept: parts to be sent, alarms, both the oldest first, and how many of whom else. */
  async all() {
    const found = (await settled((await this.store()).getAll())).sort((a, b) => a.since - b.since);
    const mine = found.filter((one) => one.user === this.user), others = {};
    for (const one of found) if (one.user !== this.user) others[one.user] = (others[one.user] || 0) + 1;
    return { parts: mine.filter((one) => !one.reply && !one.refused), alarms: mine.filter((one) => one.reply || one.refused), others };
  }

  async tell(what) {
    const kept = await this.all().catch(() => null);
    if (!this.ended) this.told({ ...what, kept });
  }

  /** A person has read an alarm. */
  async dismiss(key) {
    await settled((await this.store("readwrite")).delete(key));
    await this.tell({});
  }

  /** Send what waits, the oldest first. */
  async send() {
    clearTimeout(this.timer);
    if (this.busy || this.ended) return;
    this.busy = true;
    try {
      for (let { parts } = await this.all(); parts.length && !this.ended; { parts } = await this.all()) await this.one(parts[0]);
    } catch {
      await this.tell({});
      if (!this.ended) this.timer = setTimeout(this.again, RETRY_MS);
    } finally {
      this.busy = false;
    }
  }

  async one(part) {
    const done = { ...part };
    try {
      done.reply = await call("POST", "/bench/inspections", { query: { ...part.query, key: part.key }, bytes: part.bytes });
    } catch (error) {
      if (!(error instanceof Problem) || !FINAL.includes(error.status)) throw error;
      done.refused = error.message || String(error.status);
    }
    const { reply } = done, graver = reply && GRAVITY.indexOf(reply.verdict) > Math.max(0, GRAVITY.indexOf(part.verdict));
    const store = await this.store("readwrite");
    if (graver) done.bytes = null; // the server has them
    await settled(reply && !graver ? store.delete(part.key) : store.put(done));
    await this.tell({ part: done });
  }

  close() {
    this.ended = true;
    clearTimeout(this.timer);
    window.removeEventListener("back", this.again);
    window.removeEventListener("online", this.again);
    this.database.then((one) => one.close(), () => {});
  }
}
