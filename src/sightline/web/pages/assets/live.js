// The line as it is now: every station, or one of them large.
import { useEffect, useRef, useState } from "./vendor/preact.js";
import { get, listen, post } from "./api.js";
import { Banner, Dialog, Empty, Field, Head, Reason, Stat, Verdict, Waiting, html, say, useAction, useKeys, useList, useRemote, useSession } from "./parts.js";
import { DriftNotes } from "./drift.js";
import { Picture, readHeat } from "./picture.js";
import { duration, number, percent, said, score, t } from "./words.js";

const STALE_S = 5; // without a new part for so long, the age of the picture is said over it
const GONE_S = 3.5; // without any message for so long, the picture is not the present one
const STRIP = 30;

/** A message of a station's live socket: what is told, and its views ready to be drawn. */
async function read(data) {
  const length = new DataView(data).getUint32(0);
  const told = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  let at = 4 + length;
  const parts = [];
  for (const view of told.views || []) {
    const jpeg = new Blob([new Uint8Array(data, at, view.jpeg_bytes)], { type: "image/jpeg" });
    at += view.jpeg_bytes;
    const png = view.heat_bytes ? new Blob([new Uint8Array(data, at, view.heat_bytes)], { type: "image/png" }) : null;
    at += view.heat_bytes;
    const bitmap = await createImageBitmap(jpeg);
    parts.push({ view: view.view, bitmap, width: bitmap.width, height: bitmap.height, heat: png && (await readHeat(png)), told: view });
  }
  return { told, parts };
}

/**
 * What a station shows: {part, parts, age_s, error, strip, takt_s}. A message that comes while the last one is being
 * decoded takes its place: a slow browser sees fewer parts, never older ones.
 */
function useLive(name) {
  const [state, set] = useState({ part: null, parts: [], strip: [], error: "", came: 0, age_s: 0 });
  const [, tick] = useState(0);
  useEffect(() => {
    let waiting = null, busy = false;
    const work = async () => {
      if (busy) return;
      busy = true;
      while (waiting) {
        const data = waiting;
        waiting = null;
        try {
          const { told, parts } = await read(data);
          set((old) => next(old, told, parts));
        } catch (error) {
          set((old) => ({ ...old, error: error.message }));
        }
      }
      busy = false;
    };
    const stop = listen(`/stations/${encodeURIComponent(name)}/live`, (data) => { waiting = data; work(); },
      (how) => { if (how === "closed") set((old) => ({ ...old, error: t("The server does not answer."), })); });
    const clock = setInterval(() => tick((n) => n + 1), 500);
    return () => { stop(); clearInterval(clock); };
  }, [name]);
  const since = (performance.now() - state.came) / 1000;
  return { ...state, age_s: state.age_s + since, silent: state.came > 0 && since > GONE_S };
}

function next(old, told, parts) {
  const came = performance.now();
  if (told.error) return { ...old, came, error: told.error };
  const age_s = (told.age_ms || 0) / 1000;
  if (told.still) return { ...old, came, age_s, error: "" };
  const begun = came - told.age_ms;
  const strip = [{ ...told, picture: parts[0], begun }, ...(old.part && old.part.number > told.number ? [] : old.strip)].slice(0, STRIP);
  return { part: told, parts, strip, error: "", came, age_s };
}

/** Seconds from part to part, by the last ones; null with fewer than three. */
function takt(strip) {
  if (strip.length < 3) return null;
  const [newest, oldest] = [strip[0], strip[strip.length - 1]];
  return (newest.begun - oldest.begun) / 1000 / Math.max(1, newest.number - oldest.number);
}

const why = (part) => {
  const worst = part.views.flatMap((view) => view.defects).sort((a, b) => b.score - a.score)[0];
  if (part.cause) return said(part.cause);
  return worst ? (worst.type === "unknown" ? t("unlike the good parts") : worst.type) : "";
};

/** What keeps the picture from being the present one; "" where nothing does. */
function trouble(live, status) {
  if (live.error) return live.error;
  if (live.silent) return t("Nothing has come from the server for {s}.", { s: duration((performance.now() - live.came) / 1000) });
  if (status && status.reachable === false) return said(status.why);
  return "";
}

function Stage({ live, look, status, size }) {
  const wrong = trouble(live, status);
  if (!live.part) return html`<div class="stage wait"><p>${wrong || t("Waiting for the first part …")}</p></div>`;
  const lost = live.part.cause && !live.parts.some((one) => one.bitmap);
  return html`<div class=${`stage ${wrong ? "lost" : ""} ${size}`}>
    <div class="views" style=${`--views:${live.parts.length || 1}`}>
      ${live.parts.map((one) => html`<${Picture} key=${one.view} part=${one} look=${look} label=${t("View {view} of part {part}", { view: one.view, part: live.part.part })}>
        ${live.parts.length > 1 && html`<span class="tag">${one.view}</span>`}</${Picture}>`)}
    </div>
    ${(wrong || lost) && html`<div class="over" role="alert"><b>${wrong ? t("No live picture") : t("No picture of this part")}</b><span>${wrong || live.part.cause}</span>
      ${wrong && html`<span>${t("Below lies the last part, of {age} ago.", { age: duration(live.age_s) })}</span>`}</div>`}
    ${!wrong && live.age_s > STALE_S && html`<div class="age">${t("Last part {age} ago", { age: duration(live.age_s) })}</div>`}
  </div>`;
}

function Counters({ counts }) {
  const parts = Object.values(counts).reduce((sum, one) => sum + one, 0);
  return html`<div class="stats">
    <${Stat} value=${number(parts)} label=${t("parts since the start")} />
    ${["OK", "NG", "REVIEW"].map((one) => html`<div class="stat"><b>${number(counts[one] || 0)}</b><${Verdict} of=${one} /></div>`)}
    <${Stat} value=${percent(parts ? (counts.OK || 0) / parts : null)} label=${t("OK at once")} /></div>`;
}

function Card({ station }) {
  const live = useLive(station.name);
  const status = useRemote((signal) => get(`/stations/${encodeURIComponent(station.name)}/status`, {}, signal), [station.name], 5);
  const wrong = trouble(live, status.data);
  const part = live.part;
  return html`<a class="panel flat station" href=${`/live/${encodeURIComponent(station.name)}`}>
    <${Banner} of=${wrong || !part ? "" : part.verdict} word=${wrong ? t("NO PICTURE") : part ? null : t("WAITING")} style="font-size:30px" />
    <${Stage} live=${live} status=${status.data} look=${{ heat: 0.7, outlines: true }} size="small" />
    <div class="cap"><b>${station.name}</b><span class="muted">${part ? `${part.recipe} · ${part.part}` : ""}</span>
      <span class="muted num">${part ? duration(live.age_s) : ""}</span></div></a>`;
}

/** What a new site needs first, with ticks for what is there. */
function FirstSteps() {
  const found = useRemote((signal) => Promise.all(["/products", "/users"].map((path) => get(path, { limit: 2 }, signal))), []);
  const [products, users] = (found.data || []).map((one) => one.items.length);
  const steps = [[false, "/site?tab=stations", t("Name a station")], [products > 0, "/collect", t("Add pictures")], [users > 1, "/site?tab=users", t("Add the people who work here")]];
  return html`<ol class="first">${steps.map(([done, to, word]) => html`<li><a href=${to}>${word}</a> ${done && html`<span class="answer good">✓ ${t("done")}</span>`}</li>`)}</ol>`;
}

export function Overview() {
  const stations = useList("/stations", { limit: 50 });
  const session = useSession();
  return html`<${Head} title=${t("Live")} about=${t("Every station, as it is now.")} />
    ${!stations.items ? html`<${Waiting} of=${stations} />` : stations.items.length === 0
      ? html`<${Empty} title=${t("No station yet")} actions=${session.may("administrator") && html`<${FirstSteps} />`}>
          ${t("A station is a running line program: sightline run station.toml. Name its address here, and its pictures appear.")}</${Empty}>`
      : html`<div class="grid stations">${stations.items.map((one) => html`<${Card} key=${one.name} station=${one} />`)}</div>`}`;
}

function State({ status }) {
  const lamps = [
    [t("Station"), status.ready ? "ok" : "ng", status.ready ? t("ready") : said(status.reason || "") || t("not ready")],
    [t("Records"), status.records_waiting > 100 ? "ng" : "ok", t("{n} waiting to be written", { n: number(status.records_waiting || 0) })],
    ...(status.sick || []).map((one) => [t("Trouble"), "ng", said(one)]),
  ];
  return html`<ul class="lamps">${lamps.map(([name, how, text]) => html`<li class=${how}><i aria-hidden="true"></i><b>${name}</b><span>${text}</span></li>`)}</ul>`;
}

function Changeover({ name, recipes, open, close, done }) {
  const [run, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = Object.fromEntries(new FormData(event.target));
    await post(`/stations/${encodeURIComponent(name)}/recipe`, { recipe: form.recipe }, { query: { reason: form.reason } });
    close();
    done();
  }, t("Asked for. The station says when it is ready."));
  return html`<${Dialog} open=${open} title=${t("Changeover")} close=${close}><form class="stack" onSubmit=${run}>
    <${Field} label=${t("Recipe")}><select name="recipe">${recipes.map((one) => html`<option value=${one}>${one}</option>`)}</select></${Field}>
    <${Field} label=${t("Why")}><input name="reason" maxlength="1000" /></${Field}>
    <div class="row"><button class="primary" disabled=${busy}>${t("Change over")}</button><button type="button" class="quiet" onClick=${close}>${t("Cancel")}</button></div></form></${Dialog}>`;
}

export function Station({ name }) {
  const known = useRemote((signal) => get(`/stations/${encodeURIComponent(name)}`, {}, signal), [name]);
  if (known.data) return html`<${Line} name=${name} />`;
  if (!known.error || known.error.status !== 404) return html`<${Waiting} of=${known} />`;
  return html`<${Empty} title=${t("There is no station {name}", { name })} actions=${html`<a class="button" href="/">${t("To the live pictures")}</a>`}>
    ${t("It was taken away, or its name is another one.")}</${Empty}>`;
}

function Line({ name }) {
  const live = useLive(name);
  const [heat, setHeat] = useState(0.7);
  const [lines, setLines] = useState(true);
  const [asking, ask] = useState(null);
  const [changing, change] = useState(false);
  const [held, hold] = useState(null);
  const stage = useRef();
  const session = useSession();
  const path = `/stations/${encodeURIComponent(name)}`;
  const remote = useRemote((signal) => get(`${path}/status`, {}, signal), [name], 2);
  const full = () => (document.fullscreenElement ? document.exitFullscreen() : stage.current.requestFullscreen().catch(() => say(t("This browser shows no full screen."), true)));
  useKeys({ h: () => setHeat(heat ? 0 : 0.7), o: () => setLines(!lines), f: full, Escape: () => hold(null) });
  const state = remote.data;
  const status = (state && state.status) || {};
  const shown = held ? { ...live, part: held, parts: [held.picture], age_s: (performance.now() - held.begun) / 1000 } : live;
  const part = shown.part;
  const wrong = held ? "" : trouble(live, state);
  const command = (verb, title, about, danger) => ask({ title, about, danger, verb: title, action: async (reason) => { await post(`${path}/${verb}`, {}, { query: { reason } }); remote.reload(); } });
  return html`<${Head} title=${name} about=${[status.recipe && t("Recipe {recipe}", { recipe: status.recipe }), status.pilot && t("Pilot: verdicts are not acted on")].filter(Boolean).join(" · ")}>
      <button aria-pressed=${heat > 0} onClick=${() => setHeat(heat ? 0 : 0.7)}>${t("Heat")} <kbd>H</kbd></button>
      <input type="range" min="0" max="1" step="0.05" value=${heat} aria-label=${t("Strength of the heat")} onInput=${(event) => setHeat(+event.target.value)} />
      <button aria-pressed=${lines} onClick=${() => setLines(!lines)}>${t("Outlines")} <kbd>O</kbd></button>
      <button onClick=${full}>${t("Full screen")} <kbd>F</kbd></button><a class="button" href=${`/pilots/${encodeURIComponent(name)}`}>${t("Pilot")}</a></${Head}>
    ${status.pilot && html`<div class="note warn">${t("Pilot mode: this station judges, and the machine does not act on it.")}</div>`}
    <${DriftNotes} station=${name} />
    <div class="split live"><div ref=${stage} class="wall">
      <${Banner} of=${wrong || !part ? "" : part.verdict} word=${wrong ? t("NO PICTURE") : part ? null : t("WAITING")} />
      <${Stage} live=${shown} status=${held ? null : state} look=${{ heat, outlines: lines }} size="large" />
      ${held && html`<div class="note warn row between"><span>${t("An earlier part, {part}", { part: held.part })}</span><span class="row">
        <a class="button" href=${`/parts?serial=${encodeURIComponent(held.part)}&station=${encodeURIComponent(name)}`}>${t("Whole record")}</a><button onClick=${() => hold(null)}>${t("Back to live")} <kbd>Esc</kbd></button></span></div>`}
      <div class="strip" role="group" aria-label=${t("The last parts")}>${live.strip.map((one) => html`<${Frame} key=${one.number} one=${one} open=${() => hold(one)} on=${held === one} />`)}</div></div>
    <div class="stack">
      <section class="panel"><h2>${t("This part")}</h2>${part ? html`<dl class="facts">
        <dt>${t("Part")}</dt><dd>${part.part}</dd><dt>${t("Why")}</dt><dd>${why(part) || t("like the good parts")}</dd>
        <dt>${t("Score")}</dt><dd>${score(part.score)}</dd>
        ${part.purpose !== "production" && html`<dt>${t("Purpose")}</dt><dd>${part.purpose}</dd>`}
        ${part.late && html`<dt>${t("Late")}</dt><dd>${t("The answer came after its deadline")}</dd>`}</dl>` : html`<p class="muted">${t("None yet")}</p>`}</section>
      <section class="panel"><h2>${t("Shift")}</h2><${Counters} counts=${(live.part && live.part.counts) || {}} />
        <p class="muted small" style="margin:10px 0 0">${t("Takt {takt}", { takt: duration(takt(live.strip)) })}${status.job ? ` · ${t("Job {job}", { job: status.job })}` : ""}</p></section>
      <section class="panel"><h2>${t("State")}</h2>${state && !state.reachable ? html`<div class="note bad">${said(state.why)}</div>` : html`<${State} status=${status} />`}
        <div class="row" style="margin-top:12px">${session.may("engineer") && html`
          <button onClick=${() => change(true)} disabled=${!(status.recipes || []).length}>${t("Changeover")}</button>
          ${status.continuous ? html`<button onClick=${() => command("stop", t("Stop"))}>${t("Stop")}</button>`
            : html`<button title=${status.not_continuous || ""} disabled=${!!status.not_continuous || !status.ready} onClick=${() => command("start", t("Start"))}>${t("Start")}</button>`}
          <button title=${(status.check_parts || []).length ? status.check_parts.join(", ") : t("The station's file names no check parts.")} disabled=${!(status.check_parts || []).length} onClick=${() => command("check", t("Golden-part check"), t("The station inspects no other parts until these have got their verdicts: {parts}.", { parts: status.check_parts.join(", ") }))}>${t("Golden-part check")}</button>`}
          ${status.pilot ? session.may("engineer") && html`<button class="danger" onClick=${() => command("production", t("End pilot mode"), t("The machine acts on the verdicts of all parts from then on."), true)}>${t("End pilot mode")}</button>`
            : html`<button disabled=${!status.station} onClick=${() => command("pilot", t("Pilot mode"), t("The station judges on, and the machine gets no verdicts. It stays so until an engineer ends it."))}>${t("Pilot mode")}</button>`}</div>
          ${session.may("engineer") && status.not_continuous && html`<p class="small muted" style="margin:8px 0 0">${t("Parts come when the machine triggers them.")}</p>`}</section>
    </div></div>
    <${Reason} ask=${asking} close=${() => ask(null)} />
    <${Changeover} name=${name} recipes=${status.recipes || []} open=${changing} close=${() => change(false)} done=${remote.reload} />`;
}

/** A part of the film strip. */
function Frame({ one, open, on }) {
  const canvas = useRef();
  useEffect(() => {
    if (!one.picture) return;
    const scale = 84 / Math.max(one.picture.width, one.picture.height);
    canvas.current.width = one.picture.width * scale;
    canvas.current.height = one.picture.height * scale;
    canvas.current.getContext("2d").drawImage(one.picture.bitmap, 0, 0, canvas.current.width, canvas.current.height);
  }, []);
  return html`<button class=${`frame-of ${one.verdict}`} onClick=${open} aria-pressed=${on} title=${one.part}>
    <canvas ref=${canvas} width="84" height="84"></canvas><${Verdict} of=${one.verdict} /></button>`;
}
