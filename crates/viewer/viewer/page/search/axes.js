// @ts-check
// Where dots stand in the scatter, and which ticks the axes have. Pure.

/** @typedef {{of: (value: number) => number, back: (place: number) => number}} Scale */

const SECOND = 1000;
const TIME_STEPS = [
  1,
  2,
  5,
  10,
  20,
  50,
  100,
  200,
  500,
  SECOND,
  2 * SECOND,
  5 * SECOND,
  10 * SECOND,
  15 * SECOND,
  30 * SECOND,
  60 * SECOND,
  120 * SECOND,
  300 * SECOND,
  600 * SECOND,
  900 * SECOND,
  1800 * SECOND,
  3600 * SECOND,
  7200 * SECOND,
  10800 * SECOND,
  21600 * SECOND,
  43200 * SECOND,
  86400 * SECOND,
  172800 * SECOND,
  604800 * SECOND,
];

/**
 * A scale from `[from, to]` to `[low, high]`, and back.
 *
 * @param {number} from
 * @param {number} to
 * @param {number} low
 * @param {number} high
 * @returns {Scale}
 */
export function linear(from, to, low, high) {
  const size = to - from || 1;
  return {
    of: (value) => low + ((value - from) / size) * (high - low),
    back: (place) => from + ((place - low) / (high - low || 1)) * size,
  };
}

/**
 * The same by orders of magnitude; everything under 100 ns stands at the bottom.
 *
 * @param {number} from
 * @param {number} to
 * @param {number} low
 * @param {number} high
 * @returns {Scale}
 */
export function logarithmic(from, to, low, high) {
  const inner = linear(Math.log10(Math.max(100, from)), Math.log10(Math.max(200, to)), low, high);
  return {
    of: (value) => inner.of(Math.log10(Math.max(100, value))),
    back: (place) => 10 ** inner.back(place),
  };
}

/**
 * Moments (milliseconds) at round steps of local time, about `wanted` of them.
 *
 * @param {number} from
 * @param {number} to
 * @param {number} wanted
 */
export function timeTicks(from, to, wanted) {
  const step =
    TIME_STEPS.find((size) => (to - from) / size <= wanted) ??
    Math.ceil((to - from) / wanted / 604_800_000) * 604_800_000;
  const offset = new Date(from).getTimezoneOffset() * 60_000;
  const ticks = [];
  for (let at = Math.ceil((from - offset) / step) * step + offset; at <= to && ticks.length < 50; at += step)
    ticks.push(at);
  return { ticks, step };
}

/**
 * The text of such a moment, as fine as its step.
 *
 * @param {number} at
 * @param {number} step
 */
export function tickText(at, step) {
  const date = new Date(at);
  /** @param {number} n */
  const two = (n) => String(n).padStart(2, "0");
  const day = `${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}`;
  if (step >= 86_400_000) return step >= 86_400_000 * 30 ? `${date.getFullYear()}-${day}` : day;
  if (step >= 60_000) return clock === "00:00" ? day : clock;
  const seconds = `${clock}:${two(date.getSeconds())}`;
  return step >= 1000 ? seconds : `${seconds}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/**
 * Durations in nanoseconds for lines across.
 *
 * @param {number} from
 * @param {number} to
 * @param {boolean} isLinear
 */
export function durationTicks(from, to, isLinear) {
  if (!isLinear) {
    const ticks = [];
    const first = 10 ** Math.floor(Math.log10(Math.max(100, from)));
    for (let at = first; at <= to; at *= 10) if (at >= from) ticks.push(at);
    if (ticks.length > 1) return ticks;
    // Too few powers of ten lie between for an axis to be read by.
    return [1, 2, 5, 10, 20, 50].map((part) => part * first).filter((at) => at >= from && at <= to);
  }
  const raw = (to - from) / 4 || 1;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5].map((n) => n * size).find((one) => one >= raw) ?? 10 * size;
  const ticks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) ticks.push(at);
  return ticks;
}
