// The bench: a person shows parts to the camera of a phone, a tablet or this computer, or hands in a single picture.
import { useRef, useState } from "./vendor/preact.js";
import { inspect } from "./api.js";
import { Camera } from "./bench_camera.js";
import { Invitation } from "./invitation.js";
import { Empty, Head, Verdict, Waiting, html, useAction, useList, useQuery, useSession } from "./parts.js";
import { Picture } from "./picture.js";
import { duration, number, percent, score, t } from "./words.js";

const short = (hash) => hash.slice(0, 8);

export function Bench() {
  const session = useSession();
  const [query, set] = useQuery();
  const recipes = useList("/recipes", { limit: 100 });
  const [inviting, invite] = useState(false);
  if (!recipes.items) return html`<${Waiting} of=${recipes} />`;
  const title = query.picture ? t("Judge a picture") : t("Inspect by hand");
  if (!recipes.items.length) return html`<${Head} title=${title} /><${Empty} title=${t("No recipe yet")} actions=${html`<a class="button primary" href="/collect">${t("From pictures to a recipe")}</a>`}>${t("A recipe is learned from pictures of good parts.")}</${Empty}>`;
  const recipe = recipes.items.find((one) => one.hash === query.recipe) || recipes.items.find((one) => one.state === "promoted") || recipes.items[0];
  return html`<div class="bench-page"><${Head} title=${title}><label class="row">${t("By recipe")} <select onChange=${(event) => set({ recipe: event.target.value })}>${recipes.items.map((one) => html`<option value=${one.hash} selected=${one.hash === recipe.hash}>${one.product}: ${one.name} ${short(one.hash)}</option>`)}</select></label>
      <button onClick=${() => set({ picture: query.picture ? "" : "1" })}>${query.picture ? t("Use the camera") : t("Judge a picture")}</button>
      ${!session.by_pin && html`<button onClick=${() => invite(true)}>${t("Continue on a phone")}</button>`}</${Head}>
    ${query.picture ? html`<${Single} key=${recipe.hash} recipe=${recipe.hash} />` : html`<${Camera} key=${`${recipe.hash} ${query.marker}`} recipe=${recipe} query=${query} set=${set} />`}
    <${Invitation} open=${inviting} to=${`/bench?recipe=${recipe.hash}${query.marker ? `&marker=${query.marker}` : ""}`} close=${() => invite(false)} /></div>`;
}

/** A picture from the reader's disk, judged at once. */
function Single({ recipe }) {
  const [part, setPart] = useState(null);
  const [result, setResult] = useState(null);
  const input = useRef();
  const [judge, busy] = useAction(async (file) => {
    setResult(null);
    const begun = performance.now();
    const [bitmap, judged] = await Promise.all([createImageBitmap(file).catch(() => null), inspect(recipe, file)]);
    setPart(bitmap && { bitmap, width: bitmap.width, height: bitmap.height });
    setResult({ ...judged, name: file.name, took: (performance.now() - begun) / 1000 });
  });
  const drop = (event) => { event.preventDefault(); if (event.dataTransfer.files[0]) judge(event.dataTransfer.files[0]); };
  return html`<p><button class="primary" disabled=${busy} onClick=${() => input.current.click()}>${t("Choose a picture")}</button></p>
    <input ref=${input} type="file" accept="image/*" class="hidden" tabindex="-1" aria-label=${t("Choose a picture")} onChange=${(event) => event.target.files[0] && judge(event.target.files[0])} />
    <div class="split" onDragOver=${(event) => event.preventDefault()} onDrop=${drop}>${part ? html`<${Picture} part=${part} look=${{ boxes: result ? result.defects.map((one) => one.box) : [] }} label=${result ? result.name : ""} style="height:min(68vh,800px);border-radius:8px" />` : html`<div class="drop">${t("Drop a picture here")}</div>`}
      <section class="panel" aria-live="polite">${busy ? html`<p class="muted">${t("It is being judged …")}</p>` : !result ? html`<p class="muted" style="margin:0">${t("The verdict appears here.")}</p>` : html`<p style="font-size:34px;margin:0"><${Verdict} of=${result.verdict} /></p><dl class="facts">
        <dt>${t("Picture")}</dt><dd>${result.name}</dd><dt>${t("Score")}</dt><dd>${score(result.score)}</dd>${result.reason && html`<dt>${t("Why")}</dt><dd>${result.reason}</dd>`}
        <dt>${t("p value")}</dt><dd>${number(result.p_value, 3)}</dd>
        ${Object.entries(result.types || {}).map(([name, share]) => html`<dt>${name}</dt><dd>${percent(share, 0)}</dd>`)}<dt>${t("Took")}</dt><dd>${duration(result.took)}</dd></dl>
        ${result.defects.map((one) => html`<span class="chip">${one.type} ${score(one.score)}</span>`)}`}</section></div>`;
}
