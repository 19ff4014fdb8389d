// @ts-check
// The trace that was put aside to be compared with the next one that is chosen. Held while the page is open.

import { clear, h, icon } from "../kit/dom.js";
import { link, navigate } from "../kit/router.js";

/** @type {{id: string, name: string} | null} */
let chosen = null;
const listeners = new Set();

/**
 * The address of a comparison; without `right`, with what is typical.
 *
 * @param {string} left
 * @param {string} [right]
 */
export function compareAddress(left, right = "typical") {
  return `/compare?${new URLSearchParams({ left, right })}`;
}

/** @param {{id: string, name: string} | null} next */
function choose(next) {
  chosen = next;
  for (const listener of listeners) listener();
}

/**
 * A button that puts a trace aside, or compares the one that was put aside with this one.
 *
 * @param {string} id
 * @param {string} name
 * @param {string} [label] beside the icon
 */
export function chooseButton(id, name, label = "") {
  const button = h("button", { type: "button", class: "quiet compare-choose" });
  function press() {
    if (chosen === null) choose({ id, name });
    else if (chosen.id === id) choose(null);
    else {
      const left = chosen.id;
      choose(null);
      navigate(compareAddress(left, id));
    }
  }
  function draw() {
    if (!button.isConnected && button.dataset.drawn) {
      listeners.delete(draw);
      return;
    }
    button.dataset.drawn = "1";
    const isThis = chosen?.id === id;
    const words = isThis ? "Do not compare" : chosen === null ? "Compare" : "Compare with this";
    button.setAttribute("aria-pressed", String(isThis));
    button.setAttribute("aria-label", `${words}: ${name}`);
    button.title = chosen === null ? "Compare: choose this trace, then another" : words;
    const shown = chosen !== null && !isThis ? "with this" : label;
    clear(button, icon("compare"), shown ? h("span", {}, shown) : null);
  }
  button.addEventListener("click", press);
  listeners.add(draw);
  draw();
  return button;
}

/** What was put aside, with the ways on from it; hidden while nothing is. Answers `{node, dispose}`. */
export function choiceBar() {
  const node = h("p", { class: "note compare-bar", role: "status", hidden: true });
  function draw() {
    node.hidden = chosen === null;
    if (chosen === null) return;
    clear(
      node,
      "To be compared: ",
      link(`/trace/${chosen.id}`, h("bdi", {}, chosen.name)),
      ". Choose another trace, or ",
      link(compareAddress(chosen.id), "compare it with what is typical"),
      ". ",
      h("button", { type: "button", class: "textual", on: { click: () => choose(null) } }, "Not this one"),
    );
  }
  listeners.add(draw);
  draw();
  return { node, dispose: () => listeners.delete(draw) };
}
