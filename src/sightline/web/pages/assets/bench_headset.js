// The bench in a headset: an immersive session whose only content is a page over the world, with the verdict and what to do.
import { useEffect, useRef, useState } from "./vendor/preact.js";
import { Banner, html, say, told } from "./parts.js";
import { t } from "./words.js";

/** Whether this browser can show pages over the world; never where it has no WebXR. */
const able = async () => !!navigator.xr && navigator.xr.isSessionSupported("immersive-ar").catch(() => false);

/** A layer that is drawn empty: the world stays to be seen, and the page lies over it. */
function emptyLayer(session) {
  const gl = document.createElement("canvas").getContext("webgl", { xrCompatible: true });
  if (!gl) throw new Error("no WebGL");
  const layer = new XRWebGLLayer(session, gl);
  session.updateRenderState({ baseLayer: layer });
  const frame = () => {
    gl.bindFramebuffer(gl.FRAMEBUFFER, layer.framebuffer);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    session.requestAnimationFrame(frame);
  };
  session.requestAnimationFrame(frame);
}

/**
 * A button where a headset offers it. In its view: the verdict and the instruction, hands-free; parts are seen by the page's own
 * camera, as without a headset. `enter` is told when the view begins.
 */
export function Headset({ verdict, why, enter }) {
  const [offered, offer] = useState(false);
  const [session, begin] = useState(null);
  const over = useRef(), open = useRef(null);
  useEffect(() => {
    let gone = false;
    able().then((yes) => { if (!gone) offer(yes); });
    return () => { gone = true; if (open.current) open.current.end().catch(() => {}); };
  }, []);
  const start = async () => {
    try {
      const found = await navigator.xr.requestSession("immersive-ar", { requiredFeatures: ["dom-overlay"], domOverlay: { root: over.current } });
      open.current = found;
      found.addEventListener("end", () => { open.current = null; begin(null); });
      emptyLayer(found);
      begin(found);
      enter();
    } catch (error) {
      if (open.current) open.current.end().catch(() => {});
      say(t("The headset cannot show it: {why}", { why: told(error) }), true);
    }
  };
  if (!offered) return null;
  return html`<button onClick=${start} disabled=${!!session}>${t("Headset")}</button>
    <div ref=${over} class=${session ? "headset" : "hidden"}>${session && html`<${Banner} of=${verdict} word=${verdict ? null : t("NOT INSPECTED")} /><p class="told">${why}</p>
      <button onClick=${() => session.end()}>${t("Leave the headset's view")}</button>`}</div>`;
}
