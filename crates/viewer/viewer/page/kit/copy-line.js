// @ts-check
// A line to copy into a shell.

import { announce } from "./announce.js";
import { clear, h, icon } from "./dom.js";

/**
 * `line`: the text, or a function that makes it anew for each copy.
 *
 * @param {string | (() => string)} line
 */
export function copyLine(line) {
  const make = typeof line === "function" ? line : () => line;
  const shown = h("pre", { tabindex: "0" }, make());
  const button = h("button", { type: "button", "aria-label": "Copy" }, icon("copy"));
  button.addEventListener("click", async () => {
    shown.textContent = make();
    const isDone = await copied(shown.textContent);
    if (!isDone) getSelection()?.selectAllChildren(shown);
    announce(isDone ? "Copied" : "Selected: copy it with the keyboard");
    clear(button, icon(isDone ? "check" : "copy"));
    setTimeout(() => clear(button, icon("copy")), 1500);
  });
  return h("div", { class: "copy-line" }, shown, button);
}

/**
 * The clipboard is only there on a secure origin: loopback is one, a bare address over http is not.
 *
 * @param {string} text
 */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
