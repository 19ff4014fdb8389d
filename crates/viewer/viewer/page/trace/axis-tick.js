// @ts-check
// A tick of the time axis, for the waterfall and the flame view.

import { h } from "../kit/dom.js";
import { duration } from "../kit/format.js";

/** Pixels that the words of a tick may take. */
const ROOM = 64;

/**
 * The words stand behind the tick's line, or before it where the axis ends.
 *
 * @param {number} time
 * @param {{from: number, to: number}} shown
 * @param {number} width of the axis in pixels
 */
export function axisTick(time, { from, to }, width) {
  const part = (time - from) / (to - from);
  const isLast = width * (1 - part) < ROOM;
  return h("span", { class: isLast ? "tr-axis-tick is-last" : "tr-axis-tick", style: { left: `${part * 100}%` } }, duration(time));
}
