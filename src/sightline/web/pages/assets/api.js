// The way to the server: every page asks through here, as any program would.
const BASE = "/api/v1";
let csrf = "";

/** What the server refused, in its own words: `message` says what was wrong and what to do. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Whoever logs in tells the token that each change has to carry. */
export function carry(session) {
  csrf = session.csrf_token;
  return session;
}

export function address(path, query = {}) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") found.set(name, value);
  }
  const text = found.toString();
  return BASE + path + (text ? `?${text}` : "");
}

const read = async (reply) => {
  const kind = reply.headers.get("Content-Type") || "";
  return reply.status === 204 ? null : kind.includes("json") ? reply.json() : kind.startsWith("text/") ? reply.text() : reply.blob();
};

function refused(reply, told, path) {
  if (reply.status === 401 && path !== "/session") window.dispatchEvent(new Event("logged-out"));
  return new Problem(reply.status, (told && told.detail) || reply.statusText);
}

/** Ask for something. `body` goes as JSON, `bytes` as they are. Throws Problem; an AbortError where it was called off. */
export async function call(method, path, { query, body, bytes, ifMatch, key, signal } = {}) {
  const headers = {};
  if (method !== "GET") headers["X-CSRF-Token"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (bytes !== undefined) headers["Content-Type"] = "application/octet-stream";
  if (ifMatch) headers["If-Match"] = ifMatch;
  if (key) headers["Idempotency-Key"] = key;
  let reply;
  try {
    const sent = body === undefined ? bytes : JSON.stringify(body);
    reply = await fetch(address(path, query), { method, headers, body: sent, signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "");
  }
  const told = await read(reply);
  if (!reply.ok) throw refused(reply, told, path);
  if (told && typeof told === "object" && reply.headers.has("ETag")) {
    Object.defineProperty(told, "etag", { value: reply.headers.get("ETag") });
  }
  return told;
}

export const get = (path, query, signal) => call("GET", path, { query, signal });
export const post = (path, body = {}, more = {}) => call("POST", path, { body, ...more });
export const put = (path, body, more = {}) => call("PUT", path, { body, ...more });
export const patch = (path, body, more = {}) => call("PATCH", path, { body, ...more });
export const remove = (path, query) => call("DELETE", path, { query });

/** Have the browser save a file of the server, which is asked first: a link would save its refusal. Throws Problem. */
export async function save(path, query) {
  const stop = new AbortController();
  const where = address(path, query);
  const reply = await fetch(where, { signal: stop.signal }).catch(() => { throw new Problem(0, ""); });
  if (!reply.ok) throw refused(reply, await read(reply), path);
  stop.abort();
  location.assign(where);
}

/** What a recipe says of a picture, given as its bytes. */
export const inspect = (recipe, bytes) => call("POST", `/recipes/${recipe}/inspect`, { bytes });

/** A key for a write that must be done once, however often it is sent. */
export const once = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

export const image = (hash) => address(`/images/${hash}`);
export const thumbnail = (hash) => address(`/images/${hash}/thumbnail`);

/**
 * Listen to a WebSocket until the returned function is called; it is opened again after each end, later each time.
 * `heard` gets each message, `state` hears "open" (with the socket, for whoever sends), "closed" or "logged out"; after the
 * latter it waits for the next login ("back").
 */
export function listen(path, heard, state = () => {}) {
  let socket, timer, wait = 500, ended = false;
  const open = () => {
    socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${BASE}${path}`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { wait = 500; state("open", socket); };
    socket.onmessage = (event) => heard(event.data);
    socket.onclose = (event) => {
      if (ended) return;
      state(event.code === 4401 ? "logged out" : "closed");
      if (event.code === 4401) {
        window.addEventListener("back", open, { once: true });
        window.dispatchEvent(new Event("logged-out"));
        return;
      }
      timer = setTimeout(open, wait);
      wait = Math.min(wait * 2, 10000);
    };
  };
  open();
  return () => { ended = true; clearTimeout(timer); window.removeEventListener("back", open); socket.close(); };
}
