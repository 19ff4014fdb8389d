// @ts-check
// Duration over time of up to 2,000 spans: a canvas with a pointer, a keyboard and a description.
//
// Hovering or stepping with the arrow keys names a span, a click or Enter opens it, dragging chooses a range of time and
// duration. What failed is a red cross, not only red.

import { announce } from "../kit/announce.js";
import { clear, h, icon } from "../kit/dom.js";
import { count, counted, duration, fromMillis, time, toMillis } from "../kit/format.js";
import { linear, logarithmic } from "./axes.js";
import { paintAxes, paintPoint, paintRing, paintSelection, shadesOf } from "./paint.js";

/** @typedef {import("./paint.js").Dot} Dot */
/** @typedef {import("./paint.js").Shown} Shown */
/** @typedef {{from: number, to: number, min: number | null, max: number | null}} Selection */

const HEIGHT = 170;
const EDGE = { left: 62, right: 12, top: 10, bottom: 22 };
const REACH = 14;
const DRAG_MIN = 5;

/**
 * Answers `{node, show({points, isLinear, noun, isCut}), dispose}`. `onOpen(point)`; `onSelect({from, to, min, max})` with times
 * in milliseconds and durations in nanoseconds, `min` and `max` null when the drag was only along the time.
 *
 * @param {{onOpen: (point: Shown) => void, onSelect: (selection: Selection) => void, onScale: (isLinear: boolean) => void, onZoomOut: () => void}} options
 */
export function scatter({ onOpen, onSelect, onScale, onZoomOut }) {
  const canvas = h("canvas", {
    class: "scatter-canvas",
    tabindex: "0",
    role: "application",
    "aria-roledescription": "scatter plot",
  });
  const tip = h("div", { class: "scatter-tip", hidden: true });
  const probe = h("span", { hidden: true });
  const caption = h("figcaption", { class: "muted scatter-caption" });
  const scaleButton = h("button", { type: "button", class: "quiet", on: { click: () => onScale(!isLinear) } });
  const zoomOut = h("button", { type: "button", class: "quiet", on: { click: onZoomOut } }, icon("minus"), "Zoom out");
  const node = h(
    "figure",
    { class: "scatter" },
    h("div", { class: "scatter-stage" }, canvas, tip, probe),
    h("div", { class: "scatter-foot" }, caption, zoomOut, scaleButton),
  );
  /** @type {Dot[]} */
  let points = [];
  let isLinear = false;
  /** @type {import("./paint.js").Plot | null} */
  let plot = null;
  let active = -1;
  /** @type {{x: number, y: number, toX: number, toY: number, isMoving: boolean} | null} */
  let drag = null;
  /** @type {{from: number | null, to: number | null}} */
  let range = { from: null, to: null };

  function measure() {
    const width = canvas.clientWidth;
    const times = points.map(({ at }) => at);
    const lengths = points.map((point) => point.duration);
    // The time that was searched, where it has an end; a span may have begun before its trace was found in it.
    let [from, to] = [Math.min(...times, range.from ?? Infinity), Math.max(...times, range.to ?? -Infinity)];
    const margin = Math.max(1, (to - from) * 0.02);
    [from, to] = [from - (range.from === null ? margin : 0), to + (range.to === null ? margin : 0)];
    const most = Math.max(...lengths, 1000) * (isLinear ? 1.05 : 1.3);
    const least = isLinear ? 0 : Math.max(100, Math.min(...lengths) / 1.3);
    const bottom = HEIGHT - EDGE.bottom;
    return (plot = {
      width,
      height: HEIGHT,
      edge: EDGE,
      isLinear,
      from,
      to,
      least,
      most,
      x: linear(from, to, EDGE.left, width - EDGE.right),
      y: (isLinear ? linear : logarithmic)(least, most, bottom, EDGE.top),
    });
  }

  function draw() {
    const width = canvas.clientWidth;
    if (!width || node.hidden) return;
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(HEIGHT * ratio);
    if (!points.length) return;
    const plot = measure();
    const paint = canvas.getContext("2d");
    if (!paint) return;
    paint.scale(ratio, ratio);
    const shades = shadesOf(probe);
    paintAxes(paint, plot, shades);
    points.forEach((point) => paintPoint(paint, plot, point, shades));
    if (active >= 0) paintRing(paint, plot, points[active], shades);
    if (drag?.isMoving) paintSelection(paint, box(drag), shades);
  }

  /** @param {{x: number, y: number, toX: number, toY: number}} drag */
  function box(drag) {
    const left = Math.min(drag.x, drag.toX);
    const width = Math.abs(drag.toX - drag.x);
    const isFlat = Math.abs(drag.toY - drag.y) < 10;
    const top = isFlat ? EDGE.top : Math.min(drag.y, drag.toY);
    const height = isFlat ? HEIGHT - EDGE.top - EDGE.bottom : Math.abs(drag.toY - drag.y);
    return { left, top, width, height, isFlat };
  }

  /** @param {MouseEvent} event */
  function place(event) {
    const bounds = canvas.getBoundingClientRect();
    return { x: event.clientX - bounds.left, y: event.clientY - bounds.top };
  }

  /** @param {{x: number, y: number}} at @param {import("./paint.js").Plot} plot */
  function nearest({ x, y }, plot) {
    let best = -1;
    let least = REACH ** 2;
    points.forEach((point, at) => {
      const distance = (plot.x.of(point.at) - x) ** 2 + (plot.y.of(point.duration) - y) ** 2;
      if (distance < least) [best, least] = [at, distance];
    });
    return best;
  }

  /** @param {number} at */
  function activate(at) {
    active = at;
    tip.hidden = at < 0;
    if (at >= 0 && plot) {
      const point = points[at];
      clear(tip, described(point));
      const x = plot.x.of(point.at);
      tip.style.left = `${Math.min(Math.max(x, 90), Math.max(90, plot.width - 90))}px`;
      tip.style.top = `${plot.y.of(point.duration)}px`;
    }
    canvas.style.cursor = at >= 0 ? "pointer" : "crosshair";
    draw();
  }

  /** @param {Dot} point */
  function described(point) {
    return `${duration(point.duration)} at ${time(point.start)}${point.hasError ? ", error" : ""}`;
  }

  canvas.addEventListener("pointermove", (event) => {
    if (!plot) return;
    const at = place(event);
    if (!drag) {
      const near = nearest(at, plot);
      if (near !== active) activate(near);
      return;
    }
    drag.toX = Math.max(EDGE.left, Math.min(at.x, plot.width - EDGE.right));
    drag.toY = Math.max(EDGE.top, Math.min(at.y, HEIGHT - EDGE.bottom));
    drag.isMoving ||= Math.abs(at.x - drag.x) > DRAG_MIN;
    if (drag.isMoving) activate(-1);
  });
  canvas.addEventListener("pointerdown", (event) => {
    if (!plot || event.button !== 0 || event.pointerType === "touch") return;
    const { x, y } = place(event);
    drag = { x, y, toX: x, toY: y, isMoving: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", () => {
    if (!drag || !plot) return;
    const { left, top, width, height, isFlat } = box(drag);
    const wasMoving = drag.isMoving;
    drag = null;
    if (!wasMoving) return;
    const durations = isFlat
      ? { min: null, max: null }
      : { min: Math.max(0, plot.y.back(top + height)), max: plot.y.back(top) };
    draw();
    onSelect({ from: plot.x.back(left), to: plot.x.back(left + width), ...durations });
  });
  canvas.addEventListener("click", () => {
    if (active >= 0 && !drag) onOpen(points[active]);
  });
  canvas.addEventListener("pointerleave", () => !drag && activate(-1));
  canvas.addEventListener("blur", () => activate(-1));
  canvas.addEventListener("keydown", (event) => {
    /** @type {Record<string, number>} */
    const steps = { ArrowRight: 1, ArrowLeft: -1, PageDown: 20, PageUp: -20, Home: -Infinity, End: Infinity };
    if (event.key in steps && points.length && plot) {
      const from = active < 0 ? (steps[event.key] > 0 ? -1 : points.length) : active;
      activate(Math.max(0, Math.min(points.length - 1, from + steps[event.key])));
      announce(`${described(points[active])}, ${active + 1} of ${points.length}`);
    } else if (event.key === "Enter" && active >= 0) onOpen(points[active]);
    else if (event.key === "Escape" && (drag || active >= 0)) {
      drag = null;
      activate(-1);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });

  const observer = new ResizeObserver(() => draw());
  observer.observe(canvas);
  addEventListener("themechange", draw);

  return {
    node,
    /**
     * @param {{points: Shown[], window: {from: number | null, to: number | null}, isZoomed: boolean, isLinear: boolean, noun: string, isCut: boolean}} shown
     */
    show({ points: found, window, isZoomed, isLinear: linearly, noun, isCut }) {
      zoomOut.hidden = !isZoomed;
      range = window;
      points = found.map((point) => ({ ...point, at: toMillis(point.start) })).sort((a, b) => a.at - b.at);
      isLinear = linearly;
      active = -1;
      tip.hidden = true;
      node.hidden = points.length === 0;
      const failed = points.filter(({ hasError }) => hasError).length;
      clear(
        caption,
        `${counted(points.length, noun)}${isCut ? " (there are more)" : ""}, ${count(failed)} with errors. Drag to choose a range.`,
      );
      clear(scaleButton, isLinear ? "Linear scale" : "Log scale");
      scaleButton.setAttribute(
        "aria-label",
        isLinear ? "Scale: linear. Change to logarithmic" : "Scale: logarithmic. Change to linear",
      );
      canvas.setAttribute("aria-label", summary(failed));
      draw();
    },
    dispose() {
      observer.disconnect();
      removeEventListener("themechange", draw);
    },
  };

  /** @param {number} failed */
  function summary(failed) {
    if (!points.length) return "No spans";
    const sorted = points.map((point) => point.duration).sort((a, b) => a - b);
    const middle = sorted[sorted.length >> 1];
    return `Duration over time of ${counted(points.length, "span")} from ${time(points[0].start)} to ${time(points[points.length - 1].start)}: ${duration(sorted[0])} to ${duration(sorted.at(-1))}, median ${duration(middle)}, ${count(failed)} with errors. Arrow keys step through them, Enter opens one.`;
  }
}

/**
 * The parameters of a selection: times to the millisecond, durations that the field can show.
 *
 * @param {Selection} selection
 */
export function selectedParams({ from, to, min, max }) {
  /** @param {number} ns */
  const text = (ns) => {
    const [size, unit] = ns >= 1e9 ? [1e9, "s"] : ns >= 1e6 ? [1e6, "ms"] : [1e3, "us"];
    return `${Number((ns / size).toPrecision(4))}${unit}`;
  };
  const params = { from: fromMillis(Math.max(0, Math.floor(from))), to: fromMillis(Math.max(0, Math.ceil(to))) };
  if (min !== null && max !== null) Object.assign(params, { min_duration: text(min), max_duration: text(max) });
  return params;
}
