// @ts-check
// What has changed: the figures of the same length of time before.

import { get, isAbort, messageOf } from "../kit/api.js";
import { counted, duration } from "../kit/format.js";
import { lateColumn } from "./late-column.js";

/** Fewer calls, now or before, say nothing of latencies. */
const MIN_CALLS = 5;
/** As much more, or less, is told in colour. */
const NOTABLE = 0.2;

/**
 * The same length of time before a stretch of time, as the API takes it.
 *
 * @param {{from: string, to: string}} range
 */
export function before({ from, to }) {
  if (to) {
    const [start, end] = [BigInt(from), BigInt(to)];
    return { from: String(start - (end - start)), to: from };
  }
  const [, many, unit] = /** @type {RegExpExecArray} */ (/^(\d+)([smhdw])$/.exec(from) ?? ["", "1", "h"]);
  return { from: `${2 * Number(many)}${unit}`, to: from };
}

/**
 * How much a latency grew: 1 is twice as much; null when too little is known.
 *
 * @param {{calls: number | null, p95: number | null}} now
 * @param {{calls: number | null, p95: number | null} | undefined} then
 */
export function change(now, then) {
  if (!then?.p95 || !now.p95 || (now.calls ?? 0) < MIN_CALLS || (then.calls ?? 0) < MIN_CALLS) return null;
  return now.p95 / then.p95 - 1;
}

/** "+240 %", "−12 %" @param {number} share */
export function changeText(share) {
  const percent = Math.round(share * 100);
  return `${percent < 0 ? "−" : "+"}${Math.abs(percent)} %`;
}

/**
 * A column for `sortable` with the change of p95. `load(path, range, signal)` asks for the figures before; answers whether they came.
 *
 * @param {(row: any) => string} rowKey
 */
export function changeColumn(rowKey) {
  const late = lateColumn(rowKey, {
    key: "change",
    label: "p95 change",
    title: "Against the same length of time before",
    value: change,
    fill(node, row, then) {
      const share = change(row, then);
      node.textContent = share === null ? "–" : changeText(share);
      node.className = share !== null && share > NOTABLE ? "bad" : share !== null && share < -NOTABLE ? "good" : "muted";
      node.title = share === null ? "" : `p95 was ${duration(then?.p95)} of ${counted(then?.calls ?? 0, "call")}`;
    },
  });
  return {
    column: late.column,
    /**
     * @param {string} path
     * @param {{from: string, to: string}} range
     * @param {AbortSignal} signal
     */
    async load(path, range, signal) {
      try {
        const answer = await get(path, before(range), { signal });
        const [rows] = Object.values(/** @type {object} */ (answer));
        late.take(new Map(rows.map((/** @type {any} */ row) => [rowKey(row), row])));
        return true;
      } catch (error) {
        if (!isAbort(error)) console.warn(messageOf(error));
        return false;
      }
    },
  };
}
