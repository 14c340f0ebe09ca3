// A camera that inspects: frames go to a judge one at a time, its answers are drawn locked to the part, and a still one counts.
import { listen, once } from "./api.js";
import { drawOver } from "./overlay.js";
import { STAY, Tracker, after, apply, greyOf } from "./tracking.js";

const QUALITY = 0.92; // of the JPEG
const STILL_S = 0.3, STILL = 0.025; // a part that has moved by less than this share of its width in this time is still
const SAME = 0.4; // overlap from which on a part that is found is the one that was followed
const MISSES = 2; // answers in a row without the part: then it has left
const PATIENCE_MS = 5000; // for an answer
const SILENT_MS = 2500; // without a new frame, the camera does not show what is there now
const UNJUDGED_MS = 2000; // at least: without an answer for so long, or for two round trips, nobody looks
const GONE_MS = 300; // a part that is not found again for so long has left: no hand changes parts faster
export const CAMERA = { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 720 } };

/** The server as a judge: one frame at a time over a WebSocket, opened again whenever it was lost. */
export class Server {
  constructor(recipe, marker, changed) {
    this.open = false;
    this.pending = null;
    this.stop = listen(`/bench/live?recipe=${recipe}${marker ? `&marker=${marker}` : ""}`, (data) => this.settle(JSON.parse(data)), (how, socket) => {
      this.open = how === "open";
      this.socket = socket;
      if (!this.open) this.settle(null);
      changed();
    });
  }

  /** What is found in a frame; null where the server did not answer. */
  async look({ blob }) {
    const { socket } = this; // by the time that a frame is a JPEG, the line may have been cut
    if (!this.open || !blob) return null;
    return new Promise((done) => {
      this.pending = done;
      this.timer = setTimeout(() => socket.close(), PATIENCE_MS);
      socket.send(blob);
    });
  }

  settle(answer) {
    clearTimeout(this.timer);
    if (this.pending) this.pending(answer);
    this.pending = null;
  }

  close() { this.stop(); this.settle(null); }
}

const overlap = ([ax, ay, aw, ah], [bx, by, bw, bh]) => {
  const shared = Math.max(0, Math.min(ax + aw, bx + bw) - Math.max(ax, bx)) * Math.max(0, Math.min(ay + ah, by + bh) - Math.max(ay, by));
  return shared / (aw * ah + bw * bh - shared);
};
const boxOf = (answer) => (answer.parts.length === 1 ? answer.parts[0].box : answer.parts.length ? null : answer.view);

/** Defects of a part, from where it was to where it is now: boxes [x, y, width, height]. */
const moved = (defects, from, to) => defects.map((one) => ({
  ...one, contour: one.contour.map(([x, y]) => [to[0] + ((x - from[0]) * to[2]) / from[2], to[1] + ((y - from[1]) * to[3]) / from[3]]),
}));

/**
 * Looks at parts one after the other. `judge()` gives who judges now ({open, look}, or null), `changed` hears that `state` is another,
 * `counted(part, blob)` of each part that was inspected. `armed`: the next frame that can be inspected counts.
 */
export class Eye {
  constructor({ video, canvas, judge, changed, counted, left }) {
    Object.assign(this, { video, canvas, judge, changed, counted, left });
    this.small = document.createElement("canvas");
    this.large = document.createElement("canvas");
    this.armed = true;
    this.number = 0; // of the last part
    this.takenAt = this.lostAt = this.seenAt = this.heardAt = 0; // what is followed: when it was not in sight, and when it was
    this.place = null;
    this.state = { camera: null, size: null, problem: "", answer: null, moving: false, part: null, tripMs: null, framesPerS: 0, silent: false, inSight: false };
    this.trips = [];
    this.track = [];
    this.clear();
  }

  /** Open a camera, by its id or the one that looks away from the person. Throws what the browser refuses it with. */
  async open(device = "") {
    this.close();
    const wanted = device ? { ...CAMERA, facingMode: undefined, deviceId: { exact: device } } : CAMERA;
    const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    if (this.ended) { stream.getTracks().forEach((one) => one.stop()); return; }
    this.stream = stream;
    const [track] = stream.getVideoTracks();
    const gone = () => { if (this.stream === stream) { this.close(); this.tell({ problem: "withdrawn" }); } };
    track.addEventListener("ended", gone);
    this.video.srcObject = stream;
    await this.video.play();
    const { facingMode = "", deviceId = "" } = track.getSettings();
    this.tell({ camera: { facing: facingMode, id: deviceId, label: track.label }, problem: "", silent: false });
    this.seen = performance.now();
    this.watch = setInterval(() => {
      const silent = performance.now() - this.seen > SILENT_MS;
      if (silent !== this.state.silent) { if (silent) this.forget(); this.tell({ silent }); }
    }, 500);
    this.next();
  }

  next() {
    const stream = this.stream;
    this.video.requestVideoFrameCallback(() => { if (this.stream === stream && stream) { this.frame(); this.next(); } });
  }

  close() {
    clearInterval(this.watch);
    if (this.stream) this.stream.getTracks().forEach((one) => one.stop());
    this.stream = null;
    this.forget();
  }

  end() { this.ended = true; this.close(); }
  tell(change) { this.state = { ...this.state, ...change }; this.changed(this.state); }

  clear() { Object.assign(this, { tracker: null, found: null, begun: null, misses: 0, track: [] }); }
  /** Nothing that was seen says anything about what is in view now; a part that was counted has left. */
  forget() {
    this.clear();
    if (this.state.part) this.left(this.state.part);
    this.tell({ answer: null, part: null });
  }

  /** Inspect what is in view next as a part of its own, or, as `attempt`, the last one again. */
  take(attempt = null) {
    this.armed = true;
    this.attempt = attempt;
    this.takenAt = this.begun = performance.now();
    this.tell({ part: null });
  }

  /** The present frame as a JPEG. */
  shot() { return new Promise((done) => this.large.toBlob(done, "image/jpeg", QUALITY)); }

  size() { return [this.video.videoWidth, this.video.videoHeight]; }

  frame() {
    const now = performance.now(), [wide, high] = this.size();
    if (!wide) return;
    this.state.framesPerS += (1000 / Math.max(1, now - this.seen) - this.state.framesPerS) / 15;
    this.seen = now;
    if (this.wide !== wide || this.high !== high) { this.forget(); Object.assign(this, { wide, high }); this.tell({ size: [wide, high] }); } // turned by a quarter
    // One copy for everything: the video may already show the next frame to whoever draws it a moment later.
    if (this.large.width !== wide || this.large.height !== high) Object.assign(this.large, { width: wide, height: high });
    this.large.getContext("2d", { willReadFrequently: true }).drawImage(this.video, 0, 0);
    this.grey = greyOf(this.large, wide, high, this.small);
    if (this.tracker) this.tracker.step(this.grey);
    this.note(now);
    this.doubt(now);
    const judge = this.judge();
    if (judge && judge.open && !this.busy) this.ask(judge, now);
    this.draw();
  }

  /** Lets no verdict stand of a part that has left, or at which nobody looks any more. */
  doubt(now) {
    if (this.tracker && !this.tracker.lost) this.seenAt = now;
    else this.lostAt = now;
    const { part, answer, tripMs } = this.state;
    const left = part && now - this.seenAt > GONE_MS, unjudged = now - this.heardAt > Math.max(UNJUDGED_MS, 2 * tripMs);
    if (left || ((part || answer) && unjudged)) this.forget();
  }

  /** Where the part is, for whether it is still. */
  note(now) {
    this.track = this.track.filter((one) => one.at > now - STILL_S * 1500);
    if (!this.tracker || this.tracker.lost) { this.track = []; return; }
    const [x, y, w, h] = this.tracker.box;
    this.track.push({ at: now, place: apply(this.tracker.motion, x + w / 2, y + h / 2), wide: w });
  }

  still(now) {
    const last = this.track[this.track.length - 1];
    if (!last || this.track[0].at > now - STILL_S * 1000) return false;
    return this.track.every(({ place }) => Math.hypot(place[0] - last.place[0], place[1] - last.place[1]) < STILL * last.wide);
  }

  async ask(judge, now) {
    this.busy = true;
    try {
      const shot = { at: now, date: new Date(), stream: this.stream, grey: this.grey, still: this.still(now), tracker: this.tracker, motion: this.tracker && this.tracker.motion, canvas: this.large };
      const encoded = this.shot();
      const answer = judge.device ? await judge.look(shot) : await encoded.then((blob) => judge.look({ blob }));
      shot.blob = await encoded;
      if (shot.stream !== this.stream || this.judge() !== judge) return;
      if (answer) this.hear(answer, shot, judge);
      else this.forget();
    } finally {
      this.busy = false;
    }
  }

  hear(answer, shot, judge) {
    const tripMs = performance.now() - shot.at;
    if (!judge.device) this.trips = [...this.trips.slice(-29), tripMs];
    this.heardAt = performance.now();
    if (answer.error) { this.clear(); this.tell({ answer, tripMs }); return; }
    const box = boxOf(answer), before = this.tracker;
    const followed = shot.at > this.lostAt; // what is in view now is what that frame shows
    const same = this.follow(box, shot, before) && followed;
    if (this.state.part && !same) {
      this.misses += 1;
      if (this.misses >= MISSES) this.forget();
    } else {
      this.misses = 0;
    }
    if (!box) this.begun = null;
    else if (this.begun === null) this.begun = performance.now();
    this.found = this.tracker || answer.parts.length > 1 ? answer : null;
    if (this.state.part && same) this.found = { ...answer, defects: moved(this.state.part.defects, boxOf(this.state.part), box) };
    const moving = answer.state === "ready" && !shot.still;
    const done = answer.state === "ready" && answer.verdict && shot.still && this.armed && !this.state.part && followed && shot.at >= this.takenAt;
    this.tell({ answer, moving, tripMs, inSight: this.misses === 0, ...(done ? { part: this.count(answer, shot, judge) } : {}) });
  }

  /** Follow what was found from the frame in which it was found; whether it is what was followed before. */
  follow(box, shot, before) {
    if (!box) { this.tracker = null; return false; }
    const kept = before && !before.lost && shot.tracker === before;
    const guess = kept ? after(shot.motion, before.motion) : STAY;
    this.tracker = new Tracker(shot.grey, box, guess);
    this.tracker.step(this.grey);
    if (!kept) return false;
    const [x, y, w, h] = before.box, [cx, cy] = apply(shot.motion, x + w / 2, y + h / 2), grown = Math.hypot(shot.motion.a, shot.motion.b);
    return overlap([cx - (w * grown) / 2, cy - (h * grown) / 2, w * grown, h * grown], box) > SAME;
  }

  count(answer, shot, judge) {
    const again = this.attempt;
    const part = {
      name: again ? again.name : once(), number: again ? again.number : ++this.number, attempt: again ? again.attempt + 1 : 1, shown: shot.date.toISOString(), device: judge.device || false,
      seconds: (performance.now() - (this.begun || shot.at)) / 1000, recorded: null, problem: "", ...answer,
    };
    part.key = `${part.name}-${part.attempt}`;
    this.attempt = null;
    this.armed = false;
    this.counted(part, shot.blob);
    return part;
  }

  /** Another word about the part in view, from whoever records it. */
  amend(key, change) { if (this.state.part && this.state.part.key === key) this.tell({ part: { ...this.state.part, ...change } }); }

  draw() {
    const { part } = this.state;
    const lost = this.tracker && this.tracker.lost;
    const motion = this.tracker && !lost ? this.tracker.motion : STAY;
    const found = lost ? null : this.found;
    const box = drawOver(this.canvas, { picture: this.large, size: this.size(), found, motion, verdict: part && !part.problem ? part.verdict : "", place: this.place });
    this.canvas.dataset.box = box ? box.map((value) => value.toFixed(1)).join(" ") : "";
  }
}

/** The middle of the last round trips, in ms; null before there are a few. */
export const usualTrip = (eye) => (eye.trips.length < 5 ? null : [...eye.trips].sort((a, b) => a - b)[eye.trips.length >> 1]);
