// Thresholds: the scores of a measurement, two limits to move, and what each choice costs.
import { useEffect, useMemo, useRef, useState } from "./vendor/preact.js";
import { get, post, thumbnail } from "./api.js";
import { Empty, Field, Head, Reason, Stat, Verdict, Waiting, go, html, told, useRemote, useSession } from "./parts.js";
import { bound, number, percent, said, score as digits, t } from "./words.js";

const WIDE = 1000, HIGH = 300, BINS = 80;
const RANK = { OK: 0, REVIEW: 1, NG: 2 };
const VERDICTS = ["OK", "REVIEW", "NG"];

/** Each picture's verdict by these thresholds: the graver of its score's band and of what else decided it. */
export function verdicts({ score, floor }, { ok, ng }) {
  return score.map((value, n) => {
    const band = value === null ? "NG" : value <= ok ? "OK" : value <= ng ? "REVIEW" : "NG";
    return RANK[floor[n]] > RANK[band] ? floor[n] : band;
  });
}

/** An axis that is straight near its middle and slow far out, so that a few huge scores do not squeeze the rest. */
function axis(scores, { ok, ng }) {
  const width = Math.max(ng - ok, 1e-3);
  const bend = (value) => Math.asinh((value - ok) / width);
  const found = scores.filter((value) => value !== null).concat(ok, ng);
  const [low, high] = [Math.min(...found.map(bend)) - 0.25, Math.max(...found.map(bend)) + 0.25];
  return { to: (value) => ((bend(value) - low) / (high - low)) * WIDE, from: (x) => Math.sinh(low + (x / WIDE) * (high - low)) * width + ok };
}

function Histogram({ data, limits, set }) {
  const scale = useMemo(() => axis(data.score, data.thresholds), [data]);
  const area = useRef();
  const bars = useMemo(() => {
    const counts = { good: new Array(BINS).fill(0), defective: new Array(BINS).fill(0) };
    data.score.forEach((value, n) => {
      if (value === null) return;
      counts[data.label[n]][Math.min(BINS - 1, Math.max(0, Math.floor((scale.to(value) / WIDE) * BINS)))] += 1;
    });
    const most = Math.max(1, ...counts.good, ...counts.defective);
    return { ...counts, most };
  }, [data]);
  const at = (event) => { const { left, width } = area.current.getBoundingClientRect(); return scale.from(((event.clientX - left) / width) * WIDE); };
  const move = (name, value) => set(name === "ok" ? { ok: Math.min(value, limits.ng), ng: limits.ng } : { ok: limits.ok, ng: Math.max(value, limits.ok) });
  const handle = (name, word) => {
    const x = scale.to(limits[name]);
    const key = (event) => {
      const step = { ArrowLeft: -2, ArrowRight: 2, PageDown: -20, PageUp: 20 }[event.key];
      if (step) { event.preventDefault(); move(name, scale.from(x + step)); }
    };
    return html`<g class=${`handle ${name}`} tabindex="0" role="slider" aria-label=${word} aria-valuenow=${limits[name]} aria-valuetext=${digits(limits[name])} onKeyDown=${key}
      onPointerDown=${(event) => event.currentTarget.setPointerCapture(event.pointerId)} onPointerMove=${(event) => { if (event.buttons) move(name, at(event)); }}>
      <line x1=${x} x2=${x} y1="0" y2=${HIGH} /><rect class="grip" x=${x - 14} y="0" width="28" height=${HIGH} /><path d=${`M${x - 9} 0h18v14l-9 9-9-9z`} />
      <text x=${x + (name === "ok" ? -14 : 14)} y="16" text-anchor=${name === "ok" ? "end" : "start"}>${word} ${digits(limits[name])}</text></g>`;
  };
  const bar = (label, n) => {
    const high = (bars[label][n] / bars.most) * (HIGH / 2 - 30);
    return high > 0 && html`<rect class=${label} x=${(n * WIDE) / BINS + 1} width=${WIDE / BINS - 2} y=${label === "good" ? HIGH / 2 - high : HIGH / 2 + 1} height=${Math.max(2, high)} />`;
  };
  const [okX, ngX] = [scale.to(limits.ok), scale.to(limits.ng)];
  return html`<svg ref=${area} class="histogram" viewBox=${`0 0 ${WIDE} ${HIGH}`} role="group" aria-label=${t("Scores of good parts above, of defective ones below")}>
    <rect class="band OK" x="0" width=${Math.max(0, okX)} height=${HIGH} /><rect class="band REVIEW" x=${okX} width=${Math.max(0, ngX - okX)} height=${HIGH} /><rect class="band NG" x=${ngX} width=${Math.max(0, WIDE - ngX)} height=${HIGH} />
    ${bars.good.map((_, n) => [bar("good", n), bar("defective", n)])}
    <line class="middle" x1="0" x2=${WIDE} y1=${HIGH / 2} y2=${HIGH / 2} /><text class="side" x="6" y=${HIGH / 2 - 8}>${t("good")}</text><text class="side" x="6" y=${HIGH / 2 + 18}>${t("defective")}</text>
    ${handle("ok", t("OK up to"))}${handle("ng", t("NG above"))}</svg>`;
}

const rate = (one, name) => html`<div class="stat"><b>${percent(one.value)}</b><span>${name}<br />${bound(one)}</span></div>`;

/** The pictures of one cell of the matrix. */
function Cell({ ids }) {
  const found = useRemote((signal) => Promise.all(ids.slice(0, 60).map((id) => get(`/samples/${id}`, {}, signal))), [ids.join(",")]);
  if (!found.data) return html`<${Waiting} of=${found} />`;
  return html`<div class="thumbs">${found.data.map((one) => html`<a class="thumb" href=${`/samples/${one.id}`}><img src=${thumbnail(one.hash)} alt=${one.name} loading="lazy" /><span class="cap"><span>${one.name.split("/").slice(-2).join("/")}</span></span></a>`)}</div>
    ${ids.length > 60 && html`<p class="muted">${t("and {n} more", { n: number(ids.length - 60) })}</p>`}`;
}

/** From what people can look at in a shift to limits. */
function Workload({ hash, price, use }) {
  const [load, set] = useState({ parts: 60, takt_s: 2, shift_h: 8, shipped: 0.001, weeks: 4 });
  const [plan, show] = useState(null);
  const [error, setError] = useState("");
  const ask = async () => {
    try {
      const made = await post(`/recipes/${hash}/review-plan`, { ...load, review_price: price });
      show(made); setError(""); use({ ok: made.ok, ng: made.ng });
    } catch (problem) { show(null); setError(told(problem)); }
  };
  const field = (name, label, times = 1) => html`<${Field} label=${label}><input type="number" min="0" step="any" value=${+(load[name] * times).toFixed(4)} onInput=${(event) => set({ ...load, [name]: +event.target.value / times })} /></${Field}>`;
  const week = plan && t("After {weeks} weeks at most {shipped} of what is shipped is defective, if all of these are good.", { weeks: number(load.weeks), shipped: percent(plan.shipped) });
  const later = plan && plan.weeks_needed > load.weeks * 1.01 && t("{shipped} takes {weeks} weeks at this load.", { shipped: percent(load.shipped), weeks: number(Math.ceil(plan.weeks_needed)) });
  const unsure = plan && plan.reviews_upper > 1.5 * load.parts && t("The recipe's good parts promise no more than {upper} parts a shift that are not OK. Count the first shifts.", { upper: number(Math.round(plan.reviews_upper)) });
  return html`<section class="panel stack"><h2 style="margin:0">${t("What people can look at")}</h2><div class="stats">${field("parts", t("Parts a shift"))}${field("takt_s", t("Takt, s"))}${field("shift_h", t("Hours of a shift"))}${field("shipped", t("Defective parts shipped, % at most"), 100)}${field("weeks", t("Known after, weeks"))}</div>
    <div><button onClick=${ask}>${t("Set the limits by this")}</button></div>
    ${error && html`<div class="note bad" role="alert">${error}</div>`}
    ${plan && html`<div class="stack" aria-live="polite"><div class="stats"><${Stat} value=${number(plan.reviews, 0)} label=${t("parts a shift in REVIEW")} /><${Stat} value=${number(plan.audits, 0)} label=${t("OK parts a shift at random: review_ok = {share}", { share: number(plan.audit_share, 4) })} /></div>
      <p class="muted small" style="margin:0">${week}</p>${later && html`<div class="note warn">${later}</div>`}${unsure && html`<div class="note warn">${unsure}</div>`}</div>`}</section>`;
}

export function Decide({ hash }) {
  const found = useRemote((signal) => get(`/recipes/${hash}/scores`, {}, signal), [hash]);
  if (found.error && found.error.status === 404) {
    return html`<${Head} title=${t("Decide")} /><${Empty} title=${t("Not measured yet")} actions=${html`<a class="button primary" href=${`/recipes/${hash}`}>${t("To the recipe")}</a>`}>${told(found.error)}</${Empty}>`;
  }
  if (!found.data) return html`<${Head} title=${t("Decide")} /><${Waiting} of=${found} />`;
  return html`<${Board} key=${found.data.evaluation} hash=${hash} data=${found.data} />`;
}

function Board({ hash, data }) {
  const [limits, set] = useState(data.thresholds);
  const [prices, setPrices] = useState(data.prices);
  const [cell, setCell] = useState(null);
  const [preview, setPreview] = useState(null);
  const [error, setError] = useState("");
  const [asking, ask] = useState(null);
  const session = useSession();
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const body = { ...limits, evaluation: data.evaluation, defect_rate: prices.defect_rate, escape_price: prices.escape, overkill_price: prices.overkill, review_price: prices.review };
        setPreview(await post(`/recipes/${hash}/preview-thresholds`, body, { signal: stop.signal }));
        setError("");
      } catch (problem) { if (problem.name !== "AbortError") setError(told(problem)); }
    }, 80);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [limits, prices]);
  const now = verdicts(data, limits);
  const ids = (label, verdict) => data.sample.filter((_, n) => data.label[n] === label && now[n] === verdict);
  const price = (name, label, step) => html`<${Field} label=${label}><input type="number" min="0" step=${step || "any"} value=${name === "defect_rate" ? +(prices.defect_rate * 100).toFixed(4) : prices[name]}
    onInput=${(event) => { const value = +event.target.value; if (value >= 0) setPrices({ ...prices, [name]: name === "defect_rate" ? value / 100 : value }); }} /></${Field}>`;
  const save = () => ask({ title: t("Save these thresholds"), verb: t("Save"), about: t("A new recipe is made from this one, which stays as it is."), action: async (reason) => {
    const made = await post(`/recipes/${hash}/thresholds`, { ...limits, reason });
    go(`/recipes/${made.hash}`);
  } });
  const moved = limits.ok !== data.thresholds.ok || limits.ng !== data.thresholds.ng;
  return html`<${Head} title=${t("Decide")} about=${t("Measured on {data}, {n} pictures that were not learned from", { data: data.data, n: number(data.sample.length) })}>
      ${moved && html`<button onClick=${() => set(data.thresholds)}>${t("Back to the recipe's own")}</button>`}
      ${session.may("engineer") && html`<button class="primary" disabled=${!moved} onClick=${save}>${t("Save as a new recipe")}</button>`}</${Head}>
    <div class="stack"><div class="panel"><${Histogram} data=${data} limits=${limits} set=${set} /><p class="muted small" style="margin:6px 0 0">${t("Drag the limits, or move them with the arrow keys.")}</p></div>
    <div class="split"><div class="stack">
      <section class="panel flat"><div class="scroll" tabindex="0" role="region" aria-label=${t("What the parts are, and what they would be called")}><table class="matrix" aria-label=${t("What the parts are, and what they would be called")}><thead><tr><th></th>${VERDICTS.map((one) => html`<th scope="col" class="num"><${Verdict} of=${one} /></th>`)}</tr></thead>
        <tbody>${["good", "defective"].map((label) => html`<tr><th scope="row">${t(label)}</th>${VERDICTS.map((verdict) => {
          const mine = ids(label, verdict);
          const wrong = (label === "good" && verdict === "NG") || (label === "defective" && verdict === "OK");
          return html`<td class="num"><button class=${`quiet ${wrong && mine.length ? "danger" : ""}`} aria-pressed=${cell === `${label} ${verdict}`} disabled=${!mine.length} onClick=${() => setCell(cell === `${label} ${verdict}` ? null : `${label} ${verdict}`)}>${number(mine.length)}</button></td>`;
        })}</tr>`)}</tbody></table></div></section>
      ${error && html`<div class="note bad" role="alert">${error}</div>`}
      ${preview && html`<section class="panel stats" aria-live="polite">${rate(preview.escape, t("escapes"))}${rate(preview.overkill, t("overkill"))}${rate(preview.review_good, t("good parts to REVIEW"))}${rate(preview.review_defective, t("defective parts to REVIEW"))}</section>
        ${preview.notes.map((note) => html`<div class="note warn">${said(note)}</div>`)}`}
      ${cell && html`<section class="panel"><h2>${t(cell.split(" ")[0])}, ${cell.split(" ")[1]}</h2><${Cell} key=${cell} ids=${ids(...cell.split(" "))} /></section>`}
      <${Workload} hash=${hash} price=${prices.review} use=${set} /></div>
    <div class="stack">${preview && html`<section class="panel stats"><${Stat} value=${percent(preview.review_load)} label=${t("of production goes to a person")} />
        <${Stat} value=${number(preview.shipped_ppm)} label=${preview.shipped_ppm_upper === null ? t("defective ppm shipped") : t("defective ppm shipped, at most {upper}", { upper: number(preview.shipped_ppm_upper) })} />
        <${Stat} value=${number(preview.cost_per_1000, 1)} label=${preview.cost_per_1000_upper === null ? t("cost of 1,000 parts") : t("cost of 1,000 parts, at most {upper}", { upper: number(preview.cost_per_1000_upper, 1) })} /></section>`}
      <section class="panel stack"><h2 style="margin:0">${t("What errors cost")}</h2>${price("defect_rate", t("Defective parts in production, %"))}${price("escape", t("A defect that is shipped"))}${price("overkill", t("A good part thrown away"))}${price("review", t("A part that a person looks at"))}</section></div></div></div>
    <${Reason} ask=${asking} close=${() => ask(null)} />`;
}
