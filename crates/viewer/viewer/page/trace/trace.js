// @ts-check
// The trace page: loads a trace, keeps its state in the URL, and puts its parts together.

import { ApiError, get, isAbort } from "../kit/api.js";
import { clear, h, icon } from "../kit/dom.js";
import { navigate } from "../kit/router.js";
import { loading } from "../kit/state-box.js";
import { textSearch } from "../search/query.js";
import { queryOf, stateFrom } from "./address.js";
import { detailsPanel } from "./details.js";
import { findingsPanel } from "./findings.js";
import { flame } from "./flame.js";
import { watchGrowth } from "./growth.js";
import { traceHeader } from "./header.js";
import { bindKeys } from "./keyboard.js";
import { logsView } from "./logs.js";
import { nameShown } from "./labels.js";
import { measured, record } from "./measure.js";
import { minimap } from "./minimap.js";
import { noSpans, noTrace } from "./missing.js";
import { MARK, Model } from "./model.js";
import { pathView } from "./path.js";
import { tellResults } from "./results.js";
import { searchBox } from "./search.js";
import { summary } from "./summary.js";
import { toolbar } from "./toolbar.js";
import { waterfall } from "./waterfall.js";

/**
 * @typedef {import("../kit/api-types").TraceAnswer} TraceAnswer
 * @typedef {import("./state.js").State} State
 * @typedef {{open: (row: number) => void, toggle: (index: number) => void, follow: () => void, enter: () => void, closeDetails: () => void,
 *   showRows: () => void, show: (row: number) => void, nextError: (step?: number) => boolean, escape: (event: Event) => any,
 *   align: (isAligned: boolean) => void}} Actions what rows, keys and links do
 * @typedef {{node: HTMLElement, search: ReturnType<typeof searchBox>, views: Record<string, any>, details: ReturnType<typeof detailsPanel>}} Parts
 */

const ADDRESS_MS = 250;

/** @type {import("../kit/router.js").View} */
export default function view(root, { params, query }) {
  const loads = new AbortController();
  /** @type {ReturnType<typeof tracePage> | null} */
  let page = null;

  /** @param {URLSearchParams} wanted */
  async function load(wanted) {
    page?.dispose();
    page = null;
    clear(root, loading("Loading the trace…"));
    const start = performance.now();
    try {
      show(await get(`/traces/${encodeURIComponent(params.id)}`, undefined, { signal: loads.signal }), wanted);
      record("trace:load", start);
    } catch (error) {
      if (isAbort(error)) return;
      // Typed into the one box, it may be any text.
      const typed = wanted.get("text");
      if (error instanceof ApiError && error.status === 404 && typed) navigate(`/search?${textSearch(typed)}`, { replace: true });
      else
        clear(
          root,
          noTrace(params.id, error, () => load(wanted)),
        );
    }
  }

  /** @type {TraceAnswer | null} */
  let answer = null;
  /** @param {TraceAnswer} newer @param {URLSearchParams} wanted */
  function show(newer, wanted) {
    page?.dispose();
    page = null;
    answer = newer;
    const model = new Model(newer, { isAligned: wanted.get("align") === "1" });
    if (model.count === 0) {
      clear(
        root,
        noSpans(params.id, () => load(wanted)),
      );
      return;
    }
    const shown = tracePage(root, model, wanted, {
      /** @param {TraceAnswer | null} newest */
      renew(newest) {
        if (newest === null) load(queryOf(shown.state));
        else show(newest, queryOf(shown.state));
      },
      /** @param {boolean} isAligned */
      align(isAligned) {
        const query = queryOf(shown.state);
        if (isAligned) query.set("align", "1");
        else query.delete("align");
        query.delete("zoom");
        show(newer, query);
        history.replaceState(null, "", `${location.pathname}?${query}`);
      },
    });
  }

  load(query);
  return {
    /** @param {URLSearchParams} next */
    update(next) {
      if (page && answer) show(answer, next);
      else load(next);
    },
    dispose() {
      loads.abort();
      page?.dispose();
    },
  };
}

/**
 * @param {HTMLElement} root
 * @param {Model} model
 * @param {URLSearchParams} query
 * @param {{renew: (newest: TraceAnswer | null) => void, align: (isAligned: boolean) => void}} does
 */
function tracePage(root, model, query, { renew, align }) {
  const state = measured("trace:state", () => stateFrom(model, query));
  /** @type {Omit<Actions, "align">} */
  /** @type {Actions} */
  const actions = { ...actionsOf(state, () => parts), align };
  const search = searchBox(state);
  /** @type {Record<string, any>} */
  const views = { waterfall: waterfall(state, actions), flame: null, path: pathView(state, actions), logs: logsView(state, actions) };
  const head = traceHeader(state, actions);
  const about = summary(state, actions);
  const findings = findingsPanel(state, actions);
  const abort = new AbortController();
  const tools = toolbar(state, search);
  const map = minimap(state);
  const details = detailsPanel(state, actions);
  const stage = h("div", { class: "tr-stage" });
  // On a phone the rows come first.
  const all = h("button", { type: "button", class: "quiet tr-all", "aria-expanded": false, "aria-label": "All about the trace" }, icon("chevron-down"));
  all.addEventListener("click", () => all.setAttribute("aria-expanded", String(node.classList.toggle("shows-all"))));
  head.title.append(all);
  const node = h(
    "div",
    { class: "tr" },
    head.node,
    about.node,
    findings.node,
    tools.node,
    tools.crumbs,
    h("div", { class: "tr-body" }, h("div", { class: "tr-main" }, map.node, stage), details.node),
  );
  const parts = { node, search, views, details };
  const title = document.title;

  function showView() {
    views.flame ??= state.view === "flame" ? flame(state, actions) : null;
    const shown = views[state.view];
    const hadFocus = stage.contains(document.activeElement);
    map.node.hidden = state.view === "path" || state.view === "logs";
    if (stage.firstChild !== shown.node) stage.replaceChildren(shown.node);
    shown.shown();
    if (hadFocus) shown.grid.focus({ preventScroll: true });
  }

  const address = addressWriter(state);
  const unsubscribe = state.subscribe((what) => {
    if (what === "view") showView();
    if (what === "cursor") actions.follow();
    if (what === "light") node.classList.toggle("hides-path", !state.showsPath);
    if (what === "selection") node.classList.toggle("has-details", state.selected >= 0);
    address.changed(what);
  });
  node.classList.toggle("hides-path", !state.showsPath);
  // There is nothing else to look at.
  if (model.count === 1 && !query.has("span")) state.select(0);
  node.classList.toggle("has-details", state.selected >= 0);
  clear(root, node);
  showView();
  const unbind = bindKeys({ state, search, actions, views });
  tellResults(state, abort.signal);
  const endGrowth = watchGrowth(model, head.more, renew);
  document.title = `${nameShown(model, model.main)} · Waypost`;
  if (document.activeElement === document.body || document.activeElement === root)
    views[state.view].grid.focus({ preventScroll: true });

  return {
    state,
    dispose() {
      document.title = title;
      address.dispose();
      unsubscribe();
      unbind();
      endGrowth();
      abort.abort();
      for (const part of [search, head, about, findings, tools, map, details, ...Object.values(views)]) part?.dispose();
    },
  };
}

/**
 * What rows, keys and links do, whichever view they are in.
 *
 * @param {State} state
 * @param {() => Parts} parts
 * @returns {Omit<Actions, "align">}
 */
function actionsOf(state, parts) {
  const grid = () => parts().views[state.view].grid;
  const isSheet = () => getComputedStyle(parts().details.node).position === "fixed";
  /** @type {Omit<Actions, "align">} */
  const actions = {
    open(row) {
      state.select(row);
      if (isSheet()) parts().details.node.focus({ preventScroll: true });
      else grid().focus({ preventScroll: true });
    },
    toggle(index) {
      const { items, headings } = state.arranged;
      const item = items[index];
      state.setCursorItem(index);
      if (item >= 0) state.collapse(item, state.collapsed[item] === 0);
      else if (headings.kind[~item] === 0) state.setFold(~item, !headings.isOpen[~item]);
    },
    /** The details follow the cursor while they are open beside the rows. */
    follow() {
      if (state.selected >= 0 && state.cursor >= 0 && !isSheet()) state.select(state.cursor);
    },
    enter() {
      if (state.cursor < 0) actions.toggle(state.cursorItem);
      else if (state.selected === state.cursor) parts().details.node.focus({ preventScroll: true });
      else actions.open(state.cursor);
    },
    closeDetails() {
      state.select(-1);
      grid().focus({ preventScroll: true });
    },
    /** Leaves the view in which rows cannot be gone to. */
    showRows() {
      if (state.view === "path" || state.view === "logs") state.setView("waterfall");
    },
    show(row) {
      actions.showRows();
      state.goTo(row);
      actions.open(row);
    },
    /** Opens the next error, at first the one where the cursor is; false when there is none. */
    nextError(step = 1) {
      actions.showRows();
      /** @param {number} row */
      const isError = (row) => state.model.has(row, MARK.error);
      const isHere = state.selected < 0 && state.cursor >= 0 && isError(state.cursor);
      if (!isHere && !state.goToNext(isError, step)) return false;
      actions.open(state.cursor);
      return true;
    },
    escape(event) {
      const { search } = parts();
      if (event.target === search.input) grid().focus({ preventScroll: true });
      else if (state.selected >= 0) actions.closeDetails();
      else if (state.hits !== null) {
        search.clear();
        grid().focus({ preventScroll: true });
      } else if (state.focus >= 0) state.focusOn(-1);
      else return false;
      return undefined;
    },
  };
  return actions;
}

/**
 * Writes the state into the URL, a little after it changed; another view or subtree can be gone back from.
 *
 * @param {State} state
 */
function addressWriter(state) {
  let timer = 0;
  let isStep = false;
  let { view, focus } = state;
  function write() {
    const text = queryOf(state).toString();
    const url = location.pathname + (text === "" ? "" : `?${text}`);
    if (url !== location.pathname + location.search) history[isStep ? "pushState" : "replaceState"](null, "", url);
    isStep = false;
  }
  return {
    /** @param {string} what */
    changed(what) {
      if (what === "details" || what === "told" || what === "cursor") return;
      isStep ||= state.view !== view || state.focus !== focus;
      ({ view, focus } = state);
      clearTimeout(timer);
      timer = setTimeout(write, ADDRESS_MS);
    },
    dispose: () => clearTimeout(timer),
  };
}
