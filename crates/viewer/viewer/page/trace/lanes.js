// @ts-check
// Where spans stand in the flame view: each below its parent, and side by side below one another when their times
// overlap, so that none hides another. Pure.

/** Lanes tried for a span before it is drawn over others: keeps the pass O(n). */
const TRIED = 48;

/**
 * `{lane: Int32Array, count}`; a span's lane is greater than its parent's.
 *
 * @param {import("./model.js").Model} model
 */
export function lanesOf(model) {
  const { count, parent, start, duration } = model;
  const lane = new Int32Array(count);
  /** @type {number[]} */
  const freeFrom = [];
  for (let row = 0; row < count; row++) {
    const first = parent[row] < 0 ? 0 : lane[parent[row]] + 1;
    let at = first;
    while (at < first + TRIED && (freeFrom[at] ?? 0) > start[row]) at++;
    if (at === first + TRIED) at = first;
    lane[row] = at;
    while (freeFrom.length <= at) freeFrom.push(0);
    freeFrom[at] = Math.max(freeFrom[at], start[row] + duration[row]);
  }
  return { lane, count: freeFrom.length };
}
