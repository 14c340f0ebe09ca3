// A printed marker beside the part: learned from what is in view, kept in the page's address, so that a phone takes it over.
import { useState } from "./vendor/preact.js";
import { call, save } from "./api.js";
import { Field, html, say, told, useAction } from "./parts.js";
import { number, t } from "./words.js";

export function Marker({ recipe, marker, state, shot, set }) {
  const [which, size] = marker.split(",");
  const [sheet, choose] = useState(which || "0");
  const [side, measure] = useState(size || "40");
  const [learn, busy] = useAction(async () => {
    const found = await call("POST", "/bench/marker", { bytes: await shot(), query: { recipe, size_mm: side } });
    set({ marker: found.marker });
  });
  const print = () => save("/bench/marker", { number: sheet, size_mm: side }).catch((error) => say(told(error), true));
  const seen = state && state.answer && state.answer.marker;
  const mm = seen ? t("{n} mm per pixel of the part's picture", { n: number(seen.mm_per_px, 3) }) : t("not in view");
  return html`<details class="panel marker" open=${!!marker}><summary>${t("Marker")}</summary>
    <p class="muted">${t("Beside a printed marker, a part is found turned or tilted as well, and its defects are measured in mm.")}</p>
    ${marker && html`<dl class="facts"><dt>${t("Marker")}</dt><dd>${which}: ${size} mm</dd><dt>${t("Scale")}</dt><dd>${mm}</dd></dl>`}
    <div class="row"><${Field} label=${t("Number")}><input type="number" min="0" max="49" value=${sheet} onInput=${(event) => choose(event.target.value)} /></${Field}>
      <${Field} label=${t("Side of its black square, mm")}><input type="number" min="4" max="500" step="any" value=${side} onInput=${(event) => measure(event.target.value)} /></${Field}></div>
    <p class="muted small">${t("Print it unscaled, measure its square, fix marker and part in their places, the part upright on a plain ground, and learn where it lies.")}</p>
    <div class="row"><button onClick=${print}>${t("Sheet to print")}</button>
      <button onClick=${learn} disabled=${busy || !state || !state.camera}>${t("Learn where the part lies")}</button>
      ${marker && html`<button class="quiet" onClick=${() => set({ marker: "" })}>${t("Without a marker")}</button>`}</div></details>`;
}
