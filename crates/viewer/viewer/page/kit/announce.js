// @ts-check
// What screen readers are told when something changes without the focus moving.

import { h } from "./dom.js";

/** @type {Record<string, HTMLElement>} */
const regions = {};

/** @param {string} politeness */
function region(politeness) {
  if (!regions[politeness]) {
    regions[politeness] = h("div", { class: "visually-hidden", "aria-live": politeness, "aria-atomic": true });
    document.body.append(regions[politeness]);
  }
  return regions[politeness];
}

/**
 * Says `text`; with `assertive` at once, else when the reader pauses.
 *
 * @param {string} text
 * @param {{assertive?: boolean}} [options]
 */
export function announce(text, { assertive = false } = {}) {
  const node = region(assertive ? "assertive" : "polite");
  // The same words twice would not be a change.
  node.textContent = node.textContent === text ? `${text}\u00a0` : text;
}
