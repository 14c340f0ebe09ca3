// Two recipes on the same parts: what may be concluded, and every part on which their verdicts differ, side by side.
import { useEffect, useRef, useState } from "./vendor/preact.js";
import { address, image } from "./api.js";
import { Stat, Table, Verdict, html, useRemote } from "./parts.js";
import { Picture, fetchPart } from "./picture.js";
import { number, percent, score, t } from "./words.js";

const CHANCE = 0.05; // as the server's intervals of 95 %
const NAMES = () => [["first", t("First recipe")], ["second", t("Second recipe")]];

/** What a comparison has found. */
export function Compared({ found }) {
  const tests = [[t("All parts"), found.errors], [t("Defective parts: escapes"), found.escapes], [t("Good parts: overkill"), found.overkills]];
  const rows = tests.map(([name, test], n) => ({ ...test, name, id: n + 1 }));
  return html`<div class="stats" style="margin-top:12px"><${Stat} value=${number(found.n_good)} label=${t("good parts")} /><${Stat} value=${number(found.n_defective)} label=${t("defective parts")} />
      <${Stat} value=${`${number(found.auroc.first, 3)} → ${number(found.auroc.second, 3)}`} label=${t("image AUROC")} /><${Stat} value=${`${number(found.reviews[0])} → ${number(found.reviews[1])}`} label=${t("to a person")} /></div>
    <dl class="facts" style="margin:12px 0">${NAMES().map(([which, name]) => html`<dt>${name}</dt><dd><a href=${`/recipes/${found[which]}`}><code>${found[which].slice(0, 8)}</code></a></dd>`)}</dl>
    <${Table} label=${t("Who is right")} rows=${rows} columns=${[[t("Of"), (row) => row.name], [t("both right"), (row) => number(row.both), true], [t("first alone"), (row) => number(row.only_first), true], [t("second alone"), (row) => number(row.only_second), true], [t("neither"), (row) => number(row.neither), true], ["p", (row) => number(row.p_value, 3), true], [t("What follows"), conclusion]]} />
    <p class="muted small" style="margin:8px 0 0">${t("Exact McNemar test: p is how often so uneven a split comes about by chance where both are equally good.")}</p>`;
}

function conclusion({ both, only_first: first, only_second: second, neither, p_value: p }) {
  if (!(both + first + second + neither)) return t("no part of this kind");
  if (p >= CHANCE) return t("may be chance");
  return first > second ? t("the first is right more often") : t("the second is right more often");
}

/** Parts with another verdict, those that changed for the worse first. */
export function Changed({ found }) {
  const groups = [[false, t("Changed for the worse"), found.worse], [true, t("Changed for the better"), found.better]];
  if (!found.worse && !found.better) return html`<section class="panel"><h2>${t("Changed verdicts")}</h2><p class="muted" style="margin:0">${t("Both recipes say the same of every part.")}</p></section>`;
  return groups.map(([better, title, count]) => {
    const parts = found.changed.filter((one) => one.better === better);
    return count > 0 && html`<section class="panel" key=${title}><h2>${title} <span class="muted">${number(count)}</span></h2>
      <div class="changes">${parts.map((part) => html`<${Part} key=${part.image_hash} part=${part} found=${found} />`)}</div>
      ${count > parts.length && html`<p class="muted" style="margin:10px 0 0">${t("The report lists the other {n}.", { n: number(count - parts.length) })}</p>`}</section>`;
  });
}

/** One part as both recipes see it; its pictures are asked for when it comes near the window. */
function Part({ part, found }) {
  const [near, come] = useState(false);
  const place = useRef();
  useEffect(() => {
    const watch = new IntersectionObserver(([seen]) => { if (seen.isIntersecting) { come(true); watch.disconnect(); } }, { rootMargin: "300px" });
    watch.observe(place.current);
    return () => watch.disconnect();
  }, []);
  const truth = part.defective ? part.types.join(", ") || t("defective") : t("good");
  const name = part.sample_id === null ? part.image_hash.slice(0, 8) : t("Sample {id}", { id: part.sample_id });
  return html`<article class="change" ref=${place}><div class="row between"><b>${part.sample_id === null ? name : html`<a href=${`/samples/${part.sample_id}`}>${name}</a>`}</b><span class=${`answer ${part.defective ? "defective" : "good"}`}>${truth}</span></div>
    <div class="pair">${NAMES().map(([which, word]) => html`<${Side} key=${which} word=${word} said=${part[which]} hash=${part.image_hash} recipe=${found[which]} near=${near} name=${name} />`)}</div></article>`;
}

function Side({ word, said, hash, recipe, near, name }) {
  const seen = useRemote((signal) => (near ? fetchPart(image(hash), address(`/recipes/${recipe}/heat/${hash}`), signal) : null), [near]);
  return html`<figure><${Picture} part=${seen.data} look=${{ heat: 0.7, outlines: true }} label=${`${name}, ${word}: ${said.verdict}`}>${seen.error && html`<p class="missing">${seen.error.message}</p>`}</${Picture}>
    <figcaption><span><${Verdict} of=${said.verdict} /> <span class="muted small">${word}</span></span><span class="num">${score(said.score)}</span></figcaption>
    ${said.reason && html`<p class="muted small">${said.reason}</p>`}</figure>`;
}
