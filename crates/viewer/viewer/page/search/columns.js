// @ts-check
// Attributes as columns of the list: chosen by the reader, kept in the browser, and in the address, so that a link shows them.

import { get } from "../kit/api.js";
import { completing } from "../kit/complete.js";
import { clear, h, icon } from "../kit/dom.js";
import { visibleText } from "../kit/format.js";

const KEY = "waypost-columns";
const MAX = 8;

/** @returns {string[]} */
export function keptColumns() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((one) => typeof one === "string").slice(0, MAX) : [];
  } catch {
    return [];
  }
}

/** @param {string[]} columns */
function keepColumns(columns) {
  try {
    localStorage.setItem(KEY, JSON.stringify(columns));
  } catch {
    // The address has them.
  }
}

/**
 * Answers `{node, set(columns)}`: a menu; `onChange(columns)` after another choice.
 *
 * @param {{onChange: (columns: string[]) => void}} options
 */
export function columnPicker({ onChange }) {
  /** @type {string[]} */
  let columns = [];
  const key = h("input", { type: "text", placeholder: "attribute, such as order.id", "aria-label": "Add a column" });
  const keyBox = completing(key, (part, signal) => get("/names/keys", { part, limit: 50 }, { signal }));
  const list = h("ul", { class: "saved-list" });
  const form = h("form", { class: "save-search", "aria-label": "Add a column" }, keyBox, h("button", { type: "submit" }, "Add"));
  const box = h("details", { class: "menu columns" }, h("summary", { class: "button" }, icon("table"), "Columns"), h("div", { class: "menu-panel" }, form, list));

  const add = () => {
    const name = key.value.trim();
    key.value = "";
    if (name && !columns.includes(name) && columns.length < MAX) choose([...columns, name]);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    add();
  });
  key.addEventListener("change", () => document.activeElement === key && key.value && add());
  box.addEventListener("toggle", () => box.open && key.focus());
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !box.open) return;
    box.open = false;
    box.querySelector("summary")?.focus();
  });
  box.addEventListener("focusout", (event) => {
    if (event.relatedTarget instanceof Node && !box.contains(event.relatedTarget)) box.open = false;
  });

  /** @param {string[]} chosen */
  function choose(chosen) {
    keepColumns(chosen);
    set(chosen);
    onChange(chosen);
  }

  /** @param {string[]} chosen */
  function set(chosen) {
    columns = chosen;
    key.disabled = columns.length >= MAX;
    clear(
      list,
      columns.map((name) =>
        h(
          "li",
          {},
          h("bdi", { class: "elide" }, visibleText(name)),
          h("button", { type: "button", class: "quiet", "aria-label": `No column ${visibleText(name)}`, on: { click: () => choose(columns.filter((one) => one !== name)) } }, icon("close")),
        ),
      ),
    );
  }

  return { node: box, set };
}
