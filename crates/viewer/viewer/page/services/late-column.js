// @ts-check
// A column of a table of figures whose values come after the table: its cells stay the same nodes and are filled in place, so that
// nothing that somebody is about to click moves away.

import { h } from "../kit/dom.js";

/**
 * `rowKey(row)` tells rows apart; `value(row, found)` is what is sorted by, `fill(node, row, found)` what is shown, where `found` is what
 * `take` was given for the row, if anything. Answers `{column, take(found)}`.
 *
 * @template Found
 * @param {(row: any) => string} rowKey
 * @param {{key: string, label: string, title: string, value: (row: any, found: Found | undefined) => number | null,
 *   fill: (node: HTMLElement, row: any, found: Found | undefined) => void}} options
 */
export function lateColumn(rowKey, { key, label, title, value, fill }) {
  /** @type {Map<string, Found>} */
  let known = new Map();
  /** @type {Map<string, {row: any, node: HTMLElement}>} */
  const cells = new Map();
  /** @param {{row: any, node: HTMLElement}} cell */
  const show = ({ row, node }) => fill(node, row, known.get(rowKey(row)));
  return {
    /** @type {import("../kit/sortable.js").Column} */
    column: {
      key,
      label,
      title,
      isNumber: true,
      value: (row) => value(row, known.get(rowKey(row))),
      cell(row) {
        const cell = { row, node: cells.get(rowKey(row))?.node ?? h("span", {}) };
        cells.set(rowKey(row), cell);
        show(cell);
        return cell.node;
      },
    },
    /** @param {Map<string, Found>} found */
    take(found) {
      known = found;
      cells.forEach(show);
    },
  };
}
