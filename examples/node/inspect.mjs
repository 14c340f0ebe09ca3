// A recipe without Python: node inspect.mjs RECIPE.onnx PICTURE.ppm -> verdict, score and p-value as JSON.
// What Python's runtime checks and this does not: signatures, damaged files, known types (such recipes are refused).
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [recipe, picture] = process.argv.slice(2);
const resizing = process.env.SIGHTLINE_RESIZING ?? new URL("../../src/sightline/web/pages/assets/resizing.js", import.meta.url).pathname;
const modules = process.env.SIGHTLINE_NODE_MODULES ?? import.meta.url;
const { letterbox, prepare } = await import(`data:text/javascript;base64,${readFileSync(resizing).toString("base64")}`);
const ort = createRequire(modules.startsWith("file:") ? modules : pathToFileURL(modules))("onnxruntime-node");

/** The fields of a protobuf message that are texts or messages: [number, bytes] each. */
function* fields(data) {
  let at = 0;
  const number = () => { let value = 0, factor = 1, byte; do { byte = data[at++]; value += (byte & 127) * factor; factor *= 128; } while (byte > 127); return value; };
  while (at < data.length) {
    const key = number(), kind = key % 8;
    if (kind === 0) number();
    else if (kind === 1 || kind === 5) at += kind === 1 ? 8 : 4;
    else { const length = number(); yield [Math.floor(key / 8), data.subarray(at, at + length)]; at += length; }
  }
}

/** The recipe's card: JSON in the model's metadata (ModelProto.metadata_props is field 14). */
function cardOf(file) {
  for (const [number, entry] of fields(file)) {
    if (number !== 14) continue;
    const pair = Object.fromEntries([...fields(entry)].map(([n, bytes]) => [n, bytes.toString()]));
    if (pair[1] === "sightline") return JSON.parse(pair[2]);
  }
  throw new Error(`${recipe}: no recipe of Sightline`);
}

/** A picture in PPM (P6, 8 bits): {data, width, height}, three bytes for each pixel. */
function pixelsOf(file) {
  const head = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(file.subarray(0, 64).toString("latin1"));
  if (!head) throw new Error(`${picture}: not a PPM of 8 bits`);
  const [width, height] = [Number(head[1]), Number(head[2])], data = file.subarray(head[0].length);
  if (data.length !== width * height * 3) throw new Error(`${picture}: its end is missing`);
  return { data, width, height };
}

/** The verdict of a score (core.result.Band, core.card.OutOfDistribution): anything but a number is NG. */
function decide(score, distance, { band, ood }) {
  const own = !Number.isFinite(score) ? "NG" : score <= band.low ? "OK" : score <= band.high ? "REVIEW" : "NG";
  const outside = !(distance <= 1) || (score < ood.lowest_score && distance > 1.5 * ood.median);
  return own === "OK" && (outside || band.low <= -1e30) ? "REVIEW" : own;
}

const file = readFileSync(recipe), card = cardOf(file), pixels = pixelsOf(readFileSync(picture));
for (const name of ["tiles", "golden", "recognition", "full_scale"]) if (card[name]) throw new Error(`${recipe}: ${name} needs Python's runtime`);
const session = await ort.InferenceSession.create(file, { intraOpNumThreads: 2, logSeverityLevel: 3 });
const input = prepare(pixels, letterbox([pixels.height, pixels.width], card), card);
const image = new ort.Tensor("uint8", Uint8Array.from(input.data), [1, card.height, card.width, 3]);
const start = performance.now(), out = await session.run({ image });
const score = out.score.data[0], distance = Math.hypot(...out.ood.data);
console.log(JSON.stringify({
  verdict: decide(score, distance, card), score, p_value: out.p_value.data[0], ood_distance: distance,
  infer_ms: performance.now() - start, rss_mb: process.memoryUsage().rss / 1e6,
}));
