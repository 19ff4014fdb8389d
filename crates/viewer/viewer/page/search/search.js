// @ts-check
// The search page: conditions, time, what was found, the scatter of it, and the live tail.
//
// The address is the state: the reader's changes go there first, and what is shown is read from it.

import { announce } from "../kit/announce.js";
import { get, isAbort, messageOf, refusalOf } from "../kit/api.js";
import { clear, h, icon, keep } from "../kit/dom.js";
import { counted, visibleText } from "../kit/format.js";
import { keys } from "../kit/keys.js";
import { remember } from "../kit/last-search.js";
import { here, link, navigate, setState, state as addressState } from "../kit/router.js";
import { empty, failed, loading } from "../kit/state-box.js";
import { columnPicker, keptColumns } from "./columns.js";
import { emptyStore } from "./empty-store.js";
import { facets } from "./facets.js";
import { foundList } from "./found.js";
import { hint } from "./hint.js";
import { importButton } from "./import.js";
import { overview } from "./overview.js";
import { queryBar } from "./query-bar.js";
import { filterParams, hasFilters, pointParams, windowOf, zoomedOut, pointsAreRoots, read, tailParams, DEFAULT_RANGE } from "./query.js";
import { scatter, selectedParams } from "./scatter.js";
import { liveTail } from "./tail.js";
import { timeRange } from "./time-range.js";

const SCOPE = "Search";

/** @type {import("../kit/router.js").View} */
export default function view(root, { query }) {
  let state = stateOf(query);
  let asked = new AbortController();
  /** @type {ReturnType<typeof emptyStore> | null} */
  let guide = null;
  /** @type {ReturnType<typeof liveTail> | null} */
  let tail = null;

  const bar = queryBar({ onApply: (filters) => change(filterParams(filters)) });
  const counts = facets({ onApply: (filters) => change(filterParams(filters)) });
  const columns = columnPicker({
    onChange: (chosen) => {
      setState({ col: chosen }, { replace: true });
      state = stateOf(addressState());
      run();
    },
  });
  const time = timeRange({
    onChange: ({ from, to }) => change({ from: from === DEFAULT_RANGE && !to ? "" : from, to }),
    onRefresh: () => run(),
  });
  const plot = scatter({
    onOpen: (point) => navigate(`/trace/${point.trace_id}?span=${point.span_id}`),
    onSelect: (selection) => {
      // Where the dots are roots, so is what was chosen.
      const root = selection.min !== null && pointsAreRoots(state) ? { root: "true" } : {};
      change({ ...selectedParams(selection), ...root });
      announce("The chosen range is searched. Go back to undo.");
    },
    onZoomOut: () => change(zoomedOut(state)),
    onScale: (isLinear) => {
      setState({ scale: isLinear ? "linear" : "" }, { replace: true });
      state = stateOf(addressState());
      drawPoints();
    },
  });
  const over = overview({ plot: plot.node, onChange: (params) => change(params) });
  const found = foundList({
    onOrder: (order) => change({ order: order === "newest" ? "" : order }),
    onWiden: () => change({ from: "all", to: "" }),
    onClear: () => navigate("/search"),
    onService: (service) => change({ service }),
  });
  const live = h(
    "button",
    { type: "button", "aria-pressed": false, on: { click: () => change({ live: state.isLive ? "" : "1" }) } },
    icon("play"),
    "Live",
  );
  const results = h("div", { class: "search-results" });
  const problem = h("div", {});
  const first = h("div", {});
  const logNote = h("div", { class: "log-note" });
  const listHead = h("div", { class: "list-head" }, columns.node);

  root.append(
    h(
      "div",
      { class: "page search" },
      h(
        "div",
        { class: "page-head" },
        h("h1", {}, "Search"),
        time.node,
        h("div", { class: "spread head-tools" }, live, importButton()),
      ),
      bar.node,
      h("div", { class: "search-grid" }, counts.node, h("div", { class: "search-main" }, problem, first, logNote, results)),
    ),
  );
  document.title = "Search · Waypost";

  /**
   * Puts what the reader changed into the address and searches.
   *
   * @param {object} params
   */
  function change(params) {
    const before = location.search;
    setState({ ...params, show: "", sought: "" });
    state = stateOf(addressState());
    if (location.search !== before) run();
    else showQuery();
  }

  function showQuery() {
    bar.set(state);
    columns.set(state.columns);
    time.set(state);
    live.setAttribute("aria-pressed", String(state.isLive));
  }

  function run() {
    asked.abort();
    asked = new AbortController();
    endGuide();
    endTail();
    remember(here());
    clear(logNote);
    clear(first);
    clear(problem, state.wasId && state.span.text ? soughtNote(state.span.text) : null);
    showQuery();
    counts.node.hidden = state.isLive;
    if (state.isLive) startTail();
    else search();
  }

  function startTail() {
    tail = liveTail();
    const isNarrowed = state.others.length > 0 || state.min_trace_duration || state.max_trace_duration;
    clear(
      problem,
      isNarrowed
        ? h(
            "p",
            { class: "note warn" },
            "The live tail looks at one span at a time: conditions on other spans and on the whole trace are not applied.",
          )
        : null,
    );
    clear(results, tail.node);
    tail.start(tailParams(state));
  }

  function endTail() {
    tail?.dispose();
    tail = null;
  }

  function endGuide() {
    guide?.dispose();
    guide = null;
  }

  async function search() {
    const { signal } = asked;
    const slow = setTimeout(() => {
      results.setAttribute("aria-busy", "true");
      if (!results.contains(found.node)) clear(results, loading("Searching…"));
    }, 200);
    try {
      const answer = await found.load(state, signal);
      if (!answer.traces.length && !found.hasRootless() && !hasFilters(state) && (await isStoreEmpty(signal))) return settled(slow);
      keep(results, over.node, listHead, found.node);
      found.show(answer, state);
      announce(`${counted(answer.traces.length, "trace")}${answer.next ? ", and there are more" : ""}`);
      settled(slow);
      await noteLogs(signal);
      counts.load(state);
      hint(first, state, signal);
      over.load(state, answer.traces.length > 0);
      if (answer.traces.length) await loadPoints(signal);
      else plot.node.hidden = true;
    } catch (error) {
      clearTimeout(slow);
      if (isAbort(error)) return;
      settled(slow);
      const isMarked = time.showError(refusalOf(error)) || bar.showError(refusalOf(error));
      clear(
        results,
        isMarked
          ? empty("Not searched", "One of the conditions is not right: it is marked.")
          : failed(error, () => run()),
      );
    }
  }

  /** @param {number} slow */
  function settled(slow) {
    clearTimeout(slow);
    results.removeAttribute("aria-busy");
  }

  /** @type {import("../kit/api-types").Points | null} */
  let points = null;
  /** @type {Set<string>} */
  let failedTraces = new Set();
  /**
   * The table stays when the plot cannot be had.
   *
   * @param {AbortSignal} signal
   */
  async function loadPoints(signal) {
    try {
      const params = pointParams(state);
      // Of a whole trace counts whether any of its spans failed.
      const withErrors = pointsAreRoots(state)
        ? await get("/points", { ...params, with: [...params.with, "status=error"] }, { signal })
        : null;
      points = await get("/points", params, { signal });
      failedTraces = new Set(withErrors?.points.map((point) => point.trace_id));
      plot.node.hidden = false;
      drawPoints();
    } catch (error) {
      if (isAbort(error)) throw error;
      plot.node.hidden = true;
      announce(`The durations over time could not be had: ${messageOf(error)}`);
    }
  }

  function drawPoints() {
    if (!points) return;
    const areTraces = pointsAreRoots(state);
    const noun = areTraces ? "trace" : "span";
    plot.show({
      points: points.points.map((point) => ({
        ...point,
        hasError: point.status === "error" || failedTraces.has(point.trace_id),
      })),
      window: windowOf(state),
      isZoomed: Boolean(state.to),
      isLinear: state.isLinear,
      noun,
      isCut: Boolean(points.next || points.scanned_to),
    });
  }

  /** @param {AbortSignal} signal */
  async function isStoreEmpty(signal) {
    const status = await get("/status", {}, { signal });
    if (status.usage.spans > 0) return false;
    guide = emptyStore({ status, onFirst: () => run() });
    clear(results, guide.node);
    return true;
  }

  /**
   * Log records with the text that is searched for: they may be of other traces, or of none.
   *
   * @param {AbortSignal} signal
   */
  async function noteLogs(signal) {
    const { text, service } = state.span;
    clear(logNote);
    if (!text) return;
    const params = { text, service, from: state.from === "all" ? "" : state.from, to: state.to };
    const found = await get("/logs", { ...params, limit: 50 }, { signal });
    if (!found.logs.length) return;
    const query = new URLSearchParams({ text, service, from: state.from, to: state.to });
    const many = `${counted(found.logs.length, "log record")}${found.next ? " and more" : ""}`;
    clear(logNote, h("p", { class: "note" }, link(`/logs?${query}`, `${many} with this text`)));
  }

  /** @param {string} text */
  function soughtNote(text) {
    return h(
      "p",
      { class: "note", role: "status" },
      "No trace has this id. Searched instead, as text in everything that is kept: ",
      h("code", {}, visibleText(text)),
    );
  }

  const bound = [
    keys.bind(SCOPE, "/", "Type a query", () => bar.focus()),
    keys.bind(SCOPE, "j", "Next trace", () => found.move(1)),
    keys.bind(SCOPE, "k", "Trace before", () => found.move(-1)),
    keys.bind(SCOPE, "n", "More traces", () => found.more()),
    keys.bind(SCOPE, "r", "Search again", () => run()),
    keys.bind(SCOPE, "l", "Live tail on and off", () => live.click()),
    keys.bind(SCOPE, "p", "Pause the live tail", () => (tail ? tail.togglePause() : false)),
  ];
  run();

  return {
    /** @param {URLSearchParams} next */
    update(next) {
      state = stateOf(next);
      run();
    },
    dispose() {
      asked.abort();
      endGuide();
      endTail();
      plot.dispose();
      over.dispose();
      counts.dispose();
      bound.forEach((unbind) => unbind());
    },
  };
}

/**
 * The address's state; with the columns that the reader chose before when it names none.
 *
 * @param {URLSearchParams} query
 */
function stateOf(query) {
  const state = read(query);
  return state.columns.length ? state : { ...state, columns: keptColumns() };
}
