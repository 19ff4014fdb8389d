// @ts-check
// Rate, errors and latencies, each a link to traces that show it. For services, operations and the map.

import { h } from "./dom.js";
import { count, counted, duration, percent, rateIn, rateUnit } from "./format.js";
import { link } from "./router.js";

/**
 * The address of a search; empty values are left out.
 *
 * @param {Record<string, any>} params
 */
export function searchAddress(params) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one) query.append(name, one);
  }
  return `/search?${query}`;
}

/** @typedef {import("./api-types").Figure} Figure */

/** @param {{calls: number | null, errors: number | null}} figure */
export const errorShare = ({ calls, errors }) => (calls ? (errors ?? 0) / calls : 0);

/**
 * As a parameter: the bound lies a little lower, as the figures are exact within 2 %.
 *
 * @param {number} ns
 */
const atLeast = (ns) => `${Math.max(1, Math.floor((ns * 0.98) / 1000))}us`;

/**
 * Columns for `sortable`; `params(row)` are the search's filters for a row; `afterErrors` and `afterLatencies` are further columns.
 *
 * @param {(row: any) => object} params
 * @param {{afterErrors?: any[], afterLatencies?: any[]}} [more]
 */
export function figureColumns(params, { afterErrors = [], afterLatencies = [] } = {}) {
  /** @param {"p50" | "p95" | "p99"} name @returns {import("./sortable.js").Column} */
  const latency = (name) => ({
    key: name,
    label: name,
    isNumber: true,
    value: (row) => row[name],
    cell: (row) =>
      row.calls
        ? link(
            searchAddress({ ...params(row), min_duration: atLeast(row[name]), order: "shortest" }),
            { title: `Spans from ${name} on` },
            duration(row[name]),
          )
        : "–",
  });
  let unit = rateUnit([]);
  /** @type {import("./sortable.js").Column[]} */
  const columns = [
    {
      key: "rate",
      label: "Rate",
      isNumber: true,
      prepare: (rows) => (unit = rateUnit(rows.map((row) => row.rate))),
      value: (row) => row.rate,
      cell: (row) => link(searchAddress(params(row)), { title: counted(row.calls, "call") }, rateIn(unit, row.rate)),
    },
    {
      key: "calls",
      label: "Calls",
      isNumber: true,
      value: (row) => row.calls,
      cell: (row) => link(searchAddress(params(row)), count(row.calls)),
    },
    {
      key: "errors",
      label: "Errors",
      isNumber: true,
      value: errorShare,
      cell: (row) =>
        row.errors
          ? link(
              searchAddress({ ...params(row), status: "error" }),
              { class: "bad", title: `${count(row.errors)} of ${count(row.calls)} failed` },
              percent(errorShare(row)),
            )
          : h("span", { class: "muted" }, "0 %"),
    },
    ...afterErrors,
    latency("p50"),
    latency("p95"),
    latency("p99"),
    ...afterLatencies,
    { key: "examples", label: "Example traces", cell: (row) => exampleLinks(row.examples) },
  ];
  return columns;
}

/**
 * Links to the example traces that there are.
 *
 * @param {import("./api-types").Examples | null} examples
 */
export function exampleLinks(examples) {
  /** @type {(keyof import("./api-types").Examples)[]} */
  const known = ["recent", "slowest", "failed"];
  const kinds = known.filter((kind) => examples?.[kind]);
  if (!examples || !kinds.length) return h("span", { class: "muted" }, "none");
  return h(
    "span",
    { class: "examples" },
    kinds.map((kind) => link(`/trace/${examples[kind]}`, { class: kind === "failed" ? "bad" : "" }, kind)),
  );
}
