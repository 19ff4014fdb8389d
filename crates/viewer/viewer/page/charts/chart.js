// @ts-check
// One chart over time: lines, or a heatmap of durations. uPlot draws; this gives it the page's colours, the window as its
// axis, marks of deployments, and what a pointer and a keyboard can do with it.
//
// Moving over it names a step, a click or Enter takes it, dragging chooses a range. The numbers of all charts of a page
// stand in one table beside them (`panel.js`), for whoever cannot see a canvas.

import { h } from "../kit/dom.js";
import { duration, percent, rate } from "../kit/format.js";
import uPlot from "../vendor/uplot.js";
import { bounds, durationSplits, timeWords } from "./data.js";

/**
 * @typedef {import("./data.js").Cell} Cell
 * @typedef {{label: string, shade: string, values: (number | null)[], isFilled?: boolean, dash?: number[]}} Line
 * @typedef {{at: number, until?: number | null, words?: string, shade?: string}} Mark
 * @typedef {{from: number, to: number, min: number | null, max: number | null}} ChartRange
 * @typedef {{title: string, unit: keyof typeof FORMATS, x: number[], range: [number, number], marks: Mark[], lines?: Line[], cells?: Cell[]}} Shown
 * @typedef {Record<string, string>} Colours
 */

const FORMATS = { rate, percent, duration };
/** Below this height a drag is one along the time. */
const FLAT = 12;
const SHADES = ["text", "muted", "line", "accent", "error", "warning", "surface"];

/**
 * Answers `{node, show(chart), point(at), dispose}`. `chart`: `{title, unit, x, lines: [{label, shade, values, isFilled}],
 * cells, range: [from, to], marks: [{at, words, until, shade}]}`, times in seconds; a mark with `until` is a stretch. `onPoint(at)` of a step under the pointer or -1,
 * `onTake(at)`, `onRange({from, to, min, max})` in seconds and nanoseconds, `min` and `max` null along the time only.
 *
 * @param {{name: string, height?: number, onPoint: (at: number) => void, onTake: (at: number) => void, onRange: (range: ChartRange) => void}} options
 */
export function chart({ name, height = 130, onPoint, onTake, onRange }) {
  const title = h("figcaption", { class: "chart-title" });
  const stage = h("div", {
    class: "chart-stage",
    tabindex: "0",
    role: "application",
    "aria-roledescription": "chart",
    dataset: { chart: name },
  });
  const probe = h("span", { hidden: true });
  const node = h("figure", { class: "chart" }, title, stage, probe);
  /** @type {Shown | null} */
  let shown = null;
  /** @type {uPlot | null} */
  let plot = null;
  let active = -1;

  function shades() {
    return Object.fromEntries(
      SHADES.map((shade) => {
        probe.style.color = `var(--${shade})`;
        return [shade, getComputedStyle(probe).color];
      }),
    );
  }

  function draw() {
    plot?.destroy();
    plot = null;
    const width = stage.clientWidth;
    if (!shown || !width) return;
    const colours = shades();
    const values = shown.cells ? [shown.x.map(() => null)] : (shown.lines ?? []).map((line) => line.values);
    plot = new uPlot(options(shown, width, colours), [shown.x, ...values], stage);
    // For tests and for whoever looks at the page by its tools.
    Object.assign(stage, { plot });
    point(active);
  }

  /** @param {Shown} shown @param {number} width @param {Colours} colours @returns {import("../vendor/uplot").Options} */
  function options(shown, width, colours) {
    const format = FORMATS[shown.unit];
    const [low, high] = shown.cells ? bounds(shown.cells) : [0, 0];
    const axis = { stroke: colours.muted, grid: { stroke: colours.line, width: 1 }, ticks: { show: false } };
    const font = "11px system-ui, sans-serif";
    return {
      width,
      height,
      padding: [8, 18, 0, 0],
      legend: { show: false },
      cursor: {
        drag: { x: true, y: Boolean(shown.cells), uni: FLAT, setScale: false },
        points: { show: !shown.cells },
        y: false,
      },
      scales: {
        x: { time: true, range: () => shown.range },
        y: shown.cells
          ? { distr: 3, range: () => [low, high] }
          : { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] },
      },
      axes: [
        { ...axis, font, size: 24, gap: 5, values: (_, splits, __, ___, apart) => timeWords(splits, apart) },
        {
          ...axis,
          font,
          size: 62,
          gap: 5,
          space: 26,
          values: (_, splits) => splits.map((value) => format(value)),
          ...(shown.cells
            ? { splits: () => durationSplits(low, high), filter: (_, splits) => splits }
            : {}),
        },
      ],
      series: [{}, ...(shown.cells ? [{ show: false }] : (shown.lines ?? []).map((line) => series(line, colours)))],
      hooks: {
        drawClear: [(at) => void (shown.cells && paintCells(at, shown.cells, colours))],
        draw: [(at) => paintMarks(at, shown.marks, colours)],
        setCursor: [(at) => pointed(at.cursor)],
        setSelect: [selected],
      },
    };
  }

  /** @param {import("../vendor/uplot").Cursor} cursor */
  function pointed({ idx, left }) {
    const at = (left ?? -1) >= 0 && idx != null ? idx : -1;
    if (at === active) return;
    active = at;
    onPoint(at);
  }

  /** @param {uPlot} at */
  function selected(at) {
    const { left, top, width, height: tall } = at.select;
    if (width < 4) return;
    const isFlat = !shown?.cells || tall >= at.over.clientHeight - 1 || tall < FLAT;
    onRange({
      from: at.posToVal(left, "x"),
      to: at.posToVal(left + width, "x"),
      min: isFlat ? null : at.posToVal(top + tall, "y"),
      max: isFlat ? null : at.posToVal(top, "y"),
    });
    at.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }

  /** @type {number | null} */
  let downAt = null;
  stage.addEventListener("pointerdown", (event) => (downAt = event.clientX));
  stage.addEventListener("click", (event) => {
    const wasDrag = downAt !== null && Math.abs(event.clientX - downAt) > 3;
    if (!wasDrag && active >= 0) onTake(active);
  });
  stage.addEventListener("keydown", (event) => {
    /** @type {Record<string, number>} */
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    const most = (shown?.x.length ?? 0) - 1;
    if (event.key in steps && most >= 0) {
      const from = active < 0 ? (steps[event.key] > 0 ? -1 : most + 1) : active;
      active = Math.max(0, Math.min(most, from + steps[event.key]));
      point(active);
      onPoint(active);
    } else if (event.key === "Enter" && active >= 0) onTake(active);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  /**
   * Marks a step, such as one that the pointer is on in another chart.
   *
   * @param {number} at
   */
  function point(at) {
    active = at;
    if (!plot || !shown) return;
    const left = at >= 0 ? plot.valToPos(shown.x[at], "x") : -10;
    const line = shown.cells ? null : shown.lines?.findLast(({ values }) => values[at] != null);
    const top = at < 0 ? -10 : line ? plot.valToPos(line.values[at] ?? 0, "y") : plot.over.clientHeight / 2;
    plot.setCursor({ left, top }, false);
  }

  const observer = new ResizeObserver(() => {
    if (plot && stage.clientWidth) plot.setSize({ width: stage.clientWidth, height });
    else draw();
  });
  observer.observe(stage);
  addEventListener("themechange", draw);

  return {
    node,
    point,
    /** @param {Shown} next */
    show(next) {
      shown = next;
      active = -1;
      title.replaceChildren(next.title, ...(next.lines ?? []).filter(({ label }) => label).map(key));
      stage.setAttribute("aria-label", `${next.title}, over time. Arrow keys step, Enter takes a step.`);
      draw();
    },
    dispose() {
      observer.disconnect();
      removeEventListener("themechange", draw);
      plot?.destroy();
      plot = null;
    },
  };
}

/** @param {Line} line */
function key({ label, shade }) {
  return h("span", { class: `chart-key chart-key-${shade}` }, label);
}

/** @param {Line} line @param {Colours} colours @returns {import("../vendor/uplot").Series} */
function series({ label, shade, values, isFilled, dash }, colours) {
  const stroke = colours[shade];
  return {
    label,
    stroke,
    width: 1.5,
    dash,
    fill: isFilled ? translucent(stroke, 0.22) : undefined,
    // A value between two gaps has no line: it is a point.
    points: { size: 4, fill: stroke, filter: (_, __, isShown) => (isShown ? null : alone(values)) },
  };
}

/** @param {(number | null)[]} values */
const alone = (values) =>
  values.flatMap((value, at) => (value != null && values[at - 1] == null && values[at + 1] == null ? [at] : []));

/** @param {string} colour @param {number} part */
function translucent(colour, part) {
  const parts = colour.match(/[\d.]+/g) ?? [0, 0, 0];
  return `rgb(${parts[0]} ${parts[1]} ${parts[2]} / ${Math.round(part * 100)}%)`;
}

/**
 * Stronger: more calls. The red part from the left: how many of them failed.
 *
 * @param {uPlot} plot
 * @param {Cell[]} list
 * @param {Colours} colours
 */
function paintCells(plot, list, colours) {
  const { ctx } = plot;
  const most = list.reduce((highest, { calls }) => Math.max(highest, calls), 1);
  const [least, top] = [plot.scales.y.min ?? 0, plot.scales.y.max ?? 0];
  ctx.save();
  for (const { x0, x1, low, high, calls, errors } of list) {
    const left = plot.valToPos(x0, "x", true);
    const right = plot.valToPos(x1, "x", true);
    const lower = plot.valToPos(Math.max(low, least), "y", true);
    const upper = plot.valToPos(Math.min(Math.max(high, least), top), "y", true);
    const edge = plot.bbox.left;
    const x = Math.max(left, edge);
    const width = Math.max(1, Math.min(right, edge + plot.bbox.width) - x - 1);
    const height = Math.max(1, lower - upper - 1);
    if (right <= edge || left >= edge + plot.bbox.width) continue;
    ctx.fillStyle = translucent(colours.accent, 0.18 + 0.82 * Math.sqrt(calls / most));
    ctx.fillRect(x, upper, width, height);
    if (!errors) continue;
    ctx.fillStyle = colours.error;
    ctx.fillRect(x, upper, Math.max(1, (width * errors) / calls), height);
  }
  ctx.restore();
}

/** @param {uPlot} plot @param {Mark[]} marks @param {Colours} colours */
function paintMarks(plot, marks, colours) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([4, 3]);
  for (const { at, until = null, shade = "warning" } of marks) {
    ctx.strokeStyle = colours[shade];
    ctx.fillStyle = colours[shade];
    const x = Math.round(plot.valToPos(at, "x", true));
    if (until !== null) {
      const [from, to] = [x, plot.valToPos(until, "x", true)].map((side) => Math.min(Math.max(side, bbox.left), bbox.left + bbox.width));
      ctx.globalAlpha = 0.12;
      ctx.fillRect(from, bbox.top, to - from, bbox.height);
      ctx.globalAlpha = 1;
    }
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.beginPath();
    ctx.arc(x, bbox.top, 3 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.fill();
  }
  ctx.restore();
}
