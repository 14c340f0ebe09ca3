// A camera of this computer or phone: its picture, how sharp and how well lit it is, and a shutter.
import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { Field, told } from "./parts.js";
import { number, percent, t } from "./words.js";

const LOOK_PX = 320; // width of the picture that is looked at, four times a second

/** Sharpness (variance of the Laplacian, in grey levels squared) and the shares of pixels that are black or white. */
function look(video, canvas) {
  canvas.width = LOOK_PX;
  canvas.height = Math.round((LOOK_PX * video.videoHeight) / video.videoWidth);
  const { width, height } = canvas;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(video, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const grey = new Float32Array(width * height);
  let dark = 0, bright = 0;
  for (let n = 0; n < grey.length; n++) {
    grey[n] = 0.299 * data[n * 4] + 0.587 * data[n * 4 + 1] + 0.114 * data[n * 4 + 2];
    if (grey[n] < 4) dark += 1;
    if (grey[n] > 251) bright += 1;
  }
  let sum = 0, squares = 0;
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      const value = grey[at - 1] + grey[at + 1] + grey[at - width] + grey[at + width] - 4 * grey[at];
      sum += value;
      squares += value * value;
    }
  }
  const count = (width - 2) * (height - 2);
  return { sharp: squares / count - (sum / count) ** 2, dark: dark / grey.length, bright: bright / grey.length };
}

export function Camera({ shot }) {
  const video = useRef();
  const scratch = useRef(document.createElement("canvas"));
  const [devices, setDevices] = useState([]);
  const [device, setDevice] = useState("");
  const [error, setError] = useState("");
  const [seen, setSeen] = useState(null);
  const best = useRef(0);
  useEffect(() => {
    let stream, timer, ended = false;
    const open = async () => {
      if (!navigator.mediaDevices) { setError(t("A browser opens its camera only by TLS or on this machine itself.")); return; }
      try {
        const wanted = device ? { deviceId: { exact: device } } : { facingMode: "environment" };
        stream = await navigator.mediaDevices.getUserMedia({ video: { ...wanted, width: { ideal: 4096 }, height: { ideal: 2160 } } });
        if (ended) { stream.getTracks().forEach((track) => track.stop()); return; }
        video.current.srcObject = stream;
        await video.current.play();
        setDevices((await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "videoinput"));
        timer = setInterval(() => { if (video.current && video.current.videoWidth) setSeen(look(video.current, scratch.current)); }, 250);
      } catch (problem) { setError(t("The camera cannot be opened: {why}", { why: told(problem) })); }
    };
    open();
    return () => { ended = true; clearInterval(timer); if (stream) stream.getTracks().forEach((track) => track.stop()); };
  }, [device]);
  if (seen) best.current = Math.max(best.current * 0.999, seen.sharp);
  const take = () => {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: video.current.videoWidth, height: video.current.videoHeight });
    canvas.getContext("2d").drawImage(video.current, 0, 0);
    const name = `camera-${new Date().toISOString().replace(/[:.]/g, "-")}.png`;
    canvas.toBlob((blob) => shot(new File([blob], name, { type: "image/png" })), "image/png");
  };
  if (error) return html`<div class="note bad" role="alert">${error}</div>`;
  return html`<div class="camera"><video ref=${video} muted playsinline></video>
    <div class="row"><button type="button" class="primary" onClick=${take}>${t("Take a picture")}</button>
      ${devices.length > 1 && html`<${Field} label=${t("Camera")}><select onChange=${(event) => setDevice(event.target.value)}>${devices.map((one) => html`<option value=${one.deviceId}>${one.label || one.deviceId.slice(0, 8)}</option>`)}</select></${Field}>`}
      ${seen && html`<label class="row">${t("Focus")} <meter min="0" max="1" low="0.6" optimum="1" value=${best.current ? seen.sharp / best.current : 0}></meter> <span class="muted num">${number(seen.sharp)}</span></label>
        <span class=${seen.bright > 0.02 || seen.dark > 0.3 ? "answer defective" : "muted"}>${t("{bright} too bright, {dark} black", { bright: percent(seen.bright), dark: percent(seen.dark) })}</span>`}</div></div>`;
}
