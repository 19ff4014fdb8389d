// @ts-check
// What differs between two traces, as the comparison shows it. Pure.

/** @typedef {import("../kit/api-types").ComparedLine} Line */
/** @typedef {import("../kit/api-types").ComparedSide} Side */

/** Below this share of the longer root, and of the line itself, a difference in time is not marked. */
const MIN_SHARE = 0.02;
const MIN_CHANGE = 0.1;

/**
 * How much longer the right is, in nanoseconds; what a side does not have took none.
 *
 * @param {Pick<Line, "left" | "right">} line
 */
export function timeDifference({ left, right }) {
  return (right?.time ?? 0) - (left?.time ?? 0);
}

/**
 * "left" or "right" when only that has it, "count" when their numbers or errors differ, "time" when one took much longer,
 * "same" otherwise.
 *
 * @param {Line} line
 * @param {number} longer duration of the longer root
 */
export function differenceOf(line, longer) {
  const { left, right } = line;
  if (left === null) return "right";
  if (right === null) return "left";
  if (left.spans !== right.spans || left.errors > 0 !== right.errors > 0) return "count";
  const by = Math.abs(timeDifference(line));
  const isMuch = by >= longer * MIN_SHARE && by >= Math.max(left.time, right.time) * MIN_CHANGE;
  return isMuch ? "time" : "same";
}

/**
 * Places of the lines that differ, with those above them, in order.
 *
 * @param {Line[]} lines
 * @param {number} longer
 */
export function differing(lines, longer) {
  const kept = new Uint8Array(lines.length);
  lines.forEach((line, at) => {
    if (differenceOf(line, longer) === "same") return;
    for (let up = /** @type {number | null} */ (at); up !== null && !kept[up]; up = lines[up].parent) kept[up] = 1;
  });
  return lines.map((_, at) => at).filter((at) => kept[at]);
}

/**
 * "+310 ms", "−12 ms", "0". `shown` writes a duration.
 *
 * @param {number} ns
 * @param {(ns: number) => string} shown
 */
export function signed(ns, shown) {
  if (ns === 0) return "0";
  return ns < 0 ? `−${shown(-ns)}` : `+${shown(ns)}`;
}

/**
 * "+40 %", "−8 %", "×3.1" from twice on; empty where there is nothing to compare with.
 *
 * @param {number} left
 * @param {number} right
 */
export function relative(left, right) {
  if (left <= 0) return "";
  if (right >= 2 * left) return `×${(right / left).toFixed(right / left < 9.95 ? 1 : 0)}`;
  const percent = Math.round(((right - left) / left) * 100);
  return percent === 0 ? "" : percent < 0 ? `−${-percent} %` : `+${percent} %`;
}
