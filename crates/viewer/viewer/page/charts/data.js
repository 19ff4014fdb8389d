// @ts-check
// What `GET /series` answers, as columns for charts and as text. Pure.

import { count, duration, percent, rate, toMillis } from "../kit/format.js";

/**
 * @typedef {import("../kit/api-types").FigureStep} FigureStep
 * @typedef {{step: number, steps: FigureStep[]}} Drawn what `GET /series` answers of it
 * @typedef {{at: number, x0: number, x1: number, low: number, high: number, calls: number, errors: number}} Cell
 */

/**
 * Seconds since 1970 of a time in nanoseconds.
 *
 * @param {string | number | bigint} ns
 */
export const seconds = (ns) => toMillis(ns) / 1000;

/**
 * Columns of one number a step, and `x`: the middle of each step in seconds. `null` where there is nothing to draw.
 *
 * @param {Drawn} drawn
 */
export function columns({ step, steps }) {
  const half = step / 2e9;
  /** @template T @param {(one: FigureStep) => T} pick */
  const each = (pick) => steps.map(pick);
  return {
    x: each(({ start }) => seconds(start) + half),
    rate: each((one) => one.rate),
    failedRate: each((one) => (one.rate === null ? null : one.calls ? one.rate * (one.errors / one.calls) : 0)),
    errorShare: each((one) => (one.calls ? one.errors / one.calls : null)),
    p50: each((one) => one.p50),
    p95: each((one) => one.p95),
    p99: each((one) => one.p99),
  };
}

/**
 * The cells of a heatmap: `{x0, x1, low, high, calls, errors, at}`, times in seconds, durations in nanoseconds.
 *
 * @param {Drawn} drawn
 * @returns {Cell[]}
 */
export function cells({ step, steps }) {
  return steps.flatMap(({ start, latencies }, at) => {
    const x0 = seconds(start);
    return latencies.map(({ from, to, calls, errors }) => ({
      at,
      x0,
      x1: x0 + step / 1e9,
      low: from,
      high: to,
      calls,
      errors,
    }));
  });
}

/**
 * Bounds for a logarithmic axis around cells: at least a factor of ten, from a microsecond on.
 *
 * @param {Cell[]} list
 * @returns {[number, number]}
 */
export function bounds(list) {
  if (!list.length) return [1e6, 1e9];
  const low = Math.max(1000, list.reduce((least, cell) => Math.min(least, cell.low), Infinity)) / 1.1;
  const high = 1.1 * list.reduce((most, cell) => Math.max(most, cell.high), low);
  const missing = Math.max(1, Math.sqrt((low * 10) / high));
  return [low / missing, high * missing];
}

/**
 * Durations to label on a logarithmic axis: 1, 2 and 5 of each power of ten, or only 1 where these would be many.
 *
 * @param {number} low
 * @param {number} high
 */
export function durationSplits(low, high) {
  const steps = high / low > 2000 ? [1] : [1, 2, 5];
  /** @type {number[]} */
  const splits = [];
  for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10) {
    for (const step of steps) if (power * step >= low && power * step <= high) splits.push(power * step);
  }
  return splits;
}

/** @param {number} n */
const two = (n) => String(n).padStart(2, "0");

/**
 * The words at a time axis, for splits in seconds that lie `apart` seconds from each other.
 *
 * @param {number[]} splits
 * @param {number} apart
 */
export function timeWords(splits, apart) {
  return splits.map((at) => {
    const date = new Date(at * 1000);
    const day = `${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    const clock = `${two(date.getHours())}:${two(date.getMinutes())}`;
    if (apart >= 86_400) return day;
    if (apart < 60) return `${clock}:${two(date.getSeconds())}`;
    return clock === "00:00" ? day : clock;
  });
}

/**
 * "13:57 to 13:58", with the day where a step is that long.
 *
 * @param {{start: string}} one
 * @param {number} step
 */
export function stepWords({ start }, step) {
  const [from, to] = [new Date(toMillis(start)), new Date(toMillis(start) + step / 1e6)];
  /** @param {Date} date */
  const clock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}`;
  /** @param {Date} date */
  const day = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  if (step >= 86_400e9) return `${day(from)} ${clock(from)} to ${day(to)} ${clock(to)}`;
  return `${clock(from)} to ${clock(to)}`;
}

/**
 * Names and values of a step's figures, in the order in which they are shown.
 *
 * @param {FigureStep} one
 * @returns {[string, string][]}
 */
export function figuresOf(one) {
  return [
    ["Calls", count(one.calls)],
    ["Rate", rate(one.rate)],
    ["Errors", one.calls ? `${count(one.errors)} (${percent(one.errors / one.calls)})` : "–"],
    ["p50", duration(one.p50)],
    ["p95", duration(one.p95)],
    ["p99", duration(one.p99)],
    ["Apdex", one.apdex === null ? "–" : one.apdex.toFixed(2)],
  ];
}

/**
 * The window twice as long around the same middle, not beyond now; in milliseconds.
 *
 * @param {number} from
 * @param {number} to
 * @param {number} now
 * @returns {[number, number]}
 */
export function widened(from, to, now) {
  const half = (to - from) / 2;
  const end = Math.min(now, to + half);
  return [Math.max(0, end - 4 * half), end];
}
