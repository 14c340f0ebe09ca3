// What each page is for and its keys, in a few lines: behind the question mark.
import { html, useState } from "./vendor/preact.js";
import { Dialog, useKeys } from "./parts.js";
import { startTour } from "./tour.js";
import { t } from "./words.js";

const key = (name, text) => html`<li><kbd>${name}</kbd> ${text}</li>`;
// By the first part of the address.
const PAGES = {
  "": () => [t("Every station as it is now. A picture that stands still says how old it is; where none comes, no verdict is shown."), key("H", t("heat")), key("O", t("outlines")), key("F", t("full screen"))],
  review: () => [t("Parts that the line was not sure of. What you answer becomes a label for the next training; a few parts are known ones or come twice, to measure how sure people are."), key("O", t("good")), key("N", t("defective")), key("1 – 9", t("type")), key("Z", t("zoom")), key("H", t("heat")), key("U", t("undo")), key("S", t("leave it to others"))],
  parts: () => [t("What the line has judged. The filter lives in the address: send it on, and others see the same."), t("Of a single part: its record, with the time each step took.")],
  samples: () => [t("Pictures to learn from (training) and to measure with (test). What is measured with must never be learned from.")],
  label: () => [t("Draw where the defect is. The proposal from the heat is a beginning: correct it."), key("B E P R", t("brush, eraser, polygon, box")), key("[ ]", t("smaller, larger")), key("M", t("from the heat")), key("C", t("as on the last one")), key("U", t("undo")), key("S", t("save as defective")), key("O", t("it is good"))],
  agreement: () => [t("A label is as good as people agree on it. Whoever sees the first label agrees too often: here it stays hidden.")],
  jobs: () => [t("Work that takes its time. It goes on when the page is closed, and when the server is started again.")],
  collect: () => [t("20 good parts of several lots are a beginning. Defective ones are not needed to learn; some in the test part show what would be missed.")],
  recipes: () => [t("A recipe is one file that a station judges by. Promoting says that it may be used; the station changes over when it is told to.")],
  decide: () => [t("Move the limits and see what errors would have been made on parts that were not learned from. Bounds hold for thresholds that were not chosen by looking at these parts.")],
  studies: () => [t("Everybody reads alone, in an order of their own. Nothing is shown of what others say before the study is closed."), key("O", "OK"), key("N", "NG")],
  audits: () => [t("One step after the other. NG needs a reason, and becomes something to follow up.")],
  statistics: () => [t("Red points break a rule of the p-chart: something has changed, for better or worse. A bar leads to its parts.")],
};

/** The question mark of a page, and the dialog behind it. */
export function Help({ path }) {
  const [open, set] = useState(false);
  const about = PAGES[path.split("/")[1]] || PAGES[path.startsWith("/live") ? "" : "none"];
  useKeys({ "?": () => set(!!about) });
  if (!about) return null;
  return html`<button class="quiet" onClick=${() => set(true)} aria-label=${t("Help")} title=${t("Help")}>?</button>
    <${Dialog} open=${open} title=${t("Help")} close=${() => set(false)}>${open && html`${about().filter((one) => typeof one === "string").map((one) => html`<p>${one}</p>`)}<ul class="help">${about().filter((one) => typeof one !== "string")}</ul>
      <div class="row"><button class="primary" onClick=${() => set(false)}>${t("Close")}</button><button onClick=${() => { set(false); setTimeout(startTour); }}>${t("Take the tour")}</button></div>`}</${Dialog}>`;
}
