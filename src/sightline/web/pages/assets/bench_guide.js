// What to do about a part that is not OK: each defect by its number over the picture, with what the defect book says of it.
import { get, thumbnail } from "./api.js";
import { Verdict, html, useRemote } from "./parts.js";
import { duration, number, said, score, t } from "./words.js";

/** The defect book of a product, by type, each with pictures of its examples. */
export function useBook(product) {
  return useRemote(async (signal) => {
    const pages = (await get("/book", { product, limit: 100 }, signal)).items;
    const withPictures = pages.map(async (page) => {
      const samples = await Promise.all(page.examples.slice(0, 3).map((id) => get(`/samples/${id}`, {}, signal).catch(() => null)));
      return [page.name, { ...page, pictures: samples.filter(Boolean) }];
    });
    return new Map(await Promise.all(withPictures));
  }, [product]).data || new Map();
}

const kind = (type) => (type === "unknown" ? t("unlike the good parts") : type);

/** The sides of a defect, where a marker tells its scale. */
const measured = ({ size_mm: size }) => (size ? ` · ${number(size[0], 1)} × ${number(size[1], 1)} mm` : "");

export function Guide({ part, book }) {
  if (!part) return html`<section class="panel"><h2>${t("This part")}</h2><p class="muted" style="margin:0">${t("Show one part on a plain ground, as in the pictures that the recipe has learned from.")}</p></section>`;
  if (part.problem) return html`<section class="panel"><h2>${t("This part")}</h2><dl class="facts"><dt>${t("Part")}</dt><dd>${number(part.number)}</dd></dl><p style="margin:0">${t("Not recorded: {why}", { why: part.problem })}</p></section>`;
  const types = [...new Set(part.defects.map((one) => one.type))].map((type) => book.get(type)).filter(Boolean);
  return html`<section class="panel"><h2>${t("This part")}</h2><dl class="facts"><dt>${t("Part")}</dt><dd>${number(part.number)}</dd><dt>${t("Verdict")}</dt><dd><${Verdict} of=${part.verdict} /></dd><dt>${t("Score")}</dt><dd>${score(part.score)}</dd>
      ${part.reason && html`<dt>${t("Why")}</dt><dd>${said(part.reason)}</dd>`}<dt>${t("Time")}</dt><dd>${duration(part.seconds)}</dd>
      ${part.attempt > 1 && html`<dt>${t("Shown")}</dt><dd>${t("{n} times", { n: number(part.attempt) })}</dd>`}</dl>
    ${part.defects.length > 0 && html`<ol class="found">${part.defects.map((one) => html`<li>${kind(one.type)} <span class="muted num">${score(one.score)}${measured(one)}</span></li>`)}</ol>`}
    ${types.map((page) => html`<div class="lesson"><h3>${page.name}</h3><p>${page.guideline || t("No guideline yet")}</p>
      ${page.pictures.length > 0 && html`<div class="thumbs small">${page.pictures.map((one) => html`<span class="thumb"><img src=${thumbnail(one.hash)} alt=${t("Example of {type}", { type: page.name })} /></span>`)}</div>`}</div>`)}
    ${part.verdict !== "OK" && html`<p class="muted" style="margin:8px 0 0">${t("After rework, press Show it again, and show it until it is OK.")}</p>`}</section>`;
}
