// The review queue: parts that a person decides, by keyboard, with what helps to decide beside them.
import { useEffect, useRef, useState } from "./vendor/preact.js";
import { get, once, post } from "./api.js";
import { Empty, Field, Head, Moment, Stat, Table, Verdict, Waiting, html, say, told, useKeys, useRemote, useSession } from "./parts.js";
import { Picture, fetchPart } from "./picture.js";
import { ago, duration, number, percent, score, t } from "./words.js";

const AHEAD = 5; // parts that are taken and loaded before they are needed
const WORDS = () => ({ good: t("good"), defective: t("defective"), unknown: t("not decided") });

/** A claimed review with all that is shown of it, loaded. */
async function load(review) {
  const part = await get(`/reviews/${review.id}/part`);
  const views = await Promise.all(part.views.map(async (view) => {
    if (!view.picture) return { ...view, drawn: null };
    try {
      return { ...view, drawn: await fetchPart(view.picture, view.heat) };
    } catch (error) {
      return { ...view, drawn: null, reason: told(error) };
    }
  }));
  const worst = views.filter((view) => view.picture).reduce((a, b) => (a && (a.score ?? -1e9) >= (b.score ?? -1e9) ? a : b), null);
  const alike = worst ? await get(`/images/${worst.picture.split("/").pop()}/similar`, { answered: true, limit: 5 }) : [];
  const good = part.nearest_good && part.nearest_good.picture ? await fetchPart(part.nearest_good.picture).catch(() => null) : null;
  return { review, part: { ...part, views }, good, alike };
}

/** Parts that are this person's to decide: {now, left, done, next, took, error, empty}. The next ones load while one is looked at. */
function useQueue() {
  const [queue, set] = useState([]);
  const [state, setState] = useState({ error: null, empty: false });
  const claiming = useRef(false);
  const gone = useRef(new Set()); // a claim that was under way may still name what was answered meanwhile
  const refill = async (have) => {
    if (claiming.current || have > 2) return;
    claiming.current = true;
    try {
      const claimed = await post("/reviews/claim", { count: AHEAD });
      set((old) => [...old, ...claimed.filter((one) => !gone.current.has(one.id) && !old.some(({ id }) => id === one.id)).map((one) => ({ id: one.id, coming: load(one) }))]);
      setState({ error: null, empty: claimed.length === 0 });
    } catch (error) {
      setState({ error, empty: false });
    } finally {
      claiming.current = false;
    }
  };
  useEffect(() => { refill(queue.length); }, [queue.length]);
  useEffect(() => {
    const back = () => refill(queue.length);
    window.addEventListener("back", back);
    return () => window.removeEventListener("back", back);
  }, [queue.length]);
  const drop = (id) => { gone.current.add(id); set((old) => old.filter((one) => one.id !== id)); };
  const back = (review) => gone.current.delete(review.id) && set((old) => [{ id: review.id, coming: load(review) }, ...old.filter((one) => one.id !== review.id)]);
  return { queue, ...state, drop, back, refill: () => refill(0) };
}

export function Review() {
  const { queue, error, empty, drop, back, refill } = useQueue();
  const [past, setPast] = useState([]);
  const summary = useRemote((signal) => get("/reviews/summary", {}, signal), [past.length], 15);
  useEffect(() => {
    const heard = ({ detail }) => { if (empty && String(detail.kind).startsWith("inspection")) refill(); };
    window.addEventListener("happened", heard);
    return () => window.removeEventListener("happened", heard);
  }, [empty]);
  const undo = async () => {
    const last = past[0];
    if (!last) return;
    try {
      const review = await post(`/reviews/${last.id}/undo`);
      setPast(past.slice(1));
      back(review);
    } catch (problem) { say(told(problem), true); }
  };
  useKeys({ u: undo });
  const finish = (id, answer) => { window.dispatchEvent(new Event("reviewed")); setPast([{ id, answer, at: Date.now() }, ...past]); drop(id); };
  const minutes = past.length > 1 ? (past[0].at - past[past.length - 1].at) / 60000 : 0;
  const open = summary.data;
  return html`<${Head} title=${t("Review")} about=${open ? t("{n} open, the oldest waits for {age}", { n: number(open.open), age: open.oldest ? ago(open.oldest) : "–" }) : ""}>
      ${past.length > 0 && html`<button onClick=${undo}>${t("Undo")} <kbd>U</kbd></button>`}
      <span class="muted">${t("{n} answered here", { n: past.length })}${minutes > 0.2 ? ` · ${t("{n} a minute", { n: number((past.length - 1) / minutes) })}` : ""}</span>
      <a class="button" href="/review/figures">${t("Figures")}</a></${Head}>
    ${queue.length ? html`<${One} key=${queue[0].id} one=${queue[0]} finish=${finish} drop=${drop} />`
      : error ? html`<${Waiting} of=${{ error, reload: refill }} />`
      : empty ? html`<${Empty} title=${t("Nothing to review")} actions=${html`<button onClick=${refill}>${t("Look again")}</button>`}>
          ${t("Every part that the line sent to a person has its answer. New ones appear here by themselves.")}</${Empty}>`
      : html`<p class="muted">${t("Loading …")}</p>`}`;
}

/** One part: what it is, and the keys that decide it. */
function One({ one, finish, drop }) {
  const found = useRemote(() => one.coming, [one.id]);
  const [look, setLook] = useState({ heat: 0.7, outlines: true, zoom: 1, x: 0.5, y: 0.5 });
  const [types, setTypes] = useState([]);
  const [boxes, setBoxes] = useState([]);
  const [note, setNote] = useState("");
  const [asked, setAsked] = useState("");
  const sending = useRef(false);
  const key = useRef(once());
  const field = useRef();
  const part = found.data && found.data.part;
  const names = part ? part.type_names.slice(0, 9) : [];
  const answer = async (word) => {
    if (!part || sending.current) return;
    if (word === "good" && part.verdict === "NG" && !note.trim()) {
      setAsked(t("Say why this part is good although it was judged NG."));
      field.current.focus();
      return;
    }
    sending.current = true;
    const regions = word === "defective" ? boxes.map(({ view, box }) => ({ view, type: types[0] || "", box })) : [];
    try {
      await post(`/reviews/${one.id}/answer`, { answer: word, types: word === "defective" ? types : [], note, regions }, { key: key.current });
      finish(one.id, word);
    } catch (error) {
      say(told(error), true);
      sending.current = false;
      if (error.status === 409 || error.status === 404) drop(one.id);
    }
  };
  const skip = () => post(`/reviews/${one.id}/skip`, { note }).then(() => drop(one.id), (error) => { say(told(error), true); drop(one.id); });
  const second = () => post(`/reviews/${one.id}/second-opinion`, { note }).then(() => { say(t("Another person will look at it, too.")); drop(one.id); }, (error) => say(told(error), true));
  const turn = (n) => names[n] && setTypes((old) => (old.includes(names[n]) ? old.filter((name) => name !== names[n]) : [...old, names[n]]));
  const worst = part && part.views.length ? part.views.reduce((a, b) => ((b.score ?? -1e9) > (a.score ?? -1e9) ? b : a)) : null;
  const zoom = () => {
    if (look.zoom > 1) return setLook({ ...look, zoom: 1 });
    const defect = worst && worst.defects[0];
    const at = defect ? [(defect.box[0] + defect.box[2] / 2) / worst.width, (defect.box[1] + defect.box[3] / 2) / worst.height] : [0.5, 0.5];
    return setLook({ ...look, zoom: 3, x: at[0], y: at[1] });
  };
  useKeys({
    o: () => answer("good"), n: () => answer("defective"), z: zoom, s: skip, h: () => setLook({ ...look, heat: look.heat ? 0 : 0.7, outlines: !look.outlines }),
    ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => [String(n), () => turn(n - 1)])),
  });
  if (!part) return html`<${Waiting} of=${{ ...found, reload: () => drop(one.id) }} />`;
  const before = found.data.alike.length ? found.data.alike : part.similar;
  return html`<div class="split review"><div class="stack">
      <div class="pair" style=${`--views:${part.views.length + (found.data.good ? 1 : 0)}`}>
        ${part.views.map((view) => html`<figure><figcaption>${part.views.length > 1 ? view.view : t("This part")} <${Verdict} of=${view.verdict} /></figcaption>
          <${Picture} part=${view.drawn} look=${{ ...look, boxes: boxes.filter((box) => box.view === view.view).map(({ box }) => box) }} label=${t("View {view} of part {part}", { view: view.view, part: part.serial || one.id })}
            onBox=${(box) => setBoxes([...boxes, { view: view.view, box }])}>
            ${!view.drawn && html`<p class="missing">${view.reason || t("No picture was kept.")}</p>`}</${Picture}></figure>`)}
        ${found.data.good && html`<figure><figcaption>${t("A good part")}</figcaption><${Picture} part=${found.data.good} look=${{ zoom: look.zoom, x: look.x, y: look.y }} label=${t("A good part")} /></figure>`}
      </div>
      ${part.missing && html`<div class="note warn">${part.missing}</div>`}
      <div class="row answers">
        <button class="ok" onClick=${() => answer("good")}>${t("Good")} <kbd>O</kbd></button>
        <button class="ng" onClick=${() => answer("defective")}>${t("Defective")} <kbd>N</kbd></button>
        <button onClick=${zoom} aria-pressed=${look.zoom > 1}>${t("Zoom")} <kbd>Z</kbd></button>
        <button onClick=${() => setLook({ ...look, heat: look.heat ? 0 : 0.7, outlines: !look.outlines })} aria-pressed=${look.heat > 0}>${t("Heat")} <kbd>H</kbd></button>
        <button onClick=${skip}>${t("Leave it to others")} <kbd>S</kbd></button>
        <button onClick=${second}>${t("Second opinion")}</button>
        ${boxes.length > 0 && html`<button class="quiet" onClick=${() => setBoxes([])}>${t("Take {n} boxes away", { n: boxes.length })}</button>`}
      </div>
      ${names.length > 0 && html`<div class="row" role="group" aria-label=${t("Defect types")}>${names.map((name, n) => html`<button aria-pressed=${types.includes(name)} onClick=${() => turn(n)}><kbd>${n + 1}</kbd> ${name}</button>`)}</div>`}
      <${Field} label=${t("Note")} hint=${asked}><input ref=${field} value=${note} maxlength="1000" onInput=${(event) => setNote(event.target.value)}
        onKeyDown=${(event) => { if (event.key === "Enter" || event.key === "Escape") { event.preventDefault(); field.current.blur(); } }} /></${Field}>
    </div>
    <div class="stack"><section class="panel"><h2>${t("What the line said")}</h2><dl class="facts">
        <dt>${t("Verdict")}</dt><dd><${Verdict} of=${part.verdict} /></dd>
        <dt>${t("Score")}</dt><dd>${score(part.score)}${part.thresholds ? html` <span class="muted">${t("OK to {ok}, NG above {ng}", { ok: score(part.thresholds.ok), ng: score(part.thresholds.ng) })}</span>` : ""}</dd>
        ${Object.keys(part.types).length > 0 && html`<dt>${t("Types")}</dt><dd>${Object.entries(part.types).map(([name, share]) => `${name} ${percent(share, 0)}`).join(", ")}</dd>`}
        <dt>${t("Part")}</dt><dd>${part.serial || "–"}</dd><dt>${t("Product")}</dt><dd>${part.product || "–"}</dd>
        <dt>${t("Station")}</dt><dd>${part.station}${part.lot ? ` · ${t("lot {lot}", { lot: part.lot })}` : ""}</dd>
        <dt>${t("When")}</dt><dd><${Moment} at=${part.triggered} /></dd></dl>
        ${part.pilot && html`<p class="note warn" style="margin:10px 0 0">${t("From pilot mode: the machine did not act on it.")}</p>`}</section>
      <section class="panel"><h2>${t("Decided before")}</h2>
        ${before.length ? html`<ul class="similar">${before.map((old) => html`<li>${old.thumbnail && html`<img src=${old.thumbnail} alt="" loading="lazy" />`}
          <span><b class=${`answer ${old.answer}`}>${WORDS()[old.answer]}</b> ${old.types.join(", ")}<br /><span class="muted small">${t("score {score}", { score: score(old.score) })} · ${old.author} · ${ago(old.answered)}</span></span></li>`)}</ul>
          <p class="muted small" style="margin:8px 0 0">${found.data.alike.length ? t("Those that look most like this part, of the same recipe.") : t("Of the same type first, then of the nearest scores: none that was decided is known to look alike.")}</p>` : html`<p class="muted" style="margin:0">${t("No similar part was decided yet.")}</p>`}</section></div></div>`;
}

const share = (one) => (one.of ? `${number(one.count)} / ${number(one.of)}: ${percent(one.value, 0)} (${percent(one.lower, 0)} – ${percent(one.upper, 0)})` : t("none yet"));

export function Figures() {
  const session = useSession();
  const found = useRemote((signal) => get("/reviews/summary", {}, signal), [], 30);
  const reviews = useRemote((signal) => get("/reviews", { state: "answered", limit: 50 }, signal), []);
  const data = found.data;
  return html`<${Head} title=${t("Figures of the reviews")} about=${t("Of the last 30 days; intervals hold in 95 % of cases.")}><a class="button" href="/review">${t("To the queue")}</a></${Head}>
    ${!data ? html`<${Waiting} of=${found} />` : html`<div class="stack"><div class="panel stats">
      <${Stat} value=${number(data.open)} label=${t("open")} /><${Stat} value=${data.oldest ? duration(data.oldest_s) : "–"} label=${t("the oldest waits")} />
      <${Stat} value=${number(data.claimed)} label=${Object.entries(data.claimed_by).map(([name, n]) => `${name} ${n}`).join(", ") || t("being looked at")} />
      <${Stat} value=${number(data.answered)} label=${t("answered")} /></div>
      ${session.may("engineer") && data.reviewers && html`<section class="panel flat"><${Table} label=${t("Reviewers")} rows=${data.reviewers.map((one) => ({ ...one, id: one.name }))} columns=${[
        [t("Reviewer"), (one) => one.name], [t("Answered"), (one) => number(one.answered), true], [t("Parts a minute"), (one) => number(one.parts_per_minute, 1), true],
        [t("Right on known parts"), (one) => share(one.challenges)], [t("Same answer twice"), (one) => share(one.repeats)],
      ]} /></section>`}
      <section class="panel flat"><${Table} label=${t("The last answers")} rows=${(reviews.data || { items: [] }).items} columns=${[
        [t("When"), (one) => html`<${Moment} at=${one.answered} />`], [t("Answer"), (one) => html`<b class=${`answer ${one.answer}`}>${WORDS()[one.answer]}</b> ${one.types.join(", ")}`],
        [t("By"), (one) => one.author], [t("Note"), (one) => one.note], [t("Part"), (one) => (one.inspection_id ? html`<a href=${`/parts/${one.inspection_id}`}>${one.inspection_id}</a>` : html`<a href=${`/samples/${one.sample_id}`}>${one.sample_id}</a>`)],
      ]} /></section></div>`}`;
}
