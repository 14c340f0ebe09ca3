// A recipe at work in the browser, beside the page: frames in, verdicts out. Only this file may compile WebAssembly.
import { findParts, hotRegions } from "./outlining.js";
import { cut, letterbox, prepare, resize } from "./resizing.js";

// The limits of runtime/handheld.py.
const GUIDE = 0.86, BEYOND = 0.06, FEWEST_PX = 0.75, SHAPE = 0.15, DARK = 0.45, BRIGHT = 0.45, BLURRED = 0.8, BLACK = 22, WHITE = 235, NEAR = 1.5;
const FINE_PX = 512, LEAST = 0.05; // of runtime/appearance.py
const NEVER = -1e30;
let ort, session, card, place;

async function start({ runtime, file, options }) {
  ({ card, place } = options);
  ort = await import(`${runtime}/ort.wasm.min.mjs`);
  ort.env.logLevel = "error";
  ort.env.wasm.wasmPaths = `${runtime}/`;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  session = await ort.InferenceSession.create(new Uint8Array(file), { executionProviders: ["wasm"], graphOptimizationLevel: "all", logSeverityLevel: 3 });
  await run({ data: new Uint8Array(card.width * card.height * 3), width: card.width, height: card.height });
  return { threads: ort.env.wasm.numThreads };
}

/** The graph over one input: {score, p_value, distance, heat}. */
async function run(input) {
  const out = await session.run({ image: new ort.Tensor("uint8", input.data, [1, input.height, input.width, 3]) }, ["score", "p_value", "heatmap", "ood"]);
  const [, high, wide] = out.heatmap.dims;
  return { score: out.score.data[0], p_value: out.p_value.data[0], distance: Math.hypot(...out.ood.data), heat: { values: out.heatmap.data, width: wide, height: high } };
}

/** Where in a frame the view of a part lies, and what is in the way of it (runtime/handheld.py, Placement). */
function present(frame) {
  const [wide, high] = [frame.width, frame.height], aspect = place.width / place.height;
  if (!place.part) {
    const fit = GUIDE * Math.min(wide / place.width, high / place.height), [w, h] = [Math.round(place.width * fit), Math.round(place.height * fit)];
    return { state: "ready", parts: [], view: [Math.floor((wide - w) / 2), Math.floor((high - h) / 2), w, h] };
  }
  const parts = findParts(frame);
  if (!parts.length) {
    const level = frame.data.reduce((sum, value) => sum + value, 0) / frame.data.length;
    return { state: level < BLACK ? "dark" : level > WHITE ? "bright" : "none", parts };
  }
  if (parts.length > 1) return { state: "several", parts };
  const [bx, by, bw, bh] = parts[0].box, [px, py, pw, ph] = place.part;
  const byWidth = bw / pw, byHeight = (bh / ph) * aspect, w = (byWidth + byHeight) / 2, h = w / aspect;
  const view = [bx + bw / 2 - (px + pw / 2) * w, by + bh / 2 - (py + ph / 2) * h, w, h].map(Math.round);
  const over = Math.max(-view[0] / view[2], -view[1] / view[3], (view[0] + view[2] - wide) / view[2], (view[1] + view[3] - high) / view[3]);
  if (parts[0].isCut || over > BEYOND) return { state: "cut", parts };
  if (Math.max(view[2] / card.width, view[3] / card.height) < FEWEST_PX) return { state: "far", parts };
  return { state: Math.abs(byWidth - byHeight) > SHAPE * w ? "turned" : "ready", parts, view };
}

const grey = ({ data, width, height }, [x, y, w, h]) => Float32Array.from({ length: w * h }, (_, n) => { const at = ((y + Math.floor(n / w)) * width + x + (n % w)) * 3; return Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]); });

/** Mean squared difference of neighbours. */
function gradient(values, wide, high) {
  let sum = 0;
  for (let y = 0; y < high; y++) for (let x = 0; x < wide; x++) {
    const at = y * wide + x;
    if (x + 1 < wide) sum += (values[at + 1] - values[at]) ** 2;
    if (y + 1 < high) sum += (values[at + wide] - values[at]) ** 2;
  }
  return sum / (2 * wide * high);
}

/** Whether an input is lit and sharp as those of the training were. Its turn is looked at by the server alone. */
function byLooks(input, inner) {
  const usual = card.appearance && card.appearance.measures;
  if (!usual) return "ready";
  const values = grey(input, inner), [, , w, h] = inner, brightness = Math.log(values.reduce((a, b) => a + b, 0) / values.length + 1);
  if (usual.brightness && brightness - usual.brightness.mean < -DARK) return "dark";
  if (usual.brightness && brightness - usual.brightness.mean > BRIGHT) return "bright";
  const [fw, fh] = [Math.min(w, FINE_PX), Math.min(h, FINE_PX)], [fx, fy] = [Math.floor((w - fw) / 2), Math.floor((h - fh) / 2)];
  const fine = { data: new Uint8Array(fw * fh * 3), width: fw, height: fh };
  for (let n = 0; n < fw * fh; n++) fine.data.fill(values[(fy + Math.floor(n / fw)) * w + fx + (n % fw)], 3 * n, 3 * n + 3);
  const coarse = resize(fine, Math.max(2, Math.floor(fw / 4)), Math.max(2, Math.floor(fh / 4)));
  const energies = [fine, coarse].map((one) => gradient(one.data.filter((_, n) => n % 3 === 0), one.width, one.height) + LEAST);
  return usual.sharpness && Math.log(energies[0] / energies[1]) - usual.sharpness.mean < -BLURRED ? "blurred" : "ready";
}

/** The verdict of a score (core.result.Band, core.card.OutOfDistribution): anything but a number is NG. */
function decide(score, distance) {
  const { band, ood } = card;
  const own = !Number.isFinite(score) ? "NG" : score <= band.low ? "OK" : score <= band.high ? "REVIEW" : "NG";
  const outside = !(distance <= 1) || (score < ood.lowest_score && distance > NEAR * ood.median);
  return own === "OK" && (outside || band.low <= NEVER) ? "REVIEW" : own;
}

async function look({ pixels, width, height, view: given }) {
  const begun = performance.now(), frame = cut({ data: pixels, width, height }, [0, 0, width, height], 4);
  const found = given ? { state: "ready", parts: [], view: given } : present(frame);
  const told = { state: found.state, size: [width, height], parts: found.parts, view: found.view || null, verdict: null, score: null, p_value: null, reason: "", defects: [] };
  if (!found.view) return told;
  const [x, y, w, h] = found.view;
  const picture = resize(cut(frame, found.view), place.width, place.height, w > place.width);
  const box = letterbox([place.height, place.width], card), input = prepare(picture, box, card);
  const prepared = performance.now(), { score, p_value, distance, heat } = await run(input), inferred = performance.now();
  told.times_ms = { prepare: prepared - begun, infer: inferred - prepared };
  if (found.state === "ready") told.state = byLooks(input, box.inner);
  const verdict = decide(score, distance);
  if (verdict !== "OK") {
    const [cx, cy, cw, ch] = box.crop, [ix, iy, iw, ih] = box.inner;
    const toFrame = ([px, py]) => [x + ((cx + (((px * card.width) / heat.width - ix) * cw) / iw) * w) / place.width, y + ((cy + (((py * card.height) / heat.height - iy) * ch) / ih) * h) / place.height];
    told.defects = hotRegions(heat, card.calibration.heat_threshold).map((one) => {
      const contour = one.points.map(toFrame), xs = contour.map(([px]) => px), ys = contour.map(([, py]) => py), [left, top] = [Math.min(...xs), Math.min(...ys)];
      return { type: "unknown", score: one.score, contour, box: [left, top, Math.max(...xs) - left, Math.max(...ys) - top] };
    });
  }
  return { ...told, score, p_value, verdict: told.state === "ready" ? verdict : null };
}

self.onmessage = async ({ data: { number, start: first, frame } }) => {
  try {
    self.postMessage({ number, reply: first ? await start(first) : await look(frame) });
  } catch (error) {
    self.postMessage({ number, error: String((error && error.message) || error) });
  }
};
