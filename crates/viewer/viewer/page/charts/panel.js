// @ts-check
// The charts of one thing over time: rate, errors, latencies, and how often each latency occurred; beneath them the step
// that is pointed at or taken with its example traces, the deployments, and everything as a table.

import { traceLinks } from "../alerts/figure.js";
import { announce } from "../kit/announce.js";
import { ApiError, get, isAbort, messageOf } from "../kit/api.js";
import { clear, h, icon } from "../kit/dom.js";
import { exampleLinks, searchAddress } from "../kit/figures.js";
import { counted, fromMillis, time, visibleText } from "../kit/format.js";
import { link } from "../kit/router.js";
import { chart } from "./chart.js";
import { cells, columns, figuresOf, seconds, stepWords } from "./data.js";

/**
 * Answers `{node, load(params), dispose}`; `load` takes the parameters of `GET /series`. `onRange({from, to, min, max})`:
 * times in nanoseconds as text, durations as parameters of a search or null. `search`: filters of a search for the spans
 * behind the figures. `path`: another endpoint of the same form. `isSmall`: without the heatmap, one chart beneath the other.
 * `refused(answer, signal)` answers for each step the share of calls that were refused, which is drawn beside the errors, or null.
 *
 * @param {{onRange: (range: {from: string, to: string, min: string | null, max: string | null}) => void, search: () => object, path?: string, isSmall?: boolean,
 *   refused?: (answer: import("../kit/api-types").FiguresOverTime, signal: AbortSignal) => Promise<(number | null)[] | null>}} options
 */
export function chartPanel({ onRange, search, path = "/series", isSmall = false, refused }) {
  let asked = new AbortController();
  /** @type {import("../kit/api-types").FiguresOverTime | null} */
  let answer = null;
  /** @type {import("../kit/api-types").Anomaly[]} */
  let anomalies = [];
  /** @type {(number | null)[] | null} of each step */
  let refusedShare = null;
  let taken = -1;
  /** @param {string} name @param {number} height */
  const make = (name, height) =>
    chart({
      name,
      height,
      onPoint: (at) => pointed(at, name),
      onTake: take,
      onRange: (range) => onRange(inNanos(range)),
    });
  const charts = {
    rate: make("rate", isSmall ? 96 : 130),
    errors: make("errors", isSmall ? 96 : 130),
    latency: make("latency", isSmall ? 96 : 130),
    ...(isSmall ? {} : { heatmap: make("heatmap", 150) }),
  };
  const point = h("div", { class: "chart-point", "aria-live": "off" });
  const deployed = h("div", { class: "chart-deployments" });
  const unusual = h("div", { class: "chart-anomalies" });
  const table = h("details", { class: "chart-table" });
  table.addEventListener("toggle", () => table.open && fillTable());
  const problem = h("p", { class: "field-error", role: "alert", hidden: true });
  const node = h(
    "section",
    { class: isSmall ? "charts is-small" : "charts", "aria-label": "Over time", hidden: true },
    problem,
    h(
      "div",
      { class: "chart-grid" },
      Object.values(charts).map((one) => one.node),
    ),
    point,
    deployed,
    unusual,
    table,
  );

  /** @param {Record<string, any>} params */
  async function load(params) {
    asked.abort();
    asked = new AbortController();
    try {
      const drawn = await get(/** @type {"/series"} */ (path), params, { signal: asked.signal });
      answer = drawn;
      problem.hidden = true;
      node.hidden = false;
      taken = -1;
      anomalies = [];
      refusedShare = null;
      draw(drawn);
      addRefused(drawn, asked.signal);
      if (path === "/series") await loadAnomalies(drawn, params);
    } catch (error) {
      if (isAbort(error)) return;
      // Of what nothing is known there is nothing to draw; the table beneath says so.
      node.hidden = error instanceof ApiError && error.status === 404;
      problem.hidden = false;
      problem.textContent = messageOf(error);
    }
  }

  /**
   * What was unusual of the same thing in the time that is drawn; without an answer the charts are as they are.
   *
   * @param {import("../kit/api-types").FiguresOverTime} drawn
   * @param {Record<string, any>} params
   */
  async function loadAnomalies(drawn, { service, operation, kind, edge_from, edge_to }) {
    const { signal } = asked;
    const within = { service, operation, kind, edge_from, edge_to, from: drawn.from, to: drawn.to };
    try {
      const found = await get("/anomalies", within, { signal });
      anomalies = [...found.active, ...found.ended];
    } catch {
      return;
    }
    if (anomalies.length && !signal.aborted) draw(drawn);
  }

  /**
   * The errors stand at once; this comes when it is known.
   *
   * @param {import("../kit/api-types").FiguresOverTime} drawn
   * @param {AbortSignal} signal
   */
  async function addRefused(drawn, signal) {
    try {
      const values = await refused?.(drawn, signal);
      if (!values || answer !== drawn) return;
      refusedShare = values;
      drawErrors(drawn);
    } catch (error) {
      if (!isAbort(error)) console.warn(messageOf(error));
    }
  }

  /**
   * Deployments, and what was unusual.
   *
   * @param {import("../kit/api-types").FiguresOverTime} answer
   * @returns {import("./chart.js").Mark[]}
   */
  function marks(answer) {
    const end = seconds(answer.to);
    const stretches = anomalies.map((one) => ({
      at: seconds(one.since),
      until: one.until === null ? end : seconds(one.until),
      words: one.sentence,
      shade: "error",
    }));
    return [...marksOf(answer), ...stretches];
  }

  /** @param {import("../kit/api-types").FiguresOverTime} answer */
  function drawErrors(answer) {
    const { from, to } = answer;
    const { x, errorShare } = columns(answer);
    charts.errors.show({
      x,
      range: [seconds(from), seconds(to)],
      marks: marks(answer),
      title: "Errors",
      unit: "percent",
      lines: [
        { label: refusedShare ? "failed" : "", shade: "error", values: errorShare, isFilled: true },
        ...(refusedShare ? [{ label: "refused", shade: "warning", values: refusedShare }] : []),
      ],
    });
  }

  /** @param {import("../kit/api-types").FiguresOverTime} answer */
  function draw(answer) {
    const { from, to, steps, deployments } = answer;
    const { x, rate, failedRate, p50, p95, p99 } = columns(answer);
    /** @type {[number, number]} */
    const range = [seconds(from), seconds(to)];
    const common = { x, range, marks: marks(answer) };
    charts.rate.show({
      ...common,
      title: "Calls a second",
      unit: "rate",
      lines: [
        { label: "all", shade: "accent", values: rate, isFilled: true },
        { label: "failed", shade: "error", values: failedRate, isFilled: true },
      ],
    });
    drawErrors(answer);
    charts.latency.show({
      ...common,
      title: "Latency",
      unit: "duration",
      lines: [
        { label: "p50", shade: "accent", values: p50 },
        { label: "p95", shade: "warning", values: p95 },
        { label: "p99", shade: "muted", values: p99 },
      ],
    });
    charts.heatmap?.show({ ...common, title: "Calls by latency", unit: "duration", cells: cells(answer) });
    drawDeployments(deployments);
    clear(
      unusual,
      anomalies.map((one) =>
        h("div", {}, icon("warning"), ` ${time(one.since).slice(0, 5)} `, h("bdi", {}, visibleText(one.sentence)), " ", traceLinks(one.examples)),
      ),
    );
    clear(table, h("summary", {}, `${counted(steps.length, "step")} as a table`));
    if (table.open) fillTable();
    describe(-1);
  }

  /**
   * The other charts follow; the one under the pointer has its mark where the pointer is.
   *
   * @param {number} at
   * @param {string} source
   */
  function pointed(at, source) {
    for (const [name, one] of Object.entries(charts)) if (name !== source) one.point(at);
    describe(at < 0 ? taken : at);
  }

  /** @param {number} at */
  function take(at) {
    taken = at;
    describe(at);
    if (answer) announce(`Step ${stepWords(answer.steps[at], answer.step)} taken`);
    /** @type {HTMLElement | null} */ (point.querySelector("a, button"))?.focus();
  }

  /** @param {number} at */
  function describe(at) {
    const one = answer?.steps[at];
    if (!answer || !one) {
      const hint = isSmall
        ? "Point at a step for its numbers, click it for its traces."
        : "Point at a step for its numbers, click it for its traces, drag to choose a time; in the heatmap, a box chooses spans.";
      clear(point, h("span", { class: "muted" }, hint));
      return;
    }
    const range = stepRange(one, answer.step);
    clear(
      point,
      h("b", {}, stepWords(one, answer.step)),
      one.is_over ? null : h("span", { class: "badge" }, "not over"),
      figuresOf(one).map(([name, value]) =>
        h("span", { class: name === "Errors" && one.errors ? "bad" : "" }, `${name} ${value}`),
      ),
      one.calls ? h("span", {}, "Traces: ", exampleLinks(one.examples)) : null,
      one.calls ? link(searchAddress({ ...search(), ...range }), "Search this step") : null,
      h("button", { type: "button", class: "textual", on: { click: () => onRange({ ...range, min: null, max: null }) } }, "Only this time"),
    );
  }

  /** @param {{start: string}} one @param {number} step */
  function stepRange({ start }, step) {
    const end = BigInt(start) + BigInt(step);
    return { from: start, to: String(end) };
  }

  /** @param {import("../kit/api-types").DeploymentOf[]} deployments */
  function drawDeployments(deployments) {
    const changes = deployments.filter(({ before }) => before !== null);
    clear(
      deployed,
      changes.length
        ? [
            h("span", { class: "chart-mark" }, counted(changes.length, "deployment")),
            changes.map((one) =>
              h(
                "span",
                {},
                `${time(one.at).slice(0, 8)} `,
                h("bdi", {}, visibleText(one.service)),
                ` ${visibleText(one.before)} → ${visibleText(one.version)}`,
              ),
            ),
          ]
        : null,
    );
  }

  function fillTable() {
    if (!answer) return;
    const { steps, step } = answer;
    const names = figuresOf(steps[0]).map(([name]) => name);
    /** @param {import("../kit/api-types").FigureStep} one */
    const row = (one) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, stepWords(one, step), one.is_over ? "" : " (not over)"),
        figuresOf(one).map(([, value]) => h("td", { class: "num" }, value)),
        h("td", {}, exampleLinks(one.examples)),
      );
    const head = ["Time", ...names, "Example traces"].map((name) => h("th", { scope: "col" }, name));
    const rows = steps.map(row);
    clear(
      table,
      h("summary", {}, `${counted(rows.length, "step")} as a table`),
      h(
        "div",
        { class: "table-box", tabindex: "0", role: "region", "aria-label": "Figures over time" },
        h("table", { class: "table" }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)),
      ),
    );
  }

  return {
    node,
    load,
    dispose() {
      asked.abort();
      Object.values(charts).forEach((one) => one.dispose());
    },
  };
}

/**
 * Deployments but the first of each service, as marks.
 *
 * @param {{deployments: import("../kit/api-types").DeploymentOf[]}} answer
 * @returns {import("./chart.js").Mark[]}
 */
function marksOf({ deployments }) {
  const changes = deployments.filter(({ before }) => before !== null);
  return changes.map(({ at, version }) => ({ at: seconds(at), words: version }));
}

/**
 * A range of seconds and durations as the API's parameters have it; a bound lies a little wider than what was drawn.
 *
 * @param {import("./chart.js").ChartRange} range
 */
function inNanos({ from, to, min, max }) {
  return {
    from: fromMillis(Math.max(0, from * 1000)),
    to: fromMillis(Math.max(0, to * 1000)),
    min: min === null ? null : `${Math.max(0, Math.floor(min / 1000))}us`,
    max: max === null ? null : `${Math.ceil(max / 1000)}us`,
  };
}
