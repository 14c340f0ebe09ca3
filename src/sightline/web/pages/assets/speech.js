// The bench by ear and hand: verdicts that are said, a phone that shakes, and words that command it.
import { language, t } from "./words.js";

const Recognition = window.SpeechRecognition || window.webkitSpeechRecognition;
export const hears = !!Recognition;
export const speaks = "speechSynthesis" in window;
export const shakes = "vibrate" in navigator;
const PATTERNS = { OK: [80], NG: [250, 120, 250], REVIEW: [120, 80, 120, 80, 120] };
const COMMANDS = {
  en: { next: ["next", "go on"], again: ["again", "repeat"], inspect: ["inspect", "check"] },
  de: { next: ["weiter", "nächst"], again: ["nochmal", "noch einmal"], inspect: ["prüf"] },
};

/** Say a text; what is being said is broken off. */
export function sayAloud(text) {
  if (!speaks) return;
  speechSynthesis.cancel();
  const words = new SpeechSynthesisUtterance(text);
  words.lang = language === "de" ? "de-DE" : "en-GB";
  speechSynthesis.speak(words);
}

export const spoken = (verdict) => ({ OK: t("OK"), NG: t("N G, not good"), REVIEW: t("Review, have it looked at") })[verdict];
export const shake = (verdict) => { if (shakes) navigator.vibrate(PATTERNS[verdict]); };

/** Listen for commands until the returned function is called; `heard` gets "next", "again" or "inspect". */
export function command(heard, failed) {
  if (!Recognition) return () => {};
  const ear = new Recognition();
  let ended = false;
  Object.assign(ear, { lang: language === "de" ? "de-DE" : "en-US", continuous: true, interimResults: false });
  ear.onresult = (event) => {
    const said = event.results[event.results.length - 1][0].transcript.toLowerCase();
    const found = Object.entries(COMMANDS[language] || COMMANDS.en).find(([, words]) => words.some((word) => said.includes(word)));
    if (found) heard(found[0]);
  };
  ear.onerror = (event) => { if (event.error === "not-allowed" || event.error === "service-not-allowed") { ended = true; failed(); } };
  ear.onend = () => { if (!ended) setTimeout(() => { if (!ended) ear.start(); }, 300); };
  ear.start();
  return () => { ended = true; ear.abort(); };
}
