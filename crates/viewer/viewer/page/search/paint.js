// @ts-check
// Drawing of the scatter on its canvas.

import { duration } from "../kit/format.js";
import { durationTicks, tickText, timeTicks } from "./axes.js";

/**
 * @typedef {import("./axes.js").Scale} Scale
 * @typedef {Record<string, string>} Shades
 * @typedef {import("../kit/api-types").Point & {hasError: boolean}} Shown a span of which a dot is made
 * @typedef {Shown & {at: number}} Dot `at` in milliseconds since 1970
 * @typedef {{width: number, height: number, edge: {left: number, right: number, top: number, bottom: number}, isLinear: boolean,
 *   from: number, to: number, least: number, most: number, x: Scale, y: Scale}} Plot
 */

const NAMES = ["line", "muted", "accent", "error", "text"];

/**
 * The page's colours as a canvas takes them: `light-dark()` is none to it, so an element works them out.
 *
 * @param {HTMLElement} probe
 * @returns {Shades}
 */
export function shadesOf(probe) {
  const entries = NAMES.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  });
  return Object.fromEntries(entries);
}

/**
 * `plot`: the size, the ends of both axes and their scales.
 *
 * @param {CanvasRenderingContext2D} paint
 * @param {Plot} plot
 * @param {Shades} shades
 */
export function paintAxes(paint, plot, shades) {
  const { width, height, edge } = plot;
  paint.font = "11px system-ui, sans-serif";
  paint.lineWidth = 1;
  paint.textBaseline = "middle";
  paint.textAlign = "right";
  for (const tick of durationTicks(plot.least, plot.most, plot.isLinear)) {
    const y = Math.round(plot.y.of(tick)) + 0.5;
    paint.strokeStyle = shades.line;
    paint.beginPath();
    paint.moveTo(edge.left, y);
    paint.lineTo(width - edge.right, y);
    paint.stroke();
    paint.fillStyle = shades.muted;
    paint.fillText(duration(tick), edge.left - 6, y);
  }
  paint.textAlign = "center";
  paint.fillStyle = shades.muted;
  const { ticks, step } = timeTicks(plot.from, plot.to, Math.max(2, width / 110));
  for (const tick of ticks) {
    const x = plot.x.of(tick);
    if (x > edge.left + 20 && x < width - 30) paint.fillText(tickText(tick, step), x, height - 9);
  }
}

/** @param {CanvasRenderingContext2D} paint @param {Plot} plot @param {Dot} point @param {Shades} shades */
export function paintPoint(paint, plot, point, shades) {
  const [x, y] = [plot.x.of(point.at), plot.y.of(point.duration)];
  paint.beginPath();
  if (point.hasError) {
    paint.strokeStyle = shades.error;
    paint.lineWidth = 1.8;
    paint.moveTo(x - 3.5, y - 3.5);
    paint.lineTo(x + 3.5, y + 3.5);
    paint.moveTo(x + 3.5, y - 3.5);
    paint.lineTo(x - 3.5, y + 3.5);
    paint.stroke();
  } else {
    paint.fillStyle = shades.accent;
    paint.globalAlpha = 0.65;
    paint.arc(x, y, 3, 0, 2 * Math.PI);
    paint.fill();
    paint.globalAlpha = 1;
  }
}

/**
 * Around the point that is named.
 *
 * @param {CanvasRenderingContext2D} paint
 * @param {Plot} plot
 * @param {Dot} point
 * @param {Shades} shades
 */
export function paintRing(paint, plot, point, shades) {
  paint.strokeStyle = shades.text;
  paint.lineWidth = 2;
  paint.beginPath();
  paint.arc(plot.x.of(point.at), plot.y.of(point.duration), 7, 0, 2 * Math.PI);
  paint.stroke();
}

/**
 * @param {CanvasRenderingContext2D} paint
 * @param {{left: number, top: number, width: number, height: number}} box
 * @param {Shades} shades
 */
export function paintSelection(paint, { left, top, width, height }, shades) {
  paint.globalAlpha = 0.2;
  paint.fillStyle = shades.accent;
  paint.fillRect(left, top, width, height);
  paint.globalAlpha = 1;
  paint.strokeStyle = shades.accent;
  paint.lineWidth = 1;
  paint.strokeRect(left, top, width, height);
}
