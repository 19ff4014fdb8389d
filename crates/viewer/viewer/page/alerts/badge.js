// @ts-check
// How many alerts fire, beside the word in the navigation.

import { get } from "../kit/api.js";
import { h } from "../kit/dom.js";
import { counted } from "../kit/format.js";

const EVERY_MS = 30_000;

/** The badge; it asks by itself while the page is looked at. */
export function alertBadge() {
  const node = h("span", { class: "badge bad nav-badge", hidden: true });

  async function load() {
    if (document.hidden) return;
    try {
      const { firing, silenced } = await get("/alerts/summary");
      const loud = firing - silenced;
      node.hidden = loud <= 0;
      node.textContent = String(loud);
      node.title = `${counted(loud, "alert")} firing`;
    } catch {
      // The view that is shown says what is wrong.
      node.hidden = true;
    }
  }

  document.addEventListener("visibilitychange", load);
  setInterval(load, EVERY_MS);
  load();
  return node;
}
