// @ts-check
// The waterfall: a tree grid of which only the visible rows exist, under a time axis.

import { clear, h, within } from "../kit/dom.js";
import { Windowed } from "../kit/windowed.js";
import { ticks } from "./axis.js";
import { axisTick } from "./axis-tick.js";
import { record } from "./measure.js";
import { createRow, fillRow } from "./row.js";

const NARROW = 620;
/** Narrower names leave out the service where it is the parent's. */
const TIGHT = 340;
const TICK_EVERY = 110;
let nameShare = 0.36;

/**
 * `actions.open(row)` is called for a row to be looked at closely; `actions.toggle(item)` opens and closes.
 *
 * @param {import("./state.js").State} state
 * @param {import("./trace.js").Actions} actions
 */
export function waterfall(state, actions) {
  const axis = h("div", { class: "tr-axis", "aria-hidden": true });
  const lines = h("div", { class: "tr-lines", "aria-hidden": true });
  const separator = h("div", {
    class: "tr-separator",
    role: "separator",
    tabindex: 0,
    "aria-orientation": "vertical",
    "aria-label": "Width of the names",
    "aria-valuemin": 15,
    "aria-valuemax": 75,
  });
  const grid = h("div", {
    class: "tr-scroll",
    role: "treegrid",
    tabindex: 0,
    "aria-label": "Spans of the trace",
    "aria-colcount": 2,
    "aria-multiselectable": false,
  });
  const head = h("div", { class: "tr-head" }, h("div", { class: "tr-head-name" }, "Span"), separator, axis);
  const node = h("div", { class: "tr-waterfall" }, head, h("div", { class: "tr-rows" }, lines, grid));

  let trackWidth = 600;
  let isNarrow = false;
  /** @type {Windowed | null} */
  let list = null;
  let fillStart = 0;
  /** @param {number} index @param {HTMLElement} row */
  const fill = (index, row) => {
    fillStart ||= performance.now();
    fillRow(row, index, state, trackWidth);
  };

  function build() {
    list?.dispose();
    list = new Windowed({
      container: grid,
      rowHeight: isNarrow ? 46 : 26,
      count: state.arranged.length,
      overscan: 4,
      create: createRow,
      render: fill,
      layerRole: "rowgroup",
      onRange: drawn,
    });
    grid.setAttribute("aria-rowcount", String(state.arranged.length));
  }

  /** After each pass of the list: what it filled is one measure. */
  function drawn() {
    if (fillStart > 0) record("trace:render", fillStart);
    fillStart = 0;
    followCursor();
  }

  /** The one tab stop says where in the grid the keyboard is, as long as that row exists. */
  function followCursor() {
    const at = state.cursorItem;
    if (list?.nodeAt(at)) grid.setAttribute("aria-activedescendant", `tr-item-${at}`);
    else grid.removeAttribute("aria-activedescendant");
  }

  function measure() {
    const wasNarrow = isNarrow;
    isNarrow = node.clientWidth > 0 && node.clientWidth < NARROW;
    node.classList.toggle("is-narrow", isNarrow);
    const width = grid.clientWidth;
    const names = isNarrow ? 0 : Math.round(width * nameShare);
    trackWidth = Math.max(width - names - (isNarrow ? 16 : 12), 50);
    node.classList.toggle("is-tight", isNarrow || names < TIGHT);
    node.style.setProperty("--tr-names", `${names}px`);
    node.style.setProperty("--tr-track", `${trackWidth}px`);
    separator.setAttribute("aria-valuenow", String(Math.round(nameShare * 100)));
    if (list === null || wasNarrow !== isNarrow) build();
    drawAxis();
    list?.refresh();
  }

  function drawAxis() {
    const times = ticks(state.from, state.to, trackWidth / TICK_EVERY);
    /** @param {number} time */
    const at = (time) => ({ left: `${((time - state.from) / (state.to - state.from)) * 100}%` });
    clear(
      axis,
      times.map((time) => axisTick(time, state, trackWidth)),
    );
    clear(
      lines,
      h(
        "div",
        { class: "tr-lines-in" },
        times.map((time) => h("i", { style: at(time) })),
      ),
    );
  }

  /** @param {number} by */
  function resizeNames(by) {
    nameShare = Math.min(Math.max(nameShare + by, 0.15), 0.75);
    measure();
  }

  /** @param {string} what */
  function update(what) {
    if (state.view !== "waterfall" || list === null) return;
    if (what === "rows" || what === "hits") {
      grid.setAttribute("aria-rowcount", String(state.arranged.length));
      list.setCount(state.arranged.length);
    } else {
      if (what === "time") drawAxis();
      list.refresh();
    }
    if (what === "cursor" || what === "selection" || what === "rows") list.scrollToIndex(state.cursorItem);
    followCursor();
  }

  /** @param {Event} event */
  const itemAt = (event) => {
    const row = within(event, ".tr-row");
    return row ? Number(row.getAttribute("aria-rowindex")) - 1 : -1;
  };
  grid.addEventListener("click", (event) => {
    const index = itemAt(event);
    if (index < 0) return;
    state.setCursorItem(index);
    const item = state.arranged.items[index];
    if (item < 0 || within(event, ".tr-toggle")?.textContent) actions.toggle(index);
    else actions.open(item);
  });
  grid.addEventListener("dblclick", (event) => {
    const item = state.arranged.items[itemAt(event)];
    if (item >= 0 && !within(event, ".tr-toggle")) state.zoomTo(item);
  });
  grid.addEventListener(
    "wheel",
    (event) => timeWheel(event, state, grid.getBoundingClientRect().right - trackWidth - 10, trackWidth),
    { passive: false },
  );
  separator.addEventListener("keydown", (event) => {
    const by = event.key === "ArrowLeft" ? -0.02 : event.key === "ArrowRight" ? 0.02 : undefined;
    if (by === undefined) return;
    event.preventDefault();
    resizeNames(by);
  });
  separator.addEventListener("pointerdown", (event) => {
    separator.setPointerCapture(event.pointerId);
    separator.onpointermove = (move) =>
      resizeNames((move.clientX - grid.getBoundingClientRect().left) / grid.clientWidth - nameShare);
  });
  separator.addEventListener("lostpointercapture", () => (separator.onpointermove = null));

  const unsubscribe = state.subscribe(update);
  const observer = new ResizeObserver(measure);
  observer.observe(node);
  return {
    node,
    grid,
    resizeNames,
    /** Rows of a page of the grid. */
    get page() {
      return Math.max(list ? list.visible().end - list.visible().first - 2 : 10, 1);
    },
    shown() {
      measure();
      list?.setCount(state.arranged.length);
      list?.scrollToIndex(state.cursorItem, { align: "center" });
    },
    dispose() {
      unsubscribe();
      observer.disconnect();
      list?.dispose();
    },
  };
}

/**
 * Ctrl and the wheel zoom around the pointer, shift and the wheel pan; the wheel alone scrolls.
 *
 * @param {WheelEvent} event
 * @param {import("./state.js").State} state
 * @param {number} left
 * @param {number} width
 */
export function timeWheel(event, state, left, width) {
  if (event.ctrlKey || event.metaKey) {
    const at = state.from + Math.min(Math.max((event.clientX - left) / width, 0), 1) * (state.to - state.from);
    state.zoom(1.0015 ** event.deltaY, at);
  } else if (event.shiftKey) {
    state.pan((event.deltaX || event.deltaY) / width);
  } else {
    return;
  }
  event.preventDefault();
}
