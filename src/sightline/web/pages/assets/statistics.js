// Figures over the line's record: yield by hour, lot and station, the p-chart, types, places and times.
import { useState } from "./vendor/preact.js";
import { get } from "./api.js";
import { Empty, Head, Stat, Table, Verdict, Waiting, go, html, useQuery, useRemote } from "./parts.js";
import { number, percent, t, time } from "./words.js";

const SPANS = { 8: () => t("8 hours"), 24: () => t("24 hours"), 168: () => t("7 days"), 720: () => t("30 days") };
const sum = (list, name) => list.reduce((total, one) => total + one[name], 0);
const parts = (query) => (query.station ? `&station=${encodeURIComponent(query.station)}` : "");

function Panel({ title, of, about, children }) {
  return html`<section class="panel"><h2>${title}</h2>${of && !of.data ? html`<${Waiting} of=${of} />` : children()}${about && html`<p class="muted small" style="margin:8px 0 0">${about}</p>`}</section>`;
}

/** Stacked bars of OK, REVIEW and NG for each hour. */
function Hours({ hours, query }) {
  const most = Math.max(1, ...hours.map((one) => one.parts));
  const wide = 1000 / Math.max(hours.length, 1);
  return html`<div><svg class="chart" viewBox="0 0 1000 220" role="img" aria-label=${t("Parts of each hour by verdict")} preserveAspectRatio="none">
    ${hours.map((hour, n) => {
      let top = 200;
      const one = (name, count) => {
        const high = (count / most) * 190;
        top -= high;
        return high > 0 && html`<rect class=${`fill ${name}`} x=${n * wide + 1} width=${Math.max(1, wide - 2)} y=${top} height=${high} />`;
      };
      const end = new Date(new Date(hour.start).getTime() + 3600000);
      return html`<g class="link" onClick=${() => go(`/parts?since=${local(hour.start)}&until=${local(end)}${parts(query)}`)}><title>${`${time(hour.start, "short")}: ${hour.ok} OK, ${hour.review} REVIEW, ${hour.ng} NG`}</title><rect class="hit" x=${n * wide} width=${wide} y="0" height="220" />${one("OK", hour.ok)}${one("REVIEW", hour.review)}${one("NG", hour.ng)}</g>`;
    })}</svg></div>
    <div class="row between muted small"><span>${hours.length ? time(hours[0].start, "short") : ""}</span><span>${t("most in an hour: {n}", { n: number(most) })}</span><span>${hours.length ? time(hours[hours.length - 1].start, "short") : ""}</span></div>`;
}

/** A moment as an input of the browser takes it, in its own zone. */
function local(moment) {
  const date = new Date(moment);
  return new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

/** Share of NG in each subgroup, its limits, and the rules it breaks. */
function Control({ chart }) {
  const { points } = chart;
  if (points.length < 2) return html`<p class="muted">${t("Fewer than two subgroups; nothing can be compared yet.")}</p>`;
  const most = Math.max(0.001, ...points.map((one) => Math.max(one.upper, one.p))) * 1.1;
  const x = (n) => (n / (points.length - 1)) * 960 + 20;
  const y = (value) => 210 - (value / most) * 200;
  const line = (pick) => points.map((one, n) => `${n ? "L" : "M"}${x(n)} ${y(pick(one))}`).join("");
  const broken = points.filter((one) => one.rules.length);
  return html`<svg class="chart" viewBox="0 0 1000 220" role="img" aria-label=${t("p-chart: share of NG with its limits")}>
      <path class="limit" d=${line((one) => one.upper)} /><path class="limit" d=${line((one) => one.lower)} /><path class="center" d=${`M20 ${y(chart.center)}H980`} /><path class="line" d=${line((one) => one.p)} />
      ${points.map((one, n) => html`<circle class=${one.rules.length ? "broken" : "dot"} cx=${x(n)} cy=${y(one.p)} r=${one.rules.length ? 6 : 3.5}><title>${`${label(one)}: ${one.ng} / ${one.n} = ${percent(one.p)}${one.rules.map((rule) => `\n${chart.rules[rule]}`).join("")}`}</title></circle>`)}</svg>
    <div class="row between muted small"><span>${label(points[0])}</span><span>${t("mean {p} of {n} parts", { p: percent(chart.center, 2), n: number(chart.parts) })}</span><span>${label(points[points.length - 1])}</span></div>
    ${broken.length > 0 && html`<ul>${broken.slice(-6).map((one) => html`<li><b>${label(one)}</b>: ${one.rules.map((rule) => chart.rules[rule]).join("; ")}</li>`)}</ul>`}`;
}

const label = (point) => (/^\d{4}-\d\d-\d\dT/.test(point.label) ? time(point.label, "short") : point.label);

function Pareto({ types, total, query }) {
  const most = Math.max(1, ...types.map((one) => one.count));
  return html`<ul class="pareto">${types.slice(0, 12).map((one) => html`<li><a href=${`/parts?type=${encodeURIComponent(one.type)}${parts(query)}`}>${one.type}</a><span class="bar"><i style=${`width:${(one.count / most) * 100}%`}></i></span><span class="num">${number(one.count)}</span><span class="num muted">${percent(total ? one.count / total : null, 0)}</span></li>`)}</ul>`;
}

/** Where defects lie: darker where there were more. */
function Places({ view, size }) {
  const cell = 320 / size;
  return html`<figure><figcaption><span>${view.view}</span><span>${t("{n} defects, at most {most} in a cell", { n: number(view.defects), most: number(view.most) })}</span></figcaption>
    <svg class="places" viewBox="0 0 320 320" role="img" aria-label=${t("Places of defects in view {view}", { view: view.view })}>${view.grid.map((row, y) => row.map((count, x) => count > 0 && html`<rect x=${x * cell} y=${y * cell} width=${cell} height=${cell} opacity=${0.15 + (0.85 * count) / view.most}><title>${count}</title></rect>`))}</svg></figure>`;
}

function rows(found) {
  return found.map((one) => ({ ...one, id: one.name }));
}
const yields = (to) => [[t("Name"), (one) => html`<a href=${to(one)}>${one.name}</a>`], [t("Parts"), (one) => number(one.parts), true], [html`<${Verdict} of="OK" />`, (one) => number(one.ok), true], [html`<${Verdict} of="REVIEW" />`, (one) => number(one.review), true], [html`<${Verdict} of="NG" />`, (one) => number(one.ng), true], [t("OK at once"), (one) => percent(one.ok_share), true]];

/** What leaves the line, from the answers about parts that were drawn at random. */
function Live({ rates }) {
  const ok = rates.strata.find((one) => one.verdict === "OK");
  const between = ({ value, lower, upper }) => html`<b>${value === null ? t("unknown") : percent(value, 2)}</b> <span class="muted">${t("between {low} and {high}", { low: percent(lower, 2), high: percent(upper, 2) })}</span>`;
  return html`<dl class="facts"><dt>${t("Defective parts judged OK (escape)")}</dt><dd>${between(rates.escape)}</dd>
      <dt>${t("Good parts judged NG (overkill)")}</dt><dd>${between(rates.overkill)}</dd><dt>${t("Defective among parts judged OK")}</dt><dd>${between(rates.shipped)}</dd></dl>
    <p class="muted small" style="margin:8px 0 0">${ok.good + ok.defective === 0 ? t("No OK part was looked at, so escapes are unknown: set review_ok = 0.01 in the station's file.") : rates.strata.map((one) => t("{n} of {parts} {verdict} parts were looked at", { n: number(one.good + one.defective), parts: number(one.parts), verdict: one.verdict })).join(" · ")}</p>`;
}

export function Statistics() {
  const [query, set] = useQuery();
  const [group, setGroup] = useState("hour");
  const span = +(query.hours || 24);
  const end = query.until ? new Date(query.until) : new Date(); // of a link that somebody sent; else now
  const within = (hours) => ({ since: `${new Date(end - Math.min(span, hours) * 3600000).toISOString().slice(0, 16)}Z`, until: query.until && end.toISOString(), station: query.station });
  const [asked, week, day] = [within(span), within(168), within(47)];
  const key = [span, query.station, query.until];
  const all = useRemote((signal) => get("/statistics/stations", { ...asked, station: undefined }, signal), [span, query.until]);
  const hours = useRemote((signal) => get("/statistics/hours", asked, signal), key, 30);
  const lots = useRemote((signal) => get("/statistics/lots", week, signal), key);
  const types = useRemote((signal) => get("/statistics/types", asked, signal), key);
  const chart = useRemote((signal) => get("/statistics/p-chart", { ...(group === "lot" ? week : asked), subgroup: group }, signal), [...key, group]);
  const places = useRemote((signal) => get("/statistics/places", week, signal), key);
  const latency = useRemote((signal) => get("/statistics/latency", day, signal), key);
  const live = useRemote((signal) => get("/statistics/rates", { station: query.station, days: span / 24 }, signal), key);
  const found = hours.data || [];
  return html`<${Head} title=${t("Statistics")} about=${t("Over the line's record; every figure has its parts behind it.")}>
      <select aria-label=${t("Station")} onChange=${(event) => set({ station: event.target.value })}><option value="">${t("all stations")}</option>${(all.data || []).map((one) => html`<option selected=${query.station === one.name}>${one.name}</option>`)}</select>
      <select aria-label=${t("Time")} onChange=${(event) => set({ hours: event.target.value })}>${Object.entries(SPANS).map(([hour, word]) => html`<option value=${hour} selected=${+hour === span}>${word()}</option>`)}</select>
      <a class="button" href=${"/drift" + (query.station ? "?station=" + encodeURIComponent(query.station) : "")}>${t("Drift")}</a><a class="button" href=${"/learning" + (query.station ? "?station=" + encodeURIComponent(query.station) : "")}>${t("Learning")}</a></${Head}>
    ${hours.data && !found.length ? html`<${Empty} title=${t("No parts in this time")} actions=${span < 720 && html`<button onClick=${() => set({ hours: 720 })}>${t("30 days")}</button>`}>${t("As soon as the line has judged some, their figures stand here.")}</${Empty}>` : html`<div class="stack">
      <section class="panel stats"><${Stat} value=${number(sum(found, "parts"))} label=${t("parts")} /><${Stat} value=${percent(sum(found, "parts") ? sum(found, "ok") / sum(found, "parts") : null)} label=${t("OK at once")} /><${Stat} value=${number(sum(found, "ng"))} label="NG" /><${Stat} value=${number(sum(found, "review"))} label="REVIEW" /></section>
      <${Panel} title=${t("Escapes and overkill of the running line")} of=${live}>${() => html`<${Live} rates=${live.data} />`}</${Panel}>
      <${Panel} title=${t("Hours")} of=${hours}>${() => html`<${Hours} hours=${found} query=${query} />`}</${Panel}>
      <section class="panel"><div class="row between"><h2>${t("Share of NG (p-chart)")}</h2><span class="row">${[["hour", t("by hour")], ["lot", t("by lot")]].map(([name, word]) => html`<button aria-pressed=${group === name} onClick=${() => setGroup(name)}>${word}</button>`)}</span></div>
        ${chart.data ? html`<${Control} chart=${chart.data} /><p class="muted small" style="margin:8px 0 0">${chart.data.source}</p>` : html`<${Waiting} of=${chart} />`}</section>
      <div class="grid"><${Panel} title=${t("Types of defects")} of=${types}>${() => (types.data.types.length ? html`<${Pareto} types=${types.data.types} total=${types.data.parts} query=${query} />` : html`<p class="muted">${t("No defect in this time")}</p>`)}</${Panel}>
        <${Panel} title=${t("Where defects lie")} of=${places}>${() => (places.data.views.length ? places.data.views.map((view) => html`<${Places} view=${view} size=${places.data.size} />`) : html`<p class="muted">${t("No defect in this time")}</p>`)}</${Panel}></div>
      <section class="panel flat"><${Table} label=${t("Stations")} rows=${rows(all.data || [])} columns=${yields((one) => `/statistics?station=${encodeURIComponent(one.name)}&hours=${span}`)} /></section>
      ${lots.data && lots.data.length > 0 && html`<section class="panel flat"><${Table} label=${t("Lots")} rows=${rows(lots.data)} columns=${yields((one) => `/parts?lot=${encodeURIComponent(one.name)}`)} /></section>`}
      ${latency.data && latency.data.length > 0 && html`<section class="panel flat"><${Table} label=${t("From trigger to answer")} rows=${latency.data.map((one) => ({ ...one, id: one.start }))} columns=${[[t("Hour"), (one) => time(one.start, "short")], [t("Parts"), (one) => number(one.parts), true], [t("late"), (one) => number(one.late), true], [t("half, ms"), (one) => number(one.p50_ms), true], ["95 %, ms", (one) => number(one.p95_ms), true], ["99 %, ms", (one) => number(one.p99_ms), true], [t("worst, ms"), (one) => number(one.worst_ms), true]]} /></section>`}</div>`}`;
}
