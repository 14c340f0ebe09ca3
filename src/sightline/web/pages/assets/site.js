// The site: users, tokens, stations, the own password, and who did what.
import { useState } from "./vendor/preact.js";
import { get, patch, post, put, remove } from "./api.js";
import { Dialog, Field, Head, Moment, RANKS, Reason, Table, Waiting, html, say, useAction, useList, useQuery, useSession } from "./parts.js";
import { number, said, t } from "./words.js";

const SCOPES = ["read", "inspect", "label", "lab", "line", "admin"];

export function Site() {
  const session = useSession();
  const [query, set] = useQuery();
  const tabs = [["self", () => t("You"), "operator", Self], ["tokens", () => t("Tokens"), "reviewer", Tokens], ["stations", () => t("Stations"), "operator", Stations], ["users", () => t("Users"), "administrator", Users], ["audit", () => t("Audit"), "administrator", Audit]].filter(([, , role]) => session.may(role));
  const [, , , Shown] = tabs.find(([name]) => name === (query.tab || (session.may("administrator") ? "users" : "self"))) || tabs[0];
  return html`<${Head} title=${t("Site")} about=${t("Who may do what, and who did.")} />
    <nav class="tabs" aria-label=${t("Views")}>${tabs.map(([name, word, , part]) => html`<a href=${`/site?tab=${name}`} aria-current=${part === Shown ? "page" : null}>${word()}</a>`)}</nav><${Shown} query=${query} set=${set} />`;
}

function Self() {
  const session = useSession();
  const [change, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = Object.fromEntries(new FormData(event.target));
    await patch("/session/user", { password: form.password, ...(form.new_password ? { new_password: form.new_password } : {}), ...(form.new_pin ? { new_pin: form.new_pin } : {}) });
    event.target.reset();
  }, t("Changed."));
  return html`<section class="panel"><h2>${session.user} <span class="muted">${t(session.role)}</span></h2><form class="stack" onSubmit=${change}>
    <${Field} label=${t("Password")}><input name="password" type="password" required autocomplete="current-password" /></${Field}>
    <${Field} label=${t("New password")} hint=${t("At least ten characters: a sentence is easy to keep in mind.")}><input name="new_password" type="password" minlength="10" maxlength="128" autocomplete="new-password" /></${Field}>
    <${Field} label=${t("New PIN")} hint=${t("For shared screens, where the server allows it")}><input name="new_pin" inputmode="numeric" pattern="[0-9]*" maxlength="20" autocomplete="off" /></${Field}>
    <div><button class="primary" disabled=${busy}>${t("Change")}</button></div></form></section>`;
}

function Tokens() {
  const list = useList("/tokens", { limit: 100 });
  const [secret, show] = useState("");
  const [make, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const made = await post("/tokens", { name: form.get("name"), scopes: form.getAll("scope") });
    show(made.secret);
    event.target.reset();
    list.reload();
  });
  const [end] = useAction(async (one) => { await remove(`/tokens/${one.id}`); list.reload(); });
  return html`<div class="split"><section class="panel flat">${!list.items ? html`<${Waiting} of=${list} />` : html`<${Table} label=${t("Tokens")} rows=${list.items} columns=${[[t("Name"), (one) => one.name], [t("Of"), (one) => one.user], [t("May"), (one) => one.scopes.join(", ")], [t("Made"), (one) => html`<${Moment} at=${one.created} />`], [t("Ends"), (one) => (one.revoked ? t("ended") : one.expires ? html`<${Moment} at=${one.expires} />` : t("never"))], ["", (one) => !one.revoked && html`<button class="danger" onClick=${() => end(one)}>${t("End it")}</button>`]]} />`}</section>
    <section class="panel"><h2>${t("New token")}</h2><form class="stack" onSubmit=${make}><${Field} label=${t("For which program?")}><input name="name" required maxlength="64" /></${Field}>
      <fieldset><legend>${t("It may")}</legend>${SCOPES.map((one) => html`<label class="row"><input type="checkbox" name="scope" value=${one} defaultChecked=${one === "read"} /> ${one}</label>`)}</fieldset><div><button class="primary" disabled=${busy}>${t("Make it")}</button></div></form></section></div>
    <${Dialog} open=${!!secret} title=${t("The token")} close=${() => show("")}><p>${t("It is shown this once.")}</p><p><code>${secret}</code></p><button class="primary" onClick=${() => show("")}>${t("I have kept it")}</button></${Dialog}>`;
}

function Stations() {
  const session = useSession();
  const list = useList("/stations", { limit: 100 });
  const [asking, ask] = useState(null);
  const [save, busy] = useAction(async (event) => {
    event.preventDefault();
    const form = Object.fromEntries(new FormData(event.target));
    await put(`/stations/${encodeURIComponent(form.name)}`, { url: form.url, token_env: form.token_env });
    event.target.reset();
    list.reload();
    const state = await get(`/stations/${encodeURIComponent(form.name)}/status`);
    say(state.reachable ? t("{name} answers.", { name: form.name }) : state.why, !state.reachable);
  });
  const drop = (one) => ask({ title: t("Forget {name}", { name: one.name }), danger: true, verb: t("Forget it"), about: t("Its records stay."), action: async (reason) => { await remove(`/stations/${encodeURIComponent(one.name)}`, { reason }); list.reload(); } });
  const may = session.may("administrator");
  return html`<div class=${may ? "split" : ""}><section class="panel flat">${!list.items ? html`<${Waiting} of=${list} />` : html`<${Table} label=${t("Stations")} rows=${list.items.map((one) => ({ ...one, id: one.name }))} columns=${[[t("Name"), (one) => html`<a href=${`/live/${encodeURIComponent(one.name)}`}>${one.name}</a>`], [t("Address"), (one) => one.url], [t("Token in"), (one) => one.token_env || "–"], ["", (one) => may && html`<button class="danger" onClick=${() => drop(one)}>${t("Forget it")}</button>`]]} />`}</section>
    ${may && html`<section class="panel"><h2>${t("Name a station")}</h2><form class="stack" onSubmit=${save}><${Field} label=${t("Name")} hint=${t("As in its own file")}><input name="name" required maxlength="64" /></${Field}><${Field} label=${t("Address")} hint=${t("Of its HTTP port, [health] in its file")}><input name="url" type="url" required placeholder="http://192.168.1.20:9108" maxlength="300" /></${Field}>
      <${Field} label=${t("Variable with its token")} hint=${t("In the server's environment: SIGHTLINE_STATION_…")}><input name="token_env" pattern="(SIGHTLINE_STATION_\\w+)?" maxlength="100" /></${Field}><div><button class="primary" disabled=${busy}>${t("Keep it")}</button></div></form></section>`}</div>
    <${Reason} ask=${asking} close=${() => ask(null)} />`;
}

function Users() {
  const list = useList("/users", { limit: 200 });
  const [asking, ask] = useState(null);
  const [add, busy] = useAction(async (event) => {
    event.preventDefault();
    await post("/users", Object.fromEntries(new FormData(event.target)));
    event.target.reset();
    list.reload();
  }, t("Added."));
  const change = (one, title, body, danger) => ask({ title, danger, verb: title, action: async (reason) => { await patch(`/users/${encodeURIComponent(one.name)}`, { ...body, reason }); list.reload(); } });
  const roles = (one) => html`<select aria-label=${t("Role of {name}", { name: one.name })} onChange=${(event) => { change(one, t("Make {name} {role}", { name: one.name, role: t(event.target.value) }), { role: event.target.value }); event.target.value = one.role; }}>${RANKS.map((role) => html`<option value=${role} selected=${role === one.role}>${t(role)}</option>`)}</select>`;
  return html`<div class="split"><section class="panel flat">${!list.items ? html`<${Waiting} of=${list} />` : html`<${Table} label=${t("Users")} rows=${list.items} columns=${[[t("Name"), (one) => one.name], [t("Role"), roles], [t("State"), (one) => (one.disabled ? t("shut out") : one.locked_until && new Date(one.locked_until) > new Date() ? t("locked for a while") : t("active"))], [t("Since"), (one) => html`<${Moment} at=${one.created} />`], ["", (one) => html`<button class=${one.disabled ? "" : "danger"} onClick=${() => change(one, one.disabled ? t("Let {name} in again", { name: one.name }) : t("Shut {name} out", { name: one.name }), { disabled: !one.disabled }, !one.disabled)}>${one.disabled ? t("Let in") : t("Shut out")}</button>`]]} />`}</section>
    <section class="panel"><h2>${t("New user")}</h2><form class="stack" onSubmit=${add}><${Field} label=${t("Name")}><input name="name" required maxlength="64" autocomplete="off" /></${Field}><${Field} label=${t("Role")}><select name="role">${RANKS.map((role) => html`<option value=${role}>${t(role)}</option>`)}</select></${Field}>
      <${Field} label=${t("First password")} hint=${t("At least ten characters: a sentence is easy to keep in mind.")}><input name="password" type="password" required minlength="10" autocomplete="new-password" /></${Field}><div><button class="primary" disabled=${busy}>${t("Add")}</button></div></form></section></div>
    <${Reason} ask=${asking} close=${() => ask(null)} />`;
}

function Audit({ query, set }) {
  const list = useList("/audit", { author: query.author, subject: query.subject, limit: 100 });
  const [chain, setChain] = useState(null);
  const [verify, busy] = useAction(async () => setChain(await get("/audit/chain")));
  const filter = (name, word) => html`<input type="search" placeholder=${word} aria-label=${word} value=${query[name] || ""} onChange=${(event) => set({ [name]: event.target.value })} />`;
  return html`<div class="row" style="margin-bottom:12px">${filter("author", t("By whom"))}${filter("subject", t("About what, for instance user ann"))}<button disabled=${busy} onClick=${verify}>${t("Verify the chain")}</button></div>
    ${chain && html`<div class=${`note ${chain.broken ? "bad" : ""}`} role="status">${chain.broken || t("{n} rows, all of them whole. The last one: {hash}", { n: number(chain.rows), hash: chain.head })}</div>`}
    <section class="panel flat">${!list.items ? html`<${Waiting} of=${list} />` : html`<${Table} label=${t("Audit")} rows=${list.items} columns=${[[t("When"), (one) => html`<${Moment} at=${one.created} />`], [t("Who"), (one) => one.author], [t("Did"), (one) => said(one.action, "did")], [t("To"), (one) => one.subject], [t("Why"), (one) => one.reason], [t("More"), (one) => html`<span class="muted small">${Object.keys(one.details).length ? JSON.stringify(one.details).slice(0, 120) : ""}</span>`]]} />`}</section>
    ${list.more && html`<p><button onClick=${list.more}>${t("More")}</button></p>`}`;
}
