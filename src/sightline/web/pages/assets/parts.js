// What pages are built of: hooks over the API, verdicts, forms, tables, dialogs.
import { createContext, html, useCallback, useContext, useEffect, useRef, useState } from "./vendor/preact.js";
import { Problem, get } from "./api.js";
import { said, t, time } from "./words.js";

export { html };
export const RANKS = ["operator", "reviewer", "engineer", "administrator"];
export const Session = createContext(null);

/** Whoever is logged in, and `may(role)`. */
export function useSession() {
  const session = useContext(Session);
  return { ...session, may: (role) => RANKS.indexOf(session.role) >= RANKS.indexOf(role) };
}

/** What went wrong, in words for whoever reads it. */
export function told(error) {
  if (error instanceof Problem && error.status === 0) {
    return t("The server does not answer. Is it running, and is the network there? It is asked again when you try again.");
  }
  return said(error.message || String(error));
}

/**
 * The reply of `ask(signal)`, asked again whenever one of `deps` changes, when the server or the login is
 * back, and each `every` seconds while the page is seen.
 * Gives {data, error, busy, reload, set}; while something newer is on its way, the last data stay.
 */
export function useRemote(ask, deps = [], every = 0) {
  const [state, set] = useState({ data: undefined, error: null, busy: true });
  const [round, again] = useState(0);
  const reload = useCallback(() => again((n) => n + 1), []);
  useEffect(() => {
    const stop = new AbortController();
    let timer;
    const run = async () => {
      try {
        const data = await ask(stop.signal);
        if (!stop.signal.aborted) set({ data, error: null, busy: false });
      } catch (error) {
        if (!stop.signal.aborted) set((old) => ({ ...old, error, busy: false }));
      }
      if (every && !stop.signal.aborted) timer = setTimeout(look, every * 1000);
    };
    const look = () => (document.hidden ? (timer = setTimeout(look, 500)) : run());
    set((old) => ({ ...old, busy: true }));
    run();
    return () => { stop.abort(); clearTimeout(timer); };
  }, [...deps, round]);
  useEffect(() => {
    window.addEventListener("back", reload);
    return () => window.removeEventListener("back", reload);
  }, []);
  return { ...state, reload, set: (data) => set({ data, error: null, busy: false }) };
}

/** A list in pages: {items, more, error, busy, reload}. `more()` asks for the next page, null where there is none.
 * Without a `path` nothing is asked yet. */
export function useList(path, query, deps = []) {
  const first = useRemote((signal) => (path ? get(path, query, signal) : undefined), [path, JSON.stringify(query), ...deps]);
  const [rest, setRest] = useState({ of: null, items: [], next: null });
  const [busy, setBusy] = useState(false);
  const mine = rest.of === first.data ? rest : { of: first.data, items: [], next: first.data && first.data.next };
  const more = async () => {
    if (busy) return;
    setBusy(true);
    try {
      const page = await get(path, { ...query, after: mine.next });
      setRest({ of: first.data, items: [...mine.items, ...page.items], next: page.next });
    } catch (error) {
      say(told(error), true);
    } finally {
      setBusy(false);
    }
  };
  return {
    items: first.data ? [...first.data.items, ...mine.items] : null,
    more: mine.next ? more : null, error: first.error, busy: first.busy || busy, reload: first.reload,
  };
}

/** Do something once at a time and say what went wrong: [run, busy]. */
export function useAction(action, done = "") {
  const [busy, set] = useState(false);
  const run = async (...values) => {
    if (busy) return undefined;
    set(true);
    try {
      const result = await action(...values);
      if (done) say(done);
      return result;
    } catch (error) {
      say(told(error), true);
      return undefined;
    } finally {
      set(false);
    }
  };
  return [run, busy];
}

/** Keys that do something while nobody types: {key: function}. */
export function useKeys(keys) {
  const held = useRef(keys);
  held.current = keys;
  useEffect(() => {
    const pressed = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
      if (event.key === "Enter" && /^(BUTTON|A)$/.test(event.target.tagName)) return;
      if (document.querySelector("dialog[open]")) return;
      const action = held.current[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (action) { event.preventDefault(); action(event); }
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, []);
}

let setToasts = () => {};
/** A word to the reader, for a few seconds; what went wrong stays longer. */
/** Tell something for a while; with `undo`, together with a button that takes back what was done. */
export function say(text, bad = false, undo = null) {
  const toast = { text, bad, key: Math.random(), end: () => setToasts((old) => old.filter((one) => one !== toast)) };
  if (undo) toast.undo = async () => { toast.end(); try { await undo(); say(t("Taken back.")); } catch (error) { say(told(error), true); } };
  setToasts((old) => [...old.slice(-3), toast]);
  setTimeout(toast.end, undo ? 20000 : bad ? 12000 : 4000);
}
export function Toasts() {
  const [toasts, set] = useState([]);
  setToasts = set;
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.map((one) => html`<div key=${one.key} class=${`toast ${one.bad ? "bad" : ""}`}>${one.text}${one.undo && html`<button onClick=${one.undo}>${t("Undo")}</button>`}</div>`)}
  </div>`;
}

const SHAPES = {
  OK: html`<svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="7.5" fill="currentColor" opacity=".22" /><path d="M3.8 8.4l2.8 2.8 5.6-6" fill="none" stroke="currentColor" stroke-width="2.2" /></svg>`,
  NG: html`<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M5 .8h6L15.2 5v6L11 15.2H5L.8 11V5z" fill="currentColor" opacity=".22" /><path d="M4.8 4.8l6.4 6.4m0-6.4l-6.4 6.4" stroke="currentColor" stroke-width="2.2" /></svg>`,
  REVIEW: html`<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M8 .8L15.6 15H.4z" fill="currentColor" opacity=".25" /><path d="M8 5.4v4.8m0 1.2v2" stroke="currentColor" stroke-width="2.1" /></svg>`,
};
/** A verdict: colour, shape and word together. */
export const Verdict = ({ of }) => html`<span class=${`verdict ${of}`}>${SHAPES[of]}${of}</span>`;
export const Banner = ({ of, word, style }) => html`<div class=${`banner ${of}`} style=${style}>${SHAPES[of]}<span>${word || of}</span></div>`;

export function Head({ title, about, children }) {
  useEffect(() => { document.title = `${title} · Sightline`; }, [title]);
  return html`<div class="head"><div><h1>${title}</h1>${about && html`<p>${about}</p>`}</div>
    <div class="actions">${children}</div></div>`;
}

export const Empty = ({ title, children, actions }) => html`<div class="empty"><h2>${title}</h2><div>${children}</div>
  ${actions && html`<div class="row">${actions}</div>`}</div>`;

/** What to show in place of data that are not there: a problem with a way to try again, or a word that they come. */
export function Waiting({ of }) {
  if (of.error) {
    return html`<div class="note bad" role="alert"><p>${told(of.error)}</p><button onClick=${of.reload}>${t("Try again")}</button></div>`;
  }
  return html`<p class="muted" aria-busy="true">${t("Loading …")}</p>`;
}

export const Field = ({ label, hint, children }) => html`<label class="field"><span>${label}</span>${children}${hint && html`<small>${hint}</small>`}</label>`;
/** A choice among {key: word}, or none of them: `change` gets the key, "" for all. */
export const Choice = ({ label, words, value, change }) => html`<select aria-label=${label} onChange=${(event) => change(event.target.value)}>
  <option value="">${t("all")}</option>${Object.entries(words).map(([key, word]) => html`<option value=${key} selected=${key === value}>${word}</option>`)}</select>`;
export const Stat = ({ value, label }) => html`<div class="stat"><b>${value}</b><span>${label}</span></div>`;
export const Moment = ({ at, style }) => html`<time datetime=${at} title=${time(at)}>${time(at, style || "short")}</time>`;

/** A cell as a spreadsheet takes it: a moment as ISO 8601, and nothing that a spreadsheet would compute. */
const plain = (cell) => {
  const text = [...cell.querySelectorAll("time")].map((one) => one.getAttribute("datetime")).join(" ") || cell.innerText.trim();
  const safe = "=+-@\t".includes(text[0] || " ") && Number.isNaN(Number(text)) ? "'" + text : text;
  return [",", "\n", "\r", "\""].some((one) => safe.includes(one)) ? `"${safe.split("\"").join("\"\"")}"` : safe;
};

/** Save what a table shows as CSV (RFC 4180), under its label. */
function saveTable(table, label) {
  const lines = [...table.rows].map((row) => [...row.cells].map(plain).join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", lines.join("\r\n"), "\r\n"], { type: "text/csv" }));
  link.download = `${label.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** A table: `columns` are [heading, cell(row), number?]; `to(row)` is the address a row leads to. */
export function Table({ columns, rows, to, label }) {
  const table = useRef();
  const click = (row) => (event) => { if (!event.target.closest("a, button, input")) go(to(row)); };
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label}><table ref=${table} aria-label=${label}>
    <thead><tr>${columns.map(([name, , digits]) => html`<th scope="col" class=${digits ? "num" : ""}>${name}</th>`)}</tr></thead>
    <tbody>${rows.map((row, n) => html`<tr key=${row.id || n} class=${to ? "link" : ""} onClick=${to && click(row)}>
      ${columns.map(([, cell, digits], k) => html`<td class=${digits ? "num" : ""}>${k === 0 && to ? html`<a href=${to(row)}>${cell(row)}</a>` : cell(row)}</td>`)}
    </tr>`)}</tbody></table></div>
    ${rows.length > 0 && html`<p class="export"><button class="quiet small" aria-label=${t("Save {label} as CSV", { label })} onClick=${() => saveTable(table.current, label)}>CSV</button></p>`}`;
}

/** A dialog while `open`; Escape and a click beside it close it. */
export function Dialog({ open, title, close, children }) {
  const ref = useRef();
  useEffect(() => {
    if (open && !ref.current.open) ref.current.showModal();
    if (!open && ref.current.open) ref.current.close();
  }, [open]);
  const click = (event) => { if (event.target === ref.current) close(); };
  return html`<dialog ref=${ref} onClose=${close} onClick=${click} aria-label=${title}>
    ${open && html`<h2>${title}</h2>${children}`}</dialog>`;
}

/** Asks for a reason before something is done: {title, about, action, danger} while it asks, null otherwise. */
export function Reason({ ask, close }) {
  const [reason, set] = useState("");
  const [run, busy] = useAction(async () => { await ask.action(reason); set(""); close(); });
  const send = (event) => { event.preventDefault(); run(); };
  return html`<${Dialog} open=${!!ask} title=${ask ? ask.title : ""} close=${close}>
    ${ask && html`<form class="stack" onSubmit=${send}>
      ${ask.about && html`<p>${ask.about}</p>`}
      <${Field} label=${t("Why")} hint=${t("It is kept in the audit.")}>
        <input value=${reason} required maxlength="1000" onInput=${(event) => set(event.target.value)} /></${Field}>
      <div class="row"><button class=${ask.danger ? "danger" : "primary"} disabled=${busy || !reason.trim()}>${ask.verb || t("Do it")}</button>
        <button type="button" class="quiet" onClick=${close}>${t("Cancel")}</button></div></form>`}
  </${Dialog}>`;
}

/** Go to an address of the app. */
export function go(where, instead = false) {
  history[instead ? "replaceState" : "pushState"](null, "", where);
  window.dispatchEvent(new Event("moved"));
}

/** The address's query as an object, and a way to change it: [query, set]. Filters live there, so that they can be sent on. */
export function useQuery() {
  const query = Object.fromEntries(new URLSearchParams(location.search));
  const set = (change) => {
    const next = Object.entries({ ...query, ...change }).filter(([, value]) => value !== "" && value !== null && value !== undefined);
    const text = new URLSearchParams(next).toString();
    go(location.pathname + (text ? `?${text}` : ""), true);
  };
  return [query, set];
}
