// Where a part has moved between two frames: blocks of a small grey picture, found again by their sum of absolute differences.
const WIDTH = 240; // px of the small picture
const COARSE = 4; // of its pixels are one in the first, rough search
const BLOCK = 14, GRID = 4; // side of a block in px, and blocks in a row over the part
const REACH = 5, FAR = 6, FIRST = 14; // px that a block is looked for around its place: fine ones, and those of the rough search
const PLAIN = 14; // variance of grey levels below which a block says nothing about where it lies
const ALIKE = 0.7, LEAST = 6; // of a block's standard deviation, and grey levels: a mean difference above both is another thing
const GROWN = 0.2, TURNED = 0.35; // share and radian by which a part changes at most between two looks; more is a mistake
export const STAY = { a: 1, b: 0, x: 0, y: 0 }; // x' = a x - b y + x0, y' = b x + a y + y0

/** A video's present frame in grey, small: {values, width, height, scale}, scale being small px for each px of the frame. */
export function greyOf(source, wide, high, canvas) {
  const scale = WIDTH / Math.max(wide, high);
  const [width, height] = [Math.round(wide * scale), Math.round(high * scale)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const values = new Uint8Array(width * height);
  for (let n = 0, k = 0; n < values.length; n++, k += 4) values[n] = (data[k] * 77 + data[k + 1] * 151 + data[k + 2] * 28) >> 8;
  return { values, width, height, scale };
}

function reduced({ values, width, height }) {
  const [w, h] = [Math.floor(width / COARSE), Math.floor(height / COARSE)];
  const small = new Uint8Array(w * h);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      let sum = 0;
      for (let row = 0; row < COARSE; row++) for (let k = 0; k < COARSE; k++) sum += values[(y * COARSE + row) * width + x * COARSE + k];
      small[y * w + x] = sum / COARSE ** 2;
    }
  }
  return { values: small, width: w, height: h };
}

function variance({ values, width }, left, top, wide, high) {
  let sum = 0, squares = 0;
  for (let y = top; y < top + high; y++) for (let x = left; x < left + wide; x++) { const value = values[y * width + x]; sum += value; squares += value * value; }
  return squares / (wide * high) - (sum / (wide * high)) ** 2;
}

/** The mean difference up to which a block is found again. */
const limitOf = (grey, left, top, wide, high) => Math.max(LEAST, ALIKE * Math.sqrt(Math.max(0, variance(grey, left, top, wide, high))));

/** Mean absolute difference of a block of one picture and a place in another; Infinity where it does not lie inside. */
function difference(one, x0, y0, two, x1, y1, wide, high) {
  if (x1 < 0 || y1 < 0 || x1 + wide > two.width || y1 + high > two.height) return Infinity;
  let sum = 0;
  for (let y = 0; y < high; y++) {
    let from = (y0 + y) * one.width + x0, to = (y1 + y) * two.width + x1;
    for (let x = 0; x < wide; x++) sum += Math.abs(one.values[from++] - two.values[to++]);
  }
  return sum / (wide * high);
}

/** The place at which a block lies best within `reach` px of (x, y), to parts of a pixel: [x, y, difference]. */
function search(one, x0, y0, wide, high, two, x, y, reach) {
  const side = 2 * reach + 1, found = new Float32Array(side * side);
  let best = 0;
  for (let n = 0; n < found.length; n++) {
    found[n] = difference(one, x0, y0, two, x + (n % side) - reach, y + Math.floor(n / side) - reach, wide, high);
    if (found[n] < found[best]) best = n;
  }
  const [column, row] = [best % side, Math.floor(best / side)];
  const peak = (before, here, after) => (Number.isFinite(before + after) && before + after > 2 * here ? (before - after) / (2 * (before + after - 2 * here)) : 0);
  const dx = column > 0 && column < side - 1 ? peak(found[best - 1], found[best], found[best + 1]) : 0;
  const dy = row > 0 && row < side - 1 ? peak(found[best - side], found[best], found[best + side]) : 0;
  return [x + column - reach + dx, y + row - reach + dy, found[best]];
}

export const apply = ({ a, b, x, y }, px, py) => [a * px - b * py + x, b * px + a * py + y];

/** Least squares: the turn, scale and shift that take points to others, [[x, y, x', y'], ...]. */
function fit(pairs) {
  const mean = pairs.reduce((sum, one) => sum.map((value, n) => value + one[n] / pairs.length), [0, 0, 0, 0]);
  let a = 0, b = 0, spread = 0;
  for (const [px, py, qx, qy] of pairs) {
    const [x, y, u, v] = [px - mean[0], py - mean[1], qx - mean[2], qy - mean[3]];
    a += x * u + y * v;
    b += x * v - y * u;
    spread += x * x + y * y;
  }
  if (pairs.length < 3 || spread < 1) [a, b, spread] = [1, 0, 1];
  [a, b] = [a / spread, b / spread];
  return { a, b, x: mean[2] - a * mean[0] + b * mean[1], y: mean[3] - b * mean[0] - a * mean[1] };
}

const off = (motion, [px, py, qx, qy]) => { const [x, y] = apply(motion, px, py); return Math.hypot(x - qx, y - qy); };

/** Follows one part from the frame in which it was found. Motions are in px of the frame. */
export class Tracker {
  /** `box` is the part's place [x, y, width, height] in px of the frame that `grey` was made of. */
  constructor(grey, box, guess = STAY) {
    this.grey = grey;
    this.coarse = reduced(grey);
    this.box = box;
    this.motion = guess;
    this.lost = false;
    const [x, y, w, h] = box.map((value) => value * grey.scale);
    this.blocks = [];
    for (let n = 0; n < GRID * GRID; n++) {
      const left = Math.round(x + ((n % GRID) + 0.5) * (w / GRID) - BLOCK / 2), top = Math.round(y + (Math.floor(n / GRID) + 0.5) * (h / GRID) - BLOCK / 2);
      if (left >= 0 && top >= 0 && left + BLOCK <= grey.width && top + BLOCK <= grey.height && variance(grey, left, top, BLOCK, BLOCK) > PLAIN) this.blocks.push([left, top, limitOf(grey, left, top, BLOCK, BLOCK)]);
    }
    [this.left, this.top] = [Math.max(0, Math.floor(x / COARSE)), Math.max(0, Math.floor(y / COARSE))];
    this.wide = Math.min(Math.ceil(w / COARSE), this.coarse.width - this.left);
    this.high = Math.min(Math.ceil(h / COARSE), this.coarse.height - this.top);
    this.limit = limitOf(this.coarse, this.left, this.top, this.wide, this.high);
  }

  /** The motion from the first frame to this one; `lost` where the part is not found again. */
  step(grey) {
    if (grey.width !== this.grey.width || grey.height !== this.grey.height) { this.lost = true; return this.motion; }
    const { scale } = this.grey;
    let motion = { ...this.motion, x: this.motion.x * scale, y: this.motion.y * scale };
    const rough = this.roughly(reduced(grey), motion);
    this.lost = rough === null;
    if (this.lost) return this.motion;
    motion = { ...motion, x: motion.x + rough[0], y: motion.y + rough[1] };
    const guess = motion;
    let pairs = [];
    for (const [left, top, limit] of this.blocks) {
      const [cx, cy] = apply(motion, left + BLOCK / 2, top + BLOCK / 2);
      const [x, y, wrong] = search(this.grey, left, top, BLOCK, BLOCK, grey, Math.round(cx - BLOCK / 2), Math.round(cy - BLOCK / 2), REACH);
      if (wrong < limit) pairs.push([left + BLOCK / 2, top + BLOCK / 2, x + BLOCK / 2, y + BLOCK / 2]);
    }
    this.lost = pairs.length < Math.max(2, this.blocks.length / 3);
    if (this.lost) return this.motion;
    for (let round = 0; round < 3; round++) { // blocks that slipped along an edge are left out
      motion = fit(pairs);
      const errors = pairs.map((one) => off(motion, one)), limit = Math.max(0.6, 2 * [...errors].sort((p, q) => p - q)[errors.length >> 1]);
      const kept = pairs.filter((one, n) => errors[n] <= limit);
      if (kept.length === pairs.length || kept.length < 3) break;
      pairs = kept;
    }
    const [x, y, w, h] = this.box.map((value) => value * scale), middle = [x + w / 2, y + h / 2], [there, guessed] = [apply(motion, ...middle), apply(guess, ...middle)];
    const size = Math.hypot(motion.a, motion.b) / Math.hypot(guess.a, guess.b), turn = Math.abs(Math.atan2(motion.b, motion.a) - Math.atan2(guess.b, guess.a));
    this.lost = Math.abs(size - 1) > GROWN || turn > TURNED || Math.hypot(there[0] - guessed[0], there[1] - guessed[1]) > REACH + COARSE;
    if (this.lost) return this.motion;
    this.motion = { ...motion, x: motion.x / scale, y: motion.y / scale };
    return this.motion;
  }

  /** How far the part as a whole has moved beyond `motion`, in px of the small picture; null where it is not found. */
  roughly(coarse, motion) {
    const { left, top, wide, high, limit } = this;
    const [cx, cy] = apply(motion, (left + wide / 2) * COARSE, (top + high / 2) * COARSE);
    const [fromX, fromY] = [cx / COARSE - wide / 2, cy / COARSE - high / 2];
    const found = search(this.coarse, left, top, wide, high, coarse, Math.round(fromX), Math.round(fromY), this.moved ? FAR : FIRST);
    this.moved = true;
    return found[2] < limit ? [(found[0] - fromX) * COARSE, (found[1] - fromY) * COARSE] : null;
  }
}

/** What the motion `second` is after `first`, for points where `first` has taken them. */
export function after(first, second) {
  const size = first.a ** 2 + first.b ** 2;
  const [a, b] = [(second.a * first.a + second.b * first.b) / size, (second.b * first.a - second.a * first.b) / size];
  return { a, b, x: second.x - a * first.x + b * first.y, y: second.y - b * first.x - a * first.y };
}
