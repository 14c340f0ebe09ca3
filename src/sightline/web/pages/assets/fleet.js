// The fleet: all stations side by side, what is wrong with them, and each product compared over them.
import { useState } from "./vendor/preact.js";
import { get, post } from "./api.js";
import { CAUSES, word } from "./drift.js";
import { Dialog, Empty, Field, Head, Reason, Stat, Table, Verdict, Waiting, html, say, useAction, useQuery, useRemote, useSession } from "./parts.js";
import { ago, duration, number, percent, said, t } from "./words.js";

const SPANS = { 8: () => t("8 hours"), 24: () => t("24 hours"), 168: () => t("7 days"), 720: () => t("30 days") };
const SILENT_S = 300, CLOCK_S = 60;
const silent = (one) => !one.heard || (Date.now() - new Date(one.heard)) / 1000 > SILENT_S;
const wrongClock = (one) => one.offset_s !== null && Math.abs(one.offset_s) > CLOCK_S;

/** What is wrong with a station, in sentences. */
function troubles(one) {
  const clock = { time: duration(Math.abs(one.offset_s || 0)) };
  const clocks = one.offset_s > 0 ? t("Its clock is {time} ahead of the server's. Set it; parts are counted by the server's clock.", clock) : t("Its clock is {time} behind the server's. Set it; parts are counted by the server's clock.", clock);
  return [
    wrongClock(one) && clocks,
    one.other && t("Another computer tries to send as this station and is refused. Give it a name of its own."),
    one.missing > 0 && t("{n} records never came. They may be in the station's own store.", { n: number(one.missing) }),
    one.refused > 0 && t("{n} records could not be kept. The audit says why.", { n: number(one.refused) }),
    ...one.recipes.filter((recipe) => recipe.fault).map((recipe) => `${recipe.product}: ${said(recipe.fault)}`),
    ...one.alarms.map((cause) => t("An alarm is open: {cause}", { cause: word(CAUSES, cause, 0) })),
  ].filter(Boolean);
}

/** A share with its interval: a line from the lower to the upper bound, a dot at what was seen. */
function Range({ of, most }) {
  const at = (value) => 2 + (Math.min(value, most) / most) * 116;
  const text = t("between {low} and {high}", { low: percent(of.lower, 2), high: percent(of.upper, 2) });
  if (of.value === null) return html`<span class="muted">–</span>`;
  return html`<span class="range" title=${text}><svg viewBox="0 0 120 14" role="img" aria-label=${text}><path class="track" d="M2 7H118" /><path class="span" d=${`M${at(of.lower)} 7H${at(of.upper)}`} /><circle cx=${at(of.value)} cy="7" r="3.6" /></svg><b>${percent(of.value, 2)}</b></span>`;
}

function RecipeCell({ of }) {
  if (!of.length) return html`<span class="muted">–</span>`;
  return of.map((one) => {
    const signed = one.signed === null ? t("not in this store") : one.signed ? t("signed") : t("not signed");
    return html`<div class="nowrap"><a href=${`/recipes/${one.hash}`} title=${one.product}><code>${one.hash.slice(0, 8)}</code></a> <span class=${`small ${one.signed === false ? "warned" : "muted"}`}>${signed}</span>${one.behind && html` <span class="chip warn">${t("behind the rollout")}</span>`}</div>`;
  });
}

const When = ({ of }) => (of.heard ? html`<time class=${silent(of) ? "warned" : ""} datetime=${of.heard} title=${of.heard}>${t("{time} ago", { time: ago(of.heard) })}</time>` : html`<span class="warned">${t("never")}</span>`);
/** When the server last had anything of a station, and how far its clock is off. */
function Heard({ of }) {
  const off = `${of.offset_s > 0 ? "+" : "−"}${duration(Math.abs(of.offset_s || 0))}`;
  const clock = t("clock {off}", { off });
  return html`<div class="nowrap"><${When} of=${of} />${of.offset_s !== null && html`<br /><span class=${`small ${wrongClock(of) ? "warned" : "muted"}`}>${clock}</span>`}</div>`;
}

/** Everything that somebody has to look after, a station each. */
function Troubles({ stations, replace }) {
  const session = useSession();
  const found = stations.map((one) => [one, troubles(one)]).filter(([, list]) => list.length);
  if (!found.length) return null;
  return html`<section class="panel" aria-label=${t("To look after")}><h2>${t("To look after")}</h2><ul class="plain troubles">${found.map(([one, list]) => html`<li><b>${one.station}</b><div>${list.map((text) => html`<p>${text}</p>`)}
    ${one.other && session.may("engineer") && html`<button class="small" onClick=${() => replace(one)}>${t("It replaces the old computer")}</button>`}</div></li>`)}</ul></section>`;
}

function Product({ of }) {
  const most = Math.max(0.01, ...of.stations.map((one) => one.ng.upper));
  const p = of.p_value < 0.001 ? t("below 0.001") : number(of.p_value, 3);
  const differs = t("The stations differ by more than chance (p {p}).", { p });
  const same = t("No difference between the stations is shown (p {p}).", { p });
  return html`<section class="panel"><h2>${of.product}</h2><p class=${of.p_value !== null && of.p_value < 0.05 ? "warned" : "muted"} style="margin:0 0 10px">${of.p_value === null ? t("Too few parts to compare.") : of.p_value < 0.05 ? differs : same}</p>
    <ul class="plain compared">${of.stations.map((one) => html`<li><a href=${`/statistics?station=${encodeURIComponent(one.station)}`}>${one.station}</a><${Range} of=${one.ng} most=${most} /><span class="muted small num">${t("{n} of {of}", { n: number(one.ng.count), of: number(one.ng.of) })}</span></li>`)}</ul></section>`;
}

/** A token for a new station, shown once, with what belongs into its file. */
function Connect({ open, close }) {
  const [made, set] = useState(null);
  const [make, busy] = useAction(async (event) => {
    event.preventDefault();
    const name = new FormData(event.target).get("name");
    set({ name, secret: (await post(`/stations/${encodeURIComponent(name)}/tokens`, {})).token });
  });
  const end = () => { set(null); close(); };
  const lines = made && `name = "${made.name}"\nrollouts = true\n\n[site]\nurl = "${location.origin}"\ntoken = { file = "${made.name}.token" }\n`;
  return html`<${Dialog} open=${open} title=${t("Connect a station")} close=${end}>
    ${made ? html`<p>${t("Its token is shown this once. Put it into the file {file} beside the station's own:", { file: `${made.name}.token` })}</p><p><code class="secret">${made.secret}</code></p><p>${t("These lines belong into the station's file:")}</p><pre>${lines}</pre><button class="primary" onClick=${() => { end(); say(t("It shows here as soon as it sends.")); }}>${t("I have kept it")}</button>`
      : html`<form class="stack" onSubmit=${make}><${Field} label=${t("Name of the station")} hint=${t("As in its own file: letters, digits, dots, dashes")}><input name="name" required maxlength="64" pattern=${"[A-Za-z0-9_.\\-]+"} /></${Field}><div class="row"><button class="primary" disabled=${busy}>${t("Make a token")}</button><button type="button" class="quiet" onClick=${end}>${t("Cancel")}</button></div></form>`}</${Dialog}>`;
}

export function Fleet() {
  const session = useSession();
  const [query, set] = useQuery();
  const [asking, ask] = useState(null);
  const [connecting, connect] = useState(false);
  const span = +(query.hours || 24);
  const found = useRemote((signal) => get("/fleet", { hours: span }, signal), [span], 10);
  const button = session.may("engineer") && html`<button class="primary" onClick=${() => connect(true)}>${t("Connect a station")}</button>`;
  const replace = (one) => ask({ title: t("Another computer for {name}", { name: one.station }), about: t("From now on only what the new computer sends is taken."), action: async (reason) => { await post(`/stations/${encodeURIComponent(one.station)}/replace?reason=${encodeURIComponent(reason)}`); found.reload(); } });
  const all = found.data ? found.data.stations : [];
  const total = (pick) => all.reduce((sum, one) => sum + pick(one), 0);
  const most = Math.max(0.01, ...all.filter((one) => one.parts).map((one) => one.ng.upper));
  const [recipe, last, waits] = [t("Recipe"), t("Last heard"), t("Waiting there")];
  const columns = [
    [t("Station"), (one) => html`<a class="nowrap" href=${`/live/${encodeURIComponent(one.station)}`}>${one.station}</a>`],
    [t("Parts"), (one) => number(one.parts), true], [t("OK at once"), (one) => percent(one.ok.value), true],
    [html`<${Verdict} of="NG" />`, (one) => html`<${Range} of=${one.ng} most=${most} />`],
    [html`<${Verdict} of="REVIEW" />`, (one) => html`<span title=${t("between {low} and {high}", { low: percent(one.review.lower, 2), high: percent(one.review.upper, 2) })}>${percent(one.review.value, 2)}</span>`, true],
    [t("Alarms"), (one) => (one.alarms.length ? html`<a class="warned" href=${`/drift?station=${encodeURIComponent(one.station)}`}>${one.alarms.length}</a>` : html`<span class="muted">0</span>`), true],
    [recipe, (one) => html`<${RecipeCell} of=${one.recipes} />`], [last, (one) => html`<${Heard} of=${one} />`],
    [waits, (one) => (one.sends ? number(one.waiting) : html`<span class="muted" title=${t("It writes into the database itself.")}>–</span>`), true],
  ];
  return html`<${Head} title=${t("Fleet")} about=${t("All stations of this site, by what has come here and when.")}>
      <select aria-label=${t("Time")} onChange=${(event) => set({ hours: event.target.value })}>${Object.entries(SPANS).map(([hour, word]) => html`<option value=${hour} selected=${+hour === span}>${word()}</option>`)}</select>${button}</${Head}>
    ${!found.data ? html`<${Waiting} of=${found} />` : !all.length ? html`<${Empty} title=${t("No station yet")} actions=${button}>${t("Stations that send here, or that record into this database, stand here side by side.")}</${Empty}>` : html`<div class="stack">
      <section class="panel stats"><${Stat} value=${number(all.length)} label=${t("stations")} /><${Stat} value=${number(all.filter(silent).length)} label=${t("not heard for 5 minutes")} /><${Stat} value=${number(all.filter((one) => one.recipes.some((recipe) => recipe.behind)).length)} label=${t("behind a rollout")} /><${Stat} value=${number(total((one) => one.waiting))} label=${t("records waiting at stations")} /></section>
      <${Troubles} stations=${all} replace=${replace} />
      <section class="panel flat"><${Table} label=${t("Stations")} rows=${all.map((one) => ({ ...one, id: one.station }))} columns=${columns} /></section>
      ${found.data.products.length > 0 && html`<h2 style="margin:4px 0 0">${t("The same product at several stations: share of NG")}</h2><div class="grid">${found.data.products.map((one) => html`<${Product} of=${one} />`)}</div><p class="muted small">${t("Lines are exact 95 % intervals; the test is Pearson's chi-square with its distribution by chance (Hope 1968). Both take parts as independent of each other.")}</p>`}</div>`}
    <${Reason} ask=${asking} close=${() => ask(null)} /><${Connect} open=${connecting} close=${() => connect(false)} />`;
}
