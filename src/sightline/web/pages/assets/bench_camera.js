// The bench's camera: the verdict in letters that are read at arm's length, over the live picture; buttons for one thumb and gloves.
import { useEffect, useRef, useState } from "./vendor/preact.js";
import { get } from "./api.js";
import { Device } from "./device.js";
import { Eye, Server, usualTrip } from "./eye.js";
import { Guide, useBook } from "./bench_guide.js";
import { Headset } from "./bench_headset.js";
import { Marker } from "./bench_marker.js";
import { Settings, useSettings } from "./bench_settings.js";
import { Kept } from "./kept.js";
import { Banner, Stat, html, told, useKeys, useRemote, useSession } from "./parts.js";
import { command, sayAloud, shake, spoken } from "./speech.js";
import { duration, number, said, t, time } from "./words.js";

const WORDS = () => ({
  none: t("No part in view"), several: t("More than one part in view: take the others away"), cut: t("Show the whole part"), far: t("Move closer"),
  dark: t("Too dark: more light"), bright: t("Too bright: less light"), blurred: t("Not sharp: hold still, or clean the lens"),
  turned: t("Hold the camera straight above, and turn the part as learned"),
  unmarked: t("The marker is not in view"), away: t("The part does not lie where it was shown beside the marker"),
});

const SLOW_MS = 400, AWAY_MS = 20000; // a round trip that is too slow, and for how long the server is then left alone

/** Who judges now: the server, or the device where that is wished, or where the server is away or slow. */
function chooser(wish, server, device, eye) {
  let until = 0;
  return () => {
    const own = device.current && device.current.open ? device.current : null;
    if (wish.current.where === "device" && device.current && !device.current.problem) return own;
    if (wish.current.where === "server" || !own) return server.current;
    if (usualTrip(eye.current) > SLOW_MS) { until = performance.now() + AWAY_MS; eye.current.trips = []; }
    return server.current.open && performance.now() > until ? server.current : own;
  };
}

/** What is in the way of a verdict, in words; "" where nothing is. */
function obstacle(state, online, handsFree, armed, loading) {
  if (state.problem) return state.problem === "withdrawn" ? t("The camera is gone: it was unplugged, or its permission was withdrawn.") : state.problem;
  if (!state.camera) return t("The camera is being opened …");
  if (state.silent) return t("The camera gives no picture.");
  if (!online && loading) return t("The recipe is being loaded into this device …");
  if (!online) return t("The server does not answer. What was inspected is kept and sent later.");
  const { answer } = state;
  if (!answer) return t("Looking …");
  if (answer.error) return answer.error;
  if (answer.state !== "ready") return WORDS()[answer.state];
  if (state.part) return "";
  if (!armed && !handsFree) return t("Press Inspect when the part lies right");
  return t("Hold still");
}

const refusal = (error) => ({
  NotAllowedError: t("The camera was refused. Allow it for this page in the browser's settings, then try again."),
  NotFoundError: t("This device has no camera."),
  NotReadableError: t("Another program has the camera. Close it, then try again."),
})[error.name] || t("The camera cannot be opened: {why}", { why: told(error) });

/** What nobody may overlook: parts that the server has refused, or found graver than the page has shown. Each stays until it is read. */
const Alarms = ({ alarms, dismiss }) => alarms.map(({ key, number: which, verdict, query, reply, refused }) => {
  const values = { n: which ? number(which) : key, at: time(query.shown, "clock"), shown: verdict || "–" };
  return html`<div class="note bad alarm" role="alert" key=${key}><p>${refused ? t("Part {n}, shown at {at} as {shown}, is not recorded: {why}", { ...values, why: said(refused) })
    : t("Part {n}, shown at {at} as {shown}, is {verdict} by the server. Take it out.", { ...values, verdict: reply.verdict })}</p>
    <button onClick=${() => dismiss(key)}>${t("I have read it")}</button></div>`;
});

export function Camera({ recipe, query, set }) {
  const session = useSession();
  const video = useRef(), canvas = useRef(), eye = useRef(null), kept = useRef(null), server = useRef(null), device = useRef(null);
  const [state, setState] = useState(null);
  const [waiting, setWaiting] = useState(0);
  const [{ alarms, others }, keep] = useState({ alarms: [], others: {} });
  const [done, setDone] = useState([]);
  const [note, setNote] = useState("");
  const [settings, change] = useSettings();
  const wish = useRef(settings);
  wish.current = settings;
  const place = useRemote((signal) => get("/bench/place", { recipe: recipe.hash }, signal), [recipe.hash]);
  const book = useBook(recipe.product);
  const station = query.station || "bench", marker = query.marker || "";

  const open = (device) => eye.current.open(device).catch((error) => eye.current.tell({ problem: refusal(error) }));
  useEffect(() => {
    const hear = ({ part: sent, kept: all }) => {
      if (all) { keep(all); setWaiting(all.parts.length); }
      if (!sent) return;
      const { key, reply, refused } = sent;
      if (refused) { eye.current.amend(key, { problem: said(refused) }); return; }
      if (reply.verdict !== sent.verdict) {
        if (wish.current.voice) sayAloud(spoken(reply.verdict));
        if (wish.current.shake) shake(reply.verdict);
      }
      setDone((old) => [{ key, ...reply }, ...old.filter((one) => one.key !== key)]);
      eye.current.amend(key, { recorded: reply.inspection, purpose: reply.purpose, verdict: reply.verdict });
    };
    server.current = new Server(recipe.hash, marker, () => setState((old) => old && { ...old }));
    eye.current = new Eye({
      video: video.current, canvas: canvas.current, judge: chooser(wish, server, device, eye), changed: setState,
      counted: (part, blob) => {
        if (wish.current.voice) sayAloud(spoken(part.verdict));
        if (wish.current.shake) shake(part.verdict);
        const { attempt, seconds, shown, verdict, number: which } = part;
        const own = part.device ? { device_verdict: part.verdict, device_score: part.score } : {};
        kept.current.put({ key: part.key, number: which, verdict, bytes: blob, query: { recipe: recipe.hash, station, attempt, seconds: seconds.toFixed(2), shown, ...(marker ? { marker } : {}), ...own } })
          .catch((error) => { setNote(t("Part {n} is not recorded: {why}", { n: number(which), why: told(error) })); eye.current.amend(part.key, { problem: told(error) }); });
        setWaiting((count) => count + 1);
      },
      left: () => { if (wish.current.handsFree) eye.current.take(); },
    });
    kept.current = new Kept(session.user, hear);
    setState(eye.current.state);
    eye.current.armed = wish.current.handsFree;
    if (navigator.mediaDevices) open(settings.device);
    else eye.current.tell({ problem: t("A browser opens its camera only by TLS or on this machine itself.") });
    return () => { eye.current.end(); server.current.close(); kept.current.close(); if (device.current) device.current.close(); };
  }, []);
  useEffect(() => { if (eye.current) eye.current.place = place.data || null; }, [place.data]);
  const able = place.data && place.data.runtime && !place.data.refused.length && !marker;
  useEffect(() => {
    if (!able || device.current || settings.where === "server") return;
    device.current = new Device(recipe.hash, place.data, () => setState((old) => ({ ...old })));
  }, [able, settings.where]);

  const part = state && state.part;
  const next = () => eye.current.take();
  const again = () => { if (part) eye.current.take(part); };
  const acts = { next, inspect: next, again };
  useKeys({ " ": next, n: next, a: again });
  useEffect(() => {
    if (!settings.commands) return undefined;
    return command((word) => acts[word](), () => change({ commands: false }));
  }, [settings.commands, part && part.key]);
  useEffect(() => { if (eye.current && settings.handsFree && !part) eye.current.armed = true; }, [settings.handsFree]);

  const judge = eye.current && eye.current.judge();
  const why = state ? obstacle(state, !!judge && judge.open, settings.handsFree, eye.current && eye.current.armed, settings.where === "device" && device.current && !device.current.problem) : "";
  const verdict = part && !part.problem && state.inSight && !state.problem && !state.silent && judge && judge.open ? part.verdict : "";
  const flawed = part && (part.problem || part.verdict !== "OK");
  const fate = part && (part.problem ? t("Not recorded: {why}", { why: part.problem }) : !part.recorded ? t("Being recorded …") : part.purpose === "trial" ? t("Recorded as a trial") : t("Recorded"));
  const away = Object.entries(others).map(([name, count]) => `${name} (${number(count)})`).join(", ");
  return html`<div class=${`bench ${settings.contrast ? "contrast" : ""}`}>
    <div class="eye"><${Banner} of=${verdict} word=${verdict ? null : t("NOT INSPECTED")} />
      <div class="sight" style=${state && state.size ? `aspect-ratio:${state.size.join("/")}` : ""}><video ref=${video} muted playsinline></video><canvas ref=${canvas}></canvas></div>
      <p class="told" role="status" aria-live="polite">${why || fate}</p>
      <div class="hand">
        ${state && state.problem ? html`<button class="primary" onClick=${() => open(settings.device)}>${t("Try again")}</button>`
          : part ? html`<button class="primary" onClick=${next}>${t("Next part")}</button>` : html`<button class="primary" onClick=${next} disabled=${settings.handsFree}>${settings.handsFree ? t("Inspects by itself") : t("Inspect")}</button>`}
        <button onClick=${again} disabled=${!flawed}>${t("Show it again")}</button>
        <${Headset} verdict=${verdict} why=${why || fate} enter=${() => change({ handsFree: true })} /></div>
      ${note && html`<div class="note bad alarm" role="alert"><p>${note}</p><button onClick=${() => setNote("")}>${t("I have read it")}</button></div>`}
      <${Alarms} alarms=${alarms} dismiss=${(key) => kept.current.dismiss(key)} />
      ${recipe.state !== "promoted" && html`<p class="note warn">${t("This recipe is not promoted: what it finds is recorded as a trial, and is in no figures.")}</p>`}
      ${away && html`<p class="note warn">${t("Parts of other people wait on this device until these log in: {who}", { who: away })}</p>`}</div>
    <div class="stack">
      <${Guide} part=${part} book=${book} />
      <section class="panel"><h2>${t("This round")}</h2><div class="stats"><${Stat} value=${number(done.length)} label=${t("recorded")} />
        ${["OK", "NG", "REVIEW"].map((one) => html`<${Stat} value=${number(done.filter((other) => other.verdict === one).length)} label=${one} />`)}
        <${Stat} value=${number(waiting)} label=${t("waiting to be sent")} /><${Stat} value=${part ? duration(part.seconds) : "–"} label=${t("for this part")} /></div></section>
      <${Marker} recipe=${recipe.hash} marker=${marker} state=${state} shot=${() => eye.current.shot()} set=${set} />
      <${Settings} settings=${settings} change=${change} state=${state} open=${open} station=${station} place=${place.data} device=${device.current} judge=${judge} marker=${marker} /></div></div>`;
}
