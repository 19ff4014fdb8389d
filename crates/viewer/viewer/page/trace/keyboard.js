// @ts-check
// The keys of the trace page. Each works in the views where it means something and leaves the key alone in the others.

import { keys } from "../kit/keys.js";
import { announce } from "../kit/announce.js";

const SCOPE = "Trace";

/** The short signs of labels.js. */
/** @typedef {import("./state.js").State} State */

const MARKS_SHOWN = /** @type {[string, string][]} */ ([
  ["line under a bar", "on the critical path: what the root waited for"],
  ["!", "error"],
  ["↗6", "6 links to other spans"],
  ["◆20", "20 events"],
  ["≡1", "1 log record"],
  ["−3", "3 attributes, events or links were dropped by the program"],
  ["async tail", "goes on after its parent has ended"],
  ["no parent", "its parent is not here"],
  ["clock +2 ms", "its clock differs from its caller's"],
  ["small number", "depth of a row that is indented no further"],
]);

/**
 * `page`: `{state, search, actions, views}`. Answers a function that unbinds all.
 *
 * @param {{state: State, search: ReturnType<typeof import("./search.js").searchBox>, actions: import("./trace.js").Actions, views: Record<string, any>}} page
 */
export function bindKeys({ state, search, actions, views }) {
  const { model } = state;
  /** @param {string[]} combos @param {string} label @param {(event: KeyboardEvent) => any} run */
  const bind = (combos, label, run) => {
    for (const combo of combos) keys.bind(SCOPE, combo, label, run);
  };
  const isRows = () => state.view === "waterfall";
  const isFlame = () => state.view === "flame";
  const cursor = () => (state.cursor < 0 ? ~state.cursor : state.cursor);
  /** @param {number} by */
  const byRows = (by) => (isRows() ? state.setCursorItem(state.cursorItem + by) : false);
  /**
   * Moves in the flame view; nothing to move to leaves the cursor.
   *
   * @param {number} row
   */
  const toRow = (row) => {
    if (row < 0 || row >= model.count) return;
    state.cursor = row;
    state.changed("cursor");
  };
  /** @param {() => any} run @param {string} words */
  const jumped = (run, words) => () => {
    actions.showRows();
    if (!run()) announce(words);
  };
  /** @param {(event: KeyboardEvent) => any} run @returns {(event: KeyboardEvent) => any} */
  const moved = (run) => (event) => {
    const isOwn = isOwnControl(event.target);
    return isOwn || run(event) === false ? false : undefined;
  };

  bind(
    ["j", "ArrowDown"],
    "Next row; flame: first child",
    moved(() => (isFlame() ? toRow(model.descendants[cursor()] > 0 ? cursor() + 1 : -1) : byRows(1))),
  );
  bind(
    ["k", "ArrowUp"],
    "Row before; flame: parent",
    moved(() => (isFlame() ? toRow(model.parent[cursor()]) : byRows(-1))),
  );
  bind(
    ["ArrowLeft"],
    "Collapse, or to the parent; flame: sibling before",
    moved(() => (isFlame() ? toRow(sibling(model, cursor(), -1)) : isRows() ? leave(state) : false)),
  );
  bind(
    ["ArrowRight"],
    "Expand, or to the first child; flame: next sibling",
    moved(() => (isFlame() ? toRow(sibling(model, cursor(), 1)) : isRows() ? enter(state) : false)),
  );
  bind(
    ["PageDown"],
    "A page down",
    moved(() => byRows(views.waterfall.page)),
  );
  bind(
    ["PageUp"],
    "A page up",
    moved(() => byRows(-views.waterfall.page)),
  );
  bind(["g", "Home"], "First row", (event) => {
    if (isRows() && !isOwnControl(event.target)) state.setCursorItem(0);
    // The page's own two-key commands begin with g too.
    return event.key === "g" ? false : undefined;
  });
  bind(
    ["G", "End"],
    "Last row",
    moved(() => (isRows() ? state.setCursorItem(state.arranged.length - 1) : false)),
  );
  bind(["Enter"], "Details of the span; again: into the details", (event) =>
    isOwnControl(event.target) || (!isRows() && !isFlame()) ? false : actions.enter(),
  );
  bind(["Space"], "Open or close the row", (event) =>
    isRows() && !isOwnControl(event.target) ? actions.toggle(state.cursorItem) : false,
  );
  bind(
    ["e"],
    "Next error",
    jumped(() => actions.nextError(), "No errors in this trace"),
  );
  bind(
    ["E"],
    "Error before",
    jumped(() => actions.nextError(-1), "No errors in this trace"),
  );
  bind(
    ["c"],
    "Next on the critical path",
    jumped(() => nextOnPath(state), "No critical path in this trace"),
  );
  bind(
    ["n"],
    "Next hit of the search",
    jumped(() => search.next(1), "No hits"),
  );
  bind(
    ["N"],
    "Hit before",
    jumped(() => search.next(-1), "No hits"),
  );
  bind(["/"], "Find in this trace", () => {
    search.input.focus();
    search.input.select();
  });
  bind(["w"], "Waterfall", () => state.setView("waterfall"));
  bind(["f"], "Flame view", () => state.setView("flame"));
  bind(["p"], "Where the time went", () => state.setView("path"));
  bind(["l"], "Logs of the trace", () => state.setView("logs"));
  bind(["z"], "Zoom to the span", () => state.zoomTo(cursor()));
  bind(["0"], "The whole time", () => state.resetWindow());
  bind(["+", "="], "Zoom in", () => state.zoom(1 / 1.5, (state.from + state.to) / 2));
  bind(["-"], "Zoom out", () => state.zoom(1.5, (state.from + state.to) / 2));
  bind(
    ["Shift+ArrowLeft"],
    "Earlier",
    moved(() => state.pan(-0.1)),
  );
  bind(
    ["Shift+ArrowRight"],
    "Later",
    moved(() => state.pan(0.1)),
  );
  bind(["s"], "Only this subtree; again: the whole trace", () =>
    state.focusOn(state.focus === cursor() ? -1 : cursor()),
  );
  bind(["x"], "Collapse all", () => isRows() && state.collapseTo(1));
  bind(["X"], "Expand all", () => isRows() && state.collapseTo(null));
  bind(["r"], "Fold repeats or not", () => isRows() && state.setFolds(!state.folds));
  bind(["["], "Narrower names", () => isRows() && views.waterfall.resizeNames(-0.04));
  bind(["]"], "Wider names", () => isRows() && views.waterfall.resizeNames(0.04));
  const unbindEscape = keys.bind(
    SCOPE,
    "Escape",
    "Close details, then the search, then the subtree",
    (event) => actions.escape(event),
    { inInputs: true },
  );
  const endMarks = keys.describe("Marks on the rows", MARKS_SHOWN);
  return () => {
    endMarks();
    unbindEscape();
    keys.unbindScope(SCOPE);
  };
}

/**
 * Controls that use arrows, Enter or Space themselves.
 *
 * @param {EventTarget | null} target
 */
function isOwnControl(target) {
  return (
    target instanceof Element &&
    target.closest("input, select, textarea, summary, [role=slider], [role=separator], .tr-details") !== null
  );
}

/** @param {State} state */
function leave(state) {
  const item = state.arranged.items[state.cursorItem];
  if (item < 0) {
    if (state.arranged.headings.isOpen[~item] && state.arranged.headings.kind[~item] === 0) state.setFold(~item, false);
    return;
  }
  if (state.model.descendants[item] > 0 && state.collapsed[item] === 0 && !state.isOnlyHits) state.collapse(item, true);
  else toLevelAbove(state);
}

/**
 * The row or open fold that the cursor's row stands below.
 *
 * @param {State} state
 */
function toLevelAbove(state) {
  const { levels } = state.arranged;
  const from = state.cursorItem;
  for (let at = from - 1; at >= 0; at--) {
    if (levels[at] < levels[from]) return state.setCursorItem(at);
  }
  return undefined;
}

/** @param {State} state */
function enter(state) {
  const at = state.cursorItem;
  const item = state.arranged.items[at];
  const { levels, headings, length } = state.arranged;
  if (item < 0 && headings.kind[~item] === 0 && !headings.isOpen[~item]) state.setFold(~item, true);
  else if (item >= 0 && state.collapsed[item] !== 0) state.collapse(item, false);
  else if (at + 1 < length && levels[at + 1] > levels[at]) state.setCursorItem(at + 1);
}

/**
 * The sibling before or after, by order of start; -1 at the end.
 *
 * @param {import("./model.js").Model} model
 * @param {number} row
 * @param {number} step
 */
function sibling(model, row, step) {
  if (step > 0) {
    const next = model.after(row);
    return next < model.count && model.parent[next] === model.parent[row] ? next : -1;
  }
  let before = -1;
  const first = model.parent[row] < 0 ? 0 : model.parent[row] + 1;
  for (let at = first; at < row; at = model.after(at)) before = at;
  return before;
}

/**
 * Along the critical path in order of time.
 *
 * @param {State} state
 */
function nextOnPath(state) {
  const { pathRows } = state.model;
  if (pathRows.length === 0) return false;
  const row = state.cursor < 0 ? ~state.cursor : state.cursor;
  const at = pathRows[state.pathAt] === row ? state.pathAt : pathRows.indexOf(row);
  state.pathAt = (at + 1) % pathRows.length;
  state.goTo(pathRows[state.pathAt]);
  return true;
}
