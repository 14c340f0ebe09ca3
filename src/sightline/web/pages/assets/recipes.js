// Recipes: which there are, where each comes from and what state it is in.
import { useState } from "./vendor/preact.js";
import { address, get, post } from "./api.js";
import { Choice, Empty, Field, Head, Moment, Reason, Stat, Table, Waiting, go, html, useAction, useList, useQuery, useRemote, useSession } from "./parts.js";
import { Rollouts } from "./rollout.js";
import { bound, number, percent, said, score, t } from "./words.js";

const STATES = () => ({ candidate: t("candidate"), shadow: t("on probation"), promoted: t("promoted"), retired: t("retired") });
const short = (hash) => hash.slice(0, 8);

export function Recipes() {
  const [query, set] = useQuery();
  const session = useSession();
  const list = useList("/recipes", { product: query.product, state: query.state, limit: 50 });
  const products = [...new Set((list.items || []).map((one) => one.product))];
  return html`<${Head} title=${t("Recipes")} about=${t("What the line judges by: one file each.")}>
      <${Choice} label=${t("State")} words=${STATES()} value=${query.state} change=${(state) => set({ state })} />
      ${session.may("engineer") && html`<a class="button primary" href="/collect">${t("New recipe")}</a>`}</${Head}>
    ${!list.items ? html`<${Waiting} of=${list} />` : !list.items.length ? html`<${Empty} title=${t("No recipe yet")} actions=${html`<a class="button primary" href="/collect">${t("From pictures to a recipe")}</a>`}>${t("A recipe is learned from pictures of good parts.")}</${Empty}>`
      : products.map((product) => html`<section class="panel flat" style="margin-bottom:16px"><h2 style="padding:14px 14px 0">${product}</h2><${Table} label=${product} rows=${list.items.filter((one) => one.product === product).map((one) => ({ ...one, id: one.hash }))} to=${(one) => `/recipes/${one.hash}`} columns=${[
        [t("Recipe"), (one) => html`${one.name} <code>${short(one.hash)}</code>`], [t("State"), (one) => html`<span class=${`chip ${one.state}`}>${STATES()[one.state]}</span>`],
        [t("Learned from"), (one) => one.version || "–"], [t("Made"), (one) => html`<${Moment} at=${one.created} />`], [t("By"), (one) => one.author],
      ]} /></section>`)}
    ${list.more && html`<p><button onClick=${list.more}>${t("More")}</button></p>`}`;
}

export function Recipe({ hash }) {
  const found = useRemote((signal) => get(`/recipes/${hash}`, {}, signal), [hash]);
  const lineage = useRemote((signal) => get(`/recipes/${hash}/lineage`, {}, signal), [hash]);
  const [asking, ask] = useState(null);
  const [against, setAgainst] = useState("");
  const session = useSession();
  const one = found.data;
  const siblings = useRemote((signal) => (one ? get("/recipes", { product: one.product, limit: 100 }, signal) : null), [one && one.product]);
  const versions = useRemote((signal) => (one ? get("/versions", { product: one.product, limit: 20 }, signal) : null), [one && one.product]);
  const [measure, busy] = useAction(async (event) => {
    event.preventDefault();
    const job = await post("/jobs", { job: { kind: "evaluate", recipe: hash, data: new FormData(event.target).get("data") } });
    go(`/jobs/${job.id}`);
  });
  const [compare, comparing] = useAction(async (event) => {
    event.preventDefault();
    const job = await post("/jobs", { job: { kind: "compare", first: against, second: hash, data: new FormData(event.target).get("data") } });
    go(`/jobs/${job.id}`);
  });
  if (!one) return html`<${Head} title=${t("Recipe")} /><${Waiting} of=${found} />`;
  const state = (next, title, about) => ask({ title, about, verb: title, danger: next === "retired", action: async (reason) => { await post(`/recipes/${hash}/state`, { state: next, reason }, { ifMatch: one.etag }); found.reload(); siblings.reload(); } });
  const others = ((siblings.data || {}).items || []).filter((other) => other.hash !== hash);
  const before = others.find((other) => other.state === "promoted") || others.find((other) => other.state === "retired");
  const back = () => ask({ title: t("Roll back to {name}", { name: `${before.name} ${short(before.hash)}` }), verb: t("Roll back"), danger: true, action: async (reason) => {
    await post(`/recipes/${before.hash}/state`, { state: "promoted", reason });
    go(`/recipes/${before.hash}`);
  } });
  const { card } = one;
  return html`<${Head} title=${`${one.name} ${short(hash)}`} about=${`${one.product} · ${STATES()[one.state]}`}>
      <a class="button" href=${`/decide/${hash}`}>${t("Thresholds")}</a><a class="button" href=${`/bench?recipe=${hash}`}>${t("Inspect by hand")}</a><a class="button" href=${address(`/recipes/${hash}/file`)} download>${t("File")}</a></${Head}>
    <div class="split"><div class="stack">
      <${Promises} card=${card} />
      <${Lineage} of=${lineage} one=${one} />
      <section class="panel"><h2>${t("Differences")}</h2><${Field} label=${t("Beside")}><select onChange=${(event) => setAgainst(event.target.value)}><option value="">–</option>${others.map((other) => html`<option value=${other.hash} selected=${other.hash === against}>${other.name} ${short(other.hash)} (${STATES()[other.state]})</option>`)}</select></${Field}>${against && html`<${Differences} first=${hash} second=${against} />
        ${session.may("engineer") && html`<form class="row" style="margin-top:12px" onSubmit=${compare}><label class="row">${t("Compare both on the test part of")} <${Data} versions=${versions.data} product=${one.product} /></label><button disabled=${comparing}>${t("Compare")}</button></form>`}`}</section>
      <section class="panel"><h2>${t("The whole card")}</h2><details><summary>${t("Settings, figures, origin")}</summary><pre class="log" tabindex="0">${JSON.stringify(card, null, 2)}</pre></details></section></div>
    <div class="stack">${session.may("engineer") && html`<section class="panel"><h2>${t("State")}</h2><p>${t("It is {state}.", { state: STATES()[one.state] })}</p><div class="row">
        ${one.state !== "promoted" && html`<button class="primary" onClick=${() => state("promoted", t("Promote"), t("The line may judge by it. Its station changes over when it is told to."))}>${t("Promote")}</button>`}
        ${one.state === "candidate" && html`<button onClick=${() => state("shadow", t("Put on probation"), t("It judges beside the present one and decides nothing."))}>${t("Put on probation")}</button>`}
        ${one.state === "promoted" && before && html`<button onClick=${back}>${t("Roll back")}</button>`}
        ${one.state !== "retired" && html`<button class="danger" onClick=${() => state("retired", t("Retire"))}>${t("Retire")}</button>`}</div></section>
      <${Rollouts} recipe=${one} />
      <section class="panel"><h2>${t("Measure")}</h2><form class="stack" onSubmit=${measure}><${Field} label=${t("On the test part of")}><${Data} versions=${versions.data} product=${one.product} /></${Field}><div><button disabled=${busy}>${t("Measure")}</button></div></form></section>`}
      <section class="panel"><h2>${t("Origin")}</h2><dl class="facts"><dt>${t("Hash")}</dt><dd><code>${hash}</code></dd><dt>${t("Learned from")}</dt><dd>${one.version || "–"}</dd><dt>${t("By")}</dt><dd>${one.author}</dd><dt>${t("Made")}</dt><dd><${Moment} at=${one.created} style="long" /></dd></dl></section></div></div>
    <${Reason} ask=${asking} close=${() => ask(null)} />`;
}

/** A choice of what to measure on: the product as it is now, or one of its versions. */
const Data = ({ versions, product }) => html`<select name="data">${((versions || {}).items || []).map((version) => html`<option value=${`${product}@${version.number}`}>${`${product}@${version.number}`}</option>`)}<option value=${product}>${t("{product} as it is now", { product })}</option></select>`;

/** What the card says of the thresholds and what they rest on. */
function Promises({ card }) {
  const { band, calibration } = card;
  const rate = (one) => (one ? html`${percent(one.of ? one.count / one.of : null)} <span class="muted small">${bound(one)}</span>` : t("not known"));
  return html`<section class="panel"><h2>${t("What it promises")}</h2><div class="stats"><${Stat} value=${score(band.low)} label=${t("OK up to")} /><${Stat} value=${score(band.high)} label=${t("NG above")} />
      <${Stat} value=${number(card.trained_on.length)} label=${t("good parts learned")} /><${Stat} value=${`${card.width} × ${card.height}`} label=${t("px looked at")} /></div>
    <dl class="facts" style="margin-top:12px"><dt>${t("Overkill")}</dt><dd>${rate(calibration.overkill)}</dd><dt>${t("Good parts to a person")}</dt><dd>${rate(calibration.review)}</dd><dt>${t("Escapes")}</dt><dd>${rate(calibration.escape)}</dd>
      ${card.types.length > 0 && html`<dt>${t("Known types")}</dt><dd>${card.types.join(", ")}</dd>`}
      ${card.revision && html`<dt>${t("Set by hand")}</dt><dd>${card.revision.reason || ""}</dd>`}</dl>
    ${[...(calibration.promises || []), ...(calibration.limits || [])].map((one) => html`<p class="muted small" style="margin:6px 0 0">${said(one)}</p>`)}</section>`;
}

function Lineage({ of, one }) {
  if (!of.data) return null;
  const list = (title, recipes) => recipes.length > 0 && html`<h3>${title}</h3><ul>${recipes.map((recipe) => html`<li><a href=${`/recipes/${recipe.hash}`}>${recipe.name} ${short(recipe.hash)}</a> <span class="muted">${STATES()[recipe.state]} · ${recipe.author}</span></li>`)}</ul>`;
  return html`<section class="panel"><h2>${t("Lineage")}</h2>${list(t("Made from"), of.data.parents)}${list(t("What was made from it"), of.data.children)}
    ${!of.data.parents.length && !of.data.children.length && html`<p class="muted" style="margin:0">${one.version ? t("Learned anew from {version}; nothing was made from it yet.", { version: one.version }) : t("It has no relatives here.")}</p>`}</section>`;
}

function Differences({ first, second }) {
  const found = useRemote((signal) => get(`/recipes/${first}/diff`, { other: second }, signal), [first, second]);
  if (!found.data) return html`<${Waiting} of=${found} />`;
  if (!found.data.length) return html`<p class="muted">${t("Their cards hold the same.")}</p>`;
  const show = (value) => (value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value)).slice(0, 160);
  return html`<${Table} label=${t("Differences")} rows=${found.data.map((one) => ({ ...one, id: one.path }))} columns=${[[t("Of"), (one) => html`<code>${one.path}</code>`], [t("This one"), (one) => show(one.first)], [t("The other"), (one) => show(one.second)]]} />`;
}
