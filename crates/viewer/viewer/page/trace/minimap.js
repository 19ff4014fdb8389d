// @ts-check
// The whole trace in one strip: who worked when, errors on top, the critical path at the foot; and the shown stretch of
// time, drawn, moved and resized with mouse, finger or keys.

import { h } from "../kit/dom.js";
import { duration } from "../kit/format.js";
import { MARK } from "./model.js";
import { measured } from "./measure.js";
import { onTheme, paletteOf, sized } from "./palette.js";
import { colorOf } from "./row.js";

const HEIGHT = 64;
const ERRORS = 5;
const PATH = 6;
/** A press that moves less than this is no brush. */
const SLIP = 4;

/** @param {import("./state.js").State} state */
export function minimap(state) {
  const { model } = state;
  const canvas = h("canvas", { class: "tr-map-canvas", "aria-hidden": true });
  const shades = [h("div", { class: "tr-map-shade" }), h("div", { class: "tr-map-shade" })];
  /** @param {string} name @param {string} label */
  const handle = (name, label) =>
    h("div", {
      class: `tr-map-handle ${name}`,
      role: "slider",
      tabindex: 0,
      "aria-label": label,
      "aria-valuemin": 0,
      "aria-valuemax": 1000,
    });
  const from = handle("is-from", "Start of the shown time");
  const to = handle("is-to", "End of the shown time");
  const grip = handle("is-grip", "Shown time: move");
  const node = h(
    "div",
    { class: "tr-map", role: "group", "aria-label": "The whole trace; choose the time to show" },
    canvas,
    shades,
    grip,
    from,
    to,
  );
  let width = 0;

  function draw() {
    if (width === 0) return;
    const context = sized(canvas, width, HEIGHT);
    if (context) measured("trace:minimap", () => paint(context, state, width, paletteOf(node)));
  }

  function placeWindow() {
    const left = (state.from / model.span) * 100;
    const right = (state.to / model.span) * 100;
    shades[0].style.width = `${left}%`;
    shades[1].style.width = `${100 - right}%`;
    from.style.left = `${left}%`;
    to.style.left = `${right}%`;
    grip.style.left = `${left}%`;
    grip.style.width = `${right - left}%`;
    grip.hidden = !state.isZoomed;
    /** @param {HTMLElement} slider @param {number} time */
    const say = (slider, time) => {
      slider.setAttribute("aria-valuenow", String(Math.round((time / model.span) * 1000)));
      slider.setAttribute("aria-valuetext", duration(time));
    };
    say(from, state.from);
    say(to, state.to);
    say(grip, state.from);
    grip.setAttribute("aria-valuetext", `${duration(state.from)} to ${duration(state.to)}`);
  }

  /** @param {MouseEvent} event */
  const timeAt = (event) => {
    const box = node.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * model.span;
  };

  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    node.setPointerCapture(event.pointerId);
    const part = event.target;
    const began = timeAt(event);
    const window = [state.from, state.to];
    let hasMoved = false;
    node.onpointermove = (move) => {
      const time = timeAt(move);
      hasMoved ||= Math.abs(move.clientX - event.clientX) >= SLIP;
      if (part === from) state.setWindow(Math.min(time, state.to), state.to);
      else if (part === to) state.setWindow(state.from, Math.max(time, state.from));
      else if (part === grip) state.setWindow(window[0] + time - began, window[1] + time - began);
      else if (hasMoved) state.setWindow(Math.min(began, time), Math.max(began, time));
    };
  });
  node.addEventListener("lostpointercapture", () => (node.onpointermove = null));
  node.addEventListener("dblclick", () => state.resetWindow());
  node.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (event.shiftKey || event.deltaX !== 0) state.pan((event.deltaX || event.deltaY) / 500);
      else state.zoom(1.0015 ** event.deltaY, timeAt(event));
    },
    { passive: false },
  );
  node.addEventListener("keydown", (event) => {
    const step = ((state.to - state.from) / 50) * (event.shiftKey ? 5 : 1);
    const by = { ArrowLeft: -step, ArrowRight: step, Home: -model.span, End: model.span }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.target === from) state.setWindow(Math.min(Math.max(state.from + by, 0), state.to), state.to);
    else if (event.target === to)
      state.setWindow(state.from, Math.max(Math.min(state.to + by, model.span), state.from));
    else state.setWindow(state.from + by, state.to + by);
  });

  const observer = new ResizeObserver(() => {
    if (node.clientWidth === width) return;
    width = node.clientWidth;
    draw();
  });
  observer.observe(node);
  const endTheme = onTheme(draw);
  const unsubscribe = state.subscribe((what) => {
    if (what === "time") placeWindow();
    if (what === "light") draw();
  });
  placeWindow();
  return {
    node,
    dispose() {
      observer.disconnect();
      endTheme();
      unsubscribe();
    },
  };
}

/**
 * One pass over the spans: each pixel of a lane belongs to the span that was drawn there last.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {import("./state.js").State} state
 * @param {number} width
 * @param {import("./palette.js").Palette} palette
 */
function paint(context, { model, service: highlight, showsPath }, width, palette) {
  context.clearRect(0, 0, width, HEIGHT);
  const room = HEIGHT - ERRORS - PATH - 2;
  const lanes = Math.min(model.maxDepth + 1, Math.floor(room / 2));
  const laneHeight = Math.min(room / lanes, 8);
  const columns = Math.max(Math.floor(width), 1);
  const scale = columns / model.span;
  const owner = new Int16Array(lanes * columns).fill(-1);
  const errors = new Uint8Array(columns);
  for (let row = 0; row < model.count; row++) {
    const lane = Math.floor((model.depth[row] * lanes) / (model.maxDepth + 1)) * columns;
    const left = Math.min(Math.floor(model.start[row] * scale), columns - 1);
    const right = Math.min(Math.max(Math.ceil((model.start[row] + model.duration[row]) * scale), left + 1), columns);
    const isDim = highlight >= 0 && model.service[row] !== highlight;
    owner.fill(isDim ? 99 : colorOf(model, row), lane + left, lane + right);
    if (model.marks[row] & MARK.error) errors[left] = 1;
  }
  for (let lane = 0; lane < lanes; lane++) {
    runs(owner, lane * columns, columns, (color, left, right) => {
      context.fillStyle = palette.services[color] ?? palette.line;
      context.fillRect(
        left,
        ERRORS + lane * laneHeight,
        right - left,
        Math.max(laneHeight - (laneHeight > 3 ? 1 : 0), 1),
      );
    });
  }
  context.fillStyle = palette.error;
  errors.forEach((isError, at) => isError && context.fillRect(at - 1, 0, 3, ERRORS - 1));
  if (showsPath) paintPath(context, model, columns, palette);
}

/**
 * The foot: a line as long as the critical path, and above it whose time it was.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {import("./model.js").Model} model
 * @param {number} columns
 * @param {import("./palette.js").Palette} palette
 */
function paintPath(context, model, columns, palette) {
  const owner = new Int16Array(columns).fill(-1);
  const scale = columns / model.span;
  for (let row = 0; row < model.count; row++) {
    for (let at = model.segmentFrom[row]; at < model.segmentFrom[row + 1]; at++) {
      const left = Math.min(Math.floor(model.segmentStart[at] * scale), columns - 1);
      const right = Math.max(Math.ceil((model.segmentStart[at] + model.segmentDuration[at]) * scale), left + 1);
      owner.fill(colorOf(model, row), left, Math.min(right, columns));
    }
  }
  runs(owner, 0, columns, (color, left, right) => {
    context.fillStyle = palette.services[color];
    context.fillRect(left, HEIGHT - PATH, right - left, PATH - 2);
    context.fillStyle = palette.path;
    context.fillRect(left, HEIGHT - 2, right - left, 2);
  });
}

/**
 * Calls `each(value, from, to)` for stretches of the same value, leaving out -1.
 *
 * @param {Int16Array} values
 * @param {number} offset
 * @param {number} length
 * @param {(value: number, from: number, to: number) => void} each
 */
function runs(values, offset, length, each) {
  let from = 0;
  for (let at = 1; at <= length; at++) {
    if (at < length && values[offset + at] === values[offset + from]) continue;
    if (values[offset + from] >= 0) each(values[offset + from], from, at);
    from = at;
  }
}
