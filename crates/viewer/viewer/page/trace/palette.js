// @ts-check
// The page's colours for canvases, read from the style sheet, so that there is one place for them and themes hold.

import { h } from "../kit/dom.js";
import { SERVICE_COLORS } from "../kit/format.js";

/** @typedef {{services: string[], [name: string]: any}} Palette */

const NAMES = [
  "--text",
  "--muted",
  "--line",
  "--bg",
  "--surface",
  "--raised",
  "--accent",
  "--error",
  "--on-svc-bar",
  "--tr-path",
  "--tr-hit",
];

/**
 * `{services: [css color], text, muted, …}` as they are within `node` now.
 *
 * @param {HTMLElement} node
 */
export function paletteOf(node) {
  const probe = h("span", { "aria-hidden": true });
  node.append(probe);
  const style = getComputedStyle(probe);
  /** @param {string} name */
  const read = (name) => {
    probe.style.color = `var(${name})`;
    return style.color;
  };
  /** @type {Palette} */
  const palette = { services: [] };
  for (const name of NAMES) palette[name.replace(/^--(tr-)?/, "")] = read(name);
  // As the bars of the waterfall.
  for (let at = 0; at < SERVICE_COLORS; at++) {
    probe.className = `svc-${at}`;
    palette.services.push(read("--svc-bar"));
  }
  probe.remove();
  return palette;
}

/**
 * Gives a canvas the size of its box in device pixels; answers its context, scaled to CSS pixels.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
export function sized(canvas, width, height) {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  canvas.width = Math.max(Math.round(width * ratio), 1);
  canvas.height = Math.max(Math.round(height * ratio), 1);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

/**
 * Calls `redraw` when the theme changes; answers a function that ends it.
 *
 * @param {() => void} redraw
 */
export function onTheme(redraw) {
  const later = () => requestAnimationFrame(redraw);
  addEventListener("themechange", later);
  return () => removeEventListener("themechange", later);
}
