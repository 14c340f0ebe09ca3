// A QR code that lets a phone in: its link works once, for two minutes, and never with more rights than an operator's.
import { useContext, useEffect, useRef, useState } from "./vendor/preact.js";
import { post } from "./api.js";
import { Dialog, Head, Session, go, html, told, useAction, useRemote } from "./parts.js";
import { number, t } from "./words.js";

export function Invitation({ open, to, close }) {
  return html`<${Dialog} open=${open} title=${t("Continue on a phone")} close=${close}><${Code} to=${to} close=${close} /></${Dialog}>`;
}

function Code({ to, close }) {
  const link = useRemote((signal) => post("/session/links", { to }, { signal }), [to]);
  const [left, setLeft] = useState(null);
  useEffect(() => {
    if (!link.data) return undefined;
    const end = Date.now() + link.data.seconds * 1000;
    const tick = () => setLeft(Math.max(0, Math.round((end - Date.now()) / 1000)));
    tick();
    const clock = setInterval(tick, 1000);
    return () => clearInterval(clock);
  }, [link.data]);
  if (link.error) return html`<div class="note bad" role="alert">${told(link.error)}</div><button onClick=${close}>${t("Close")}</button>`;
  if (!link.data) return html`<p class="muted" aria-busy="true">${t("Loading …")}</p>`;
  return html`<div class="stack invitation">${left === 0 ? html`<p>${t("This link is no longer valid.")}</p>` : html`
      <img src=${link.data.qr} alt=${t("QR code of the link")} width="264" height="264" />
      <p>${t("Point the phone's camera at the code. It logs in as {name}, with an operator's rights, once and within {s} s.", { name: link.data.user, s: number(left) })}</p>`}
    ${!link.data.reachable && html`<p class="note warn">${t("This address leads to this computer only. For phones, serve Sightline over TLS under its name in the network; the guide says how.")}</p>`}
    <div class="row"><button onClick=${link.reload}>${t("New link")}</button><button class="quiet" onClick=${close}>${t("Close")}</button></div></div>`;
}

/** Where the link of the code leads: what follows # in it is used up, and this device logged in, once its reader agrees. */
export function Join() {
  const { logIn } = useContext(Session);
  const token = useRef(location.hash.slice(1));
  const [user, setUser] = useState("");
  const [error, setError] = useState("");
  const fail = (problem) => setError(told(problem));
  useEffect(() => {
    history.replaceState(null, "", "/join");
    post("/session/link", { token: token.current }).then((link) => setUser(link.user), fail);
  }, []);
  const [join, busy] = useAction(() => post("/session/join", { token: token.current }).then((joined) => { logIn(joined); go(joined.to, true); }, fail));
  return html`<${Head} title="Sightline" />${error ? html`<div class="note bad" role="alert">${error}</div><p><a class="button" href="/login">${t("Log in")}</a></p>`
    : !user ? html`<p class="muted" aria-busy="true">${t("Loading …")}</p>`
    : html`<p>${t("This device will be logged in as {name}, with an operator's rights: what it does, {name} has done.", { name: user })}</p>
      <p><button class="primary" disabled=${busy} onClick=${join}>${t("Log in as {name}", { name: user })}</button></p>`}`;
}
