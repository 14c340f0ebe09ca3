// The door: logging in, and making the first user with the console's token.
import { useContext, useState } from "./vendor/preact.js";
import { get, post } from "./api.js";
import { Dialog, Field, Head, Session, go, html, told, useAction, useRemote } from "./parts.js";
import { t } from "./words.js";

/** Where to go after the login: an address of this app and nowhere else. */
function target() {
  const to = new URLSearchParams(location.search).get("to") || "/";
  const url = new URL(to, location.origin);
  // A path of two slashes, as "/.//elsewhere" gives, would name another host.
  return to.startsWith("/") && url.origin === location.origin && !url.pathname.startsWith("//") ? url.pathname + url.search : "/";
}

function useDoor(path, kept) {
  const { logIn } = useContext(Session);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const send = async (event) => {
    event.preventDefault();
    const form = Object.fromEntries(new FormData(event.target));
    setBusy(true);
    setError("");
    try {
      if (path === "/setup") await post("/setup", { ...kept, ...form });
      logIn(await post("/session", { name: form.name, password: form.password }));
      go(target(), true);
    } catch (problem) {
      setError(told(problem));
      setBusy(false);
    }
  };
  return { error, busy, send };
}

export function Login() {
  const { error, busy, send } = useDoor("/session");
  const health = useRemote((signal) => get("/health", {}, signal));
  if (health.data && !health.data.set_up) go("/setup" + location.hash, true);
  return html`<${Head} title="Sightline" about=${t("Log in to see the line.")} />
    <form class="stack" onSubmit=${send}>
      ${error && html`<div class="note bad" role="alert">${error}</div>`}
      <${Field} label=${t("Name")}><input name="name" required autofocus autocomplete="username" maxlength="64" /></${Field}>
      <${Field} label=${t("Password")}><input name="password" type="password" required autocomplete="current-password" maxlength="1000" /></${Field}>
      <div><button class="primary" disabled=${busy}>${t("Log in")}</button></div>
    </form>`;
}

/** Over a page whose login has ended: the page stays as it is, with all that was typed in it. */
export function LoginAgain({ open, name, done, close }) {
  const [send, busy] = useAction(async (event) => {
    event.preventDefault();
    done(await post("/session", { name, password: new FormData(event.target).get("password") }));
  });
  const other = () => location.assign(`/login?to=${encodeURIComponent(location.pathname + location.search)}`);
  return html`<${Dialog} open=${open} title=${t("Your login has ended")} close=${close}><form class="stack" onSubmit=${send}>
    <p>${t("Log in again to go on. What you typed is still on the page; what you sent last was not done.")}</p>
    <input class="hidden" name="name" value=${name} autocomplete="username" readonly tabindex="-1" aria-hidden="true" />
    <${Field} label=${t("Password of {name}", { name })}><input name="password" type="password" required autofocus autocomplete="current-password" maxlength="1000" /></${Field}>
    <div class="row"><button class="primary" disabled=${busy}>${t("Log in")}</button><button type="button" class="quiet" onClick=${other}>${t("I am somebody else")}</button></div></form></${Dialog}>`;
}

export function Setup() {
  const token = location.hash.slice(1);
  const { error, busy, send } = useDoor("/setup", token ? { token } : {});
  return html`<${Head} title=${t("Welcome")} about=${t("Make the first user, who may do everything and can add others.")} />
    <form class="stack" onSubmit=${send}>
      ${error && html`<div class="note bad" role="alert">${error}</div>`}
      ${!token && html`<${Field} label=${t("Set-up token")} hint=${t("The console shows it where the server was started.")}>
        <input name="token" required autocomplete="off" maxlength="200" /></${Field}>`}
      <${Field} label=${t("Name")}><input name="name" required autofocus autocomplete="username" maxlength="64" /></${Field}>
      <${Field} label=${t("Password")} hint=${t("At least ten characters: a sentence is easy to keep in mind.")}>
        <input name="password" type="password" required minlength="10" autocomplete="new-password" maxlength="1000" /></${Field}>
      <div><button class="primary" disabled=${busy}>${t("Begin")}</button></div>
    </form>`;
}
