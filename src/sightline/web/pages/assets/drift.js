// Drift: what the line's control charts have alarmed of, why, what to do about it, and the charts.
import { useState } from "./vendor/preact.js";
import { get, image, post, thumbnail } from "./api.js";
import { Teach } from "./gallery.js";
import { Empty, Field, Head, Moment, Table, Verdict, Waiting, html, say, useAction, useQuery, useRemote, useSession } from "./parts.js";
import { number, t } from "./words.js";

/** By cause: its name, what it looks like, and what to do. */
export const CAUSES = {
  light: [() => t("Light"), () => t("Pictures have become darker or brighter, or have lost contrast."), () => t("Check lamp, exposure, gain, aperture, and daylight that reaches the part. Set them as they were when the recipe was trained.")],
  lens: [() => t("Lens"), () => t("Pictures have become softer or sharper."), () => t("Focus the lens on a golden part and fix its ring. Check the working distance, and clean the lens.")],
  dirt: [() => t("Dirt on the lens"), () => t("The same few places of all pictures have become darker or brighter."), () => t("Clean lens and window, then look at the same place again. If it stays, look for a shadow or a reflection there.")],
  camera: [() => t("Camera moved"), () => t("The picture has shifted, turned or changed its scale."), () => t("Compare the two pictures. Tighten camera and fixture, and bring them back to where they were. If the new place is to stay, train a recipe from pictures of it.")],
  colour: [() => t("Colour"), () => t("The colours have moved against each other."), () => t("Fix the camera's white balance, and check whether a lamp was changed or is failing. If neither, compare the material.")],
  product: [() => t("Product"), () => t("Parts look less like the good ones, while light, lens and camera are as they were."), () => t("Look at the newest parts beside the older ones. If they are good, label some of them and train the recipe anew.")],
  defects: [() => t("More defects than usual"), () => t("More parts are not OK than usual, while light, lens and camera are as they were: perhaps a new defect type."), () => t("Look at what these parts have in common. If it is a new defect type, name it, and teach it to the recipe. If they are good, call them so in review, and train the recipe anew.")],
};
const FEATURES = { lot: () => t("Lot"), type: () => t("Type"), place: () => t("Place") };
const MEASURES = {
  brightness: () => t("Brightness"), contrast: () => t("Contrast"), sharpness: () => t("Sharpness"), noise: () => t("Noise"),
  red: () => t("Red beside green"), blue: () => t("Blue beside green"), shift_x: () => t("Shift across"), shift_y: () => t("Shift down"),
  turn: () => t("Turn"), scale: () => t("Size"), score: () => t("Score"), distance: () => t("Distance from good parts"),
  places: () => t("Worst place"), p_value: () => t("p-values"),
};
export const word = (table, name, n) => (table[name] ? (n === undefined ? table[name]() : table[name][n]()) : name);
const signed = (value, unit) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${number(Math.abs(value), 2)}${unit ? ` ${unit}` : ""}`;
const LOGARITHMS = ["brightness", "sharpness", "noise", "red", "blue"];
const UNITS = { ...Object.fromEntries(LOGARITHMS.map((name) => [name, "%"])), shift_x: "%", shift_y: "%", scale: "%", turn: "°" };
/** How far a measure has moved, in its unit where it has one, and in deviations. */
function moved(name, { change, deviations }) {
  const far = t("{n} deviations", { n: signed(deviations) });
  return UNITS[name] ? `${signed(LOGARITHMS.includes(name) ? 100 * Math.expm1(change) : change, UNITS[name])} (${far})` : far;
}
const address = (station) => `/drift?station=${encodeURIComponent(station)}`;

/** A word on a station's page about each alarm that nobody has acknowledged. */
export function DriftNotes({ station }) {
  const found = useRemote((signal) => get("/alarms", { station }, signal), [station], 10);
  return (found.data || []).map((alarm) => html`<div key=${alarm.id} class="note warn row between" role="alert"><span><b>${t("Drift: {cause}", { cause: word(CAUSES, alarm.cause, 0) })}</b> ${word(CAUSES, alarm.cause, 1)}</span>
    <a class="button" href=${address(station)}>${t("What to do")}</a></div>`);
}

function Acknowledge({ alarm, done }) {
  const session = useSession();
  const [run, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    await post(`/alarms/${alarm.id}/acknowledge`, { note: form.get("note"), accept: form.has("accept") });
    done();
  }, t("Acknowledged."));
  return html`<form class="stack" onSubmit=${run}>
    <${Field} label=${t("What was done")}><input name="note" maxlength="1000" /></${Field}>
    ${session.may("engineer") && html`<label class="row"><input type="checkbox" name="accept" /> ${t("It is to stay as it is now: learn anew what is usual")}</label>`}
    <div class="row"><button class="primary" disabled=${busy}>${t("Acknowledge")}</button></div></form>`;
}

/** A kept picture; it may have been cleared away since. */
function Kept({ name, hash }) {
  const [gone, lose] = useState(false);
  return html`<figure><figcaption><span>${name}</span></figcaption>
    ${hash && !gone ? html`<a href=${image(hash)} target="_blank" rel="noopener"><img src=${thumbnail(hash)} alt=${name} onError=${() => lose(true)} /></a>` : html`<div class="lacking muted small">${t("No picture was kept")}</div>`}</figure>`;
}

/** The parts that an alarm is about, and what they have in common; named here, a type goes on to be taught. */
function Concerned({ alarm }) {
  const session = useSession();
  const found = useRemote((signal) => get(`/alarms/${alarm.id}/parts`, {}, signal), [alarm.id, alarm.again]);
  const [left, leave] = useState([]);
  const [taught, teach] = useState(null);
  const { parts = [], common = [], not_ok = 0, of = 0 } = found.data || {};
  const chosen = parts.filter((one) => one.thumbnail && !left.includes(one.inspection));
  const toggle = (id) => leave((old) => (old.includes(id) ? old.filter((one) => one !== id) : [...old, id]));
  const [name, busy] = useAction(async (event) => {
    event.preventDefault();
    const type = new FormData(event.target).get("type");
    const { samples } = await post("/inspections/type", { inspections: chosen.map((one) => one.inspection), type });
    say(t("{n} parts show {type} now.", { n: samples.length, type }));
    if (session.may("engineer")) teach({ samples, type });
  });
  if (!found.data) return html`<${Waiting} of=${found} />`;
  return html`<div class="stack"><h3>${t("{n} of {of} parts since were not OK", { n: number(not_ok), of: number(of) })}</h3>
    ${common.length > 0 && html`<ul>${common.map((one) => html`<li><b>${word(FEATURES, one.kind)} ${one.value}</b>: ${t("{n} of {of}; of others at most {share} %", { n: one.count, of: one.of, share: number(100 * one.usual, 1) })}</li>`)}</ul>`}
    <div class="thumbs few">${parts.map((one) => html`<div key=${one.inspection} class="thumb" data-chosen=${chosen.includes(one)}>
      <a href=${`/parts/${one.inspection}`}>${one.thumbnail ? html`<img src=${one.thumbnail} alt=${t("Part {n}", { n: one.inspection })} loading="lazy" />` : html`<span class="lacking muted small">${t("No picture was kept")}</span>`}</a>
      <label class="cap">${one.thumbnail && session.may("reviewer") ? html`<input type="checkbox" checked=${chosen.includes(one)} onChange=${() => toggle(one.inspection)} aria-label=${t("Choose part {n}", { n: one.inspection })} />` : ""}<${Verdict} of=${one.verdict} /></label></div>`)}</div>
    ${session.may("reviewer") && chosen.length > 0 && html`<form class="row" onSubmit=${name}><${Field} label=${t("Type of the {n} chosen parts", { n: chosen.length })}><input name="type" required maxlength="100" pattern="[\\w .@+\\-]+" /></${Field}>
      <button class="primary" disabled=${busy}>${t("Name it")}</button></form>`}
    ${taught && html`<${Teach} product=${(parts[0] || {}).product} samples=${taught.samples} type=${taught.type} open=${true} close=${() => teach(null)} />`}</div>`;
}

function Alarm({ alarm, done }) {
  const { measures = {}, crossed = [], not_ok = {} } = alarm.figures;
  const told = crossed.filter((name) => measures[name]);
  return html`<section class="panel alarm" aria-label=${t("Alarm {n}", { n: alarm.id })}><div class="row between"><h2>${word(CAUSES, alarm.cause, 0)}</h2>
      <span class="muted small">${alarm.station} · ${alarm.view} · <${Moment} at=${alarm.created} /></span></div>
    <div class="split"><div class="stack"><p>${word(CAUSES, alarm.cause, 1)}</p>
      <div class="note"><b>${t("What to do")}</b><br />${word(CAUSES, alarm.cause, 2)}</div>
      ${told.length > 0 && html`<ul>${told.map((name) => html`<li>${word(MEASURES, name)}: ${moved(name, measures[name])}</li>`)}</ul>`}
      <p class="muted small"><a href=${`/parts/${alarm.since}`}>${t("It began about here")}</a>${not_ok.lately !== undefined ? ` · ${t("not OK lately {lately} %, in all {all} %", { lately: number(100 * not_ok.lately, 1), all: number(100 * not_ok.in_all, 1) })}` : ""}</p></div>
      <div class="stack">${alarm.cause !== "defects" && html`<div class="pair"><${Kept} name=${t("Before")} hash=${alarm.before_hash} /><${Kept} name=${t("After")} hash=${alarm.after_hash} /></div>`}<${Acknowledge} alarm=${alarm} done=${done} /></div></div>${alarm.cause === "defects" && html`<${Concerned} alarm=${alarm} />`}</section>`;
}

/** A CUSUM chart: sums upwards above the middle, downwards below it, and the limits on both sides. */
function Chart({ chart, every, alarmed }) {
  const most = 1.25, wide = 240, high = 72, middle = high / 2;
  const y = (value) => middle - (Math.max(-most, Math.min(most, value)) / most) * (middle - 3);
  const x = (n) => (n / Math.max(1, chart.points.length - 1)) * wide;
  const line = (pick) => chart.points.map((one, n) => `${n ? "L" : "M"}${x(n).toFixed(1)} ${y(pick(one)).toFixed(1)}`).join("");
  const worst = Math.max(chart.down, chart.up);
  const now = chart.unit ? signed(chart.change, chart.unit) : chart.deviations === null ? "" : t("{n} deviations", { n: signed(chart.deviations) });
  const name = word(MEASURES, chart.name);
  return html`<figure class=${worst >= 1 || alarmed ? "cusum over" : "cusum"}><figcaption><b>${name}</b><span class="num">${now}</span></figcaption>
    <svg viewBox=${`0 0 ${wide} ${high}`} preserveAspectRatio="none" role="img" aria-label=${t("{name}: at {share} % of its limit", { name, share: number(100 * worst, 0) })}>
      <path class="limit" d=${`M0 ${y(1)}H${wide}M0 ${y(-1)}H${wide}`} /><path class="center" d=${`M0 ${middle}H${wide}`} />
      <path class="line" d=${line((one) => one[1])} /><path class="line" d=${line((one) => -one[0])} /><title>${t("one point for {n} parts", { n: every })}</title></svg></figure>`;
}

const REFERENCES = { training: () => t("compared with the training"), production: () => t("compared with parts of this line"), learning: () => t("learning what is usual") };

function View({ view, every, open }) {
  const mine = open.filter((one) => one.station === view.station && one.view === view.view && one.recipe_hash === view.recipe_hash);
  const alarmed = new Set(mine.flatMap((one) => one.figures.crossed || []));
  return html`<section class="panel"><div class="row between"><h2>${view.station} · ${view.view}</h2>
      <span class="muted small"><a href=${`/recipes/${view.recipe_hash}`}>${view.recipe_hash.slice(0, 12)}</a> · ${t("{n} parts", { n: number(view.parts) })} · ${word(REFERENCES, view.reference)}</span></div>
    ${view.reference === "learning" ? html`<p>${t("{n} of {needed} OK parts have come that tell what is usual: the recipe is not in this store, or does not say it.", { n: number(view.learned), needed: number(view.needed) })}</p>`
      : html`<div class="charts">${view.charts.map((chart) => html`<${Chart} key=${chart.name} chart=${chart} every=${every} alarmed=${alarmed.has(chart.name)} />`)}</div>`}</section>`;
}

const DONE = () => [
  [t("Cause"), (one) => word(CAUSES, one.cause, 0)], [t("Station"), (one) => `${one.station} · ${one.view}`], [t("Raised"), (one) => html`<${Moment} at=${one.created} />`],
  [t("Acknowledged"), (one) => html`<${Moment} at=${one.acknowledged} />`], [t("By"), (one) => one.author], [t("What was done"), (one) => one.note || (one.accepted ? t("accepted") : "")],
];

export function Drift() {
  const [query, set] = useQuery();
  const [shown, show] = useState(4);
  const found = useRemote((signal) => get("/drift", { station: query.station }, signal), [query.station], 10);
  const all = useRemote((signal) => get("/stations", { limit: 200 }, signal), []);
  const { alarms = [], views = [], every = 10 } = found.data || {};
  const open = alarms.filter((one) => one.state === "open"), done = alarms.filter((one) => one.state !== "open");
  const names = [...new Set([...((all.data && all.data.items) || []).map((one) => one.name), ...views.map((one) => one.station), ...(query.station ? [query.station] : [])])].sort();
  return html`<${Head} title=${t("Drift")} about=${t("Whether the line still sees parts as it was taught to.")}>
      <select aria-label=${t("Station")} onChange=${(event) => set({ station: event.target.value })}><option value="">${t("all stations")}</option>${names.map((name) => html`<option selected=${query.station === name}>${name}</option>`)}</select></${Head}>
    ${!found.data ? html`<${Waiting} of=${found} />` : !views.length ? html`<${Empty} title=${t("No charts yet")}>${t("They begin with the first parts that a station records here.")}</${Empty}>` : html`<div class="stack">
      ${open.length === 0 ? html`<div class="note">${t("Nothing drifts.")}</div>` : open.map((alarm) => html`<${Alarm} key=${alarm.id} alarm=${alarm} done=${found.reload} />`)}
      ${views.slice(0, shown).map((view) => html`<${View} key=${view.station + view.view + view.recipe_hash} view=${view} every=${every} open=${open} />`)}
      ${views.length > shown && html`<button onClick=${() => show(shown + 8)}>${t("More charts")}</button>`}
      ${done.length > 0 && html`<section class="panel flat"><${Table} label=${t("Acknowledged alarms")} rows=${done} columns=${DONE()} /></section>`}</div>`}`;
}
