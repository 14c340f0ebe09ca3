// The app: who is logged in, which page is shown, and the frame around it.
import { html, render, useEffect, useErrorBoundary, useState } from "./vendor/preact.js";
import { Problem, carry, get, listen, remove } from "./api.js";
import { LoginAgain } from "./login.js";
import { Empty, Session, Toasts, Waiting, go, say, told, useRemote, useSession } from "./parts.js";
import { Help } from "./help.js";
import { Tour } from "./tour.js";
import { choose, language, speak, t } from "./words.js";

// Each page is a module that is loaded when it is first shown: [address, module, the page's name there].
const PAGES = [
  ["/", "live", "Overview"], ["/live/:name", "live", "Station"], ["/fleet", "fleet", "Fleet"],
  ["/review", "review", "Review"], ["/review/figures", "review", "Figures"],
  ["/parts", "gallery", "Inspections"], ["/parts/:number", "gallery", "Inspection"],
  ["/samples", "gallery", "Samples"], ["/samples/:number", "gallery", "Sample"], ["/label/:number", "label", "Label"],
  ["/findings", "curate", "Findings"], ["/book", "curate", "Book"], ["/agreement", "curate", "Agreement"],
  ["/collect", "lab", "Collect"], ["/jobs", "lab", "Jobs"], ["/jobs/:number", "lab", "Job"],
  ["/recipes", "recipes", "Recipes"], ["/recipes/:hash", "recipes", "Recipe"], ["/bench", "bench", "Bench"], ["/decide/:hash", "decide", "Decide"],
  ["/statistics", "statistics", "Statistics"], ["/drift", "drift", "Drift"], ["/learning", "learning", "Learning"], ["/site", "site", "Site"],
  ["/login", "login", "Login"], ["/join", "invitation", "Join"], ["/setup", "login", "Setup"],
  ["/pilots", "pilots", "Pilots"], ["/pilots/:station", "pilots", "Pilot"], ["/audits", "audits", "Audits"], ["/audits/new", "audits", "NewPlan"], ["/audits/:number", "audits", "Audit"], ["/studies", "studies", "Studies"], ["/studies/new", "studies", "Design"], ["/studies/:number", "studies", "Study"], ["/studies/:number/read", "studies", "Read"],
];
const ICONS = {
  fleet: "M3 4h5v5H3zM12 4h5v5h-5zM7.5 12h5v5h-5zM8 6.5h4M5.5 9v3h4.5M14.5 9v3H10",
  live: "M2 8s3-5 8-5 8 5 8 5-3 5-8 5-8-5-8-5zm8-2.3a2.3 2.3 0 100 4.6 2.3 2.3 0 000-4.6z",
  review: "M3 3h14v10H8l-5 4zM7 8l2 2 4-4", parts: "M3 3h6v6H3zM11 3h6v6h-6zM3 11h6v6H3zM11 11h6v6h-6z",
  lab: "M8 2v5L3 16h14L12 7V2M6 2h8M6 12h8", recipes: "M5 2h8l3 3v13H5zM8 9h5M8 12h5",
  studies: "M4 3h12v14H4zM7 7h6M7 10h6M7 13h3M11 14l1.5 1.5L16 12",
  statistics: "M3 17V3M3 17h14M7 14V9M11 14V5M15 14v-3", site: "M10 2v3M10 15v3M2 10h3M15 10h3M10 6a4 4 0 100 8 4 4 0 000-8z",
};
const MENU = [
  ["/", () => t("Live"), "live", "operator", ["/live"]],
  ["/fleet", () => t("Fleet"), "fleet", "operator", []],
  ["/review", () => t("Review"), "review", "reviewer", []],
  ["/parts", () => t("Parts"), "parts", "operator", ["/samples", "/label", "/findings", "/book", "/agreement"]],
  ["/jobs", () => t("Lab"), "lab", "operator", ["/collect"]],
  ["/recipes", () => t("Recipes"), "recipes", "operator", ["/decide", "/bench"]],
  ["/statistics", () => t("Statistics"), "statistics", "operator", ["/drift", "/learning"]],
  ["/studies", () => t("Studies"), "studies", "operator", ["/audits", "/pilots"]],
  ["/site", () => t("Site"), "site", "operator", []],
];

function match(path) {
  for (const [pattern, module, name] of PAGES) {
    const names = [];
    const shape = pattern.replace(/:(\w+)/g, (whole, one) => { names.push(one); return "([^/]+)"; });
    const found = path.match(new RegExp(`^${shape}/?$`));
    if (found) return { module, name, values: Object.fromEntries(names.map((one, n) => [one, decodeURIComponent(found[n + 1])])) };
  }
  return null;
}

let tries = 0; // a browser keeps a module that did not come as failed: another try needs another address

/** A page's module. Throws a Problem that says whether the server is away or has another version by now. */
async function load({ module, name }) {
  try {
    return (await import(`./${module}.js${tries ? `?${tries}` : ""}`))[name];
  } catch (error) {
    tries += 1;
    const reply = await fetch(import.meta.url, { cache: "no-store" }).catch(() => { throw new Problem(0, ""); });
    throw reply.status === 404 ? new Problem(410, t("The server has a new version of these pages. Load them again to go on.")) : error;
  }
}

function Page({ path }) {
  const found = match(path);
  const page = useRemote(async () => found && load(found), [found && `${found.module} ${found.name}`]);
  const [error, again] = useErrorBoundary();
  useEffect(() => { if (error) again(); }, [path]);
  if (!found) {
    return html`<${Empty} title=${t("There is no such page")} actions=${html`<a class="button" href="/">${t("To the live pictures")}</a>`}>${path}</${Empty}>`;
  }
  if (error) {
    return html`<div class="note bad" role="alert"><p>${t("This page has failed: {why}", { why: error.message })}</p><button onClick=${again}>${t("Try again")}</button></div>`;
  }
  if (page.error && page.error.status === 410) {
    return html`<div class="note warn" role="alert"><p>${page.error.message}</p><button class="primary" onClick=${() => location.reload()}>${t("Load again")}</button></div>`;
  }
  // The last page's module stays until this one's is there, and where it does not come.
  if (!page.data || page.data.name !== found.name) return html`<${Waiting} of=${page} />`;
  return html`<${page.data} key=${path} ...${found.values} />`;
}

const Icon = ({ of }) => html`<svg viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linejoin="round" aria-hidden="true"><path d=${ICONS[of]} /></svg>`;

function Rail({ path, logOut }) {
  const session = useSession();
  const [theme, setTheme] = useState(document.documentElement.dataset.theme);
  const turn = () => {
    const next = theme === "dark" ? "light" : "dark";
    localStorage.setItem("theme", next);
    document.documentElement.dataset.theme = next;
    setTheme(next);
  };
  const open = useRemote((signal) => (session.may("reviewer") ? get("/reviews/summary", {}, signal) : null), [path], 20);
  useEffect(() => {
    window.addEventListener("reviewed", open.reload);
    return () => window.removeEventListener("reviewed", open.reload);
  }, []);
  const here = (address, more) => [address, ...more].some((one) => path === one || (one !== "/" && path.startsWith(one)));
  return html`<aside class="rail">
    <a class="brand" href="/"><img src=${new URL("./icon.svg", import.meta.url).pathname} alt="Sightline" /><span aria-hidden="true">Sightline</span></a>
    <nav aria-label=${t("Pages")}>${MENU.filter(([, , , role]) => session.may(role)).map(([address, name, icon, , more]) => html`
      <a href=${address} aria-current=${here(address, more) ? "page" : null}><${Icon} of=${icon} />${name()}${address === "/review" && open.data && open.data.open > 0 && html`<span class="count">${open.data.open}</span>`}</a>`)}</nav>
    <div class="foot"><div class="row">
      <button class="quiet" onClick=${turn} aria-label=${theme === "dark" ? t("Light colours") : t("Dark colours")}>${theme === "dark" ? "☀" : "☾"}</button>
      <button class="quiet" onClick=${() => choose(language === "de" ? "en" : "de")} lang=${language === "de" ? "en" : "de"}>${language === "de" ? "English" : "Deutsch"}</button><${Help} path=${path} /></div>
      <div><b>${session.user}</b> <span class="muted">${t(session.role)}</span></div>
      <button onClick=${logOut}>${t("Log out")}</button></div>
  </aside>`;
}

function App() {
  const [path, setPath] = useState(location.pathname + location.search);
  const [session, setSession] = useState(undefined);
  const [expired, expire] = useState(false);
  const [away, setAway] = useState(false);
  useEffect(() => {
    const moved = () => { setPath(location.pathname + location.search); };
    const out = () => expire(true);
    window.addEventListener("moved", moved);
    window.addEventListener("popstate", moved);
    window.addEventListener("logged-out", out);
    get("/session").then((found) => setSession(carry(found)), async (error) => {
      if (error.status !== 401) say(told(error), true);
      setSession(null);
    });
  }, []);
  useEffect(() => {
    if (!session) return undefined;
    let timer, lost = false;
    const state = (how) => {
      if (how === "closed" && !lost) { lost = true; timer = setTimeout(() => setAway(true), 2000); }
      if (how === "open" && lost) { lost = false; clearTimeout(timer); setAway(false); window.dispatchEvent(new Event("back")); }
    };
    const stop = listen("/events", (text) => window.dispatchEvent(new CustomEvent("happened", { detail: JSON.parse(text) })), state);
    return () => { clearTimeout(timer); setAway(false); stop(); };
  }, [session && session.user]);
  const bare = path.split("?")[0];
  const door = ["/login", "/setup", "/join"].includes(bare);
  const outside = session === null && !door;
  useEffect(() => { if (outside) go(`/login${path === "/" ? "" : `?to=${encodeURIComponent(path)}`}`, true); }, [outside]);
  const logIn = (found) => setSession(carry(found));
  const logInAgain = (found) => { logIn(found); expire(false); window.dispatchEvent(new Event("back")); };
  const logOut = () => remove("/session").catch(() => {}).finally(() => { setSession(null); expire(false); go("/login"); });
  if (session === undefined || outside) return html`<${Toasts} />`;
  if (session === null || door) {
    return html`<${Session.Provider} value=${{ logIn }}><main class="door"><${Page} path=${bare} /></main><${Toasts} /></${Session.Provider}>`;
  }
  return html`<${Session.Provider} value=${session}>
    <a class="hidden skip" href="#main">${t("To the page")}</a>
    <div class="frame"><${Rail} path=${bare} logOut=${logOut} /><main id="main" tabindex="-1">
      ${away && html`<div class="note bad away" role="alert">${t("The server does not answer. The page goes on by itself as soon as it does.")}</div>`}<${Page} path=${bare} /></main></div>
    <${LoginAgain} open=${expired} name=${session.user} done=${logInAgain} close=${() => expire(false)} /><${Tour} /><${Toasts} /></${Session.Provider}>`;
}

/** Links inside the app change the page without loading everything anew. */
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || link.target || link.hasAttribute("download")) return;
  const to = new URL(link.href);
  if (to.origin !== location.origin || to.hash || /^\/(api|assets)\//.test(to.pathname)) return;
  event.preventDefault();
  go(to.pathname + to.search);
});

const dark = localStorage.getItem("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
document.documentElement.dataset.theme = dark;
await speak();
render(html`<${App} />`, document.getElementById("app"));
