// Pilots: begun with targets and prices, followed in words and by their bounds, ended with a decision that people sign.
import { useState } from "./vendor/preact.js";
import { get, post } from "./api.js";
import { Empty, Field, Head, Moment, Table, Waiting, html, useAction, useList, useRemote, useSession } from "./parts.js";
import { Reports, Sign } from "./studies.js";
import { number, percent, t } from "./words.js";

const ADVICE = () => ({ scale: t("Scale up"), redesign: t("Redesign"), stop: t("Stop"), "go on": t("Go on") });
const NAMES = () => ({ escapes: t("Escapes"), overkill: t("Overkill"), review: "REVIEW" });
const ANSWERS = () => ({ reached: t("reached"), missed: t("missed"), open: t("open") });
const CRITERIA = () => ({
  "the station records": t("the station records"), "pilot mode": t("pilot mode"), "in shadow": t("in shadow"),
  "the recipe was measured on parts it has not seen": t("the recipe was measured on parts it has not seen"), "people see a random share of the OK parts": t("people see a random share of the OK parts"),
});
// What the server tells by code and values, in the reader's language.
const WHY_MET = (values) => ({
  "no part": t("no part within a day"), "parts come": t("parts come"), mode: t("the newest part was judged in {mode} mode", { mode: word(MODES, values.mode) }), "in shadow": t("recipe {recipe} is recorded, and the machine does not hear it", values),
  "no recipe": t("the part names no recipe"), evaluations: t("{count} evaluations of recipe {recipe}", values), review_ok: t("set review_ok in the station's file"), "looked at": t("{count} OK parts were looked at in a week", values),
});
const SIGNED = () => ({ performed: t("performed"), reviewed: t("reviewed"), approved: t("approved") });
const MODES = () => ({ pilot: t("pilot"), production: t("production") });
const REASONS = (values) => ({
  missed: t("{goals}: not reached, and chance does not explain it", values), "missed and dear": t("{goals}: not reached, and it costs no less than doing without it", values), "too few parts": t("{n} of {of} parts have run through", values),
  open: t("{goals}: not decided yet", values), dear: t("every goal is reached, and it costs no less than doing without it: the prices do not carry it"), reached: t("every goal is reached"),
});
const GOALS = () => ({ escapes: t("escapes"), overkill: t("overkill"), review: "REVIEW" });
const OUTCOMES = (values) => ({
  reached: t("{name} at most {upper}, goal {limit}: reached", values), missed: t("{name} {value} ({lower} to {upper}), goal {limit}: not reached", values),
  open: t("{name} {value} ({lower} to {upper}), goal {limit}: open", values), later: t("{name} {value} ({lower} to {upper}), goal {limit}: open; about {more} more parts decide", values),
});
const TONE = { reached: "good", missed: "bad", scale: "good", stop: "bad" };
const word = (table, name) => table()[name] || name;
const share = (value) => (value === null ? t("unknown") : percent(value, value > 0 && value < 0.01 ? 2 : 1));
const whyMet = ({ code, values, why }) => WHY_MET(values)[code] || why;

/** The running verdict. */
function verdict({ parts, goals }) {
  const each = goals.map(({ name, limit, estimate: seen, answer, more }) => OUTCOMES({ name: word(GOALS, name), limit: share(limit), value: share(seen.value), lower: share(seen.lower), upper: share(seen.upper), more: number(more) })[
    answer === "open" && more !== null ? "later" : answer]);
  return t("After {n} parts: {goals}.", { n: number(parts), goals: each.join("; ") });
}

/** Why the advice is what it is. */
function whyAdvised({ reason, why, goals, parts, targets }) {
  const named = goals.filter((one) => one.answer === (reason === "open" ? "open" : "missed")).map((one) => word(GOALS, one.name));
  return REASONS({ goals: named.join(", "), n: number(parts), of: number(targets.parts) })[reason] || why;
}

const ended = (one) => "decision" in one.content;
const subject = (station) => `pilot ${station}`;

export function Pilots() {
  const records = useRemote((signal) => get("/pilots", {}, signal), []);
  const stations = useList("/stations", { limit: 100 });
  const newest = new Map((records.data || []).slice().reverse().map((one) => [one.content.station, one]));
  const names = [...new Set([...newest.keys(), ...(stations.items || []).map((one) => one.name)])].sort();
  const state = (one) => (!one ? t("no pilot") : ended(one) ? word(ADVICE, one.content.decision) : t("running"));
  return html`<${Head} title=${t("Pilots")} about=${t("Whether a station, or a recipe in shadow there, reaches what was agreed: before the machine acts on it.")}><a class="button" href="/studies">${t("Studies")}</a></${Head}>
    ${!records.data || !stations.items ? html`<${Waiting} of=${records.data ? stations : records} />` : names.length === 0 ? html`<${Empty} title=${t("No station yet")}>${t("A pilot runs at a station.")}</${Empty}>`
      : html`<div class="panel flat"><${Table} label=${t("Pilots")} rows=${names.map((name) => ({ id: name, name, record: newest.get(name) }))} to=${(one) => `/pilots/${encodeURIComponent(one.name)}`} columns=${[
        [t("Station"), (one) => one.name], [t("State"), (one) => state(one.record)], [t("Since"), (one) => (one.record ? html`<${Moment} at=${one.record.created} />` : "–")], [t("By"), (one) => (one.record ? one.record.author : "–")],
      ]} /></div>`}`;
}

export function Pilot({ station }) {
  const records = useRemote((signal) => get("/pilots", {}, signal), [station]);
  if (!records.data) return html`<${Head} title=${t("Pilot at {station}", { station })} /><${Waiting} of=${records} />`;
  const mine = records.data.filter((one) => one.subject === subject(station)), [newest] = mine;
  const runs = newest && !ended(newest);
  return html`<${Head} title=${t("Pilot at {station}", { station })} about=${runs ? t("running") : newest ? t("ended") : t("no pilot yet")}><a class="button" href="/pilots">${t("Pilots")}</a></${Head}>
    <div class="stack">${runs ? html`<${Running} station=${station} changed=${records.reload} />` : html`${newest && html`<${Ended} record=${newest} changed=${records.reload} />`}<${Begin} station=${station} changed=${records.reload} />`}
      ${mine.length > 0 && html`<section class="panel flat"><${Table} label=${t("Records")} rows=${mine} columns=${[
        [t("Record"), (one) => (ended(one) ? word(ADVICE, one.content.decision) : t("Beginning"))], [t("By"), (one) => one.author], [t("When"), (one) => html`<${Moment} at=${one.created} />`], [t("Signatures"), (one) => one.signatures.map((each) => each.author).join(", ") || "–"], ["", (one) => html`<${Reports} record=${one.id} />`]]} /></section>`}</div>`;
}

/** Targets and prices, and what has to be so before. */
function Begin({ station, changed }) {
  const session = useSession();
  const [shadow, choose] = useState(false);
  const found = useRemote((signal) => get(`/pilots/${encodeURIComponent(station)}/criteria`, { shadow }, signal), [station, shadow]);
  const [run, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = new FormData(event.target), share = (name) => Number(form.get(name)) / 100, price = (name) => Number(form.get(`price ${name}`));
    const prices = { escape: price("escape"), overkill: price("overkill"), review: price("review"), stop: price("stop"), defect_rate: share("defect_rate") };
    await post(`/pilots/${encodeURIComponent(station)}`, { escape: share("escape"), overkill: share("overkill"), review: share("review"), parts: Number(form.get("parts")), prices, shadow, note: form.get("note") });
    changed();
  });
  const numeric = (name, label, value, hint) => html`<${Field} label=${label} hint=${hint}><input name=${name} type="number" step="any" min="0" required value=${value} /></${Field}>`;
  if (!found.data) return html`<${Waiting} of=${found} />`;
  const missing = found.data.criteria.some((one) => !one.met);
  const criteria = found.data.criteria.map((one) => html`<li><span class=${`answer ${one.met ? "good" : "defective"}`}>${one.met ? t("met") : t("not met")}</span> ${word(CRITERIA, one.name)} <span class="muted">${whyMet(one)}</span></li>`);
  return html`<section class="panel"><h2>${t("Begin a pilot")}</h2>
    ${found.data.shadow && html`<label class="row"><input type="checkbox" checked=${shadow} onChange=${(event) => choose(event.target.checked)} /> ${t("Of the recipe in shadow, {hash}", { hash: found.data.shadow.slice(0, 12) })}</label>`}
    <h3>${t("Entry criteria")}</h3><ul>${criteria}</ul>
    ${session.may("engineer") ? html`<form class="stack wide" onSubmit=${run}><h3>${t("Targets")}</h3><div class="grid">${numeric("escape", t("Escapes at most, %"), 1)}${numeric("overkill", t("Overkill at most, %"), 1)}${numeric("review", t("REVIEW at most, %"), 3)}${numeric("parts", t("Parts at least"), 10000)}</div>
      <h3>${t("Prices")}</h3><div class="grid">${numeric("price escape", t("One escape"), 50, t("in any money"))}${numeric("price overkill", t("One good part rejected"), 2)}${numeric("price review", t("One part looked at"), 0.5)}${numeric("price stop", t("One stop of the line"), 0, t("each alarm counts once"))}${numeric("defect_rate", t("Defective parts expected, %"), 1)}</div>
      <${Field} label=${missing ? t("Why it begins although something is not met") : t("Note")}><input name="note" maxlength="1000" required=${missing} /></${Field}>
      <div class="row"><button class="primary" disabled=${busy}>${t("Begin")}</button></div></form>` : html`<p class="muted">${t("An engineer begins it.")}</p>`}</section>`;
}

const interval = (seen) => `${seen.value === null ? "–" : percent(seen.value, 2)} (${percent(seen.lower, 2)} – ${percent(seen.upper, 2)})`;

/** The bounds of a rate over the parts so far, and the goal as a line. */
function Bounds({ title, goal, history }) {
  const [left, right, top, base] = [46, 392, 12, 128];
  const last = history[history.length - 1], most = last.parts, seen = history.map((one) => [one.parts, one.goals[goal.name]]);
  const high = Math.max(2 * goal.limit, Math.min(1, 1.1 * last.goals[goal.name].upper));
  const x = (parts) => left + ((right - left) * parts) / most, y = (share) => base - ((base - top) * Math.min(high, share)) / high;
  const upper = seen.map(([parts, one]) => `${x(parts)},${y(one.upper)}`), lower = seen.map(([parts, one]) => `${x(parts)},${y(one.lower)}`).reverse();
  const line = seen.filter(([, one]) => one.value !== null).map(([parts, one]) => `${x(parts)},${y(one.value)}`).join(" ");
  return html`<figure class="intervals bounds"><figcaption>${title}</figcaption><svg viewBox="0 0 400 150" role="img" aria-label=${title}>
    <polygon class="area" points=${[...upper, ...lower].join(" ")} />${seen.map(([parts, one]) => html`<line class="span" x1=${x(parts)} x2=${x(parts)} y1=${y(one.lower)} y2=${y(one.upper)} />`)}
    ${line && html`<polyline class="middle" points=${line} />`}<line class="limit" x1=${left} x2=${right} y1=${y(goal.limit)} y2=${y(goal.limit)} />
    <text x=${left - 4} y=${y(goal.limit) + 3} text-anchor="end">${percent(goal.limit, 1)}</text><text x=${left - 4} y=${base + 3} text-anchor="end">0</text><text x=${right} y="144" text-anchor="end">${t("{n} parts", { n: number(most) })}</text></svg></figure>`;
}

function Running({ station, changed }) {
  const session = useSession();
  const found = useRemote((signal) => get(`/pilots/${encodeURIComponent(station)}`, {}, signal), [station], 60);
  const [run, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    await post(`/pilots/${encodeURIComponent(station)}/end`, { decision: form.get("decision"), note: form.get("note") });
    changed();
  });
  if (!found.data) return html`<${Waiting} of=${found} />`;
  const heads = [t("Goal"), t("At most"), t("Seen, with bounds"), t("Answer"), t("Parts that decide, about")];
  const now = found.data, costs = { cost: number(now.cost, 1), without: number(now.cost_without, 1) };
  return html`<section class="panel"><h2>${t("How it stands")}</h2>${now.shadow && html`<p>${t("Of the recipe in shadow, {hash}", { hash: now.shadow.slice(0, 12) })}</p>`}
      <p class=${`outcome ${TONE[now.advice] || ""}`}><b>${word(ADVICE, now.advice)}</b> ${verdict(now)}</p><p class="muted">${whyAdvised(now)}</p>
      <${Table} label=${t("Goals")} rows=${now.goals.map((one) => ({ ...one, id: one.name }))} columns=${[
        [heads[0], (one) => word(NAMES, one.name)], [heads[1], (one) => percent(one.limit, 2), true], [heads[2], (one) => interval(one.estimate), true], [heads[3], (one) => html`<span class=${`answer ${{ good: "good", bad: "defective" }[TONE[one.answer]] || ""}`}>${word(ANSWERS, one.answer)}</span>`], [heads[4], (one) => (one.more === null ? "–" : number(one.more)), true]]} />
      ${now.history.length > 0 && html`<div class="grid">${now.goals.map((goal) => html`<${Bounds} key=${goal.name} title=${word(NAMES, goal.name)} goal=${goal} history=${now.history} />`)}</div>`}
      <p class="muted">${now.cost === null ? t("What it costs is not known before people have looked at parts of each verdict.") : t("Cost per 1,000 parts at these rates: {cost}; without the machine: {without}.", costs)}</p>
      <p class="muted small">${t("{n} parts were looked at. The bounds hold together at 95 % for one look at the end.", { n: number(now.looked_at) })}</p></section>
    ${session.may("engineer") && html`<section class="panel"><h2>${t("End the pilot")}</h2><form class="stack" onSubmit=${run}>
      <${Field} label=${t("Decision")}><select name="decision">${["scale", "redesign", "stop"].map((one) => html`<option value=${one} selected=${one === now.advice}>${word(ADVICE, one)}</option>`)}</select></${Field}>
      <${Field} label=${t("Note")} hint=${t("needed where you decide against the advice")}><input name="note" maxlength="1000" /></${Field}>
      <div class="row"><button class="primary" disabled=${busy}>${t("End it")}</button></div></form></section>`}`;
}

function Ended({ record, changed }) {
  const session = useSession();
  const [signing, setSigning] = useState(false);
  const { decision, standing, note } = record.content;
  return html`<section class="panel"><div class="row between"><h2>${t("Decision")}</h2><span class="row"><${Reports} record=${record.id} />${!session.by_pin && html`<button class="primary" onClick=${() => setSigning(true)}>${t("Sign")}</button>`}</span></div>
    <p class=${`outcome ${TONE[decision] || ""}`}><b>${word(ADVICE, decision)}</b> ${verdict(standing)}</p>${note && html`<p>${note}</p>`}
    <p>${record.signatures.map((each) => `${each.author} (${word(SIGNED, each.meaning)})`).join(", ") || t("Nobody has signed yet.")}</p></section>
    <${Sign} open=${signing} record=${record.id} hash=${record.hash} close=${() => setSigning(false)} done=${changed} />`;
}
