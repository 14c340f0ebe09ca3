// Pixels as the server's runtime makes them: OpenCV's resizing of 8-bit pictures, to the last bit where it is simple.
const COEF = 2048; // OpenCV's fixed point for linear resizing
// Weights are rounded to 32 bits as there: of many scales they are then exact, and so are halves, which are rounded to even.
const even = (value) => { const low = Math.floor(value), rest = value - low; return rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low; };

/** Which pixels of a side make each pixel of a smaller one: [first, weights] each (OpenCV's table for INTER_AREA). */
function shares(from, to) {
  const scale = from / to, table = [];
  for (let n = 0; n < to; n++) {
    const begin = n * scale, end = begin + scale, cell = Math.min(scale, from - begin);
    const last = Math.min(Math.floor(end), from - 1), first = Math.min(Math.ceil(begin), last);
    const weights = [];
    let start = first;
    if (first - begin > 1e-3) { start = first - 1; weights.push((first - begin) / cell); }
    for (let at = first; at < last; at++) weights.push(1 / cell);
    if (end - last > 1e-3) weights.push(Math.min(end - last, 1, cell) / cell);
    table.push([start, Float32Array.from(weights)]);
  }
  return table;
}

/** A picture {data, width, height} of three bytes for each pixel, made smaller by the area that each pixel covers. */
function byArea({ data, width, height }, wide, high) {
  const across = shares(width, wide), down = shares(height, high), out = new Uint8Array(wide * high * 3);
  const half = width === 2 * wide && height === 2 * high;
  const rows = new Float32Array(height * wide * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < wide; x++) {
      const [start, weights] = across[x], to = (y * wide + x) * 3;
      let red = 0, green = 0, blue = 0;
      for (let k = 0, at = (y * width + start) * 3; k < weights.length; k++, at += 3) {
        red += data[at] * weights[k];
        green += data[at + 1] * weights[k];
        blue += data[at + 2] * weights[k];
      }
      rows[to] = red;
      rows[to + 1] = green;
      rows[to + 2] = blue;
    }
  }
  for (let y = 0; y < high; y++) {
    const [start, weights] = down[y];
    for (let x = 0; x < wide * 3; x++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += rows[(start + k) * wide * 3 + x] * weights[k];
      out[y * wide * 3 + x] = half ? Math.floor(sum + 0.5) : even(sum); // a quarter of four pixels is rounded up
    }
  }
  return { data: out, width: wide, height: high };
}

function steps(from, to, across) {
  const table = [], inside = (at) => Math.min(from - 1, Math.max(0, at));
  for (let n = 0; n < to; n++) {
    const place = Math.fround((n + 0.5) * (from / to) - 0.5);
    let at = Math.floor(place), rest = Math.fround(place - at);
    if (across && (at < 0 || at >= from - 1)) [at, rest] = [inside(at), 0]; // beyond the upper and lower edge, two rows are mixed that are the same
    table.push([inside(at), inside(at + 1), even(Math.fround(1 - rest) * COEF), even(rest * COEF)]);
  }
  return table;
}

/** A picture made larger, or another shape, between its pixels (OpenCV's INTER_LINEAR). */
function linear({ data, width, height }, wide, high) {
  const across = steps(width, wide, true), down = steps(height, high, false), out = new Uint8Array(wide * high * 3);
  for (let y = 0; y < high; y++) {
    const [top, bottom, above, below] = down[y];
    for (let x = 0; x < wide; x++) {
      const [left, right, before, behind] = across[x];
      for (let c = 0; c < 3; c++) {
        const one = data[(top * width + left) * 3 + c] * before + data[(top * width + right) * 3 + c] * behind;
        const two = data[(bottom * width + left) * 3 + c] * before + data[(bottom * width + right) * 3 + c] * behind;
        out[(y * wide + x) * 3 + c] = (((above * (one >> 4)) >> 16) + ((below * (two >> 4)) >> 16) + 2) >> 2;
      }
    }
  }
  return { data: out, width: wide, height: high };
}

/** A picture at another size, by area where it becomes smaller. */
export function resize(picture, wide, high, byAreaToo = wide < picture.width || high < picture.height) {
  if (wide === picture.width && high === picture.height) return picture;
  return byAreaToo && wide <= picture.width && high <= picture.height ? byArea(picture, wide, high) : linear(picture, wide, high);
}

/** A part of a picture of four or three bytes for each pixel, as one of three; beyond its edges, they go on. */
export function cut({ data, width, height }, [x, y, w, h], bytes = 3) {
  const out = new Uint8Array(w * h * 3);
  for (let row = 0, to = 0; row < h; row++) {
    const line = Math.min(height - 1, Math.max(0, y + row)) * width;
    for (let column = 0; column < w; column++, to += 3) {
      const at = (line + Math.min(width - 1, Math.max(0, x + column))) * bytes;
      out[to] = data[at];
      out[to + 1] = data[at + 1];
      out[to + 2] = data[at + 2];
    }
  }
  return { data: out, width: w, height: h };
}

const rounded = even; // as Python rounds

/** Where a picture lies in a recipe's input: {crop, inner}, each [x, y, width, height] (runtime/letterbox.py). */
export function letterbox([high, wide], card) {
  const [rx, ry, rw, rh] = card.roi;
  const x = Math.min(rounded(rx * wide), wide - 1), y = Math.min(rounded(ry * high), high - 1);
  const w = Math.max(1, Math.min(rounded(rw * wide), wide - x)), h = Math.max(1, Math.min(rounded(rh * high), high - y));
  const scale = Math.min(card.height / h, card.width / w, card.scale);
  let [innerW, innerH] = [Math.max(1, rounded(w * scale)), Math.max(1, rounded(h * scale))];
  if (card.stretch || Math.min(innerW / card.width, innerH / card.height) >= 0.9) [innerW, innerH] = [card.width, card.height];
  return { crop: [x, y, w, h], inner: [Math.floor((card.width - innerW) / 2), Math.floor((card.height - innerH) / 2), innerW, innerH] };
}

/** The recipe's input of a picture: cropped, resized, on neutral grey. */
export function prepare(picture, { crop, inner }, card) {
  const [left, top, wide, high] = inner;
  const small = resize(cut(picture, crop), wide, high);
  if (wide === card.width && high === card.height) return small;
  const out = new Uint8Array(card.width * card.height * 3).fill(127);
  for (let row = 0; row < high; row++) out.set(small.data.subarray(row * wide * 3, (row + 1) * wide * 3), ((top + row) * card.width + left) * 3);
  return { data: out, width: card.width, height: card.height };
}
