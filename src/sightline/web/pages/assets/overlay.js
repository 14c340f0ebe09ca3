// The live picture with what was found in it, drawn together so that neither moves without the other: the part's outline, its defects with their numbers, and where to aim.
import { apply } from "./tracking.js";

const COLOURS = { OK: "#3fb950", NG: "#e5383b", REVIEW: "#e3a008" };
const OUTLINE = "#e6edf3"; // of a part that is not OK: its defects are to be seen

function line(context, points, colour, thick) {
  context.beginPath();
  points.forEach(([x, y], n) => (n ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
  context.lineJoin = "round";
  for (const [stroke, wide] of [["#000000b0", thick + 3], [colour, thick]]) {
    context.strokeStyle = stroke;
    context.lineWidth = wide;
    context.stroke();
  }
}

/** The place in which a recipe expects its part: corners, in the middle of the frame. */
function aim(context, place, to, wide, high) {
  const fit = 0.86 * Math.min(wide / place.width, high / place.height);
  const [w, h] = [place.width * fit, place.height * fit];
  const [px, py, pw, ph] = place.part || [0, 0, 1, 1];
  const corner = [(wide - w) / 2 + px * w, (high - h) / 2 + py * h];
  const [[x0, y0], [x1, y1]] = [to(...corner), to(corner[0] + pw * w, corner[1] + ph * h)];
  const arm = Math.min(x1 - x0, y1 - y0) / 6;
  context.lineCap = "round";
  for (const [stroke, thick] of [["#000000a0", 7], ["#ffffffd0", 3]]) {
    context.strokeStyle = stroke;
    context.lineWidth = thick;
    for (const [x, y, across, down] of [[x0, y0, 1, 1], [x1, y0, -1, 1], [x1, y1, -1, -1], [x0, y1, 1, -1]]) {
      context.beginPath();
      context.moveTo(x + across * arm, y);
      context.lineTo(x, y);
      context.lineTo(x, y + down * arm);
      context.stroke();
    }
  }
}

/**
 * Draw a frame and what is over it. `scene` is {picture, size: [w, h] of the frame, found, motion, verdict, place}: `found` is an answer about a frame, and
 * `motion` what has moved since it. Gives the part's box as it is drawn, in px of the frame; null without a part.
 */
export function drawOver(canvas, scene) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio].map(Math.round);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  if (!scene.size || !width) return null;
  const [wide, high] = scene.size;
  const scale = Math.min(width / wide, height / high), left = (width - wide * scale) / 2, top = (height - high * scale) / 2;
  const to = (x, y) => [left + x * scale, top + y * scale];
  context.drawImage(scene.picture, left, top, wide * scale, high * scale);
  const moved = ([x, y]) => to(...apply(scene.motion, x, y));
  const { found } = scene;
  const parts = found ? found.parts || [] : [];
  if (scene.place && (!found || !parts.length)) aim(context, scene.place, to, wide, high);
  if (!found) return null;
  if (found.marker) line(context, found.marker.corners.map(moved), COLOURS.REVIEW, 2 * ratio);
  const colour = scene.verdict === "OK" ? COLOURS.OK : OUTLINE;
  for (const part of parts) line(context, part.outline.map(moved), parts.length > 1 ? COLOURS.REVIEW : colour, 3 * ratio);
  (found.defects || []).forEach((defect, n) => {
    const outline = defect.contour.map(moved);
    line(context, outline, COLOURS.NG, 2.5 * ratio);
    const [x, y] = outline.reduce((best, one) => (one[1] < best[1] ? one : best));
    const label = String(n + 1), radius = 11 * ratio;
    context.fillStyle = COLOURS.NG;
    context.beginPath();
    context.arc(x, Math.max(radius, y - radius), radius, 0, 7);
    context.fill();
    context.fillStyle = "#fff";
    context.font = `700 ${13 * ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(label, x, Math.max(radius, y - radius));
  });
  if (!parts.length) return null;
  const [x, y, w, h] = parts[0].box;
  const [cx, cy] = apply(scene.motion, x + w / 2, y + h / 2), grown = Math.hypot(scene.motion.a, scene.motion.b);
  return [cx - (w * grown) / 2, cy - (h * grown) / 2, w * grown, h * grown];
}
