// The label canvas: what a sample shows and where, by brush, polygon, box and from the heat.
import { useEffect, useMemo, useRef, useState } from "./vendor/preact.js";
import { get, image, inspect, post } from "./api.js";
import { Field, Head, Waiting, go, html, say, told, useKeys, useQuery, useRemote } from "./parts.js";
import { fetchPart } from "./picture.js";
import { number, t } from "./words.js";

const TOOLS = [["brush", "b", () => t("Brush")], ["eraser", "e", () => t("Eraser")], ["polygon", "p", () => t("Polygon")], ["box", "r", () => t("Box")], ["pan", " ", () => t("Move")]];
const COLOURS = ["#ff5a36", "#3aa0ff", "#ffd23f", "#b07cff", "#2fd08a", "#ff7ab8", "#8fd3ff", "#c9a26b", "#d7ff5a"];

/** Masks, one a type: bits over the sample's pixels, with undo. They are drawn on in the sample's own pixels. */
class Masks {
  constructor(width, height) {
    Object.assign(this, { width, height, layers: new Map(), past: [] });
  }

  layer(type) {
    if (!this.layers.has(type)) {
      const canvas = new OffscreenCanvas(this.width, this.height);
      this.layers.set(type, { canvas, context: canvas.getContext("2d", { willReadFrequently: true }) });
    }
    return this.layers.get(type);
  }

  /** Keep what a type's mask is now, to come back to: 20 steps, as pictures of the browser's own memory. */
  keep(type) {
    const copy = new OffscreenCanvas(this.width, this.height);
    copy.getContext("2d").drawImage(this.layer(type).canvas, 0, 0);
    this.past = [...this.past.slice(-19), { type, copy }];
  }

  undo() {
    const last = this.past.pop();
    if (!last) return;
    const { context } = this.layer(last.type);
    context.globalCompositeOperation = "copy";
    context.drawImage(last.copy, 0, 0);
    context.globalCompositeOperation = "source-over";
  }

  paint(type, colour, shape, erase) {
    const { context } = this.layer(type);
    context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    context.fillStyle = context.strokeStyle = colour;
    context.lineCap = context.lineJoin = "round";
    shape(context);
    context.globalCompositeOperation = "source-over";
  }

  /** Regions as the API takes them: runs down the columns, what is outside first. Types without a pixel have none. */
  regions() {
    const found = [];
    for (const [type, { context }] of this.layers) {
      const { data } = context.getImageData(0, 0, this.width, this.height);
      const counts = [];
      let inside = false, length = 0, any = false;
      for (let x = 0; x < this.width; x++) {
        for (let y = 0; y < this.height; y++) {
          const on = data[(y * this.width + x) * 4 + 3] > 127;
          any = any || on;
          if (on === inside) length += 1;
          else { counts.push(length); length = 1; inside = on; }
        }
      }
      counts.push(length);
      if (any) found.push({ type, runs: { height: this.height, width: this.width, counts } });
    }
    return found;
  }

  /** Draw regions that are there already. */
  read(regions, colourOf) {
    for (const region of regions) {
      const colour = colourOf(region.type);
      if (region.box) this.paint(region.type, colour, (context) => context.fillRect(...region.box));
      else if (region.rings) {
        this.paint(region.type, colour, (context) => {
          const path = new Path2D();
          for (const ring of region.rings) {
            ring.forEach(([x, y], n) => (n ? path.lineTo(x, y) : path.moveTo(x, y)));
            path.closePath();
          }
          context.fill(path, "evenodd");
        });
      } else if (region.runs) {
        this.paint(region.type, colour, (context) => {
          let at = 0;
          region.runs.counts.forEach((count, n) => {
            for (let left = n % 2 ? count : 0, from = at; left > 0;) {
              const [x, y] = [Math.floor(from / region.runs.height), from % region.runs.height];
              const high = Math.min(left, region.runs.height - y);
              context.fillRect(x, y, 1, high);
              from += high;
              left -= high;
            }
            at += count;
          });
        });
      }
    }
  }
}

/** A mask image in the way a type's layer is drawn: opaque where it is not black. */
function asLayer(bitmap, colour) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height);
  for (let n = 0; n < pixels.data.length; n += 4) pixels.data[n + 3] = pixels.data[n] + pixels.data[n + 1] + pixels.data[n + 2] ? 255 : 0;
  context.putImageData(pixels, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = colour;
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  return canvas;
}

/** The canvas: wheel zooms, the middle button or the space key moves; whatever is drawn goes into the masks. */
function Canvas({ part, masks, tool, size, type, colour, version, changed }) {
  const place = useRef();
  const canvas = useRef();
  const view = useRef({ zoom: 1, x: part.width / 2, y: part.height / 2 });
  const hand = useRef({ down: null, points: [] });
  const frame = useRef(0);
  const scale = () => Math.min(place.current.clientWidth / part.width, place.current.clientHeight / part.height) * view.current.zoom;
  const toPart = (event) => {
    const { left, top, width, height } = canvas.current.getBoundingClientRect();
    return [(event.clientX - left - width / 2) / scale() + view.current.x, (event.clientY - top - height / 2) / scale() + view.current.y];
  };
  const paint = () => {
    frame.current = 0;
    const element = canvas.current;
    if (!element) return;
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(place.current.clientWidth * ratio), Math.round(place.current.clientHeight * ratio)];
    if (element.width !== wide || element.height !== high) Object.assign(element, { width: wide, height: high });
    const context = element.getContext("2d");
    const by = scale() * ratio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, wide, high);
    context.setTransform(by, 0, 0, by, wide / 2 - view.current.x * by, high / 2 - view.current.y * by);
    context.imageSmoothingEnabled = by < 4;
    context.drawImage(part.bitmap, 0, 0);
    context.globalAlpha = 0.55;
    for (const layer of masks.layers.values()) context.drawImage(layer.canvas, 0, 0);
    context.globalAlpha = 1;
    const { points, box, at } = hand.current;
    context.strokeStyle = colour;
    context.lineWidth = 2 * ratio / by;
    if (points.length) {
      context.beginPath();
      points.forEach(([x, y], n) => (n ? context.lineTo(x, y) : context.moveTo(x, y)));
      if (at) context.lineTo(...at);
      context.stroke();
    }
    if (box) context.strokeRect(...box);
    if (at && (tool === "brush" || tool === "eraser")) {
      context.beginPath();
      context.arc(at[0], at[1], size / 2, 0, 7);
      context.stroke();
    }
  };
  const soon = () => { if (!frame.current) frame.current = requestAnimationFrame(paint); };
  useEffect(() => {
    const watch = new ResizeObserver(soon);
    watch.observe(place.current);
    return () => watch.disconnect();
  }, []);
  useEffect(soon, [version, tool, size, type]);
  const close = () => {
    const { points } = hand.current;
    hand.current.points = [];
    if (points.length > 2) {
      masks.keep(type);
      masks.paint(type, colour, (context) => { context.beginPath(); points.forEach(([x, y]) => context.lineTo(x, y)); context.fill(); });
      changed();
    }
    soon();
  };
  const stroke = (from, to) => masks.paint(type, colour, (context) => {
    context.lineWidth = size;
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(to[0] + 0.01, to[1]);
    context.stroke();
  }, tool === "eraser");
  const down = (event) => {
    event.currentTarget.setPointerCapture(event.pointerId);
    event.currentTarget.focus();
    const at = toPart(event);
    const moves = tool === "pan" || event.button === 1;
    hand.current.down = { at, moves, x: event.clientX, y: event.clientY };
    if (moves) return;
    if (tool === "polygon") { hand.current.points.push(at); soon(); return; }
    if (tool !== "box") { masks.keep(type); stroke(at, at); soon(); }
  };
  const move = (event) => {
    const at = toPart(event);
    const { down: held } = hand.current;
    hand.current.at = at;
    if (held && held.moves) {
      view.current.x += (held.x - event.clientX) / scale();
      view.current.y += (held.y - event.clientY) / scale();
      Object.assign(held, { x: event.clientX, y: event.clientY });
    } else if (held && tool === "box") {
      hand.current.box = [Math.min(held.at[0], at[0]), Math.min(held.at[1], at[1]), Math.abs(held.at[0] - at[0]), Math.abs(held.at[1] - at[1])];
    } else if (held && tool !== "polygon") {
      stroke(held.at, at);
      held.at = at;
    }
    soon();
  };
  const up = () => {
    const { down: held, box } = hand.current;
    hand.current.down = null;
    hand.current.box = null;
    if (!held || held.moves || tool === "polygon") return;
    if (tool === "box" && box) { masks.keep(type); masks.paint(type, colour, (context) => context.fillRect(...box)); }
    changed();
    soon();
  };
  const wheel = (event) => {
    event.preventDefault();
    const before = toPart(event);
    view.current.zoom = Math.min(40, Math.max(1, view.current.zoom * (event.deltaY < 0 ? 1.2 : 1 / 1.2)));
    const after = toPart(event);
    view.current.x += before[0] - after[0];
    view.current.y += before[1] - after[1];
    soon();
  };
  const key = (event) => {
    if (event.key === "Enter") { event.preventDefault(); close(); }
    if (event.key === "Escape") { hand.current.points = []; soon(); }
  };
  return html`<div class="picture draw" ref=${place}><canvas ref=${canvas} tabindex="0" role="application" aria-label=${t("Label canvas; Enter closes a polygon")}
    onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onPointerLeave=${() => { hand.current.at = null; soon(); }} onWheel=${wheel} onDblClick=${close} onKeyDown=${key}></canvas></div>`;
}

export function Label({ number: id }) {
  const [query] = useQuery();
  const found = useRemote(async (signal) => {
    const sample = await get(`/samples/${id}`, {}, signal);
    const [part, words, book] = await Promise.all([fetchPart(image(sample.hash), null, signal), get(`/samples/${id}/annotations`, { limit: 200 }, signal), get("/book", { product: sample.product, limit: 100 }, signal)]);
    // A second label is given without seeing the first: the types to choose from are those of all samples.
    const others = query.blind ? (await get("/samples", { product: sample.product, label: "defective", limit: 500 }, signal)).items : words.items;
    const now = query.blind ? undefined : [...words.items].reverse().find((word) => !word.blind);
    const types = new Set([...book.items.map((page) => page.name), ...others.flatMap((one) => one.types).sort()]);
    const mask = now && now.mask_hash ? await createImageBitmap(await (await fetch(image(now.mask_hash), { signal })).blob()) : null;
    return { sample, part, now, mask, etag: words.etag, types: [...types] };
  }, [id, query.blind]);
  if (!found.data) return html`<${Head} title=${t("Label")} /><${Waiting} of=${found} />`;
  return html`<${Desk} key=${id} ...${found.data} blind=${!!query.blind} queue=${(query.of || "").split(",").filter(Boolean)} />`;
}

function Desk({ sample, part, now, mask, etag, types, queue, blind }) {
  const masks = useMemo(() => new Masks(part.width, part.height), []);
  const [names, setNames] = useState(types.length ? types : ["defect"]);
  const [type, setType] = useState(names[0]);
  const [tool, setTool] = useState("brush");
  const [size, setSize] = useState(Math.max(3, Math.round(Math.max(part.width, part.height) / 40)));
  const [grade, setGrade] = useState(now && now.grade !== null ? String(now.grade) : "");
  const [note, setNote] = useState(now ? now.note : "");
  const [version, changed] = useState(0);
  const [suggested, setSuggested] = useState(null);
  const [seen] = useState(etag); // what was there when the drawing began, whatever is read again meanwhile
  const again = () => changed((n) => n + 1);
  const colourOf = (name) => COLOURS[Math.max(0, names.indexOf(name)) % COLOURS.length];
  useEffect(() => {
    if (!now) return;
    masks.read(now.regions, colourOf);
    if (mask) { // a mask does not say which of several types it shows
      const name = now.types[0] || names[0];
      masks.paint(name, colourOf(name), (context) => context.drawImage(asLayer(mask, colourOf(name)), 0, 0, part.width, part.height));
    }
    again();
  }, []);
  const undo = () => { masks.undo(); again(); };
  const at = queue.indexOf(String(sample.id));
  const next = at >= 0 && queue[at + 1];
  const save = async (label) => {
    const regions = label === "defective" ? masks.regions() : [];
    const shown = regions.length ? [...new Set(regions.map((region) => region.type))] : label === "defective" ? [type] : [];
    const origin = suggested && regions.length ? { suggested_by: suggested.recipe, outcome: version === suggested.version + 1 ? "accepted" : "corrected" } : {};
    try {
      await post(`/samples/${sample.id}/annotations`, { label, types: shown, regions, note, grade: grade === "" ? null : +grade, ...origin, blind }, blind ? {} : { ifMatch: seen });
      say(t("Saved: {label}", { label: t(label) }));
      localStorage.setItem("last-label", JSON.stringify({ width: part.width, height: part.height, regions }));
      go(next ? `/label/${next}?${blind ? "blind=1&" : ""}of=${queue.join(",")}` : blind ? `/agreement?product=${encodeURIComponent(sample.product)}` : `/samples/${sample.id}`);
    } catch (error) {
      say(error.status === 412 ? t("Somebody has labelled it in the meantime. Load the page to see how; nothing of yours was saved.") : told(error), true);
    }
  };
  const copy = () => {
    const last = JSON.parse(localStorage.getItem("last-label") || "null");
    if (!last || last.width !== part.width || last.height !== part.height) { say(t("The last label was of another size, or there is none."), true); return; }
    masks.keep(type);
    masks.read(last.regions, colourOf);
    again();
  };
  const propose = async () => {
    try {
      const recipes = await get("/recipes", { product: sample.product, limit: 50 });
      const recipe = recipes.items.find((one) => one.state === "promoted") || recipes.items[0];
      if (!recipe) { say(t("There is no recipe of this product yet."), true); return; }
      const bytes = await (await fetch(image(sample.hash))).blob();
      const judged = await inspect(recipe.hash, bytes);
      if (!judged.defects.length) { say(t("Recipe {name} sees nothing here.", { name: recipe.name })); return; }
      masks.keep(type);
      masks.read(judged.defects.map((defect) => ({ type, rings: [defect.contour] })), colourOf);
      setSuggested({ recipe: recipe.hash, version });
      again();
    } catch (error) { say(told(error), true); }
  };
  useKeys({
    m: propose,
    ...Object.fromEntries(TOOLS.map(([name, key]) => [key, () => setTool(name)])), u: undo, c: copy,
    "[": () => setSize(Math.max(1, Math.round(size * 0.8))), "]": () => setSize(Math.round(size * 1.25) + 1), o: () => save("good"), s: () => save("defective"),
    ...Object.fromEntries(names.slice(0, 9).map((name, n) => [String(n + 1), () => setType(name)])),
  });
  const add = (event) => {
    event.preventDefault();
    const name = new FormData(event.target).get("type").trim();
    if (name && !names.includes(name)) setNames([...names, name]);
    if (name) setType(name);
    event.target.reset();
  };
  return html`<${Head} title=${blind ? t("Second label, sample {id}", { id: sample.id }) : t("Label {name}", { name: sample.name.split("/").pop() })} about=${at >= 0 ? t("{n} of {all}", { n: at + 1, all: queue.length }) : sample.product}>
      <button class="primary" onClick=${() => save("defective")}>${t("Save as defective")} <kbd>S</kbd></button><button onClick=${() => save("good")}>${t("It is good")} <kbd>O</kbd></button></${Head}>
    <div class="split"><div class="stack">
      <div class="row" role="toolbar" aria-label=${t("Tools")}>${TOOLS.map(([name, key, word]) => html`<button aria-pressed=${tool === name} onClick=${() => setTool(name)}>${word()} <kbd>${key === " " ? "␣" : key.toUpperCase()}</kbd></button>`)}
        <label class="row">${t("Size")} <input type="range" min="1" max=${Math.round(Math.max(part.width, part.height) / 6)} value=${size} onInput=${(event) => setSize(+event.target.value)} /> <span class="num">${number(size)} px</span></label>
        <button onClick=${propose}>${t("From the heat")} <kbd>M</kbd></button><button onClick=${undo}>${t("Undo")} <kbd>U</kbd></button><button onClick=${copy}>${t("As on the last one")} <kbd>C</kbd></button></div>
      <${Canvas} ...${{ part, masks, tool, size, type, version, changed: again }} colour=${colourOf(type)} />
      <p class="muted small">${t("The wheel zooms. Enter or a double click closes a polygon.")}</p></div>
    <div class="stack"><section class="panel"><h2>${t("Defect types")}</h2><div class="stack" style="gap:6px">${names.map((name, n) => html`<button aria-pressed=${type === name} onClick=${() => setType(name)}><i class="swatch" style=${`background:${colourOf(name)}`}></i>${name}${n < 9 ? html` <kbd>${n + 1}</kbd>` : ""}</button>`)}</div>
        <form class="row" style="margin-top:10px" onSubmit=${add}><input name="type" maxlength="100" placeholder=${t("new type")} aria-label=${t("New type")} style="flex:1;min-width:0" /><button>${t("Add")}</button></form></section>
      <section class="panel stack"><${Field} label=${t("Grade")} hint=${t("Severity, where the defect book has grades")}><input type="number" value=${grade} onInput=${(event) => setGrade(event.target.value)} /></${Field}>
        <${Field} label=${t("Note")}><textarea rows="3" maxlength="4000" value=${note} onInput=${(event) => setNote(event.target.value)}></textarea></${Field}></section>
      ${now && html`<section class="panel"><h2>${t("It counts as")}</h2><p style="margin:0"><b class=${`answer ${now.label}`}>${t(now.label)}</b> ${now.types.join(", ")}<br /><span class="muted small">${now.author}</span></p></section>`}</div></div>`;
}
