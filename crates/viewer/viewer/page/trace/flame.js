// @ts-check
// The flame view: every span below its parent, as long as it took, on a canvas. What the canvas shows of the span at
// the cursor stands as text below it; the waterfall has the same spans as rows.

import { clear, h } from "../kit/dom.js";
import { ticks } from "./axis.js";
import { axisTick } from "./axis-tick.js";
import { paintFlame, LANE } from "./flame-paint.js";
import { sentence } from "./labels.js";
import { lanesOf } from "./lanes.js";
import { measured } from "./measure.js";
import { onTheme, paletteOf, sized } from "./palette.js";
import { timeWheel } from "./waterfall.js";

const SLIP = 4;

/** @param {import("./state.js").State} state @param {import("./trace.js").Actions} actions */
export function flame(state, actions) {
  const { model } = state;
  const canvas = h("canvas", { class: "tr-flame-canvas", role: "img" });
  const sizer = h("div", { class: "tr-flame-sizer" }, canvas);
  const scroller = h(
    "div",
    {
      class: "tr-flame-scroll",
      tabindex: 0,
      role: "group",
      "aria-label":
        "Flame view. Arrows: up to the parent, down to the first child, left and right to siblings. Enter: details.",
    },
    sizer,
  );
  const axis = h("div", { class: "tr-axis", "aria-hidden": true });
  const line = h("p", { class: "tr-flame-line", "aria-live": "polite" });
  const node = h("div", { class: "tr-flame" }, h("div", { class: "tr-head" }, axis), scroller, line);

  const lanes = lanesOf(model);
  /** @type {import("./palette.js").Palette | null} */
  let palette = null;
  /** @type {CanvasRenderingContext2D | null} */
  let context = null;
  let size = [0, 0];
  let hover = -1;
  let frame = 0;

  const top = () => (state.focus < 0 ? 0 : lanes.lane[state.focus]);

  function measure() {
    const next = [scroller.clientWidth, scroller.clientHeight];
    if (next[0] === 0) return;
    size = next;
    context = sized(canvas, size[0], size[1]);
    palette ??= paletteOf(node);
    draw();
  }

  function draw() {
    frame = 0;
    const [paint, colours] = [context, palette];
    if (paint === null || colours === null) return;
    sizer.style.height = `${Math.max((lanes.count - top()) * LANE, size[1])}px`;
    measured("trace:render", () =>
      paintFlame(paint, {
        state,
        palette: colours,
        lane: lanes.lane,
        top: top(),
        scroll: scroller.scrollTop,
        width: size[0],
        height: size[1],
        hover,
      }),
    );
    const times = ticks(state.from, state.to, size[0] / 110);
    clear(
      axis,
      times.map((time) => axisTick(time, state, size[0])),
    );
    const row = hover >= 0 ? hover : cursor();
    line.textContent = sentence(model, row);
    canvas.setAttribute("aria-label", `Flame view of ${model.count} spans. ${line.textContent}`);
  }

  const later = () => (frame ||= requestAnimationFrame(draw));
  const cursor = () => (state.cursor < 0 ? ~state.cursor : state.cursor);

  /** @param {MouseEvent} event */
  function rowAt(event) {
    const box = canvas.getBoundingClientRect();
    const lane = Math.floor((event.clientY - box.top + scroller.scrollTop) / LANE) + top();
    const pixel = (state.to - state.from) / size[0];
    const time = state.from + (event.clientX - box.left) * pixel;
    const end = state.focus < 0 ? model.count : model.after(state.focus);
    // The first is what is drawn; beside a thin one counts when nothing else is there.
    let near = -1;
    for (let row = Math.max(state.focus, 0); row < end; row++) {
      const start = model.start[row];
      if (lanes.lane[row] !== lane || start > time + 2 * pixel) continue;
      if (start <= time && start + model.duration[row] >= time) return row;
      if (start + model.duration[row] >= time - 2 * pixel) near = row;
    }
    return near;
  }

  /** @param {number} row */
  function show(row) {
    const y = (lanes.lane[row] - top()) * LANE;
    if (y < scroller.scrollTop) scroller.scrollTop = y - LANE;
    else if (y + LANE > scroller.scrollTop + size[1]) scroller.scrollTop = y + 2 * LANE - size[1];
    const [start, end] = [model.start[row], model.start[row] + model.duration[row]];
    if (end < state.from || start > state.to)
      state.setWindow(start - (state.to - state.from) / 2, start + (state.to - state.from) / 2);
  }

  scroller.addEventListener("scroll", draw, { passive: true });
  scroller.addEventListener(
    "wheel",
    (event) => timeWheel(event, state, scroller.getBoundingClientRect().left, size[0]),
    { passive: false },
  );
  scroller.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target !== canvas) return;
    const [x, y, from, to, scrolled] = [event.clientX, event.clientY, state.from, state.to, scroller.scrollTop];
    let hasMoved = false;
    if (event.pointerType === "mouse") canvas.setPointerCapture(event.pointerId);
    canvas.onpointermove = (move) => {
      hasMoved ||= Math.abs(move.clientX - x) + Math.abs(move.clientY - y) >= SLIP;
      if (!hasMoved) return;
      const by = ((x - move.clientX) / size[0]) * (to - from);
      state.setWindow(from + by, to + by);
      if (move.pointerType === "mouse") scroller.scrollTop = scrolled + y - move.clientY;
    };
    canvas.onpointerup = (up) => {
      canvas.onpointermove = canvas.onpointerup = null;
      const row = hasMoved ? -1 : rowAt(up);
      if (row >= 0) actions.open(row);
    };
    canvas.onpointercancel = () => (canvas.onpointermove = canvas.onpointerup = null);
  });
  scroller.addEventListener("dblclick", (event) => {
    const row = rowAt(event);
    if (row >= 0) state.zoomTo(row);
  });
  scroller.addEventListener("mousemove", (event) => {
    const row = rowAt(event);
    if (row === hover) return;
    hover = row;
    later();
  });
  scroller.addEventListener("mouseleave", () => {
    hover = -1;
    later();
  });

  const observer = new ResizeObserver(measure);
  observer.observe(scroller);
  const endTheme = onTheme(() => {
    palette = paletteOf(node);
    draw();
  });
  const unsubscribe = state.subscribe((what) => {
    if (state.view !== "flame") return;
    if (what === "cursor" || what === "selection") show(cursor());
    later();
  });
  return {
    node,
    grid: scroller,
    shown() {
      measure();
      show(cursor());
    },
    dispose() {
      observer.disconnect();
      cancelAnimationFrame(frame);
      endTheme();
      unsubscribe();
    },
  };
}
