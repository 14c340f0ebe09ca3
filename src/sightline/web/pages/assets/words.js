// Words, numbers and times in the reader's language. The catalogue has English as its keys.
const LANGUAGES = ["en", "de"];
let catalogue = {};
export let language = "en";

/** Choose the language: the reader's own choice, else the browser's. */
export async function speak() {
  const wished = localStorage.getItem("language") || (navigator.language || "en").slice(0, 2);
  language = LANGUAGES.includes(wished) ? wished : "en";
  document.documentElement.lang = language;
  if (language !== "en") catalogue = await (await fetch(new URL(`./locale/${language}.json`, import.meta.url))).json();
}

export function choose(name) {
  localStorage.setItem("language", name);
  location.reload();
}

/** A text in the reader's language; `{name}` in it is filled in. */
export function t(text, values) {
  const found = catalogue[text] || text;
  return values ? found.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole)) : found;
}

/**
 * What the server says, in the reader's language: a word of what it is `about`, or a sentence, whose numbers are {1}, {2}
 * and so on in the catalogue, and whose words that vary are {a}, {b}. What is not there stays as it was said.
 */
export function said(text, about = "") {
  const found = [];
  const key = String(text).replace(/\d+(?:\.\d+)?%?/g, (one) => `{${found.push(one)}}`);
  const pattern = catalogue[about ? `${about}: ${key}` : key];
  if (pattern) return pattern.replace(/\{(\d+)\}/g, (whole, place) => figure(found[place - 1]));
  return about ? text : filled(String(text));
}

const figure = (one) => {
  const digits = (one.split(".")[1] || "").replace("%", "").length;
  return one.endsWith("%") ? percent(parseFloat(one) / 100, digits) : number(parseFloat(one), digits);
};

let patterns = null;
/** A sentence with words that vary, each of which may be one that has a translation itself. */
function filled(text) {
  patterns = patterns || Object.entries(catalogue).filter(([key]) => /\{a\}/.test(key)).map(([key, german]) => [
    new RegExp(`^${key.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{[a-h]\}/g, "(.+?)")}$`, "s"), german]);
  for (const [pattern, german] of patterns) {
    const found = text.match(pattern);
    if (found) return german.replace(/\{([a-h])\}/g, (whole, letter) => piece(found["abcdefgh".indexOf(letter) + 1]));
  }
  return text;
}
const piece = (text) => (/^\d+(\.\d+)?%?$/.test(text) ? figure(text) : catalogue[text] || filled(text));

const made = new Map();
/** A formatter of Intl, made once for each way of writing: making one takes longer than hundreds of numbers. */
function format(Kind, how) {
  const key = `${Kind.name} ${JSON.stringify(how)}`;
  if (!made.has(key)) made.set(key, new Kind(locale(), how));
  return made.get(key);
}

const missing = (value) => value === null || value === undefined || Number.isNaN(value);
const locale = () => (language === "de" ? "de-DE" : navigator.language.startsWith("en") ? navigator.language : "en-GB");

export function number(value, digits = 0) {
  if (missing(value)) return "–";
  return format(Intl.NumberFormat, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** A score: as many digits as it needs to be told from its limit. */
export const score = (value) => number(value, Math.abs(value) >= 100 ? 0 : 2);

export function percent(value, digits = 1) {
  if (missing(value)) return "–";
  return format(Intl.NumberFormat, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** What a rate rests on: {count, of, upper}, the share 0 to 1 that it is at most at 95 % confidence. */
export const bound = ({ count, of, upper }) => t("{count} of {of}; at most {upper}", { count: number(count), of: number(of), upper: percent(upper) });

export function bytes(value) {
  const step = value < 1e3 ? 0 : value < 1e6 ? 1 : value < 1e9 ? 2 : 3;
  return `${number(value / 1000 ** step, step ? 1 : 0)} ${["B", "kB", "MB", "GB"][step]}`;
}

/** A moment with the reader's zone. */
export function time(text, style = "long") {
  if (!text) return "–";
  const date = text instanceof Date ? text : new Date(text);
  const long = { dateStyle: "medium", timeStyle: "medium" };
  const short = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
  const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  return format(Intl.DateTimeFormat, { long, short, clock }[style]).format(date);
}

/** How long ago, or how long something took. */
export function duration(seconds) {
  if (missing(seconds)) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 90) return `${number(seconds, seconds < 10 ? 1 : 0)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${number(seconds / 3600, 1)} h`;
  return t("{n} days", { n: Math.round(seconds / 86400) });
}

export const ago = (text) => duration((Date.now() - new Date(text)) / 1000);
