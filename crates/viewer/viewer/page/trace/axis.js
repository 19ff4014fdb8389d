// @ts-check
// The time axis: which stretch of the trace is shown, where its ticks stand, how to zoom and pan. Pure.

/** Nanoseconds: closer than this the axis does not zoom. */
const NARROWEST = 100;

const STEPS = [1, 2, 5];

/**
 * Times of at most about `most` round ticks within [from, to].
 *
 * @param {number} from
 * @param {number} to
 * @param {number} most
 */
export function ticks(from, to, most) {
  const rough = (to - from) / Math.max(most, 1);
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = power * (STEPS.find((factor) => power * factor >= rough) ?? 10);
  const times = [];
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) times.push(time);
  return times;
}

/**
 * [from, to] kept within [0, span], wide enough to look at.
 *
 * @param {number} from
 * @param {number} to
 * @param {number} span
 * @returns {[number, number]}
 */
export function clampWindow(from, to, span) {
  const width = Math.min(Math.max(to - from, Math.min(NARROWEST, span)), span);
  const start = Math.min(Math.max(from, 0), span - width);
  return [start, start + width];
}

/**
 * The window scaled by `factor` so that `at` stays where it is.
 *
 * @param {number} from
 * @param {number} to
 * @param {number} factor
 * @param {number} at
 * @param {number} span
 */
export function zoomWindow(from, to, factor, at, span) {
  return clampWindow(at - (at - from) * factor, at + (to - at) * factor, span);
}

/**
 * The window moved by a part of its width.
 *
 * @param {number} from
 * @param {number} to
 * @param {number} part
 * @param {number} span
 */
export function panWindow(from, to, part, span) {
  const by = (to - from) * part;
  return clampWindow(from + by, to + by, span);
}

/**
 * A span's stretch with some room on both sides.
 *
 * @param {number} start
 * @param {number} duration
 * @param {number} span
 */
export function windowAround(start, duration, span) {
  const room = Math.max(duration * 0.05, NARROWEST / 2);
  return clampWindow(start - room, start + duration + room, span);
}
