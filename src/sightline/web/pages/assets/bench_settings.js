// How a bench behaves on this device: kept by the browser, for this device alone.
import { useEffect, useState } from "./vendor/preact.js";
import { Field, html } from "./parts.js";
import { hears, shakes, speaks } from "./speech.js";
import { duration, number, t } from "./words.js";

const DEFAULTS = { handsFree: true, voice: false, shake: true, contrast: false, commands: false, device: "", where: "auto" };

const PLACES = () => ({ auto: t("on the server, on this device when that is away or slow"), server: t("always on the server"), device: t("on this device") });
const NEEDS = () => ({ tiles: t("tiles of large pictures"), alignment: t("alignment to a golden part"), "known types": t("known defect types"), grades: t("grades"), "no good parts": t("learned without good parts") });

/** Why the recipe cannot run in this device; "" where it can, or may. */
function unable(place, device, marker) {
  if (!place) return "";
  if (marker) return t("Markers are found by the server alone. It inspects.");
  if (!place.runtime) return t("This server has not the runtime for browsers. Whoever runs it calls: sightline browser-runtime");
  if (place.refused.length) return t("This recipe needs what browsers cannot do: {what}. The server inspects.", { what: place.refused.map((one) => NEEDS()[one] || one).join(", ") });
  return device && device.problem ? t("The recipe does not run in this browser: {why}", { why: device.problem }) : "";
}

/** [settings, change]. */
export function useSettings() {
  const [settings, set] = useState(() => ({ ...DEFAULTS, ...JSON.parse(localStorage.getItem("bench") || "{}") }));
  const change = (values) => set((old) => { const next = { ...old, ...values }; localStorage.setItem("bench", JSON.stringify(next)); return next; });
  return [settings, change];
}

export function Settings({ settings, change, state, open, station, place, device, judge, marker }) {
  const [cameras, setCameras] = useState([]);
  const camera = state && state.camera;
  useEffect(() => {
    if (camera) navigator.mediaDevices.enumerateDevices().then((found) => setCameras(found.filter((one) => one.kind === "videoinput")));
  }, [camera && camera.id]);
  const choice = (name, word, hint, possible = true) => html`<label class="switch"><input type="checkbox" checked=${settings[name] && possible} disabled=${!possible} onChange=${(event) => change({ [name]: event.target.checked })} /><span>${word}${hint && html`<small>${hint}</small>`}</span></label>`;
  const facing = camera && { user: t("front camera: the picture is not mirrored, so it moves against your hand"), environment: t("rear camera") }[camera.facing];
  return html`<details class="panel settings"><summary>${t("Settings of this device")}</summary>
    ${choice("handsFree", t("Hands-free"), t("A still part is inspected by itself; when it leaves, the next one is."))}
    ${choice("voice", t("Say the verdict"), speaks ? "" : t("This browser cannot speak."), speaks)}
    ${choice("shake", t("Vibrate"), shakes ? "" : t("This device cannot vibrate."), shakes)}
    ${choice("commands", t("Commands by voice: next, again, inspect"), hears ? t("Some browsers send what they hear to their maker.") : t("This browser does not listen."), hears)}
    ${choice("contrast", t("High contrast"))}
    <${Field} label=${t("The recipe runs")} hint=${unable(place, device, marker)}><select onChange=${(event) => change({ where: event.target.value })}>${Object.entries(PLACES()).map(([key, word]) => html`<option value=${key} selected=${key === settings.where} disabled=${key === "device" && !!unable(place, device, marker)}>${word}</option>`)}</select></${Field}>
    ${cameras.length > 1 && html`<${Field} label=${t("Camera")}><select onChange=${(event) => { change({ device: event.target.value }); open(event.target.value); }}>${cameras.map((one) => html`<option value=${one.deviceId} selected=${camera && one.deviceId === camera.id}>${one.label || one.deviceId.slice(0, 8)}</option>`)}</select></${Field}>`}
    <dl class="facts"><dt>${t("Station")}</dt><dd>${station}</dd>${camera && html`<dt>${t("Camera")}</dt><dd>${camera.label}${facing && html` (${facing})`}</dd>`}
      <dt>${t("Inspecting now")}</dt><dd>${!judge || !judge.open ? "–" : judge.device ? t("this device") : t("the server")}</dd><dt>${t("Round trip")}</dt><dd>${state && state.tripMs ? duration(state.tripMs / 1000) : "–"}</dd><dt>${t("Pictures per second")}</dt><dd>${state ? number(state.framesPerS) : "–"}</dd></dl></details>`;
}
