// A picture with its heat: the part in grey or colour, warm where the model saw something, outlines on wish.
import { html, useEffect, useRef } from "./vendor/preact.js";

const WARM = 128; // from here a cell counts as part of a defect (the outline)

/** The heat's colour for each byte: clear below, then yellow to red. RGBA. */
const RAMP = new Uint8ClampedArray(256 * 4);
for (let n = 0; n < 256; n++) {
  const warm = Math.max(0, (n - 64) / 191);
  RAMP.set([255, Math.round(220 * (1 - warm) ** 1.2), Math.round(40 * (1 - warm)), Math.round(230 * Math.min(1, warm * 1.6))], n * 4);
}

/** One byte per cell of a heat picture: {values, width, height}. */
export async function readHeat(blob) {
  const bitmap = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const values = new Uint8Array(bitmap.width * bitmap.height);
  for (let n = 0; n < values.length; n++) values[n] = data[n * 4];
  return { values, width: bitmap.width, height: bitmap.height };
}

/** The outlines of what is at least `level`, as a Path2D in cells (marching squares, each side where it is crossed). */
export function outlines({ values, width, height }, level = WARM) {
  const path = new Path2D();
  const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : values[y * width + x]);
  const cross = (a, b) => (level - a) / (b - a);
  for (let y = -1; y < height; y++) {
    for (let x = -1; x < width; x++) {
      const [a, b, c, d] = [at(x, y), at(x + 1, y), at(x + 1, y + 1), at(x, y + 1)];
      const kind = (a >= level) | ((b >= level) << 1) | ((c >= level) << 2) | ((d >= level) << 3);
      if (kind === 0 || kind === 15) continue;
      const sides = [[x + cross(a, b), y], [x + 1, y + cross(b, c)], [x + cross(d, c), y + 1], [x, y + cross(a, d)]];
      const lines = { 1: [3, 0], 2: [0, 1], 3: [3, 1], 4: [1, 2], 5: [3, 0, 1, 2], 6: [0, 2], 7: [3, 2], 8: [2, 3], 9: [0, 2], 10: [0, 1, 2, 3], 11: [1, 2], 12: [1, 3], 13: [0, 1], 14: [0, 3] }[kind];
      for (let n = 0; n < lines.length; n += 2) {
        path.moveTo(sides[lines[n]][0] + 0.5, sides[lines[n]][1] + 0.5);
        path.lineTo(sides[lines[n + 1]][0] + 0.5, sides[lines[n + 1]][1] + 0.5);
      }
    }
  }
  return path;
}

/** The heat as a picture of its own cells, ready to be laid over the part. */
export function paintHeat({ values, width, height }) {
  const canvas = new OffscreenCanvas(width, height);
  const painted = new ImageData(width, height);
  for (let n = 0; n < values.length; n++) painted.data.set(RAMP.subarray(values[n] * 4, values[n] * 4 + 4), n * 4);
  canvas.getContext("2d").putImageData(painted, 0, 0);
  return canvas;
}

/**
 * Draw a part into a canvas as large as its place. `part` is {bitmap, heat?, defects?, width, height}; `look` is
 * {heat: 0 to 1, outlines, boxes, zoom, x, y}: x and y are the part's point in the middle, in shares of its sides; boxes are
 * [x, y, width, height] in the part's pixels.
 */
export function draw(canvas, part, look = {}) {
  const { clientWidth, clientHeight } = canvas.parentElement;
  const ratio = window.devicePixelRatio || 1;
  const fit = Math.min(clientWidth / part.width, clientHeight / part.height || Infinity);
  const [wide, high] = look.zoom > 1 ? [clientWidth, clientHeight] : [part.width * fit, part.height * fit];
  if (wide < 1 || high < 1) return;
  canvas.width = Math.round(wide * ratio);
  canvas.height = Math.round(high * ratio);
  canvas.style.width = `${wide}px`;
  canvas.style.height = `${high}px`;
  const context = canvas.getContext("2d");
  const scale = fit * ratio * (look.zoom || 1);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  if (look.zoom > 1) context.setTransform(scale, 0, 0, scale, canvas.width / 2 - look.x * part.width * scale, canvas.height / 2 - look.y * part.height * scale);
  context.imageSmoothingEnabled = scale < 3;
  context.drawImage(part.bitmap, 0, 0, part.width, part.height);
  if (part.heat && look.heat > 0) {
    context.globalAlpha = look.heat;
    context.imageSmoothingEnabled = true;
    part.painted = part.painted || paintHeat(part.heat);
    context.drawImage(part.painted, 0, 0, part.width, part.height);
    context.globalAlpha = 1;
  }
  if (part.heat && look.outlines) {
    part.path = part.path || outlines(part.heat);
    context.save();
    const [across, down] = [part.width / part.heat.width, part.height / part.heat.height];
    context.scale(across, down);
    for (const [colour, thick] of [["#000000a0", 4], ["#ffffff", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = (thick * ratio) / scale / Math.sqrt(across * down);
      context.stroke(part.path);
    }
    context.restore();
  }
  for (const [x, y, wide, high] of look.boxes || []) {
    for (const [colour, thick] of [["#000000c0", 5], ["#7db8ff", 2.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = (thick * ratio) / scale;
      context.strokeRect(x, y, wide, high);
    }
  }
}

/** A part in its place, drawn anew whenever the part, the look or the room changes. `onBox` hears boxes drawn on it. */
export function Picture({ part, look, label, style, children, onBox }) {
  const place = useRef();
  const canvas = useRef();
  const begun = useRef(null);
  useEffect(() => {
    if (!part) return undefined;
    const again = () => draw(canvas.current, part, look);
    again();
    const watch = new ResizeObserver(again);
    watch.observe(place.current);
    return () => watch.disconnect();
  }, [part, look && JSON.stringify(look)]);
  const at = (event) => {
    const { left, top, width, height } = canvas.current.getBoundingClientRect();
    const inside = (value) => Math.min(1, Math.max(0, value));
    return [inside((event.clientX - left) / width) * part.width, inside((event.clientY - top) / height) * part.height];
  };
  const box = (event) => {
    const [[x0, y0], [x1, y1]] = [begun.current, at(event)];
    return [Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0)].map(Math.round);
  };
  const hands = onBox && part && !(look && look.zoom > 1) ? {
    onPointerDown: (event) => { begun.current = at(event); event.currentTarget.setPointerCapture(event.pointerId); },
    onPointerMove: (event) => { if (begun.current) draw(canvas.current, part, { ...look, boxes: [...(look.boxes || []), box(event)] }); },
    onPointerUp: (event) => {
      const found = begun.current && box(event);
      begun.current = null;
      if (found && found[2] > 3 && found[3] > 3) onBox(found);
    },
  } : {};
  return html`<div class=${`picture ${onBox ? "marks" : ""}`} ref=${place} style=${style} ...${hands}>
    ${part && html`<canvas ref=${canvas} role="img" aria-label=${label}></canvas>`}${children}</div>`;
}

/** An image of the store as a part to draw: {bitmap, width, height, heat?}. */
export async function fetchPart(url, heatUrl, signal) {
  const [picture, warmth] = await Promise.all([fetch(url, { signal }), heatUrl ? fetch(heatUrl, { signal }) : null]);
  if (!picture.ok) throw new Error((await picture.json().catch(() => ({}))).detail || picture.statusText);
  const bitmap = await createImageBitmap(await picture.blob());
  const heat = warmth && warmth.ok && warmth.status !== 204 ? await readHeat(await warmth.blob()) : null;
  return { bitmap, width: bitmap.width, height: bitmap.height, heat };
}
