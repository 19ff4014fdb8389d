// @ts-check
// Which stretch of time figures are of: an age up to now, in the address as `from`; or, when one was chosen in a chart, two
// points in time in nanoseconds, `from` and `to`.

import { widened } from "../charts/data.js";
import { h, icon } from "../kit/dom.js";
import { fromMillis, toMillis } from "../kit/format.js";
import { setState, state } from "../kit/router.js";
import { timeRange } from "../search/time-range.js";

const AGES = ["5m", "15m", "1h", "6h", "24h", "7d"];
const USUAL = "1h";

/**
 * `{from, to}` as the API takes them; `to` is "" up to now.
 *
 * @param {URLSearchParams} query
 * @returns {{from: string, to: string}}
 */
export function rangeOf(query) {
  const [from, to] = [query.get("from") ?? "", query.get("to") ?? ""];
  if (/^\d+$/.test(from) && /^\d+$/.test(to)) return { from, to };
  return { from: from && /^\d+[smhdw]$/.test(from) ? from : USUAL, to: "" };
}

/**
 * Where the stretch begins, for links to figures up to now.
 *
 * @param {URLSearchParams} query
 */
export function windowOf(query) {
  return rangeOf(query).from;
}

/**
 * The buttons to choose it; `onRefresh` loads what is shown. `choose({from, to})` takes a stretch of time.
 *
 * @param {{onRefresh: () => void}} options
 */
export function windowChoice({ onRefresh }) {
  const range = timeRange({
    ages: AGES,
    hasAll: false,
    hasCustom: false,
    onRefresh,
    onChange: ({ from }) => choose({ from: from === USUAL ? "" : from, to: "" }),
  });
  const wider = h("button", { type: "button", on: { click: widen } }, icon("minus"), "Zoom out");
  const node = h("div", { class: "window-choice" }, range.node, wider);

  /** @param {{from: string, to: string}} params @param {{from: string, to: string}} params */
  function choose(params) {
    setState(params);
    show();
    onRefresh();
  }

  function widen() {
    const { from, to } = rangeOf(state());
    const [start, end] = widened(toMillis(from), toMillis(to), Date.now());
    choose({ from: fromMillis(start), to: fromMillis(end) });
  }

  function show() {
    const { from, to } = rangeOf(state());
    range.set({ from, to });
    wider.hidden = !to;
  }

  show();
  return { node, choose };
}
