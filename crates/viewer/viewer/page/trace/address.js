// @ts-check
// The state of the trace page as the query of its URL, and back.

import { clampWindow } from "./axis.js";
import { State, VIEWS } from "./state.js";
import { usualGrouping } from "./time-groups.js";
import { collapseFrom, unfoldAround } from "./visible.js";

/** Ids listed in a URL, at most: a longer list would not survive being sent around. */
const LISTED = 100;
const GROUPINGS = ["span", "name", "category"];

/**
 * The state that `query` asks for. What it names and the trace has not is left out.
 *
 * @param {import("./model.js").Model} model
 * @param {URLSearchParams} query
 */
export function stateFrom(model, query) {
  const state = new State(model);
  /** @param {string} name */
  const text = (name) => query.get(name) ?? "";
  /** @param {string} name */
  const rows = (name) =>
    text(name)
      .split(",")
      .slice(0, LISTED)
      .map((id) => model.rowOf(id))
      .filter((row) => row >= 0);
  if (VIEWS.includes(text("view"))) state.view = text("view");
  if (GROUPINGS.includes(text("by"))) state.grouping = text("by");
  state.folds = text("folds") !== "off";
  state.showsPath = text("path") !== "off";
  state.text = text("q");
  state.isOnlyHits = text("only") === "hits";
  state.service = query.has("highlight") ? model.services.indexOf(text("highlight")) : -1;

  if (/^\d{1,6}$/.test(text("depth"))) {
    state.depth = Number(text("depth"));
    collapseFrom(model, state.collapsed, state.depth);
  }
  for (const row of rows("collapsed")) state.collapsed[row] = 1;
  for (const row of rows("open")) state.collapsed[row] = 0;
  for (const row of rows("unfolded")) {
    unfoldAround(model, state.unfolded, row);
    state.openFolds.add(row);
  }
  const [from, to] = text("zoom").split("-").map(Number);
  if (to > from) [state.from, state.to] = clampWindow(from, to, model.span);

  state.focus = model.rowOf(text("focus"));
  state.selected = model.rowOf(text("span"));
  if (state.selected >= 0 && state.focus >= 0 && !model.isWithin(state.selected, state.focus)) state.focus = -1;
  state.cursor = state.selected >= 0 ? state.selected : Math.max(state.focus, 0);
  if (state.selected >= 0) state.uncover(state.selected);
  return state;
}

/**
 * The query of a URL that shows the same; what is as usual is left out.
 *
 * @param {State} state
 */
export function queryOf(state) {
  const { model } = state;
  const query = new URLSearchParams();
  /** @param {string} name @param {string} value @param {boolean} [when] */
  const put = (name, value, when = true) => {
    if (when) query.set(name, value);
  };
  /** @param {string} name @param {number[]} rows */
  const list = (name, rows) => put(name, rows.map((row) => model.ids[row]).join(","), rows.length > 0);
  put("span", model.ids[state.selected], state.selected >= 0);
  put("view", state.view, state.view !== "waterfall");
  put("by", state.grouping, state.grouping !== usualGrouping(model));
  put("q", state.text, state.text !== "");
  put("only", "hits", state.isOnlyHits);
  put("focus", model.ids[state.focus], state.focus >= 0);
  put("folds", "off", !state.folds);
  put("path", "off", !state.showsPath);
  put("align", "1", model.isAligned);
  put("highlight", model.services[state.service], state.service >= 0);
  put("zoom", `${Math.round(state.from)}-${Math.round(state.to)}`, state.isZoomed);
  put("depth", String(state.depth), state.depth !== null);
  list("unfolded", [...state.openFolds].slice(0, LISTED));
  list("collapsed", exceptions(state, 1));
  list("open", exceptions(state, 0));
  return query;
}

/**
 * Rows that are collapsed (1) or open (0) otherwise than the depth says.
 *
 * @param {State} state
 * @param {0 | 1} value
 */
function exceptions(state, value) {
  const { model, depth, collapsed } = state;
  /** @type {number[]} */
  const rows = [];
  for (let row = 0; row < model.count && rows.length < LISTED; row++) {
    const usual = depth !== null && model.descendants[row] > 0 && model.depth[row] >= depth ? 1 : 0;
    if (collapsed[row] === value && usual !== value) rows.push(row);
  }
  return rows;
}
