// @ts-check
// Searches that the reader keeps, and those of late, in this browser.

import { announce } from "../kit/announce.js";
import { all, clear, h, icon } from "../kit/dom.js";
import { visibleText } from "../kit/format.js";
import { link, state as addressState } from "../kit/router.js";
import { windowOf } from "./query.js";

const KEY = "waypost-searches";
const MAX_RECENT = 20;
const MAX_SAVED = 100;

/** @typedef {{saved: {name: string, query: string}[], recent: string[]}} Kept */

/** @returns {Kept} */
function kept() {
  try {
    const { saved, recent } = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return {
      saved: Array.isArray(saved) ? saved.filter((one) => typeof one?.name === "string" && typeof one.query === "string") : [],
      recent: Array.isArray(recent) ? recent.filter((one) => typeof one === "string") : [],
    };
  } catch {
    // Storage that is closed, or holds what is not ours.
    return { saved: [], recent: [] };
  }
}

/** @param {Kept} all */
function keep(all) {
  try {
    localStorage.setItem(KEY, JSON.stringify(all));
  } catch {
    announce("This browser keeps nothing for the page");
  }
}

/** Typed queries of late, the latest first. */
export function recentQueries() {
  return kept().recent;
}

/** @param {string} text */
export function rememberQuery(text) {
  if (!text) return;
  const all = kept();
  keep({ ...all, recent: [text, ...all.recent.filter((one) => one !== text)].slice(0, MAX_RECENT) });
}

/**
 * A button with the searches that are kept; `usualName()` is offered for the present one.
 *
 * @param {{usualName: () => string}} options
 */
export function savedSearches({ usualName }) {
  const name = h("input", { type: "text", "aria-label": "Name of this search", maxlength: 120 });
  const form = h("form", { class: "save-search", "aria-label": "Save this search" }, name, h("button", { type: "submit" }, "Save"));
  const list = h("ul", { class: "saved-list" });
  const box = h(
    "details",
    { class: "menu saved" },
    h("summary", { class: "button" }, icon("check"), "Saved"),
    h(
      "div",
      { class: "menu-panel" },
      form,
      list,
      h(
        "div",
        { class: "menu-foot" },
        h("button", { type: "button", on: { click: () => copy(location.href) } }, icon("link"), "Copy link"),
        h("button", { type: "button", title: "The link shows the present window, whenever it is opened", on: { click: () => copy(fixed()) } }, icon("clock"), "Copy link with this time"),
      ),
    ),
  );

  box.addEventListener("toggle", () => {
    if (!box.open) return;
    name.value = usualName();
    draw();
    name.select();
    name.focus();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !box.open) return;
    box.open = false;
    box.querySelector("summary")?.focus();
  });
  box.addEventListener("focusout", (event) => {
    if (event.relatedTarget instanceof Node && !box.contains(event.relatedTarget)) box.open = false;
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const called = name.value.trim();
    if (!called) return;
    const query = addressState();
    for (const temporary of ["show", "sought", "live"]) query.delete(temporary);
    const others = kept().saved.filter((one) => one.name !== called);
    keep({ ...kept(), saved: [{ name: called, query: query.toString() }, ...others].slice(0, MAX_SAVED) });
    announce(`Saved as ${called}`);
    draw();
  });

  function draw() {
    const { saved } = kept();
    clear(
      list,
      saved.map((one) =>
        h(
          "li",
          {},
          link(`/search?${one.query}`, { class: "elide", on: { click: () => (box.open = false) } }, h("bdi", {}, visibleText(one.name))),
          h("button", { type: "button", class: "quiet", "aria-label": `Forget ${visibleText(one.name)}`, on: { click: () => forget(one.name) } }, icon("close")),
        ),
      ),
    );
    if (!saved.length) clear(list, h("li", { class: "muted" }, "No search is saved in this browser yet."));
  }

  /** @param {string} called */
  function forget(called) {
    keep({ ...kept(), saved: kept().saved.filter((one) => one.name !== called) });
    draw();
    (all(list, ".quiet")[0] ?? name).focus();
  }

  return box;
}

/** The address with the present window as points in time. */
function fixed() {
  const url = new URL(location.href);
  const { from, to } = windowOf({ from: url.searchParams.get("from") || "1h", to: url.searchParams.get("to") ?? "" });
  /** @param {number} ms */
  const text = (ms) => `${BigInt(Math.floor(ms)) * 1_000_000n}`;
  if (from !== null) url.searchParams.set("from", text(from));
  if (to !== null) url.searchParams.set("to", text(to));
  return url.href;
}

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    announce("Copied");
  } catch {
    // Not a secure origin: the address line has it.
    history.replaceState(null, "", text);
    announce("The address line has the link");
  }
}
