// Studies: designed in a few steps, read one part at a time without earlier answers, closed, signed, and reported.
import { useState } from "./vendor/preact.js";
import { address, get, post, save } from "./api.js";
import { Dialog, Empty, Field, Head, Moment, Table, Waiting, go, html, say, told, useAction, useKeys, useList, useRemote, useSession } from "./parts.js";
import { Figures, answered, sentence } from "./study_figures.js";
import { number, percent, said, t } from "./words.js";

const KINDS = () => ({
  attribute: [t("Attribute agreement (MSA)"), t("Do people and machine decide alike, and rightly? By the AIAG's manual: 50 parts, three people, three trials are usual.")],
  knapp: [t("Knapp test"), t("Does the machine find what people find? For injectables: each container ten times by three people.")],
  acceptance: [t("Acceptance test"), t("Are the agreed limits reached? By VDI/VDE/VDMA 2632-3, with exact bounds.")],
  repeatability: [t("Repeatability"), t("Does the same part get the same value, presented again and on other days?")],
  limit: [t("Limit samples"), t("From which size on does everybody reject? Parts need their sizes.")],
  capability: [t("Process capability"), t("Do measured values keep their limits? Cp, Cpk, Pp, Ppk.")],
});
const STATES = () => ({ open: t("open"), closed: t("closed") });
const MEANINGS = () => ({ performed: t("I have performed it"), reviewed: t("I have reviewed it"), approved: t("I approve it") });
const ANSWERS = () => ({
  acceptable: t("acceptable"), marginal: t("marginal"), unacceptable: t("unacceptable"), passed: t("passed"), failed: t("failed"), reached: t("reached"), "not reached": t("not reached"),
  undecided: t("undecided"), stable: t("stable"), "verdicts change": t("verdicts change"), capable: t("capable"), "not capable": t("not capable"), "agreement only": t("agreement only"),
});
const GOOD = { acceptable: "good", passed: "good", reached: "good", stable: "good", capable: "good", unacceptable: "bad", failed: "bad", "not reached": "bad", "verdicts change": "bad", "not capable": "bad" };
const word = (table, name) => table()[name] || name;
const list = (text) => text.split(/[,\n]/).map((one) => one.trim()).filter(Boolean);
const all = (one) => one.appraisers.reduce((sum, each) => sum + each.done, 0);

export function Studies() {
  const session = useSession();
  const found = useList("/studies", { limit: 50 });
  const mine = (one) => one.appraisers.find((each) => each.name === session.user && each.kind === "person" && each.done < one.readings_each && one.state === "open");
  return html`<${Head} title=${t("Studies")} about=${t("What people and machines can do, proven with the statistics that an auditor accepts.")}>
      <a class="button" href="/pilots">${t("Pilots")}</a><a class="button" href="/audits">${t("Product audits")}</a>${session.may("engineer") && html`<a class="button primary" href="/studies/new">${t("Design a study")}</a>`}</${Head}>
    ${!found.items ? html`<${Waiting} of=${found} />` : found.items.length === 0 ? html`<${Empty} title=${t("No study yet")}>${t("A measurement system analysis is a good first one: 30 to 50 parts, three people and the machine, three trials.")}</${Empty}>`
      : html`<div class="panel flat"><${Table} label=${t("Studies")} rows=${found.items} to=${(one) => `/studies/${one.id}`} columns=${[
        [t("Study"), (one) => `${one.id} · ${one.name}`], [t("Kind"), (one) => word(KINDS, one.kind)[0]], [t("Product"), (one) => one.product],
        [t("State"), (one) => word(STATES, one.state)], [t("Read"), (one) => percent(all(one) / (one.readings_each * one.appraisers.length), 0), true],
        [t("Created"), (one) => html`<${Moment} at=${one.created} />`], ["", (one) => mine(one) && html`<a class="button primary" href=${`/studies/${one.id}/read`}>${t("Your turn")}</a>`],
      ]} /></div>${found.more && html`<p><button onClick=${found.more}>${t("More")}</button></p>`}`}`;
}

/** The limits that a kind needs, as fields. */
const LIMITS = {
  acceptance: () => [["escape", t("Escapes at most, %"), 1], ["overkill", t("Overkill at most, %"), 2]],
  capability: () => [["lower", t("Lower limit"), ""], ["upper", t("Upper limit"), ""]],
};
function settings(kind, form) {
  const given = (LIMITS[kind] ? LIMITS[kind]() : []).map(([name]) => [name, form.get(name)]).filter(([, value]) => value !== null && value !== "");
  return kind === "acceptance" ? { limits: Object.fromEntries(given.map(([name, value]) => [name, Number(value) / 100])) } : Object.fromEntries(given.map(([name, value]) => [name, Number(value)]));
}

export function Design() {
  const session = useSession();
  const products = useRemote((signal) => get("/products", {}, signal), []);
  const [kind, setKind] = useState("attribute");
  const [parts, setParts] = useState(30);
  const [trials, setTrials] = useState(3);
  const [people, setPeople] = useState(session.user);
  const [machines, setMachines] = useState("");
  const [run, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const body = {
      name: form.get("name"), kind, product: form.get("product"), people: list(people), machines: list(machines), parts: Number(parts), trials: Number(trials),
      question: form.get("question"), blind: form.has("blind"), seed: crypto.getRandomValues(new Uint32Array(1))[0] % 2147483647, settings: settings(kind, form),
    };
    go(`/studies/${(await post("/studies", body)).id}`);
  });
  const rows = (products.data && (products.data.items || products.data)) || [];
  const readers = list(people).length + list(machines).length;
  return html`<${Head} title=${t("Design a study")} about=${t("Parts, orders and limits are fixed with the first click on Create; readings are never changed.")} />
    <form class="stack wide" onSubmit=${run}>
      <section class="panel"><h2>${t("1. What is to be proven?")}</h2><div class="kinds" role="radiogroup" aria-label=${t("Kind")}>
        ${Object.entries(KINDS()).map(([name, [title, about]]) => html`<label class=${kind === name ? "kind picked" : "kind"}><input type="radio" name="kind" checked=${kind === name} onChange=${() => setKind(name)} /><span><b>${title}</b><br /><span class="muted small">${about}</span></span></label>`)}</div></section>
      <section class="panel"><h2>${t("2. Which parts?")}</h2><div class="grid">
        <${Field} label=${t("Name of the study")}><input name="name" required maxlength="200" placeholder=${t("MSA press 3, November")} /></${Field}>
        <${Field} label=${t("Product")} hint=${t("Its labelled pictures are drawn at random, half of them defective.")}><select name="product" required>${rows.map((one) => html`<option value=${one.product}>${one.product} (${number(one.samples)})</option>`)}</select></${Field}>
        <${Field} label=${t("Parts")}><input type="number" min="1" max="5000" value=${parts} required onInput=${(event) => setParts(event.target.value)} /></${Field}>
        <${Field} label=${t("Trials")} hint=${t("how often everybody reads every part")}><input type="number" min="1" max="50" value=${trials} required onInput=${(event) => setTrials(event.target.value)} /></${Field}>
        ${LIMITS[kind] && LIMITS[kind]().map(([name, label, value]) => html`<${Field} key=${name} label=${label}><input name=${name} type="number" step="any" value=${value} /></${Field}>`)}</div></section>
      <section class="panel"><h2>${t("3. Who reads them, and how?")}</h2><div class="grid">
        <${Field} label=${t("People")} hint=${t("names that they log in with, with commas between")}><input value=${people} maxlength="2000" onInput=${(event) => setPeople(event.target.value)} /></${Field}>
        <${Field} label=${t("Machines")} hint=${t("any name; a recipe reads for it")}><input value=${machines} maxlength="500" placeholder=${t("line 1")} onInput=${(event) => setMachines(event.target.value)} /></${Field}>
        <${Field} label=${t("What is asked about each part")}><input name="question" maxlength="500" placeholder=${t("Is this part good?")} /></${Field}></div>
        <label class="row"><input type="checkbox" name="blind" checked /> ${t("Blind: nobody sees which part it is, nor earlier answers")}</label></section>
      <div class="row"><button class="primary" disabled=${busy || readers === 0}>${t("Create")}</button><span class="muted">${t("{n} readings in all, in a random order for each person and trial", { n: number(readers * parts * trials) })}</span></div></form>`;
}

export function Study({ number: id }) {
  const session = useSession();
  const found = useRemote((signal) => get(`/studies/${id}`, {}, signal), [id], 5);
  const one = found.data;
  if (!one) return html`<${Head} title=${t("Study {id}", { id })} /><${Waiting} of=${found} />`;
  const mine = one.appraisers.find((each) => each.name === session.user && each.kind === "person");
  return html`<${Head} title=${one.name} about=${`${word(KINDS, one.kind)[0]} · ${one.product} · ${word(STATES, one.state)}`}>
      ${one.state === "open" && mine && mine.done < one.readings_each && html`<a class="button primary" href=${`/studies/${id}/read`}>${t("Read parts")}</a>`}</${Head}>
    <div class="stack">${one.record && html`<${Result} study=${one} />`}
      <section class="panel"><h2>${t("Readings")}</h2>${one.appraisers.map((each) => html`<div class="reading"><div class="row between"><span>${each.name}${each.kind === "machine" ? ` · ${t("machine")}` : ""}</span><span class="num muted">${number(each.done)} / ${number(one.readings_each)}</span></div>
        <div class="bar" role="progressbar" aria-label=${each.name} aria-valuemin="0" aria-valuemax=${one.readings_each} aria-valuenow=${each.done}><i style=${`width:${(100 * each.done) / one.readings_each}%`}></i></div></div>`)}
        <p class="muted small">${t("{n} trials of {parts} parts; what the parts are, and what others said, is told when the study is closed.", { n: number(one.trials), parts: number(one.readings_each / one.trials) })}</p></section>
      ${one.state === "open" && session.may("engineer") && html`<div class="grid"><${Machine} study=${one} done=${found.reload} /><${Close} study=${one} done=${found.reload} /></div>`}</div>`;
}

/** Has a recipe read for a machine of the study, as a job. */
function Machine({ study }) {
  const machines = study.appraisers.filter((each) => each.kind === "machine" && each.done < study.readings_each);
  const recipes = useRemote((signal) => (machines.length ? get("/recipes", { limit: 100 }, signal) : null), [machines.length]);
  const [run, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    await post("/jobs", { job: { kind: "study", study: study.id, recipe: form.get("recipe"), machine: form.get("machine") } });
  }, t("Asked for. It is read as soon as the worker is free."));
  if (!machines.length) return null;
  return html`<section class="panel"><h2>${t("Have a recipe read")}</h2>${!recipes.data ? html`<${Waiting} of=${recipes} />` : html`<form class="stack" onSubmit=${run}>
    <${Field} label=${t("Machine")}><select name="machine">${machines.map((each) => html`<option value=${each.name}>${each.name}</option>`)}</select></${Field}>
    <${Field} label=${t("Recipe")} hint=${t("REVIEW counts as NG: such a part does not pass by itself.")}><select name="recipe" required>${recipes.data.items.map((one) => html`<option value=${one.hash}>${one.product} · ${one.name} · ${one.hash.slice(0, 12)}</option>`)}</select></${Field}>
    <div class="row"><button disabled=${busy}>${t("Have it read")}</button></div></form>`}</section>`;
}

function Close({ study, done }) {
  const missing = study.appraisers.some((each) => each.done < study.readings_each);
  const [run, busy] = useAction(async (event) => {
    event.preventDefault();
    await post(`/studies/${study.id}/close`, { note: new FormData(event.target).get("note") });
    done();
  });
  return html`<section class="panel"><h2>${t("Close the study")}</h2><form class="stack" onSubmit=${run}>
    <p class="muted">${missing ? t("Not everything is read. What is complete counts, trial by trial; the report says what is missing.") : t("Everything is read.")}</p>
    <${Field} label=${missing ? t("Why something is missing") : t("Note")}><input name="note" maxlength="1000" required=${missing} /></${Field}>
    <div class="row"><button class="primary" disabled=${busy}>${t("Close and compute")}</button></div></form></section>`;
}

/** The page that is read from: one part, large, and two answers. Nothing of what was said before is shown. */
export function Read({ number: id }) {
  const first = useRemote((signal) => get(`/studies/${id}/turn`, {}, signal), [id]);
  const [next, setNext] = useState(undefined);
  const [value, setValue] = useState("");
  const turn = next === undefined ? first.data : next;
  const [send, busy] = useAction(async (answer) => {
    const measured = turn.measured && value !== "" ? Number(value) : null;
    try {
      setNext(await post(`/studies/${id}/readings`, { trial: turn.trial, place: turn.place, answer, value: measured }));
      setValue("");
    } catch (error) {
      say(told(error), true);
      setNext(await get(`/studies/${id}/turn`)); // answered in another window: go on where it stands
    }
  });
  useKeys({ o: () => turn && send("OK"), n: () => turn && send("NG") });
  if (turn === undefined) return html`<${Head} title=${t("Study {id}", { id })} /><${Waiting} of=${first} />`;
  if (turn === null) return html`<${Head} title=${t("Study {id}", { id })} /><${Empty} title=${t("All parts are read. Thank you.")} actions=${html`<a class="button" href=${`/studies/${id}`}>${t("To the study")}</a>`} />`;
  return html`<${Head} title=${turn.question || t("Is this part good?")} about=${t("Trial {trial} of {trials}, part {place} of {of}", turn)} />
    <div class="asked"><div class="bar" role="progressbar" aria-label=${t("This trial")} aria-valuemin="0" aria-valuemax=${turn.of} aria-valuenow=${turn.place - 1}><i style=${`width:${(100 * (turn.place - 1)) / turn.of}%`}></i></div>
      ${turn.picture ? html`<img key=${`${turn.trial} ${turn.place}`} src=${address(`/studies/${id}/turn/picture`, { trial: turn.trial, place: turn.place })} alt=${t("The part to judge")} />` : html`<p class="banner plain">${turn.label}</p>`}
      ${turn.picture && turn.label && html`<p class="muted">${turn.label}</p>`}
      ${turn.measured && html`<${Field} label=${t("Measured value")}><input type="number" step="any" value=${value} onInput=${(event) => setValue(event.target.value)} /></${Field}>`}
      <div class="row answers"><button class="ok" disabled=${busy} onClick=${() => send("OK")}>OK <kbd>O</kbd></button><button class="ng" disabled=${busy} onClick=${() => send("NG")}>NG <kbd>N</kbd></button></div></div>`;
}

/** Reports of a record, as files. */
export function Reports({ record }) {
  const report = (form) => save(`/records/${record}/report`, { form }).catch((error) => say(told(error), true));
  return html`<span class="row"><button onClick=${() => report("pdf")}>PDF</button><button onClick=${() => report("html")}>HTML</button><button onClick=${() => report("json")}>JSON</button></span>`;
}

function Result({ study }) {
  const session = useSession();
  const [signing, setSigning] = useState(false);
  const found = useRemote((signal) => get(`/studies/${study.id}/result`, {}, signal), [study.id]);
  if (!found.data) return html`<${Waiting} of=${found} />`;
  const { result, signatures, tampered, hash, id } = found.data;
  return html`<section class="panel"><div class="row between"><h2>${t("Result")}</h2><${Reports} record=${id} /></div>
    <div class="stack">${tampered && html`<div class="note bad" role="alert">${t("This is not as it was kept: {what}", { what: tampered })}</div>`}
      <p class=${`outcome ${GOOD[result.answer] || ""}`}><b>${answered(result, ANSWERS())}</b> ${sentence(result)}</p>
      <${Figures} result=${result} />
      ${result.notes.length > 0 && html`<ul>${result.notes.map((note) => html`<li>${said(note)}</li>`)}</ul>`}</div></section>
    <section class="panel"><div class="row between"><h2>${t("Signatures")}</h2>${!session.by_pin && html`<button class="primary" onClick=${() => setSigning(true)}>${t("Sign")}</button>`}</div>
      ${signatures.length ? html`<${Table} label=${t("Signatures")} rows=${signatures} columns=${[[t("Name"), (one) => one.author], [t("Role"), (one) => t(one.role)], [t("Meaning"), (one) => word(MEANINGS, one.meaning)], [t("When"), (one) => html`<${Moment} at=${one.created} />`], [t("Comment"), (one) => one.comment]]} />` : html`<p class="muted">${t("Nobody has signed yet.")}</p>`}
      <p class="muted small">${t("Record {id}, SHA-256 {hash}", { id, hash: hash.slice(0, 16) })} …</p></section>
    <${Sign} open=${signing} record=${id} hash=${hash} close=${() => setSigning(false)} done=${found.reload} />`;
}

/** Signs a record: what it means, and the password once more. */
export function Sign({ open, record, hash, close, done }) {
  const session = useSession();
  const meanings = Object.entries(MEANINGS()).filter(([name]) => name === "performed" || session.may(name === "reviewed" ? "reviewer" : "engineer"));
  const [run, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    await post(`/records/${record}/signatures`, { password: form.get("password"), meaning: form.get("meaning"), comment: form.get("comment"), hash });
    close();
    done();
  }, t("Signed."));
  return html`<${Dialog} open=${open} title=${t("Sign record {id}", { id: record })} close=${close}><form class="stack" onSubmit=${run}>
    <p>${t("You sign as {name}. The signature is bound to the record as it is shown, and stays.", { name: session.user })}</p>
    <${Field} label=${t("What it means")}><select name="meaning">${meanings.map(([name, text]) => html`<option value=${name}>${text}</option>`)}</select></${Field}>
    <${Field} label=${t("Comment")}><input name="comment" maxlength="1000" /></${Field}>
    <${Field} label=${t("Your password")}><input name="password" type="password" required autocomplete="current-password" /></${Field}>
    <div class="row"><button class="primary" disabled=${busy}>${t("Sign")}</button><button type="button" class="quiet" onClick=${close}>${t("Cancel")}</button></div></form></${Dialog}>`;
}
