// What checks have found in the samples, and the defect book.
import { useState } from "./vendor/preact.js";
import { get, post, put, thumbnail } from "./api.js";
import { Dialog, Empty, Field, Head, Moment, Table, Waiting, go, html, useAction, useList, useQuery, useRemote, useSession } from "./parts.js";
import { Tabs } from "./gallery.js";
import { number, said, t } from "./words.js";

function useProduct() {
  const [query, set] = useQuery();
  const products = useRemote((signal) => get("/products", { limit: 200 }, signal), []);
  const names = products.data ? products.data.items.map((one) => one.product) : [];
  const product = query.product || names[0] || "";
  const pick = html`<select aria-label=${t("Product")} onChange=${(event) => set({ product: event.target.value })}>${names.map((one) => html`<option selected=${one === product}>${one}</option>`)}</select>`;
  return { product, pick, query, set, ready: !!products.data };
}

export function Findings() {
  const { product, pick, query, set, ready } = useProduct();
  const session = useSession();
  const state = query.state || "open";
  const list = useList(product && "/findings", { product, state, limit: 50 }, [product, ready]);
  const [check, checking] = useAction(async () => { const job = await post("/jobs", { job: { kind: "check", product } }); go(`/jobs/${job.id}`); });
  const [decide, busy] = useAction(async (one, next) => { await post(`/findings/${encodeURIComponent(one.key)}`, { state: next }, { query: { product } }); list.reload(); });
  const words = { open: t("open"), applied: t("applied"), dismissed: t("dismissed") };
  return html`<${Head} title=${t("Parts")} about=${t("What is wrong with the samples, worst first.")}>${pick}
      ${session.may("engineer") && product && html`<button class="primary" disabled=${checking} onClick=${check}>${t("Check now")}</button>`}</${Head}><${Tabs} of="/findings" />
    <div class="row" style="margin-bottom:14px">${Object.entries(words).map(([key, word]) => html`<button aria-pressed=${state === key} onClick=${() => set({ state: key })}>${word}</button>`)}</div>
    ${!product && ready ? html`<${Empty} title=${t("No samples yet")}>${t("Samples are pictures to learn from and to measure with.")}</${Empty}>` : list.error && list.error.status === 404 ? html`<${Empty} title=${t("Not checked yet")}>${t("A check looks for wrong labels, near twins, damaged and dark pictures, and leaks between the parts.")}</${Empty}>`
      : !list.items ? html`<${Waiting} of=${list} />` : !list.items.length ? html`<${Empty} title=${t("Nothing found")}>${t("There is nothing left to decide.")}</${Empty}>`
      : html`<div class="stack">${list.items.map((one) => html`<section key=${one.key} class="panel finding"><div class="row between"><h2>${said(one.kind, "finding")} <span class=${`chip ${one.severity}`}>${said(one.severity, "severity")}</span></h2>
          ${session.may("engineer") && html`<span class="row">${one.state === "open" ? html`${one.action && html`<button class="primary" disabled=${busy} onClick=${() => decide(one, "applied")}>${t("Apply: {action}", { action: said(one.action) })}</button>`}<button disabled=${busy} onClick=${() => decide(one, "dismissed")}>${t("Dismiss")}</button>` : html`<button disabled=${busy} onClick=${() => decide(one, "open")}>${t("Open it again")}</button>`}</span>`}</div>
        <p>${said(one.reason)}</p><p class="muted">${said(one.remedy)}</p>
        <div class="thumbs">${one.hashes.slice(0, 8).map((hash, n) => html`<figure class="thumb"><img src=${thumbnail(hash)} alt=${one.names[n] || ""} loading="lazy" /><span class="cap"><span>${(one.names[n] || "").split("/").slice(-2).join("/")}</span></span></figure>`)}</div>
        ${one.hashes.length > 8 && html`<p class="muted">${t("and {n} more", { n: number(one.hashes.length - 8) })}</p>`}</section>`)}</div>`}
    ${list.more && html`<p><button onClick=${list.more}>${t("More")}</button></p>`}`;
}

const AT_ONCE = 20; // samples in a row of blind labels

/** A kappa with its interval. */
const kappa = ({ value, lower, upper }) => html`<b>${number(value, 2)}</b> ${lower === null ? "" : html`<span class="muted">(${number(lower, 2)} – ${number(upper, 2)})</span>`}`;

/** Second labels, given without seeing the first; and how far people agree. */
export function Agreement() {
  const { product, pick, ready } = useProduct();
  const session = useSession();
  const mine = useRemote((signal) => (product && session.may("reviewer") ? get("/labels/blind", { product, count: AT_ONCE }, signal) : null), [product]);
  const found = useRemote((signal) => (product && session.may("engineer") ? get("/labels/agreement", { product }, signal) : null), [product]);
  const data = found.data;
  const rows = data ? [
    ...Object.entries(data.overall).map(([name, one]) => ({ who: t("all"), name, one, agreed: null })),
    ...data.pairs.map((one) => ({ who: `${one.first}, ${one.second}`, name: one.question, one: one.kappa, agreed: one.agreed })),
  ] : [];
  const columns = [
    [t("Who"), (row) => row.who], [t("Question"), (row) => (row.name === "defective" ? t("defective or good") : row.name)],
    [t("Kappa, and where it lies in 95 % of cases"), (row) => kappa(row.one)],
    [t("Same answer"), (row) => (row.agreed ? `${number(row.agreed.count)} / ${number(row.agreed.of)}` : "–")], [t("Samples"), (row) => number(row.one.of), true],
  ];
  return html`<${Head} title=${t("Parts")} about=${t("Do people who do not see each other's label say the same?")}>${pick}</${Head}><${Tabs} of="/agreement" />
    ${!product && ready ? html`<${Empty} title=${t("No samples yet")}>${t("Samples are pictures to learn from and to measure with.")}</${Empty}>` : html`<div class="stack">
      ${session.may("reviewer") && html`<section class="panel"><h2>${t("Label without seeing the first label")}</h2>
        ${!mine.data ? html`<${Waiting} of=${mine} />` : mine.data.length ? html`<p>${t("These samples have another person's label, which stays hidden. Yours changes nothing: it tells how sure a label is.")}</p><a class="button primary" href=${`/label/${mine.data[0]}?blind=1&of=${mine.data.join(",")}`}>${t("Label {n} samples", { n: number(mine.data.length) })}</a>`
          : html`<p class="muted" style="margin:0">${t("There is no sample that another person has labelled and you have not.")}</p>`}</section>`}
      ${session.may("engineer") && (!data ? html`<${Waiting} of=${found} />` : !data.parts ? html`<section class="panel"><h2>${t("Agreement")}</h2><p class="muted" style="margin:0">${t("No sample has a second label yet.")}</p></section>` : html`
        <section class="panel flat"><h2 style="padding:14px 14px 0">${t("Agreement on {n} samples", { n: number(data.parts) })}</h2><${Table} label=${t("Agreement")} rows=${rows} columns=${columns} /><p class="muted small" style="padding:0 14px 12px;margin:0">${t("Kappa: 1 is full agreement, 0 what chance alone would give. Of two people it is Cohen's, of all Fleiss'.")}</p></section>
        ${data.disagreements.length > 0 && html`<section class="panel"><h2>${t("To talk about")}</h2><div class="thumbs"><${Apart} of=${data.disagreements.slice(0, 24)} /></div></section>`}`)}</div>`}`;
}

/** Samples on which people differ, with what each said. */
function Apart({ of }) {
  const found = useRemote((signal) => Promise.all(of.map((one) => get(`/samples/${one.sample_id}`, {}, signal).catch(() => null))), [of.length]);
  return (found.data || []).map((sample, n) => sample && html`<a class="thumb" href=${`/samples/${sample.id}`}><img src=${thumbnail(sample.hash)} alt=${sample.name} loading="lazy" />
    ${of[n].answers.map(([who, said]) => html`<span class="cap"><span class="muted">${who}</span><b>${t(said)}</b></span>`)}</a>`);
}

export function Book() {
  const { product, pick, ready } = useProduct();
  const session = useSession();
  const list = useList(product && "/book", { product, limit: 100 }, [product, ready]);
  const [editing, edit] = useState(null);
  return html`<${Head} title=${t("Parts")} about=${t("What each defect type is, and what it is not.")}>${pick}
      ${session.may("engineer") && product && html`<button class="primary" onClick=${() => edit({ name: "", guideline: "", examples: [], counter_examples: [], borderline: [], min_mm: null, max_mm: null })}>${t("New type")}</button>`}</${Head}><${Tabs} of="/book" />
    ${!product && ready ? html`<${Empty} title=${t("No samples yet")}>${t("Samples are pictures to learn from and to measure with.")}</${Empty}>` : !list.items ? html`<${Waiting} of=${list} />` : !list.items.length ? html`<${Empty} title=${t("The book is empty")}>${t("A page for each defect type tells everybody alike what it is: with examples, limits in mm and borderline cases.")}</${Empty}>`
      : html`<div class="grid">${list.items.map((one) => html`<section key=${one.name} class="panel"><div class="row between"><h2>${one.name}</h2>${session.may("engineer") && html`<button onClick=${() => edit(one)}>${t("Edit")}</button>`}</div>
          <p>${one.guideline || html`<span class="muted">${t("No guideline yet")}</span>`}</p>
          ${(one.min_mm !== null || one.max_mm !== null) && html`<p class="muted">${t("from {min} to {max} mm", { min: number(one.min_mm, 2), max: number(one.max_mm, 2) })}</p>`}
          ${[["examples", t("Examples")], ["counter_examples", t("None of it")], ["borderline", t("Borderline")]].map(([key, word]) => one[key].length > 0 && html`<h3>${word}</h3><div class="thumbs small"><${Examples} ids=${one[key]} /></div>`)}
          <p class="muted small" style="margin:10px 0 0">${one.author} <${Moment} at=${one.updated} /></p></section>`)}</div>`}
    <${Editor} product=${product} page=${editing} close=${() => edit(null)} done=${list.reload} />`;
}

function Examples({ ids }) {
  const found = useRemote((signal) => Promise.all(ids.slice(0, 6).map((id) => get(`/samples/${id}`, {}, signal).catch(() => null))), [ids.join(",")]);
  return (found.data || []).filter(Boolean).map((one) => html`<a class="thumb" href=${`/samples/${one.id}`}><img src=${thumbnail(one.hash)} alt=${one.name} loading="lazy" /></a>`);
}

function Editor({ product, page, close, done }) {
  const [save, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = Object.fromEntries(new FormData(event.target));
    const ids = (text) => text.split(/[\s,]+/).filter(Boolean).map(Number);
    const limit = (text) => (text === "" ? null : +text);
    await put(`/book/${encodeURIComponent(form.name)}`, { guideline: form.guideline, examples: ids(form.examples), counter_examples: ids(form.counter_examples), borderline: ids(form.borderline), min_mm: limit(form.min_mm), max_mm: limit(form.max_mm) }, { query: { product } });
    close();
    done();
  });
  return html`<${Dialog} open=${!!page} title=${page && page.name ? page.name : t("New type")} close=${close}>${page && html`<form class="stack" onSubmit=${save}>
    <${Field} label=${t("Name")}><input name="name" required maxlength="100" defaultValue=${page.name} readonly=${!!page.name} /></${Field}>
    <${Field} label=${t("Guideline")}><textarea name="guideline" rows="4" maxlength="10000" defaultValue=${page.guideline}></textarea></${Field}>
    ${[["examples", t("Examples")], ["counter_examples", t("None of it")], ["borderline", t("Borderline")]].map(([key, word]) => html`<${Field} label=${word} hint=${t("Numbers of samples")}><input name=${key} defaultValue=${page[key].join(", ")} pattern="[\\d\\s,]*" /></${Field}>`)}
    <div class="row"><${Field} label=${t("From, mm")}><input name="min_mm" type="number" min="0" step="any" defaultValue=${page.min_mm ?? ""} /></${Field}><${Field} label=${t("To, mm")}><input name="max_mm" type="number" min="0" step="any" defaultValue=${page.max_mm ?? ""} /></${Field}></div>
    <div class="row"><button class="primary" disabled=${busy}>${t("Save")}</button><button type="button" class="quiet" onClick=${close}>${t("Cancel")}</button></div></form>`}</${Dialog}>`;
}
