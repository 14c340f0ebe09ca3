// What a study has found, as tables and charts: the same figures as in its report.
import { Table, html } from "./parts.js";
import { number, percent, t } from "./words.js";

const ANSWERS = () => ({
  acceptable: t("acceptable"), marginal: t("marginal"), unacceptable: t("unacceptable"), reached: t("reached"), "not reached": t("not reached"), undecided: t("undecided"),
});
const word = (table, name) => table()[name] || name;

const interval = (one, digits = 1) => (one && one.value !== null && one.of ? `${percent(one.value, digits)} (${percent(one.lower, digits)} – ${percent(one.upper, digits)})` : "–");
const kappa = (one) => (!one || one.value === null ? "–" : one.lower === null ? number(one.value, 2) : `${number(one.value, 2)} (${number(one.lower, 2)} – ${number(one.upper, 2)})`);

/** Rates with their intervals on one scale, and limits as lines. */
function Intervals({ title, rows, limits }) {
  const top = Math.max(0.1, ...limits, ...rows.map(([, one]) => one.upper || 0));
  const x = (value) => 110 + (280 * Math.min(top, value)) / top;
  const high = 24 * rows.length + 22;
  return html`<figure class="intervals"><figcaption>${title}</figcaption><svg viewBox=${`0 0 400 ${high}`} role="img" aria-label=${title}>
    ${limits.map((limit) => html`<line class="limit" x1=${x(limit)} x2=${x(limit)} y1="14" y2=${high - 4} /><text x=${x(limit)} y="10" text-anchor="middle">${percent(limit, 0)}</text>`)}
    ${rows.map(([name, one], n) => html`<text x="102" y=${32 + 24 * n} text-anchor="end">${name.slice(0, 16)}</text><line class="span" x1=${x(one.lower)} x2=${x(one.upper)} y1=${28 + 24 * n} y2=${28 + 24 * n} /><line class="at" x1=${x(one.value)} x2=${x(one.value)} y1=${21 + 24 * n} y2=${35 + 24 * n} />`)}</svg></figure>`;
}

function Attribute({ figures }) {
  const rows = (name) => figures.appraisers.filter((one) => one[name] && one[name].of).map((one) => [one.name, one[name]]);
  return html`<div class="stack"><${Table} label=${t("Appraisers")} rows=${figures.appraisers.map((one) => ({ ...one, id: one.name }))} columns=${[
      [t("Appraiser"), (one) => one.name], [t("Effectiveness"), (one) => interval(one.effectiveness)], [t("Miss rate"), (one) => interval(one.miss)], [t("False alarms"), (one) => interval(one.false_alarm)],
      [t("Kappa within"), (one) => kappa(one.within)], [t("Kappa against the reference"), (one) => kappa(one.reference)], [t("Judgement"), (one) => (one.judgement ? word(ANSWERS, one.judgement) : "–")]]} />
    <div class="grid"><${Intervals} title=${t("Effectiveness")} rows=${rows("effectiveness")} limits=${[0.8, 0.9]} />
      ${rows("miss").length > 0 && html`<${Intervals} title=${t("Miss rate")} rows=${rows("miss")} limits=${[0.02, 0.05]} />`}
      ${rows("false_alarm").length > 0 && html`<${Intervals} title=${t("False alarms")} rows=${rows("false_alarm")} limits=${[0.05, 0.1]} />`}</div>
    ${figures.between.length > 0 && html`<${Table} label=${t("Kappa between")} rows=${figures.between.map((one) => ({ ...one, id: `${one.first} ${one.second}` }))} columns=${[[t("Appraisers"), (one) => `${one.first} – ${one.second}`], [t("Kappa"), (one) => kappa(one.kappa)]]} />`}</div>`;
}

const named = (figures) => Object.entries(figures).map(([name, one]) => ({ ...one, id: name, name }));
const points = (one) => (one.value === null ? "–" : `${number(100 * one.value, 1)}${one.lower === null ? "" : ` (${number(100 * one.lower, 1)} – ${number(100 * one.upper, 1)})`}`);

function Knapp({ figures }) {
  const zone = (name, one) => ({ id: name, name, ...one });
  const rows = [zone(t("Reject zone: people reject 70 % or more"), figures.reject), zone(t("Accept zone: 30 % or less"), figures.accept), { id: "grey", name: t("Grey zone between"), containers: figures.grey }];
  const counts = { people: number(figures.people_inspections), machine: number(figures.machine_inspections) };
  return html`<div class="stack"><${Table} label=${t("Zones")} rows=${rows} columns=${[
      [t("Zone"), (one) => one.name], [t("Containers"), (one) => number(one.containers), true], [t("Rejected by people"), (one) => share(one.people), true], [t("Rejected by the machine"), (one) => share(one.machine), true],
      [t("Difference, percentage points"), (one) => (one.difference ? points(one.difference) : "–"), true]]} />
    <p class="muted">${t("Each container was inspected {people} times by people and {machine} times by the machine.", counts)} ${figures.proven ? t("The machine is better beyond chance.") : t("That the machine is better may be chance.")}</p></div>`;
}

/** Rates against what was agreed, for each reader. */
function Acceptance({ figures }) {
  return html`<div class="stack">${Object.entries(figures).map(([name, { claims }]) => {
    const drawn = claims.filter((one) => one.rate && one.rate.of);
    return html`<div key=${name}><h3>${name}</h3><${Table} label=${name} rows=${claims.map((one) => ({ ...one, id: one.name }))} columns=${[
        [t("Characteristic number"), (one) => one.name], [t("Agreed"), (one) => percent(one.limit, 2), true], [t("Seen, with bounds"), (one) => interval(one.rate), true], [t("Answer"), (one) => word(ANSWERS, one.answer)], [t("Parts missing"), (one) => (one.more ? number(one.more) : "–"), true]]} />
      <div class="grid">${drawn.map((one) => html`<${Intervals} key=${one.name} title=${one.name} rows=${[[name, one.rate]]} limits=${[one.limit]} />`)}</div></div>`;
  })}</div>`;
}

function Repeatability({ figures }) {
  const rows = named(figures).flatMap((one) => [[t("value"), one.value], [t("place, px"), one.place]].filter(([, found]) => found).map(([what, found]) => ({ id: `${one.name} ${what}`, reader: `${one.name}, ${what}`, ...found })));
  const four = (value) => (value === null ? "–" : number(value, 4)), span = ({ value, lower, upper }) => `${four(value)} (${four(lower)} – ${four(upper)})`;
  return html`<${Table} label=${t("Repeatability")} rows=${rows} columns=${[
    [t("Reader"), (one) => one.reader], [t("Readings"), (one) => number(one.readings), true], [t("Deviation within a part and day"), (one) => span(one.within), true], [t("added by days"), (one) => four(one.days), true], [t("between parts"), (one) => four(one.parts), true],
    [t("Verdict changes at"), (one) => one.flips.join(", ") || t("none")]]} />`;
}

function Limit({ figures }) {
  const size = (value) => (value === null ? "–" : number(value, 3));
  return html`<${Table} label=${t("Limit samples")} rows=${named(figures)} columns=${[
    [t("Reader"), (one) => one.name], [t("Everybody accepts up to"), (one) => size(one.accepted), true], [t("Everybody rejects from"), (one) => size(one.rejected), true],
    [t("Nearest to the limit"), (one) => t("{sample} ({size}), rejected in {share}", { sample: one.limit_sample, size: size(one.limit_size), share: percent(one.limit_share, 1) })]]} />`;
}

function Capability({ figures }) {
  const columns = ["cp", "cpk", "pp", "ppk"].map((key) => [key[0].toUpperCase() + key.slice(1), (one) => kappa(one[key]), true]);
  return html`<${Table} label=${t("Process capability")} rows=${named(figures)} columns=${[
    [t("Reader"), (one) => one.name], [t("Values"), (one) => number(one.values), true], [t("Mean"), (one) => number(one.mean, 4), true], ...columns, [t("Outside"), (one) => number(one.outside), true]]} />`;
}

const each = (figures, say) => Object.entries(figures).map(([name, one]) => say(name, one)).join("; ");
const rough = (value) => (value === null ? "?" : number(value, 3 * !Number.isInteger(value)));
const share = (value) => (value === undefined || value === null ? "–" : percent(value, 1));

/** What a study says, in the reader's language, by kind; the server's own sentence where a kind has none here. */
const SENTENCES = {
  attribute: ({ appraisers, judgement, all_agree: agree, parts }) => (judgement === null ? t("Without a reference: all readings agree on {n} of {of} parts.", { n: number(agree.count), of: number(parts) })
    : t("By AIAG MSA 4: {each}.", { each: appraisers.map((one) => `${one.name} ${word(ANSWERS, one.judgement)}`).join(", ") })),
  knapp: ({ answer, reject, accept }) => (answer === null ? t("No container was rejected in 70 % of the inspections by people: there is no reject zone to compare in.")
    : t("Reject zone ({reject} containers): machine {found}, people {seen}. Accept zone ({accept}): machine rejects {false}, people {wrong}.", {
      reject: number(reject.containers), found: share(reject.machine), seen: share(reject.people), accept: number(accept.containers), false: share(accept.machine), wrong: share(accept.people) })),
  acceptance: (figures) => t("Agreed characteristic numbers: {each}.", { each: each(figures, (name, one) => `${name}: ${word(ANSWERS, one.answer)}`) }),
  repeatability: (figures) => `${each(figures, (name, { value }) => t("{name}: deviation {value} over re-presentations; parts whose verdict changes: {n}", { name, value: number(value.within.value, 4), n: number(value.flips.length) }))}.`,
  limit: ({ all }) => t("Nearest to the limit is {sample} ({size}).", { sample: all.limit_sample, size: rough(all.limit_size) }),
  capability: (figures) => `${each(figures, (name, { ppk, values }) => t("{name}: Ppk {ppk} from {n} values", { name, ppk: kappa(ppk), n: number(values) }))}.`,
};
export const sentence = ({ kind, figures, sentence: english }) => (SENTENCES[kind] && figures ? SENTENCES[kind](figures) : english);
const zone = ({ accepted, rejected }) => t("grey zone {from} to {to}", { from: rough(accepted), to: rough(rejected) });
export const answered = ({ kind, figures, answer }, words) => (kind === "limit" && figures ? zone(figures.all) : words[answer] || answer);

const KINDS = { attribute: Attribute, knapp: Knapp, acceptance: Acceptance, repeatability: Repeatability, limit: Limit, capability: Capability };
export const Figures = ({ result }) => (KINDS[result.kind] && result.figures ? html`<${KINDS[result.kind]} figures=${result.figures} />` : null);
