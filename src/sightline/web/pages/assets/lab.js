// The lab: from pictures to a first verdict, and the jobs that do it.
import { useEffect, useRef, useState } from "./vendor/preact.js";
import { address, call, get, post } from "./api.js";
import { archive, chosen, dropped } from "./archive.js";
import { Camera } from "./camera.js";
import { Changed, Compared } from "./compare.js";
import { Choice, Empty, Field, Head, Moment, Reason, Stat, Table, Waiting, go, html, say, told, useAction, useList, useQuery, useRemote, useSession } from "./parts.js";
import { bound, bytes, duration, number, percent, said, t } from "./words.js";

const STATES = () => ({ queued: t("waiting"), running: t("at work"), done: t("done"), failed: t("failed"), cancelled: t("cancelled") });
const KINDS = () => ({ train: t("Training"), search: t("Search"), evaluate: t("Measurement"), compare: t("Comparison"), teach: t("Teaching"), check: t("Check"), import: t("Import"), explain: t("Explanation"), improve: t("Improvement"), study: t("Study") });
const OVER = ["done", "failed", "cancelled"];

/** A job, asked for each second until it is over. */
export function useJob(id) {
  const [job, set] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => {
    if (!id) { set(null); return undefined; }
    let timer, ended = false;
    const ask = async () => {
      try {
        const found = await get(`/jobs/${id}`);
        if (ended) return;
        set(found);
        setError(null);
        if (OVER.includes(found.state)) return;
      } catch (problem) { if (!ended) setError(problem); }
      if (!ended) timer = setTimeout(ask, 1000);
    };
    ask();
    return () => { ended = true; clearTimeout(timer); };
  }, [id]);
  return { job: job && String(job.id) === String(id) ? job : null, error };
}

const share = (job) => (job.state === "done" ? 1 : job.progress.of ? job.progress.done / job.progress.of : 0);
const took = (job) => (job.started ? (new Date(job.ended || Date.now()) - new Date(job.started)) / 1000 : null);

export function Progress({ job }) {
  if (!job) return html`<p class="muted">${t("Loading …")}</p>`;
  return html`<div><div class="row between"><span><b>${KINDS()[job.kind]}</b> ${STATES()[job.state]}${job.state === "running" && job.progress.stage ? ` · ${said(job.progress.stage, "stage")} ${job.progress.of ? `${number(job.progress.done)} / ${number(job.progress.of)}` : ""}` : ""}</span><span class="muted num">${duration(took(job))}</span></div>
    <div class="bar" role="progressbar" aria-label=${KINDS()[job.kind]} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(share(job) * 100)}><i style=${`width:${share(job) * 100}%`}></i></div>
    ${job.error && html`<div class="note bad" style="margin-top:8px" role="alert">${said(job.error)}</div>`}</div>`;
}

export function Jobs() {
  const [query, set] = useQuery();
  const list = useList("/jobs", { state: query.state, kind: query.kind, limit: 50 });
  useEffect(() => {
    const heard = ({ detail }) => { if (detail.kind === "job") list.reload(); };
    window.addEventListener("happened", heard);
    return () => window.removeEventListener("happened", heard);
  }, []);
  return html`<${Head} title=${t("Lab")} about=${t("Work that takes its time: it goes on without this page.")}>
      <${Choice} label=${t("Kind")} words=${KINDS()} value=${query.kind} change=${(kind) => set({ kind })} /><${Choice} label=${t("State")} words=${STATES()} value=${query.state} change=${(state) => set({ state })} /><a class="button primary" href="/collect">${t("New product")}</a></${Head}>
    ${!list.items ? html`<${Waiting} of=${list} />` : list.items.length === 0 ? html`<${Empty} title=${t("No job yet")} actions=${html`<a class="button primary" href="/collect">${t("From pictures to a recipe")}</a>`}>${t("Training, measurements, checks and imports are listed here.")}</${Empty}>`
      : html`<div class="panel flat"><${Table} label=${t("Jobs")} rows=${list.items} to=${(job) => `/jobs/${job.id}`} columns=${[
        [t("Job"), (job) => `${KINDS()[job.kind]} ${job.id}`], [t("Of"), (job) => job.arguments.name || job.arguments.data || job.arguments.product || ""],
        [t("State"), (job) => html`<span class=${`state ${job.state}`}>${STATES()[job.state]}</span>${job.state === "running" ? ` ${percent(share(job), 0)}` : ""}`],
        [t("Asked for"), (job) => html`<${Moment} at=${job.created} />`], [t("By"), (job) => job.author], [t("Took"), (job) => duration(took(job)), true],
      ]} /></div>${list.more && html`<p><button onClick=${list.more}>${t("More")}</button></p>`}`}`;
}

export function Job({ number: id }) {
  const { job, error } = useJob(id);
  const session = useSession();
  const [asking, ask] = useState(null);
  const log = useRemote((signal) => get(`/jobs/${id}/log`, { limit: 500 }, signal), [job && job.state, job && job.progress.stage]);
  if (!job) return html`<${Head} title=${t("Job {id}", { id })} /><${Waiting} of=${{ error, reload: () => go(`/jobs/${id}`, true) }} />`;
  const cancel = () => ask({ title: t("Cancel this job"), danger: true, verb: t("Cancel it"), action: (reason) => call("POST", `/jobs/${id}/cancel`, { query: { reason } }) });
  return html`<${Head} title=${`${KINDS()[job.kind]} ${job.id}`} about=${t("Asked for by {name}", { name: job.author })}>
      ${session.may("engineer") && !OVER.includes(job.state) && html`<button class="danger" onClick=${cancel}>${t("Cancel it")}</button>`}</${Head}>
    <div class="stack"><div class="panel"><${Progress} job=${job} />${job.cancelled_by && html`<p class="muted small" style="margin:8px 0 0">${t("Cancelled by {name}", { name: job.cancelled_by })}</p>`}</div>
      <${Outcome} job=${job} />
      ${job.result.comparison && html`<${Changed} found=${job.result.comparison} />`}
      <section class="panel"><h2>${t("Asked for")}</h2><dl class="facts">${Object.entries(job.arguments).filter(([, value]) => value !== null && value !== "").map(([name, value]) => html`<dt>${name}</dt><dd>${typeof value === "object" ? JSON.stringify(value) : String(value)}</dd>`)}</dl></section>
      <section class="panel"><h2>${t("Log")}</h2><pre tabindex="0" class="log">${log.data ? log.data.items.map((line) => line.text).join("\n") || t("Nothing yet") : ""}</pre></section></div>
    <${Reason} ask=${asking} close=${() => ask(null)} />`;
}

/** What a job has brought: figures, files, and where to go from here. */
export function Outcome({ job }) {
  if (job.state !== "done") return null;
  const { result } = job;
  const found = result.evaluation || {};
  const rates = [["escape", "n_defective", t("Escapes: defective parts judged OK")], ["overkill", "n_good", t("Overkill: good parts judged NG")]].filter(([, of]) => found[of]);
  return html`<section class="panel"><h2>${t("Result")}</h2>
    <div class="stats">
      ${result.recipe && html`<div class="stat"><b><a href=${`/recipes/${result.recipe}`}>${result.product}</a></b><span>${t("recipe {hash}", { hash: result.recipe.slice(0, 8) })}</span></div>`}
      ${found.image_auroc != null && html`<${Stat} value=${number(found.image_auroc, 3)} label=${t("image AUROC")} />`}
      ${found.aupro != null && html`<${Stat} value=${number(found.aupro, 3)} label="AUPRO" />`}
      ${result.images !== undefined && html`<${Stat} value=${number(result.images)} label=${t("good parts learned")} />`}
      ${result.added !== undefined && html`<${Stat} value=${number(result.added)} label=${t("added")} /><${Stat} value=${number(result.present)} label=${t("there before")} />${result.refused > 0 && html`<${Stat} value=${number(result.refused)} label=${t("refused")} />`}`}
      ${Object.entries(result.open || {}).map(([kind, n]) => html`<${Stat} value=${number(n)} label=${kind} />`)}</div>
    ${result.comparison && html`<${Compared} found=${result.comparison} />`}
    ${result.search && html`<p style="margin:10px 0 4px">${t("{n} trials; {why}", { n: number(result.search.trials), why: result.search.why })}</p>
      <dl class="facts">${Object.entries(result.search.settings).map(([name, value]) => html`<dt><code>${name}</code></dt><dd>${String(value)}</dd>`)}</dl>`}
    ${rates.length > 0 && html`<dl class="facts" style="margin-top:12px">${rates.map(([name, of, label]) => html`<dt>${label}</dt><dd>${percent(found[name])} <span class="muted small">${bound({ count: Math.round(found[name] * found[of]), of: found[of], upper: found[`${name}_upper`] })}</span></dd>`)}
      <dt>${t("To a person")}</dt><dd>${percent(found.review)}</dd></dl>`}
    ${(result.errors || []).length > 0 && html`<div class="note warn" style="margin-top:10px">${t("{n} files could not be read:", { n: result.errors.length })}<br />${result.errors.slice(0, 8).map((one) => html`${typeof one === "string" ? one : JSON.stringify(one)}<br />`)}</div>`}
    <div class="row" style="margin-top:12px">
      ${result.recipe && html`<a class="button" href=${`/recipes/${result.recipe}`}>${t("To the recipe")}</a>`}
      ${job.kind === "evaluate" && html`<a class="button" href=${`/decide/${job.arguments.recipe}`}>${t("Decide the thresholds")}</a>`}
      ${job.kind === "check" && html`<a class="button" href=${`/findings?product=${encodeURIComponent(job.arguments.product)}`}>${t("To the findings")}</a>`}
      ${(result.files || []).map((file) => html`<a class="button" target="_blank" href=${address(`/jobs/${job.id}/files/${encodeURIComponent(file)}`)}>${file === "report.html" ? t("Report") : file}</a>`)}</div></section>`;
}

/** Pictures that are chosen or dropped: the path tells their class where there are folders. */
function Pick({ files, setFiles }) {
  const [over, setOver] = useState(false);
  const [camera, setCamera] = useState(false);
  const input = useRef();
  const folder = useRef();
  const add = (found) => setFiles([...files, ...found.filter(([path]) => !path.split("/").some((part) => part.startsWith(".") || part === "__MACOSX"))]);
  const drop = async (event) => { event.preventDefault(); setOver(false); add(await dropped(event.dataTransfer)); };
  return html`<div class=${`drop ${over ? "over" : ""}`} onDragOver=${(event) => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)} onDrop=${drop}>
    <p><b>${t("Drop pictures, a folder or a zip archive here")}</b></p>
    <p class="muted">${t("Folders named good and after defect types say what their pictures show; MVTec, YOLO, COCO, VOC and tables are read, too.")}</p>
    <div class="row" style="justify-content:center"><button type="button" onClick=${() => input.current.click()}>${t("Choose pictures or a zip")}</button><button type="button" onClick=${() => folder.current.click()}>${t("Choose a folder")}</button>
      <button type="button" aria-pressed=${camera} onClick=${() => setCamera(!camera)}>${t("Use a camera")}</button></div>
    <input ref=${input} type="file" multiple accept="image/*,.zip,.csv,.json,.xml,.txt,.yaml" class="hidden" tabindex="-1" aria-label=${t("Choose pictures or a zip")} onChange=${(event) => add(chosen(event.target.files))} />
    <input ref=${folder} type="file" webkitdirectory class="hidden" tabindex="-1" aria-label=${t("Choose a folder")} onChange=${(event) => add(chosen(event.target.files))} />
    ${camera && html`<${Camera} shot=${(file) => add([[file.name, file]])} />`}
    ${files.length > 0 && html`<p style="margin-top:12px"><b>${t("{n} files, {size}", { n: number(files.length), size: bytes(files.reduce((sum, [, file]) => sum + file.size, 0)) })}</b> <button type="button" class="quiet" onClick=${() => setFiles([])}>${t("Clear")}</button></p>`}</div>`;
}

/** Send what was picked: one archive, whose job is given back. */
async function send(product, files, label, tell) {
  let data;
  if (files.length === 1 && /\.zip$/i.test(files[0][0])) {
    [[, data]] = files;
  } else {
    const flat = files.every(([path]) => !path.includes("/"));
    const entries = flat && label ? files.map(([path, file]) => [`${label}/${path}`, file]) : files;
    data = await archive(entries, (n) => tell(t("Packing {n} of {all}", { n: number(n), all: number(files.length) })));
  }
  tell(t("Sending {size}", { size: bytes(data.size) }));
  return call("POST", "/imports", { query: { product }, bytes: data });
}

export function Collect() {
  const [query, setQuery] = useQuery();
  const [files, setFiles] = useState([]);
  const [label, setLabel] = useState("good");
  const [saying, tell] = useState("");
  const { job: importing } = useJob(query.import);
  const { job: training } = useJob(query.train);
  const { job: measuring } = useJob(query.evaluate);
  const product = query.product || "";
  const counts = useRemote((signal) => (product && (importing ? importing.state === "done" : true) ? count(product, signal) : null), [product, importing && importing.state]);
  const [upload, busy] = useAction(async (event) => {
    event.preventDefault();
    const name = new FormData(event.target).get("product").trim();
    const job = await send(name, files, label, tell).finally(() => tell(""));
    setFiles([]);
    setQuery({ product: name, import: job.id, train: "", evaluate: "" });
  });
  const [train, starting] = useAction(async (event) => {
    event.preventDefault();
    const form = Object.fromEntries(new FormData(event.target));
    const job = await post("/jobs", { job: { kind: "train", data: product, name: form.name, settings: { effort: form.effort } } });
    setQuery({ train: job.id, evaluate: "" });
  });
  const [search, searching] = useAction(async (event) => {
    event.preventDefault();
    const form = Object.fromEntries(new FormData(event.target));
    const job = await post("/jobs", { job: { kind: "search", data: product, name: form.name, trials: +form.trials, budget_minutes: +form.minutes } });
    go(`/jobs/${job.id}`);
  });
  const finished = training && training.state === "done" ? training.result : null;
  useEffect(() => {
    if (!finished || query.evaluate || !counts.data || !counts.data.test) return;
    post("/jobs", { job: { kind: "evaluate", recipe: finished.recipe, data: finished.version } }).then((job) => setQuery({ evaluate: job.id }), (error) => say(told(error), true));
  }, [finished && finished.recipe, !!counts.data]);
  const flat = files.length > 0 && files.every(([path]) => !path.includes("/")) && !files.some(([path]) => /\.zip$/i.test(path));
  const found = counts.data;
  return html`<${Head} title=${t("From pictures to a first verdict")} about=${t("Three steps; each goes on by itself once it is begun.")} />
    <ol class="steps"><li><h2>${t("1. Pictures")}</h2>
      <form class="stack wide" onSubmit=${upload}><${Field} label=${t("Product")}><input name="product" required maxlength="100" pattern="[\\w .@+\\-]+" defaultValue=${product} key=${product} /></${Field}>
        <${Pick} files=${files} setFiles=${setFiles} />
        ${flat && html`<${Field} label=${t("What do these pictures show?")} hint=${t("Good parts are enough to begin with: 20 or more, of several lots.")}><select value=${label} onChange=${(event) => setLabel(event.target.value)}><option value="good">${t("good parts")}</option><option value="defective">${t("defective parts")}</option></select></${Field}>`}
        <div class="row"><button class="primary" disabled=${busy || !files.length}>${t("Add the pictures")}</button><span class="muted">${saying}</span></div></form>
      ${importing && html`<${Progress} job=${importing} /><${Outcome} job=${importing} />`}</li>
    <li class=${found && found.good ? "" : "later"}><h2>${t("2. Learn")}</h2>
      ${!found ? html`<p class="muted">${t("When pictures are there.")}</p>` : html`<div class="stats"><${Stat} value=${number(found.good)} label=${t("good")} /><${Stat} value=${number(found.defective)} label=${t("defective")} /><${Stat} value=${number(found.unknown)} label=${t("without a label")} /></div>
        <p class="muted" style="margin-top:8px">${promise(found)}</p>
        <form class="row" onSubmit=${train} style="align-items:end"><${Field} label=${t("Name of the recipe")}><input name="name" required maxlength="100" defaultValue=${product} key=${product} /></${Field}>
          <${Field} label=${t("Effort")}><select name="effort"><option value="quick">${t("quick: seconds, for a first look")}</option><option value="normal" selected>${t("normal")}</option><option value="max">${t("max: finest detail")}</option></select></${Field}>
          <button class="primary" disabled=${starting || found.good < 5 || (training && !OVER.includes(training.state))}>${t("Learn")}</button></form>
        <details style="margin-top:12px"><summary>${t("Search for better settings")}</summary><p class="muted">${t("Trains many times with other settings, and keeps those whose errors cost least. It takes hours rather than minutes; the report shows what each trial costs in errors and in time (Pareto).")}</p>
          <form class="row" onSubmit=${search} style="align-items:end"><${Field} label=${t("Name of the recipe")}><input name="name" required maxlength="100" defaultValue=${`${product} search`} key=${product} /></${Field}>
            <${Field} label=${t("Trials at most")}><input name="trials" type="number" min="1" max="1000" defaultValue="20" required /></${Field}><${Field} label=${t("Minutes at most")}><input name="minutes" type="number" min="1" max="10000" defaultValue="60" required /></${Field}>
            <button disabled=${searching || found.good < 5}>${t("Search")}</button></form></details>`}
      ${training && html`<${Progress} job=${training} /><${Outcome} job=${training} />`}</li>
    <li class=${finished ? "" : "later"}><h2>${t("3. First verdicts")}</h2>
      ${!finished ? html`<p class="muted">${t("When the recipe is there.")}</p>` : html`${measuring && html`<${Progress} job=${measuring} /><${Outcome} job=${measuring} />`}
        <div class="row" style="margin-top:10px"><a class="button primary" href=${`/bench?recipe=${finished.recipe}&picture=1`}>${t("Judge a picture")}</a><a class="button" href=${`/bench?recipe=${finished.recipe}`}>${t("Inspect by hand")}</a><a class="button" href=${`/recipes/${finished.recipe}`}>${t("To the recipe")}</a></div>`}</li></ol>`;
}

/** How many samples of each label a product has, and how many lie in its test part. */
async function count(product, signal) {
  const found = { good: 0, defective: 0, unknown: 0, learn: 0, test: 0 };
  for (let after; after !== null;) {
    const page = await get("/samples", { product, limit: 500, after }, signal);
    for (const one of page.items) {
      found[one.label || "unknown"] += 1;
      if (one.split === "test") found.test += 1;
      else if (one.label === "good") found.learn += 1;
    }
    after = page.next;
  }
  return found;
}

/** What so many good parts can promise: the one-sided 95 % bound of no error among n, 1 - 0.05^(1/n). */
function promise({ good, learn }) {
  const n = learn || good;
  if (n < 5) return t("At least 5 good parts are needed; 20 are a beginning.");
  return t("With {n} good parts to learn from, and were none of them judged NG, overkill could be promised to be at most {upper}. More parts promise more.", { n: number(n), upper: percent(1 - 0.05 ** (1 / n)) });
}
