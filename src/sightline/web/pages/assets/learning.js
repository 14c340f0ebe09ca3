// What stations have learned since their recipes were made: their modes, every change, and what a person calls harmless.
import { useState } from "./vendor/preact.js";
import { get, post, put, remove } from "./api.js";
import { Dialog, Empty, Field, Head, Moment, Table, Verdict, Waiting, html, useAction, useQuery, useRemote, useSession } from "./parts.js";
import { number, t } from "./words.js";

const KINDS = { learned: () => t("learned by itself"), harmless: () => t("called harmless"), transfer: () => t("transferred"), undo: () => t("taken back") };
const STATES = { suggested: () => t("waits for a decision"), active: () => t("in effect"), replaced: () => t("in effect, others followed"), refused: () => t("refused") };
const MODES = { off: () => t("off"), suggest: () => t("suggest: an engineer admits each change"), on: () => t("on: changes take effect by themselves") };
const word = (table, name) => (table[name] ? table[name]() : name);

/** What a change would do: patches that join, what becomes of known parts, which kept parts get another verdict. */
function Effect({ found }) {
  const { canary, changed } = found;
  return html`<div class="stack">
    <p>${t("{n} patches would join the good ones.", { n: number(found.added) })}</p>
    ${canary && canary.defective === 0 && html`<div class="note warn">${t("No defective part of this product is labelled, so nothing guards known defects. Label some first.")}</div>`}
    ${canary && canary.defective > 0 && html`<p>${t("{n} known defective and {good} known good parts were judged with it.", { n: number(canary.defective), good: number(canary.good) })} ${canary.lost.length > 0 ? html`<b>${t("{n} known defects would pass.", { n: number(canary.lost.length) })}</b>` : t("No known defect would pass.")}</p>`}
    <p>${t("Of {n} kept parts that were not OK, {m} get another verdict.", { n: number(found.looked_at), m: number(changed.length) })}</p>
    ${changed.length > 0 && html`<ul class="plain">${changed.map((one) => html`<li><a href=${`/parts/${one.inspection}`} target="_blank" rel="noopener">${t("Part {id}", { id: one.inspection })}</a> <${Verdict} of=${one.before} /> → <${Verdict} of=${one.after} /></li>`)}</ul>`}</div>`;
}

/** A button that calls what stopped a part harmless: first it shows what that would do. */
export function Harmless({ inspection, view }) {
  const session = useSession();
  const [open, setOpen] = useState(false);
  const address = `/inspections/${inspection}/harmless`;
  const shown = useRemote((signal) => (open ? post(address, { view, dry_run: true }, { signal }) : null), [open]);
  const found = shown.data;
  const [run, busy] = useAction(async (event) => {
    event.preventDefault();
    await post(address, { view, dry_run: false, note: new FormData(event.target).get("note") });
    setOpen(false);
  }, t("It takes effect at the station within seconds. It can be taken back under Learning."));
  if (!session.may("reviewer")) return null;
  return html`<button onClick=${() => setOpen(true)}>${t("This is harmless")}</button>
    <${Dialog} open=${open} title=${t("What would it change?")} close=${() => setOpen(false)}>
      ${!found ? html`<${Waiting} of=${shown} />` : found.reason !== "learned" ? html`<div class="stack"><div class="note warn" role="alert">${t("Nothing is changed:")} ${found.reason}.</div><${Effect} found=${found} /></div>`
        : html`<form class="stack" onSubmit=${run}><${Effect} found=${found} />
          <${Field} label=${t("What is it?")}><input name="note" maxlength="1000" placeholder=${t("glare of the new lamp")} /></${Field}>
          <div class="row"><button class="primary" disabled=${busy}>${t("Call it harmless")}</button><button type="button" onClick=${() => setOpen(false)}>${t("Cancel")}</button></div></form>`}</${Dialog}>`;
}

function Mode({ station }) {
  const session = useSession();
  const found = useRemote((signal) => get(`/stations/${encodeURIComponent(station)}/learning`, {}, signal), [station]);
  const [change, busy] = useAction(async (mode) => { await put(`/stations/${encodeURIComponent(station)}/learning`, { mode }); found.reload(); }, t("Switched."));
  if (!found.data) return html`<${Waiting} of=${found} />`;
  return html`<section class="panel"><h2>${station}</h2><${Field} label=${t("Learning by itself")}>
    <select disabled=${busy || !session.may("engineer")} onChange=${(event) => change(event.target.value)}>${Object.keys(MODES).map((mode) => html`<option value=${mode} selected=${mode === found.data.mode}>${word(MODES, mode)}</option>`)}</select></${Field}></section>`;
}

function Actions({ one, done }) {
  const session = useSession();
  const [run, busy] = useAction(async (path, body) => { await post(`/learning/${one.id}/${path}`, body); done(); }, t("Done."));
  if (one.state === "suggested" && session.may("engineer")) {
    return html`<span class="row"><button class="primary" disabled=${busy} onClick=${() => run("decide", { admit: true })}>${t("Admit")}</button><button disabled=${busy} onClick=${() => run("decide", { admit: false })}>${t("Refuse")}</button></span>`;
  }
  const inEffect = (one.state === "active" || one.state === "replaced") && one.kind !== "undo";
  return inEffect && session.may("reviewer") ? html`<button disabled=${busy} onClick=${() => run("undo", {})}>${t("Take back")}</button>` : "";
}

/** Why and from what: a person's note, or the parts and the canary of a round. */
const about = ({ note, details }) => [
  note, details.added && t("{n} patches", { n: number(details.added) }), details.parts > 1 && t("from {n} parts", { n: number(details.parts) }),
  details.canary && t("{n} known defects guarded", { n: number(details.canary.defective) }), details.undone && t("change {n}", { n: details.undone }),
].filter(Boolean).join(" · ");

/** When recipes are improved without anybody asking for it. */
function Schedules() {
  const session = useSession();
  const found = useRemote((signal) => get("/schedules", {}, signal), []);
  const products = useRemote((signal) => get("/products", { limit: 200 }, signal), []);
  const [set, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const amount = (name) => (form.get(name) ? Number(form.get(name)) : null);
    await put(`/schedules/${encodeURIComponent(form.get("product"))}`, { labels: amount("labels"), days: amount("days"), drift: form.has("drift") });
    event.target.reset();
    found.reload();
  }, t("Set."));
  const [end] = useAction(async (one) => { await remove(`/schedules/${encodeURIComponent(one.product)}`); found.reload(); }, t("Done."));
  const names = ((products.data || {}).items || []).map((one) => one.product);
  if (!found.data || (!found.data.length && !session.may("engineer"))) return null;
  const when = (one) => [one.labels && t("after {n} new labels", { n: number(one.labels) }), one.days && t("after {n} days", { n: number(one.days) }), one.drift && t("after an alarm")].filter(Boolean).join(", ");
  return html`<section class="panel" aria-label=${t("Retraining")}><h2>${t("Retraining")}</h2>
    <p class="muted">${t("A new recipe is trained from people's answers and compared with the one in use. It runs beside it at most; a person promotes it.")}</p>
    ${found.data.length > 0 && html`<${Table} label=${t("Schedules")} rows=${found.data.map((one) => ({ ...one, id: one.product }))} columns=${[[t("Product"), (one) => one.product], [t("When"), when], [t("Counted since"), (one) => html`<${Moment} at=${one.begun} />`], [t("By"), (one) => one.author], ["", (one) => session.may("engineer") && html`<button onClick=${() => end(one)}>${t("End it")}</button>`]]} />`}
    ${session.may("engineer") && names.length > 0 && html`<form class="row" style="margin-top:12px" onSubmit=${set}><${Field} label=${t("Product")}><select name="product">${names.map((one) => html`<option value=${one}>${one}</option>`)}</select></${Field}>
      <${Field} label=${t("New labels")}><input name="labels" type="number" min="1" max="100000" defaultValue="50" /></${Field}><${Field} label=${t("Days")}><input name="days" type="number" min="1" max="366" /></${Field}>
      <label class="row"><input type="checkbox" name="drift" /> ${t("after an alarm")}</label><button disabled=${busy}>${t("Set")}</button></form>`}</section>`;
}

export function Learning() {
  const [query, set] = useQuery();
  const found = useRemote((signal) => get("/learning", { station: query.station }, signal), [query.station], 10);
  const all = useRemote((signal) => get("/stations", { limit: 200 }, signal), []);
  const changes = found.data || [];
  const undone = new Set(changes.filter((one) => one.kind === "undo").map((one) => one.details.undone));
  const names = [...new Set([...((all.data && all.data.items) || []).map((one) => one.name), ...changes.map((one) => one.station), ...(query.station ? [query.station] : [])])].sort();
  const columns = [
    [t("Change"), (one) => one.id], [t("When"), (one) => html`<${Moment} at=${one.created} />`], [t("Station"), (one) => one.station],
    [t("What"), (one) => word(KINDS, one.kind)], [t("About"), (one) => (one.details.inspection ? html`<a href=${`/parts/${one.details.inspection}`}>${t("Part {id}", { id: one.details.inspection })}</a> ${about(one)}` : about(one))],
    [t("State"), (one) => (undone.has(one.id) ? t("taken back") : word(STATES, one.state))], [t("By"), (one) => one.author],
    ["", (one) => (undone.has(one.id) ? "" : html`<${Actions} one=${one} done=${found.reload} />`)],
  ];
  return html`<${Head} title=${t("Learning")} about=${t("What stations have learned since their recipes were made. No known defect can be learned.")}>
      <select aria-label=${t("Station")} onChange=${(event) => set({ station: event.target.value })}><option value="">${t("all stations")}</option>${names.map((name) => html`<option selected=${query.station === name}>${name}</option>`)}</select></${Head}>
    <div class="stack">${query.station && html`<${Mode} key=${query.station} station=${query.station} />`}
      ${!found.data ? html`<${Waiting} of=${found} />` : changes.length === 0 ? html`<${Empty} title=${t("Nothing was learned yet")}>${query.station ? t("Switch learning on above, or call what stops a good part harmless on the part's page.") : t("Choose a station to switch its learning, or call what stops a good part harmless on the part's page.")}</${Empty}>`
        : html`<section class="panel flat"><${Table} label=${t("Changes")} rows=${changes} columns=${columns} /></section>`}
      <${Schedules} /></div>`;
}
