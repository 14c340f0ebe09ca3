// Parts of the line and samples of the lab: filtered, looked at, labelled and moved, many at a time.
import { useEffect, useRef, useState } from "./vendor/preact.js";
import { address, get, image, inspect, patch, post, remove, save, thumbnail } from "./api.js";
import { Harmless } from "./learning.js";
import { Dialog, Empty, Field, Head, Moment, Reason, Verdict, Waiting, go, html, say, useAction, useKeys, useList, useQuery, useRemote, useSession } from "./parts.js";
import { Picture, fetchPart } from "./picture.js";
import { duration, number, percent, said, score, t } from "./words.js";

/** Asks for the next page when the end of the list comes near. */
function More({ list }) {
  const end = useRef();
  useEffect(() => {
    if (!list.more) return undefined;
    const watch = new IntersectionObserver(([seen]) => seen.isIntersecting && list.more(), { rootMargin: "900px" });
    watch.observe(end.current);
    return () => watch.disconnect();
  }, [list.items && list.items.length, !!list.more]);
  return html`<div ref=${end}>${list.more && html`<p><button onClick=${list.more}>${t("More")}</button></p>`}</div>`;
}

export function Tabs({ of }) {
  const tabs = [["/parts", t("From the line")], ["/samples", t("Samples")], ["/findings", t("Findings")], ["/book", t("Defect book")], ["/agreement", t("Second labels")]];
  return html`<nav class="tabs" aria-label=${t("Views")}>${tabs.map(([to, name]) => html`<a href=${to} aria-current=${to === of ? "page" : null}>${name}</a>`)}</nav>`;
}

/** A filter whose value lives in the address: text, moment or choice. */
function Filter({ label, name, query, set, options, type }) {
  const change = (event) => set({ [name]: event.target.value });
  const value = query[name] || "";
  return html`<label class="filter"><span>${label}</span>${options
    ? html`<select onChange=${change}><option value="">${t("all")}</option>${options.map((one) => html`<option value=${one} selected=${one === value}>${one}</option>`)}</select>`
    : html`<input type=${type || "search"} value=${value} onChange=${change} />`}</label>`;
}

/** A list as a table for other programs, all of it. */
function Download({ of, query }) {
  const menu = useRef();
  const shut = () => { menu.current.open = false; };
  const [start, busy] = useAction((kind) => { shut(); return save(`${of}.${kind}`, query); });
  useEffect(() => {
    const left = (event) => { if (!menu.current.contains(event.target)) shut(); };
    document.addEventListener("pointerdown", left);
    document.addEventListener("focusin", left);
    return () => { document.removeEventListener("pointerdown", left); document.removeEventListener("focusin", left); };
  }, []);
  const escape = (event) => { if (event.key === "Escape") { shut(); menu.current.firstElementChild.focus(); } };
  return html`<details class="menu" ref=${menu} onKeyDown=${escape}><summary class="button">${t("Download")}</summary><div>
    <button class="quiet" disabled=${busy} onClick=${() => start("csv")}><b>CSV</b> <span class="muted">${t("for spreadsheets")}</span></button>
    <button class="quiet" disabled=${busy} onClick=${() => start("parquet")}><b>Parquet</b> <span class="muted">${t("for data tools: with types, smaller")}</span></button></div></details>`;
}

const moment = (text) => (text ? new Date(text).toISOString() : undefined);

export function Inspections() {
  const [query, set] = useQuery();
  const stations = useRemote((signal) => get("/statistics/stations", {}, signal), []);
  const asked = { ...query, since: moment(query.since), until: moment(query.until), limit: 60 };
  const list = useList("/inspections", asked);
  // What is drawn once stays as it is: a thousand parts are not gone through again for the sixty that come.
  const drawn = useRef(new WeakMap()).current;
  const part = (one) => drawn.get(one) || drawn.set(one, card(one)).get(one);
  return html`<${Head} title=${t("Parts")} about=${t("What the line has judged, the newest first.")}>
      <${Download} of="/inspections" query=${{ ...asked, limit: undefined }} /></${Head}><${Tabs} of="/parts" />
    <form class="filters" onSubmit=${(event) => event.preventDefault()} role="search">
      <${Filter} label=${t("Verdict")} name="verdict" ...${{ query, set }} options=${["OK", "NG", "REVIEW"]} />
      <${Filter} label=${t("Station")} name="station" ...${{ query, set }} options=${(stations.data || []).map((one) => one.name)} />
      <${Filter} label=${t("Product")} name="product" ...${{ query, set }} /><${Filter} label=${t("Lot")} name="lot" ...${{ query, set }} />
      <${Filter} label=${t("Part")} name="serial" ...${{ query, set }} /><${Filter} label=${t("Type")} name="type" ...${{ query, set }} />
      <${Filter} label=${t("From")} name="since" type="datetime-local" ...${{ query, set }} /><${Filter} label=${t("To")} name="until" type="datetime-local" ...${{ query, set }} />
      ${location.search && html`<button type="button" class="quiet" onClick=${() => go("/parts", true)}>${t("Clear")}</button>`}</form>
    ${!list.items ? html`<${Waiting} of=${list} />` : list.items.length === 0 ? html`<${Empty} title=${t("No such part")}>${t("No part of the line has passed this filter.")}</${Empty}>`
      : html`<div class="thumbs">${list.items.map(part)}</div><${More} list=${list} />`}`;
}

/** An inspected part in the gallery. */
const card = (one) => html`<a key=${one.id} class="thumb" href=${`/parts/${one.id}`}>
  ${one.image_hash ? html`<img src=${thumbnail(one.image_hash)} alt="" loading="lazy" />` : html`<div class="none">${t("no picture kept")}</div>`}
  <span class="cap"><${Verdict} of=${one.verdict} /><span class="num">${score(one.score)}</span></span>
  <span class="cap muted"><${Moment} at=${one.triggered} style="clock" /><span>${one.station}</span></span></a>`;

/** Everything about one inspected part. */
export function Inspection({ number: id }) {
  const found = useRemote((signal) => get(`/inspections/${id}`, {}, signal), [id]);
  const session = useSession();
  const one = found.data;
  const [ask, busy] = useAction(async () => { await post("/reviews", { inspection_id: one.id, reason: t("asked from its record") }); }, t("It waits in the review queue."));
  useKeys({ ArrowLeft: () => go(`/parts/${+id + 1}`), ArrowRight: () => go(`/parts/${Math.max(1, +id - 1)}`) });
  if (!one) return html`<${Head} title=${t("Part {id}", { id })} /><${Waiting} of=${found} />`;
  const times = one.details.stages_ms || {};
  const total = one.signalled ? (new Date(one.signalled) - new Date(one.triggered)) / 1000 : null;
  return html`<${Head} title=${one.serial || t("Part {id}", { id })} about=${[one.product, one.station, one.lot && t("lot {lot}", { lot: one.lot })].filter(Boolean).join(" · ")}>
      <a class="button" href=${`/parts/${one.id + 1}`}>← ${t("Newer")}</a><a class="button" href=${`/parts/${Math.max(1, one.id - 1)}`}>${t("Older")} →</a>
      ${session.may("engineer") && html`<button onClick=${ask} disabled=${busy}>${t("Have it reviewed")}</button>`}</${Head}>
    <div class="split"><div class="stack">${(one.details.views || [{ view: "", verdict: one.verdict, defects: [] }]).map((view) => html`<${View} key=${view.view} one=${one} view=${view} />`)}<${Alike} hash=${one.image_hash} /></div>
    <div class="stack"><section class="panel"><h2>${t("Verdict")}</h2><dl class="facts">
        <dt>${t("Verdict")}</dt><dd><${Verdict} of=${one.verdict} /></dd><dt>${t("Score")}</dt><dd>${score(one.score)}</dd>
        ${one.p_value !== null && html`<dt>${t("p value")}</dt><dd>${number(one.p_value, 3)} <span class="muted small">${t("share of good parts that look at least as strange")}</span></dd>`}
        ${Object.keys(one.types).length > 0 && html`<dt>${t("Types")}</dt><dd>${Object.entries(one.types).map(([name, share]) => `${name} ${percent(share, 0)}`).join(", ")}</dd>`}
        ${one.error && html`<dt>${t("Error")}</dt><dd>${said(one.error)}</dd>`}
        ${one.late && html`<dt>${t("Late")}</dt><dd>${t("The answer came after its deadline")}</dd>`}
        ${one.shadow && html`<dt>${t("Shadow")}</dt><dd>${t("Judged on probation; it decided nothing.")}</dd>`}</dl></section>
      <section class="panel"><h2>${t("Record")}</h2><dl class="facts">
        <dt>${t("Triggered")}</dt><dd><${Moment} at=${one.triggered} style="long" /></dd>
        <dt>${t("To the answer")}</dt><dd>${duration(total)}</dd>
        ${Object.entries(times).map(([name, ms]) => html`<dt>${name}</dt><dd>${number(ms, 1)} ms</dd>`)}
        <dt>${t("Recipe")}</dt><dd>${one.recipe_hash ? html`<a href=${`/recipes/${one.recipe_hash}`}>${one.details.recipe || ""} ${one.recipe_hash.slice(0, 8)}</a>` : "–"}</dd>
        ${one.details.mode && html`<dt>${t("Mode")}</dt><dd>${one.details.mode}</dd>`}
        ${one.details.source && html`<dt>${t("Source")}</dt><dd>${one.details.source}</dd>`}<dt>${t("Number")}</dt><dd>${one.id}</dd></dl></section></div></div>`;
}

function View({ one, view }) {
  const [heat, setHeat] = useState(true);
  const hash = view.image_hash || one.image_hash;
  const found = useRemote((signal) => (hash ? fetchPart(image(hash), address(`/inspections/${one.id}/heat/${encodeURIComponent(view.view)}`), signal) : null), [hash]);
  const boxes = found.data && !found.data.heat ? view.defects.map((defect) => defect.box) : [];
  return html`<figure><figcaption><span>${view.view}</span>${found.data && found.data.heat && html`<button class="quiet" aria-pressed=${heat} onClick=${() => setHeat(!heat)}>${t("Heat")}</button>`}</figcaption>
    <${Picture} part=${found.data} look=${{ heat: heat ? 0.7 : 0, outlines: heat, boxes: heat ? boxes : [] }} label=${t("View {view} of part {part}", { view: view.view, part: one.serial || one.id })} style="height:min(62vh,700px);border-radius:8px">
      ${!hash && html`<p class="missing">${t("No picture was kept.")}</p>`}${found.error && html`<p class="missing">${found.error.message}</p>`}</${Picture}>
    ${view.reason && html`<p class="note warn" style="margin-top:8px">${said(view.reason)}</p>`}
    ${hash && view.verdict !== "OK" && !one.error && html`<p style="margin-top:8px"><${Harmless} inspection=${one.id} view=${view.view} /></p>`}
    ${view.defects.length > 0 && html`<p class="chips" style="margin-top:8px">${view.defects.map((defect) => html`<span class="chip">${defect.type} · ${score(defect.score)} · ${defect.area_mm2 ? `${number(defect.area_mm2, 2)} mm²` : `${number(defect.area_px)} px²`}</span>`)}</p>`}</figure>`;
}

/** Parts of the line whose pictures look the most like this one; nothing where none is known to. */
function Alike({ hash }) {
  const found = useRemote((signal) => (hash ? get(`/images/${hash}/similar`, {}, signal) : []), [hash]);
  if (!found.data || !found.data.length) return null;
  return html`<section class="panel"><h2>${t("Look alike")}</h2><div class="thumbs few">${found.data.map((one) => html`<a key=${one.inspection} class="thumb" href=${`/parts/${one.inspection}`} title=${t("likeness {n}", { n: number(one.similarity, 2) })}>
      <img src=${one.thumbnail} alt="" loading="lazy" /><span class="cap"><${Verdict} of=${one.verdict} /><span class="num">${score(one.score)}</span></span>
      <span class="cap muted">${one.answer ? html`<b class=${`answer ${one.answer}`}>${one.types.join(", ") || t(one.answer)}</b>` : t("not decided")}</span></a>`)}</div>
    <p class="muted small" style="margin:10px 0 0">${t("By the embedding of the whole picture, among the newest pictures that the same recipe judged.")}</p></section>`;
}

/** A recipe learns a new type from the chosen samples: a job. */
export function Teach({ product, samples, type = "", open, close }) {
  const recipes = useRemote((signal) => (open ? get("/recipes", { product, limit: 50 }, signal) : null), [open, product]);
  const [teach, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = Object.fromEntries(new FormData(event.target));
    const job = await post("/jobs", { job: { kind: "teach", ...form, samples } });
    go(`/jobs/${job.id}`);
  });
  return html`<${Dialog} open=${open} title=${t("Teach a type")} close=${close}><form class="stack" onSubmit=${teach}>
    <p>${t("The recipe learns this type from the {n} chosen samples. It becomes a new recipe; the old one stays.", { n: samples.length })}</p>
    <${Field} label=${t("Recipe")}><select name="recipe" required>${((recipes.data || {}).items || []).map((one) => html`<option value=${one.hash}>${one.name} ${one.hash.slice(0, 8)} (${t(one.state)})</option>`)}</select></${Field}>
    <${Field} label=${t("Type")}><input name="type" required maxlength="100" pattern="[\\w .@+\\-]+" defaultValue=${type} /></${Field}>
    <${Field} label=${t("Name of the recipe")}><input name="name" required maxlength="100" pattern="[\\w .@+\\-]+" defaultValue=${product} /></${Field}>
    <div class="row"><button class="primary" disabled=${busy}>${t("Teach it")}</button><button type="button" class="quiet" onClick=${close}>${t("Cancel")}</button></div></form></${Dialog}>`;
}

/** Samples of a product, to label and to sort. */
export function Samples() {
  const [query, set] = useQuery();
  const session = useSession();
  const products = useRemote((signal) => get("/products", { limit: 200 }, signal), []);
  const names = products.data ? products.data.items.map((one) => one.product) : [];
  const product = query.product || names[0];
  const list = useList("/samples", { product, split: query.split, lot: query.lot, label: query.label, deleted: query.deleted, limit: 100 }, [product]);
  const [chosen, choose] = useState([]);
  const [asking, ask] = useState(null);
  const [teaching, teach] = useState(false);
  const toggle = (id) => choose((old) => (old.includes(id) ? old.filter((one) => one !== id) : [...old, id]));
  const change = (title, body, danger) => ask({ title, danger, verb: title, action: async (reason) => {
    const [field] = Object.keys(body);
    const before = new Map(list.items.filter((one) => chosen.includes(one.id)).map((one) => [one.id, field === "deleted" ? !body.deleted : one.split]));
    await patch("/samples", { samples: chosen, ...body, reason });
    say(t("Done with {n} samples.", { n: chosen.length }), false, async () => {
      for (const value of new Set(before.values())) {
        const samples = [...before.keys()].filter((id) => before.get(id) === value);
        await patch("/samples", { samples, [field]: value, reason: t("taken back: {what}", { what: reason }) });
      }
      list.reload();
    });
    choose([]);
    list.reload();
  } });
  const [label, busy] = useAction(async (word) => {
    const said = [];
    const back = async () => { for (const one of said) await remove(`/samples/${one.sample_id}/annotations/${one.id}`); list.reload(); };
    try {
      for (const id of chosen) said.push(await post(`/samples/${id}/annotations`, { label: word }));
    } finally {
      if (said.length) say(t("{n} samples are {word} now.", { n: said.length, word: t(word) }), false, back);
    }
    choose([]);
    list.reload();
  });
  if (products.data && !names.length) {
    return html`<${Head} title=${t("Parts")} /><${Tabs} of="/samples" /><${Empty} title=${t("No samples yet")} actions=${session.may("engineer") && html`<a class="button primary" href="/collect">${t("Add pictures")}</a>`}>${t("Samples are pictures to learn from and to measure with.")}</${Empty}>`;
  }
  return html`<${Head} title=${t("Parts")} about=${t("Pictures to learn from and to measure with.")}>
      ${session.may("engineer") && html`<a class="button primary" href=${`/collect?product=${encodeURIComponent(product || "")}`}>${t("Add pictures")}</a>`}</${Head}><${Tabs} of="/samples" />
    <form class="filters" onSubmit=${(event) => event.preventDefault()} role="search">
      <label class="filter"><span>${t("Product")}</span><select onChange=${(event) => { choose([]); set({ product: event.target.value }); }}>${names.map((one) => html`<option selected=${one === product}>${one}</option>`)}</select></label>
      <${Filter} label=${t("Label")} name="label" ...${{ query, set }} options=${["good", "defective", "unknown"]} />
      <${Filter} label=${t("Split")} name="split" ...${{ query, set }} options=${["train", "test"]} /><${Filter} label=${t("Lot")} name="lot" ...${{ query, set }} />
      <label class="filter check"><input type="checkbox" checked=${query.deleted === "true"} onChange=${(event) => set({ deleted: event.target.checked ? "true" : "" })} /><span>${t("deleted ones")}</span></label></form>
    ${chosen.length > 0 && html`<div class="row chosen" role="toolbar" aria-label=${t("With the chosen ones")}><b>${t("{n} chosen", { n: chosen.length })}</b>
      ${session.may("reviewer") && html`<button disabled=${busy} onClick=${() => label("good")}>${t("They are good")}</button><a class="button" href=${`/label/${chosen[0]}?of=${chosen.join(",")}`}>${t("Mark them")}</a>`}
      ${session.may("engineer") && html`<button onClick=${() => teach(true)}>${t("Teach a type")}</button><button onClick=${() => change(t("To the training part"), { split: "train" })}>${t("To training")}</button><button onClick=${() => change(t("To the test part"), { split: "test" })}>${t("To test")}</button>
        <button class="danger" onClick=${() => change(query.deleted === "true" ? t("Bring back") : t("Delete"), { deleted: query.deleted !== "true" }, true)}>${query.deleted === "true" ? t("Bring back") : t("Delete")}</button>`}
      <button class="quiet" onClick=${() => choose([])}>${t("None")}</button></div>`}
    ${!list.items ? html`<${Waiting} of=${list} />` : html`<div class="thumbs">${list.items.map((one) => html`<div key=${one.id} class="thumb" data-chosen=${chosen.includes(one.id)}>
        <a href=${`/samples/${one.id}`}><img src=${thumbnail(one.hash)} alt=${one.name} loading="lazy" /></a>
        <label class="cap"><input type="checkbox" checked=${chosen.includes(one.id)} onChange=${() => toggle(one.id)} aria-label=${t("Choose {name}", { name: one.name })} /><b class=${`answer ${one.label}`}>${one.types.join(", ") || t(one.label || "unlabelled")}</b></label>
        <span class="cap muted"><span>${one.name.split("/").pop()}</span><span>${one.split ? t(one.split) : ""}</span></span></div>`)}</div><${More} list=${list} />`}
    <${Teach} product=${product} samples=${chosen} open=${teaching} close=${() => teach(false)} />
    <${Reason} ask=${asking} close=${() => ask(null)} />`;
}

export function Sample({ number: id }) {
  const found = useRemote((signal) => get(`/samples/${id}`, {}, signal), [id]);
  const words = useRemote((signal) => get(`/samples/${id}/annotations`, {}, signal), [id]);
  const session = useSession();
  const one = found.data;
  const part = useRemote((signal) => (one ? fetchPart(image(one.hash), null, signal) : null), [one && one.hash]);
  const recipes = useRemote((signal) => (one ? get("/recipes", { product: one.product, limit: 20 }, signal) : null), [one && one.product]);
  const [judged, setJudged] = useState(null);
  const [judge, busy] = useAction(async (event) => {
    const data = await (await fetch(image(one.hash))).blob();
    const recipe = event.target.value;
    if (recipe) setJudged(await inspect(recipe, data));
  });
  if (!one) return html`<${Head} title=${t("Sample {id}", { id })} /><${Waiting} of=${found} />`;
  const history = words.data ? [...words.data.items].reverse() : [];
  const now = history.find((word) => !word.blind);
  const boxes = (now ? now.regions : []).filter((region) => region.box).map((region) => region.box);
  return html`<${Head} title=${one.name.split("/").pop()} about=${`${one.product} · ${one.width} × ${one.height} px · ${t(one.split || "neither part")}`}>
      ${session.may("reviewer") && html`<a class="button primary" href=${`/label/${id}`}>${t("Label")}</a>`}</${Head}>
    <div class="split"><div class="stack"><${Picture} part=${part.data} look=${{ boxes }} label=${one.name} style="height:min(70vh,800px);border-radius:8px" /><${Alike} hash=${one.hash} /></div>
    <div class="stack"><section class="panel"><h2>${t("Labels")}</h2>${history.length ? history.map((word) => html`<p><b class=${`answer ${word.label}`}>${t(word.label)}</b> ${word.types.join(", ")} ${word.grade !== null ? t("grade {n}", { n: word.grade }) : ""} ${word.blind ? t("(blind)") : ""}<br /><span class="muted small">${word.author} · <${Moment} at=${word.created} />${word.note ? ` · ${word.note}` : ""}</span></p>`) : html`<p class="muted">${t("Nobody has said yet what it shows.")}</p>`}</section>
      <section class="panel"><h2>${t("Judge it")}</h2><${Field} label=${t("By recipe")}><select onChange=${judge} disabled=${busy}><option value="">–</option>${((recipes.data || {}).items || []).map((recipe) => html`<option value=${recipe.hash}>${recipe.name} ${recipe.hash.slice(0, 8)} (${t(recipe.state)})</option>`)}</select></${Field}>
        ${judged && html`<p style="margin-top:10px"><${Verdict} of=${judged.verdict} /> ${t("score {score}", { score: score(judged.score) })}</p>`}</section></div></div>`;
}
