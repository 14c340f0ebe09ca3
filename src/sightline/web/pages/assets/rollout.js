// Rollouts of a recipe: to which stations, how it goes there, and taking it back.
import { useState } from "./vendor/preact.js";
import { get, post } from "./api.js";
import { Dialog, Field, Moment, Reason, html, useAction, useRemote, useSession } from "./parts.js";
import { number, t } from "./words.js";

const STATES = () => ({ canary: t("at the canary"), rolling: t("on its way"), done: t("done"), "rolled back": t("rolled back") });
const short = (hash) => (hash ? hash.slice(0, 8) : "–");

/** Stations, of which the first chosen is the canary. */
function Start({ recipe, open, close, done }) {
  const all = useRemote((signal) => (open ? get("/stations", { limit: 200 }, signal) : null), [open]);
  const [chosen, choose] = useState([]);
  const toggle = (name) => choose((old) => (old.includes(name) ? old.filter((one) => one !== name) : [...old, name]));
  const [start, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    await post("/rollouts", { recipe: recipe.hash, stations: chosen, parts: Number(form.get("parts")), note: form.get("note") });
    close();
    done();
  });
  const title = t("Roll out {name}", { name: recipe.name });
  return html`<${Dialog} open=${open} title=${title} close=${close}><form class="stack" onSubmit=${start}>
    <p>${t("The first station you choose is the canary. The others follow when it has done its parts and nothing speaks against it.")}</p>
    <fieldset><legend>${t("Stations")}</legend>${((all.data || {}).items || []).map((one) => html`<label class="row"><input type="checkbox" checked=${chosen.includes(one.name)} onChange=${() => toggle(one.name)} /> ${one.name} ${chosen[0] === one.name ? html`<span class="chip shadow">${t("canary")}</span>` : ""}</label>`)}</fieldset>
    <${Field} label=${t("Parts at each station before it goes on")}><input name="parts" type="number" required min="1" max="100000" defaultValue="200" /></${Field}>
    <${Field} label=${t("Why")}><input name="note" maxlength="1000" /></${Field}>
    <div class="row"><button class="primary" disabled=${busy || !chosen.length}>${t("Roll it out")}</button><button type="button" class="quiet" onClick=${close}>${t("Cancel")}</button></div></form></${Dialog}>`;
}

/** What stations of a rollout run. */
function Stations({ rollout }) {
  const told = (name) => {
    const one = rollout.assignments.find((row) => row.station === name);
    if (!one) return t("waits for its turn");
    if (one.fault) return html`<b style="color:var(--ng)">${one.fault}</b>`;
    return one.runs ? t("runs it") : t("runs {hash}", { hash: short(one.running_hash) });
  };
  return html`<ul>${rollout.stations.map((name, n) => html`<li key=${name}><b>${name}</b>${n === 0 ? ` (${t("canary")})` : ""}: ${told(name)}</li>`)}</ul>`;
}

/** Rollouts of a recipe's product, and a new one of this recipe once it is promoted. */
export function Rollouts({ recipe }) {
  const session = useSession();
  const found = useRemote((signal) => get("/rollouts", {}, signal), [recipe.hash], 5);
  const [starting, start] = useState(false);
  const [asking, ask] = useState(null);
  const mine = (found.data || []).filter((one) => one.product === recipe.product).slice(0, 5);
  if (recipe.state !== "promoted" && !mine.length) return null;
  const back = (one) => ask({ title: t("Take rollout {n} back", { n: one.id }), about: t("Its stations run again what they ran before, at once."), verb: t("Take it back"), danger: true, action: async (reason) => { await post(`/rollouts/${one.id}/roll-back`, { reason }); found.reload(); } });
  return html`<section class="panel" aria-label=${t("Rollouts")}><h2>${t("Rollouts")}</h2>
    ${mine.map((one) => html`<div key=${one.id} class="stack" style="margin-bottom:14px"><div class="row between"><b>${short(one.recipe_hash)} <span class=${`chip ${one.state === "done" ? "promoted" : one.state === "rolled back" ? "retired" : "shadow"}`}>${STATES()[one.state]}</span></b><span class="muted small">${one.author} · <${Moment} at=${one.created} /></span></div>
      <${Stations} rollout=${one} />${one.reason && html`<p class="muted small" style="margin:0">${one.reason}</p>`}
      <p class="muted small" style="margin:0">${t("{n} parts at each station", { n: number(one.parts) })}</p>
      ${session.may("engineer") && one.state !== "rolled back" && html`<div><button class="danger" onClick=${() => back(one)}>${t("Take it back")}</button></div>`}</div>`)}
    ${!mine.length && html`<p class="muted">${t("Nothing was rolled out from here. Stations run the recipes in their own files.")}</p>`}
    ${session.may("engineer") && recipe.state === "promoted" && html`<button onClick=${() => start(true)}>${t("Roll out to stations")}</button>`}
    <${Start} recipe=${recipe} open=${starting} close=${() => start(false)} done=${found.reload} /><${Reason} ask=${asking} close=${() => ask(null)} /></section>`;
}
