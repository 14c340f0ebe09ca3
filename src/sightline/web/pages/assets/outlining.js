// Parts on a plain ground, and hot regions of heat, as outlines: what runtime/part_outline.py and runtime/inspection.py do.
import { resize } from "./resizing.js";

const LONG_SIDE = 320, RING = 0.05, LIGHTNESS = 0.6, LEAST_DISTANCE = 10, NOISE = 1.3, LEAST_AREA = 0.003, SPAN = 0.98, ALIKE = 0.3;
const PEAK_SHARE = 0.7, HALO_SHARE = 0.25, MAX_REGIONS = 20;

const linearLight = Float32Array.from({ length: 256 }, (_, n) => { const v = n / 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
const curve = (v) => (v > 0.008856 ? Math.cbrt(v) : 7.787 * v + 16 / 116);

/** 8-bit CIELAB of a pixel. */
function lab(red, green, blue) {
  const [r, g, b] = [linearLight[red], linearLight[green], linearLight[blue]];
  const x = curve((0.412453 * r + 0.35758 * g + 0.180423 * b) / 0.950456), y = curve(0.212671 * r + 0.71516 * g + 0.072169 * b), z = curve((0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.088754);
  return [(116 * y - 16) * 2.55, 500 * (x - y) + 128, 200 * (y - z) + 128];
}

const median = (values) => Float32Array.from(values).sort()[values.length >> 1];

/** Each pixel mixed with its neighbours (1 2 1 both ways), as a small Gaussian; borders are mirrored. */
function smooth({ data, width, height }) {
  const across = new Uint16Array(data.length), out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const here = (y * width + x) * 3, left = (y * width + (x ? x - 1 : 1)) * 3, right = (y * width + (x < width - 1 ? x + 1 : width - 2)) * 3;
    for (let c = 0; c < 3; c++) across[here + c] = data[left + c] + 2 * data[here + c] + data[right + c];
  }
  for (let y = 0; y < height; y++) {
    const here = y * width * 3, above = (y ? y - 1 : 1) * width * 3, below = (y < height - 1 ? y + 1 : height - 2) * width * 3;
    for (let n = 0; n < width * 3; n++) out[here + n] = (across[above + n] + 2 * across[here + n] + across[below + n] + 8) >> 4;
  }
  return out;
}

function otsu(levels) {
  const counts = new Float64Array(256);
  for (const level of levels) counts[level] += 1;
  const total = levels.length, all = counts.reduce((sum, count, level) => sum + count * level, 0);
  let below = 0, sum = 0, best = 0, limit = 0;
  for (let level = 0; level < 256; level++) {
    below += counts[level];
    sum += counts[level] * level;
    if (!below || below === total) continue;
    const apart = below * (total - below) * (sum / below - (all - sum) / (total - below)) ** 2;
    if (apart > best) [best, limit] = [apart, level];
  }
  return limit;
}

/** The largest (or, `erode`, the smallest) value of each pixel's surroundings: an ellipse, given by its half widths row by row. */
function grown(mask, width, height, halves, erode) {
  const out = new Uint8Array(mask.length), reach = halves.length >> 1, wanted = erode ? 0 : 1;
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    let found = false;
    for (let row = 0; row < halves.length && !found; row++) {
      const line = y + row - reach;
      if (line < 0 || line >= height) continue;
      for (let at = Math.max(0, x - halves[row]); at <= Math.min(width - 1, x + halves[row]); at++) if (mask[line * width + at] === wanted) { found = true; break; }
    }
    out[y * width + x] = found ? wanted : 1 - wanted;
  }
  return out;
}
const CROSS = [0, 1, 0], ROUND = [0, 3, 3, 4, 4, 4, 3, 3, 0]; // OpenCV's ellipses of 3 and 9 px

/** Connected regions of a mask (8 neighbours): [{cells, box}], where `cells` are indices. */
export function regions(mask, width, height) {
  const seen = new Uint8Array(mask.length), found = [];
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || seen[start]) continue;
    const cells = [start];
    let [x0, y0, x1, y1] = [width, height, 0, 0];
    seen[start] = 1;
    for (let n = 0; n < cells.length; n++) {
      const x = cells[n] % width, y = (cells[n] - x) / width;
      [x0, y0, x1, y1] = [Math.min(x0, x), Math.min(y0, y), Math.max(x1, x), Math.max(y1, y)];
      for (let dy = -1; dy < 2; dy++) for (let dx = -1; dx < 2; dx++) {
        const [nx, ny] = [x + dx, y + dy], at = ny * width + nx;
        if (nx >= 0 && ny >= 0 && nx < width && ny < height && mask[at] && !seen[at]) { seen[at] = 1; cells.push(at); }
      }
    }
    found.push({ cells, box: [x0, y0, x1 - x0 + 1, y1 - y0 + 1] });
  }
  return found;
}

const TURNS = [[1, 0], [0, 1], [-1, 0], [0, -1]];
/** The outer edge of a region, along the sides of its cells: [[x, y], ...] at cells' corners. */
export function edge({ cells }, width) {
  const inside = new Set(cells), has = (x, y) => x >= 0 && y >= 0 && x < width && inside.has(y * width + x);
  const first = Math.min(...cells.slice(0, 1), cells.reduce((a, b) => Math.min(a, b)));
  const begin = [first % width, Math.floor(first / width)];
  let [x, y] = begin, way = 0;
  const points = [];
  do { // the region lies to the right of the way
    points.push([x, y]);
    const [dx, dy] = TURNS[way];
    [x, y] = [x + dx, y + dy];
    const left = { 0: [x, y - 1], 1: [x, y], 2: [x - 1, y], 3: [x - 1, y - 1] }[way], right = { 0: [x, y], 1: [x - 1, y], 2: [x - 1, y - 1], 3: [x, y - 1] }[way];
    if (has(...left)) way = (way + 3) % 4;
    else if (!has(...right)) way = (way + 1) % 4;
  } while (x !== begin[0] || y !== begin[1]);
  return points.filter(([px, py], n) => { const [ax, ay] = points[(n || points.length) - 1], [bx, by] = points[(n + 1) % points.length]; return (px - ax) * (by - py) !== (py - ay) * (bx - px); });
}

const isCut = ([x, y, w, h], width, height) => x <= 1 || y <= 1 || x + w >= width - 1 || y + h >= height - 1;

/** What is further from the ground than a limit, the largest first: [{edge, box, area}]. */
function beyond(distance, width, height, limit) {
  let mask = Uint8Array.from(distance, (value) => (value > limit ? 1 : 0));
  for (const [shape, erode] of [[CROSS, true], [CROSS, false], [ROUND, false], [ROUND, true]]) mask = grown(mask, width, height, shape, erode);
  const found = regions(mask, width, height).map((one) => ({ ...one, edge: edge(one, width) })).map((one) => ({ ...one, area: Math.abs(one.edge.reduce((sum, [x, y], n) => { const [a, b] = one.edge[(n + 1) % one.edge.length]; return sum + x * b - a * y; }, 0)) / 2 }));
  const least = Math.max(ALIKE * Math.max(0, ...found.map((one) => one.area)), LEAST_AREA * width * height);
  return found.filter((one) => one.area >= least).sort((a, b) => b.area - a.area);
}

/** Parts in a frame of three bytes for each pixel, the largest first: [{outline, box, isCut}] in px of the frame. */
export function findParts(frame) {
  const shrink = Math.min(1, LONG_SIDE / Math.max(frame.width, frame.height));
  const width = Math.max(8, Math.round(frame.width * shrink)), height = Math.max(8, Math.round(frame.height * shrink));
  const small = smooth(resize(frame, width, height)), ring = [], sides = [[], [], [], []], colours = new Float32Array(small.length);
  const [across, down] = [Math.max(2, Math.round(RING * width)), Math.max(2, Math.round(RING * height))];
  for (let n = 0; n < width * height; n++) {
    const [lightness, green, blue] = lab(small[3 * n], small[3 * n + 1], small[3 * n + 2]);
    colours[3 * n] = lightness;
    colours[3 * n + 1] = green;
    colours[3 * n + 2] = blue;
    const x = n % width, y = Math.floor(n / width);
    const at = [y < down, y >= height - down, x < across, x >= width - across];
    at.forEach((inside, side) => inside && sides[side].push(n));
    if (at.includes(true)) ring.push(n);
  }
  const ground = [0, 1, 2].map((c) => median(ring.map((n) => colours[3 * n + c])));
  const distance = new Float32Array(width * height);
  for (let n = 0; n < distance.length; n++) {
    const [one, two, three] = [(colours[3 * n] - ground[0]) * LIGHTNESS, colours[3 * n + 1] - ground[1], colours[3 * n + 2] - ground[2]];
    distance[n] = Math.sqrt(one * one + two * two + three * three);
  }
  const level = otsu(Uint8Array.from(distance, (value) => Math.min(255, Math.round(value))));
  const [, lower, upper] = sides.map((side) => Float32Array.from(side, (n) => distance[n]).sort()[Math.floor(0.95 * (side.length - 1))]).sort((p, q) => p - q);
  const least = Math.max(LEAST_DISTANCE, Math.min((NOISE * (lower + upper)) / 2, 2 * level));
  let parts = [];
  for (const limit of [Math.max(least, 0.5 * level), Math.max(least, level)]) { // the higher one only where something spans the picture
    parts = beyond(distance, width, height, limit);
    if (!parts.some(({ box }) => isCut(box, width, height) && (box[2] > SPAN * width || box[3] > SPAN * height))) break;
  }
  const [kx, ky] = [frame.width / width, frame.height / height];
  return parts.map(({ edge: line, box }) => ({
    outline: line.map(([px, py]) => [Math.round(px * kx), Math.round(py * ky)]), box: box.map((one, n) => Math.round(one * (n % 2 ? ky : kx))), isCut: isCut(box, width, height),
  }));
}

/** Hot regions of a heat map {values, width, height}, the hottest first: [{score, points}] at corners of its cells. */
export function hotRegions({ values, width, height }, threshold) {
  const peak = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!Number.isFinite(peak)) return [];
  const mean = values.reduce((a, b) => a + b, 0) / values.length, floor = Math.min(peak, peak > threshold ? threshold : mean + PEAK_SHARE * (peak - mean));
  const hottest = ({ cells }) => cells.reduce((a, n) => Math.max(a, values[n]), -Infinity);
  const mask = Uint8Array.from(values, (value) => (value >= floor ? 1 : 0));
  for (const one of regions(mask, width, height)) { const top = hottest(one); for (const n of one.cells) if (values[n] < HALO_SHARE * top) mask[n] = 0; }
  return regions(mask, width, height).map((one) => ({ score: hottest(one), points: edge(one, width) })).sort((a, b) => b.score - a.score).slice(0, MAX_REGIONS);
}
