// Product audits: a part looked at step by step, with photos, on a phone as well; deviations are followed up.
import { useState } from "./vendor/preact.js";
import { call, get, image, post, thumbnail } from "./api.js";
import { Camera } from "./camera.js";
import { Empty, Field, Head, Moment, Table, Verdict, Waiting, go, html, useAction, useList, useRemote, useSession } from "./parts.js";
import { Reports, Sign } from "./studies.js";
import { number, t } from "./words.js";

export function Audits() {
  const session = useSession();
  const plans = useRemote((signal) => get("/audit-plans", {}, signal), []);
  const audits = useList("/product-audits", { limit: 30 });
  const open = useRemote((signal) => get("/deviations", { state: "open" }, signal), []);
  const [begin, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    go(`/audits/${(await post("/product-audits", { plan: Number(form.get("plan")), serial: form.get("serial"), lot: form.get("lot") })).id}`);
  });
  return html`<${Head} title=${t("Product audits")} about=${t("A part looked at step by step, with photos, limit samples and measured values.")}>
      ${session.may("engineer") && html`<a class="button" href="/audits/new">${t("New plan")}</a>`}</${Head}>
    <div class="stack">${!plans.data ? html`<${Waiting} of=${plans} />` : plans.data.length === 0 ? html`<${Empty} title=${t("No audit plan yet")}>${t("An engineer makes one: what to look at, step by step.")}</${Empty}>` : html`
      <section class="panel"><h2>${t("Audit a part")}</h2><form class="stack" onSubmit=${begin}>
        <${Field} label=${t("Plan")}><select name="plan">${plans.data.map((one) => html`<option value=${one.id}>${one.product} · ${one.name}</option>`)}</select></${Field}>
        <${Field} label=${t("Part")}><input name="serial" maxlength="200" /></${Field}><${Field} label=${t("Lot")}><input name="lot" maxlength="200" /></${Field}>
        <div class="row"><button class="primary" disabled=${busy}>${t("Begin")}</button></div></form></section>`}
      ${open.data && open.data.length > 0 && html`<section class="panel"><h2>${t("To follow up")}</h2>${open.data.map((one) => html`<${FollowUp} key=${one.id} one=${one} done=${open.reload} />`)}</section>`}
      ${audits.items && audits.items.length > 0 && html`<section class="panel flat"><${Table} label=${t("Audits")} rows=${audits.items} to=${(one) => `/audits/${one.id}`} columns=${[
        [t("Audit"), (one) => one.id], [t("Product"), (one) => one.plan.product], [t("Part"), (one) => one.serial || "–"], [t("Steps"), (one) => `${one.findings.length} / ${one.plan.steps.length}`, true],
        ["NG", (one) => number(one.findings.filter((each) => each.answer === "NG").length), true], [t("State"), (one) => (one.state === "open" ? t("open") : t("closed"))], [t("By"), (one) => one.author], [t("When"), (one) => html`<${Moment} at=${one.created} />`],
      ]} /></section>`}</div>`;
}

function FollowUp({ one, done }) {
  const session = useSession();
  const [run, busy] = useAction(async (event) => { event.preventDefault(); await post(`/deviations/${one.id}`, { note: new FormData(event.target).get("note") }); done(); }, t("Done."));
  return html`<form class="stack" onSubmit=${run}><p><a href=${`/audits/${one.audit_id}`}>${t("Audit {id}", { id: one.audit_id })}</a> · ${one.text}</p>
    ${session.may("reviewer") && html`<${Field} label=${t("What was done")}><input name="note" required maxlength="1000" /></${Field}><div class="row"><button disabled=${busy}>${t("It is done")}</button></div>`}</form>`;
}

/** The limit sample of a step: a picture of the store by its sample's number, or one from this device. */
function LimitSample({ hash, choose }) {
  const [sample, setSample] = useState("");
  const [find, finding] = useAction(async () => choose((await get(`/samples/${Number(sample)}`)).hash));
  const [send, sending] = useAction(async (event) => {
    const [file] = event.target.files;
    if (file) choose((await call("POST", "/audit-plans/pictures", { bytes: file })).hash);
  });
  if (hash) return html`<figure class="sample"><img src=${image(hash)} alt=${t("Limit sample")} /><figcaption class="row between"><span>${t("Limit sample")}</span><button type="button" class="quiet" onClick=${() => choose(null)}>${t("Without it")}</button></figcaption></figure>`;
  return html`<div class="grid"><${Field} label=${t("Limit sample: picture from this device")} hint=${t("what is just acceptable, shown beside the camera")}><input type="file" accept="image/*" disabled=${sending} onChange=${send} /></${Field}>
    <${Field} label=${t("Or the number of a sample in the store")}><input type="number" min="1" value=${sample} onInput=${(event) => setSample(event.target.value)} /></${Field}>
    <div class="row"><button type="button" disabled=${finding || !sample} onClick=${find}>${t("Take this sample")}</button></div></div>`;
}

const EMPTY = { title: "", about: "", limit_sample: null, photo: true, unit: "", lower: "", upper: "" };
export function NewPlan() {
  const recipes = useRemote((signal) => get("/recipes", { limit: 100 }, signal), []);
  const [steps, setSteps] = useState([{ ...EMPTY }]);
  const change = (n, what) => setSteps(steps.map((one, k) => (k === n ? { ...one, ...what } : one)));
  const limit = (text) => (text === "" ? null : Number(text));
  const [run, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const sent = steps.map((one) => ({ ...one, lower: limit(one.lower), upper: limit(one.upper) }));
    await post("/audit-plans", { product: form.get("product"), name: form.get("name"), recipe: form.get("recipe") || null, blind: form.get("blind") === "after", steps: sent });
    go("/audits");
  });
  const text = (n, name, label, more = {}) => html`<${Field} label=${label}><input value=${steps[n][name]} maxlength="1000" ...${more} onInput=${(event) => change(n, { [name]: event.target.value })} /></${Field}>`;
  return html`<${Head} title=${t("New audit plan")} about=${t("Plans are not changed: a new one takes the place of an older one.")} />
    <form class="stack wide" onSubmit=${run}><section class="panel"><div class="grid">
      <${Field} label=${t("Product")}><input name="product" required maxlength="200" /></${Field}><${Field} label=${t("Name of the plan")}><input name="name" required maxlength="200" /></${Field}
      ><${Field} label=${t("Recipe that gives its opinion")}><select name="recipe"><option value="">${t("none")}</option>${((recipes.data && recipes.data.items) || []).map((one) => html`<option value=${one.hash}>${one.product} · ${one.name}</option>`)}</select></${Field}>
      <${Field} label=${t("Its opinion is shown")}><select name="blind"><option value="after">${t("after the person's answer")}</option><option value="before">${t("before the person's answer")}</option></select></${Field}></div></section>
      ${steps.map((one, n) => html`<section class="panel" key=${n}><h2>${t("Step {n}", { n: n + 1 })}</h2><div class="grid">
        ${text(n, "title", t("What to look at"), { required: true, maxlength: 200 })}${text(n, "about", t("How, and what is still good"))}
        ${text(n, "unit", t("Unit of a measured value, if there is one"), { maxlength: 20 })}${one.unit && text(n, "lower", t("Lower limit"), { type: "number", step: "any" })}${one.unit && text(n, "upper", t("Upper limit"), { type: "number", step: "any" })}</div>
        <${LimitSample} hash=${one.limit_sample} choose=${(hash) => change(n, { limit_sample: hash })} />
        <label class="row"><input type="checkbox" checked=${one.photo} onChange=${(event) => change(n, { photo: event.target.checked })} /> ${t("with a photo")}</label></section>`)}
      <div class="row"><button type="button" onClick=${() => setSteps([...steps, { ...EMPTY }])}>${t("One more step")}</button><button class="primary" disabled=${busy}>${t("Create")}</button></div></form>`;
}

export function Audit({ number: id }) {
  const [signing, setSigning] = useState(false);
  const [shown, show] = useState(null);
  const found = useRemote((signal) => get(`/product-audits/${id}`, {}, signal), [id]);
  const one = found.data;
  const signatures = useRemote((signal) => (one && one.record ? get(`/records/${one.record}/signatures`, {}, signal) : null), [one && one.record]);
  const [close, closing] = useAction(async () => { await post(`/product-audits/${id}/close`); found.reload(); });
  if (!one) return html`<${Head} title=${t("Audit {id}", { id })} /><${Waiting} of=${found} />`;
  const answered = new Map(one.findings.map((each) => [each.step, each]));
  const next = one.plan.steps.findIndex((_, n) => !answered.has(n + 1)) + 1;
  const last = shown && answered.get(shown);
  return html`<${Head} title=${`${one.plan.product} ${one.serial}`} about=${`${one.plan.name} · ${t("{n} of {of} steps", { n: one.findings.length, of: one.plan.steps.length })}`} />
    <div class="stack">${last && last.opinion.verdict && html`<div class="note row between"><span>${t("You said {answer}; the model says", { answer: last.answer })} <${Verdict} of=${last.opinion.verdict} /></span><button class="quiet" onClick=${() => show(null)}>${t("Go on")}</button></div>`}
      ${one.state === "open" && next > 0 && html`<${StepForm} key=${next} audit=${one} step=${next} done=${(state) => { found.set(state); show(next); }} />`}
      ${one.state === "open" && next === 0 && html`<section class="panel"><h2>${t("Every step is answered")}</h2><button class="primary" disabled=${closing} onClick=${close}>${t("Close the audit")}</button></section>`}
      ${one.record && signatures.data && html`<section class="panel"><div class="row between"><h2>${t("Signatures")}</h2><span class="row"><${Reports} record=${one.record} /><button class="primary" onClick=${() => setSigning(true)}>${t("Sign")}</button></span></div>
        <p>${signatures.data.signatures.map((each) => `${each.author} (${each.meaning})`).join(", ") || t("Nobody has signed yet.")}</p></section>
        <${Sign} open=${signing} record=${one.record} hash=${signatures.data.hash} close=${() => setSigning(false)} done=${signatures.reload} />`}
      ${one.findings.length > 0 && html`<section class="panel"><h2>${t("Found so far")}</h2><ul class="similar">${one.findings.map((each) => html`<li>${each.photo && html`<img src=${thumbnail(each.photo)} alt="" loading="lazy" />`}<span><b class=${`answer ${each.answer === "OK" ? "good" : "defective"}`}>${each.answer}</b> ${one.plan.steps[each.step - 1].title}${each.reason ? `: ${each.reason}` : ""}${each.value === null ? "" : ` · ${number(each.value, 3)} ${one.plan.steps[each.step - 1].unit}`}</span></li>`)}</ul></section>`}</div>`;
}

/** One step: what to look at, the limit sample, a photo, and the answer. */
function StepForm({ audit, step, done }) {
  const [photo, setPhoto] = useState(null);
  const [opinion, setOpinion] = useState(null);
  const [reason, setReason] = useState("");
  const [value, setValue] = useState("");
  const asked = audit.plan.steps[step - 1];
  const path = `/product-audits/${audit.id}`;
  const [live, watch] = useState(false);
  const [take, taking] = useAction(async (file) => {
    if (!file) return;
    watch(false);
    const { hash } = await call("POST", `${path}/photos`, { bytes: file });
    setPhoto(hash);
    if (!audit.plan.blind && audit.plan.recipe) setOpinion(await post(`${path}/steps/${step}/opinion`, { photo: hash }));
  });
  const [send, busy] = useAction(async (answer) => done(await post(`${path}/steps/${step}`, { answer, reason, value: value === "" ? null : Number(value), photo })));
  return html`<section class="panel step"><h2>${step}. ${asked.title}</h2>${asked.about && html`<p>${asked.about}</p>`}
    <div class="pair">${asked.limit_sample && html`<figure><img src=${image(asked.limit_sample)} alt=${t("Limit sample")} /><figcaption>${t("Limit sample")}</figcaption></figure>`}
      ${live ? html`<${Camera} shot=${take} />` : photo && html`<figure><img src=${image(photo)} alt=${t("Photo of this part")} /><figcaption>${t("This part")}</figcaption></figure>`}</div>
    ${asked.photo && html`<${Field} label=${photo ? t("Another photo") : t("Take a photo")}><input type="file" accept="image/*" capture="environment" disabled=${taking} onChange=${(event) => take(event.target.files[0])} /></${Field}>
      <div class="row"><button type="button" onClick=${() => watch(!live)}>${live ? t("Close the camera") : t("Use this device's camera")}</button></div>`}
    ${opinion && html`<p class="note">${t("The model says")} <${Verdict} of=${opinion.verdict} /></p>`}
    ${asked.unit && html`<${Field} label=${t("Measured value, {unit}", { unit: asked.unit })}><input type="number" step="any" value=${value} onInput=${(event) => setValue(event.target.value)} /></${Field}>`}
    <${Field} label=${t("Reason")} hint=${t("needed for NG")}><input value=${reason} maxlength="1000" onInput=${(event) => setReason(event.target.value)} /></${Field}>
    <div class="row answers"><button class="ok" disabled=${busy} onClick=${() => send("OK")}>OK</button><button class="ng" disabled=${busy} onClick=${() => send("NG")}>NG</button></div></section>`;
}
