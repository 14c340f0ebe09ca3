// The guided tour: a word about each of the main pages, at something that is really there. Offered once in each browser.
import { useEffect, useRef, useState } from "./vendor/preact.js";
import { get } from "./api.js";
import { go, html, useSession } from "./parts.js";
import { t } from "./words.js";

const SEEN = "tour", NARROW = 820, ROOM = 14, PATIENCE_MS = 4000;

const label = async () => {
  const products = await get("/products", { limit: 1 });
  const samples = products.items.length ? (await get("/samples", { product: products.items[0].product, limit: 1 })).items : [];
  return samples.length ? `/label/${samples[0].id}` : "/samples";
};
const decide = async () => {
  const recipes = (await get("/recipes", { limit: 50 })).items;
  const one = recipes.find((recipe) => recipe.state === "promoted") || recipes[0];
  return one ? `/decide/${one.hash}` : "/recipes";
};
// [who sees it, its address or a function that finds it, what to point at (the first that is there), title, text].
const STEPS = [
  ["operator", "/", [".wall", ".station", "main .empty", "main h1"], () => t("The line, live"), () => t("Each station shows its last part: OK, NG or REVIEW, the picture, and where the part looks unlike good ones. A click makes a station large.")],
  ["reviewer", "/review", [".review .pair", "main .empty", "main h1"], () => t("Doubtful parts come to you"), () => t("Parts in REVIEW wait here. O says good, N defective. Each answer becomes a label for the next training.")],
  ["operator", "/parts", [".thumb", "main .empty", "main h1"], () => t("Every part on record"), () => t("All inspected parts, with filters. A click shows one with its heat map, its times and the parts that look alike.")],
  ["reviewer", label, [".draw", ".thumbs", "main .empty", "main h1"], () => t("Mark what is wrong"), () => t("Paint or draw a defect, or start from the proposal of the heat map. Marked defects make a recipe more exact.")],
  ["operator", "/collect", [".drop", "main h1"], () => t("From pictures to a recipe"), () => t("Drop pictures of good parts here. 20 are a beginning; training takes minutes and needs no defects.")],
  ["operator", decide, [".histogram", "main .empty", "main .panel", "main h1"], () => t("Decide the thresholds"), () => t("Drag the two limits and see at once what they would cost: escapes, overkill, and parts that go to a person.")],
  ["operator", "/statistics", [".stats", "main .empty", "main h1"], () => t("See how the line does"), () => t("Yield, p-chart, types and places of defects. Every figure leads to its parts.")],
];

export const startTour = () => window.dispatchEvent(new Event("tour"));

/** The offer on the first visit, and the tour itself. */
export function Tour() {
  const session = useSession();
  const [offered, offer] = useState(!localStorage.getItem(SEEN));
  const [step, set] = useState(null);
  const begun = useRef("/");
  const steps = STEPS.filter(([role]) => session.may(role));
  const end = () => { localStorage.setItem(SEEN, "done"); offer(false); set(null); };
  const start = () => { begun.current = location.pathname + location.search; end(); set(0); };
  const finish = () => { end(); go(begun.current); };
  useEffect(() => {
    window.addEventListener("tour", start);
    return () => window.removeEventListener("tour", start);
  }, []);
  if (step !== null) return html`<${Step} key=${step} of=${steps[step]} n=${step} all=${steps.length} back=${step > 0 ? () => set(step - 1) : null} next=${step + 1 < steps.length ? () => set(step + 1) : finish} leave=${end} />`;
  return offered && html`<aside class="offer" aria-label=${t("Tour")}><p><b>${t("New here?")}</b> ${t("A tour shows the main pages in {n} steps.", { n: steps.length })}</p>
    <div class="row"><button class="primary" onClick=${start}>${t("Take the tour")}</button><button class="quiet" onClick=${end}>${t("No, thanks")}</button></div></aside>`;
}

/** One step: its page is opened, what it is about is framed, and the words stand beside it. */
function Step({ of: [, where, targets, title, text], n, all, back, next, leave }) {
  const [box, place] = useState(null);
  const card = useRef();
  useEffect(() => {
    let timer, target = null, ended = false;
    const until = performance.now() + PATIENCE_MS;
    const look = () => {
      const there = targets.map((one) => document.querySelector(one));
      // The last ones are there at once; what a page loads is waited for.
      const found = there[0] || (performance.now() > until ? there.find(Boolean) : there.slice(0, -1).find(Boolean));
      if (found && found !== target) {
        target = found;
        const { top } = target.getBoundingClientRect();
        const roof = innerWidth > NARROW ? Math.max(90, (innerHeight - target.offsetHeight) / 2) : 130;
        if (top < roof || top > innerHeight * 0.4) window.scrollBy({ top: top - roof, behavior: "instant" });
      }
      if (target && target.isConnected) place(around(target.getBoundingClientRect(), card.current));
      timer = setTimeout(look, target ? 250 : 60);
    };
    const open = async () => {
      const address = typeof where === "string" ? where : await where().catch(() => "/");
      if (ended) return;
      go(address);
      look();
    };
    card.current.show(); // not modal, and an open dialog: keys of the page wait
    card.current.querySelector(".primary").focus();
    open();
    return () => { ended = true; clearTimeout(timer); };
  }, []);
  useEffect(() => {
    const pressed = (event) => {
      const action = { Escape: leave, ArrowRight: next, ArrowLeft: back }[event.key];
      if (!action || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
      event.preventDefault();
      event.stopPropagation();
      action();
    };
    window.addEventListener("keydown", pressed, true);
    return () => window.removeEventListener("keydown", pressed, true);
  }, [back, next]);
  return html`${box && html`<div class="spot" style=${box.spot} aria-hidden="true"></div>`}
    <dialog class="tour" ref=${card} style=${box ? box.card : ""} aria-labelledby="tour-title" aria-describedby="tour-text">
      <p class="muted small">${t("Step {n} of {all}", { n: n + 1, all })}</p><h2 id="tour-title">${title()}</h2><p id="tour-text">${text()}${n + 1 === all ? ` ${t("The question mark of each page shows this tour again.")}` : ""}</p>
      <div class="row between"><button class="quiet" onClick=${leave}>${t("Leave")}</button><span class="row">${back && html`<button onClick=${back}>${t("Back")}</button>`}<button class="primary" onClick=${next}>${n + 1 < all ? t("Next") : t("Done")}</button></span></div></dialog>`;
}

/** Where the frame and the card go, as styles: beside the target where there is room, else in a corner; below on a phone. */
function around(rect, card) {
  const top = Math.max(rect.top, 4), left = Math.max(rect.left, 4);
  const [right, bottom] = [Math.min(rect.right, innerWidth - 4), Math.min(rect.bottom, innerHeight - 4)];
  const spot = `left:${left - 4}px;top:${top - 4}px;width:${Math.max(right - left, 0) + 8}px;height:${Math.max(bottom - top, 0) + 8}px`;
  const [wide, high] = [card.offsetWidth, card.offsetHeight];
  // On a phone: below, or above what stands at the end of a page that cannot be scrolled up any further.
  if (innerWidth <= NARROW) return { spot, card: top + 90 > innerHeight - high ? `bottom:auto;top:${Math.max(top - high - ROOM, ROOM)}px` : "" };
  const level = Math.min(Math.max(top, ROOM), innerHeight - high - ROOM);
  const across = Math.min(Math.max(left, ROOM), innerWidth - wide - ROOM);
  const places = [
    [right + ROOM, level, right + ROOM + wide < innerWidth], [across, bottom + ROOM, bottom + ROOM + high < innerHeight],
    [across, top - ROOM - high, top - ROOM - high > 0], [innerWidth - wide - 2 * ROOM, innerHeight - high - 2 * ROOM, true],
  ];
  const [x, y] = places.find(([, , fits]) => fits);
  return { spot, card: `left:${x}px;top:${y}px;right:auto;bottom:auto` };
}
