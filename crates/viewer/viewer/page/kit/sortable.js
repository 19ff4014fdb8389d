// @ts-check
// Tables that their headers sort. The order is a text such as `p95` or `-p95` (descending), so that it fits an address.

import { clear, h, icon } from "./dom.js";

/**
 * @typedef {{key: string, label: string, value?: (row: any) => number | string | null | undefined, cell: (row: any) => import("./dom.js").Child, isNumber?: boolean, title?: string, isHeader?: boolean, prepare?: (rows: any[]) => void}} Column
 */
const order = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/**
 * `columns`: `{key, label, value(row), cell(row), isNumber, title, isHeader, prepare(rows)}`; without `value` a column does not
 * sort; `prepare` sees all rows before their cells are made.
 * `sort`: what is sorted by; `onSort(sort)` is called when that changes. Answers `{node, show(rows), resort(key)}`: the latter after
 * values of a column changed.
 *
 * @param {{label: string, columns: Column[], sort: string, onSort?: ((sort: string) => void) | null}} table
 */
export function sortable({ label, columns, sort, onSort }) {
  /** @type {any[]} */
  let rows = [];
  let by = sort;
  const headers = new Map();
  const body = h("tbody", {});
  const head = columns.map((column) => {
    const name = column.isNumber ? "num" : "";
    if (!column.value) return h("th", { scope: "col", class: name, title: column.title }, column.label);
    const button = h("button", { type: "button", class: "sort", on: { click: () => press(column) } });
    const header = h("th", { scope: "col", class: name, title: column.title }, button);
    headers.set(column.key, { header, button, label: column.label });
    return header;
  });

  /** @param {Column} column */
  function press({ key, isNumber }) {
    const usual = isNumber ? `-${key}` : key;
    const turned = usual.startsWith("-") ? key : `-${key}`;
    by = by === usual ? turned : usual;
    draw();
    onSort?.(by);
  }

  function draw() {
    const isDown = by.startsWith("-");
    const key = isDown ? by.slice(1) : by;
    for (const [name, { header, button, label: text }] of headers) {
      header.setAttribute("aria-sort", name === key ? (isDown ? "descending" : "ascending") : "none");
      clear(button, text, icon(name === key && !isDown ? "chevron-up" : "chevron-down"));
    }
    const column = columns.find((one) => one.key === key);
    const { value } = column ?? {};
    const sorted = value
      ? [...rows].sort((a, b) => compare(value(a), value(b)) * (isDown ? -1 : 1))
      : rows;
    clear(
      body,
      sorted.map((row) =>
        h(
          "tr",
          {},
          columns.map((one) =>
            h(
              one.isHeader ? "th" : "td",
              // On a phone each number stands behind its label.
              { class: one.isNumber ? "num" : "", scope: one.isHeader ? "row" : null, dataset: { label: one.isNumber ? one.label : null, key: one.key } },
              one.cell(row),
            ),
          ),
        ),
      ),
    );
  }

  return {
    node: h(
      "div",
      { class: "table-box", tabindex: "0", role: "region", "aria-label": label },
      h("table", { class: "table figures", "aria-label": label }, h("thead", {}, h("tr", {}, head)), body),
    ),
    /** @param {any[]} list */
    show(list) {
      rows = list;
      for (const column of columns) column.prepare?.(rows);
      draw();
    },
    /** @param {string} key */
    resort(key) {
      if (by === key || by === `-${key}`) draw();
    },
  };
}

/** @param {any} a @param {any} b */
function compare(a, b) {
  if (typeof a === "string" || typeof b === "string") return order.compare(String(a), String(b));
  return (a ?? -Infinity) - (b ?? -Infinity) || 0;
}
