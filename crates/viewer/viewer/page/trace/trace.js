// The trace page: loads a trace, keeps its state in the URL, and puts its parts together.

import { get, isAbort } from "../kit/api.js";
import { clear, h } from "../kit/dom.js";
import { loading } from "../kit/state-box.js";
import { queryOf, stateFrom } from "./address.js";
import { detailsPanel } from "./details.js";
import { flame } from "./flame.js";
import { watchGrowth } from "./growth.js";
import { traceHeader } from "./header.js";
import { bindKeys } from "./keyboard.js";
import { nameShown } from "./labels.js";
import { measured, record } from "./measure.js";
import { minimap } from "./minimap.js";
import { noSpans, noTrace } from "./missing.js";
import { MARK, Model } from "./model.js";
import { pathView } from "./path.js";
import { searchBox } from "./search.js";
import { toolbar } from "./toolbar.js";
import { waterfall } from "./waterfall.js";

const ADDRESS_MS = 250;

export default function view(root, { params, query }) {
  const loads = new AbortController();
  let page = null;

  async function load(wanted) {
    page?.dispose();
    page = null;
    clear(root, loading("Loading the trace…"));
    const start = performance.now();
    try {
      const answer = await get(`/traces/${encodeURIComponent(params.id)}`, undefined, { signal: loads.signal });
      show(new Model(answer), wanted);
      record("trace:load", start);
    } catch (error) {
      if (!isAbort(error))
        clear(
          root,
          noTrace(params.id, error, () => load(wanted)),
        );
    }
  }

  function show(model, wanted) {
    page?.dispose();
    page = null;
    if (model.count === 0) {
      clear(
        root,
        noSpans(params.id, () => load(wanted)),
      );
      return;
    }
    page = tracePage(root, model, wanted, (answer) => {
      if (answer === null) load(queryOf(page.state));
      else show(new Model(answer), queryOf(page.state));
    });
  }

  load(query);
  return {
    update(next) {
      if (page) show(page.state.model, next);
      else load(next);
    },
    dispose() {
      loads.abort();
      page?.dispose();
    },
  };
}

function tracePage(root, model, query, renew) {
  const state = measured("trace:state", () => stateFrom(model, query));
  const actions = actionsOf(state, () => parts);
  const search = searchBox(state);
  const views = { waterfall: waterfall(state, actions), flame: null, path: pathView(state, actions) };
  const head = traceHeader(state, actions);
  const tools = toolbar(state, search);
  const map = minimap(state);
  const details = detailsPanel(state, actions);
  const stage = h("div", { class: "tr-stage" });
  const node = h(
    "div",
    { class: "tr" },
    head.node,
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
    map.node.hidden = state.view === "path";
    if (stage.firstChild !== shown.node) stage.replaceChildren(shown.node);
    shown.shown();
    if (hadFocus) shown.grid.focus({ preventScroll: true });
  }

  const address = addressWriter(state);
  const unsubscribe = state.subscribe((what) => {
    if (what === "view") showView();
    if (what === "cursor") actions.follow();
    if (what === "selection") node.classList.toggle("has-details", state.selected >= 0);
    address.changed(what);
  });
  node.classList.toggle("has-details", state.selected >= 0);
  clear(root, node);
  showView();
  const unbind = bindKeys({ state, search, actions, views });
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
      for (const part of [search, head, tools, map, details, ...Object.values(views)]) part?.dispose();
    },
  };
}

/** What rows, keys and links do, whichever view they are in. */
function actionsOf(state, parts) {
  const grid = () => parts().views[state.view].grid;
  const isSheet = () => getComputedStyle(parts().details.node).position === "fixed";
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
      if (state.view === "path") state.setView("waterfall");
    },
    show(row) {
      actions.showRows();
      state.goTo(row);
      actions.open(row);
    },
    nextError() {
      actions.showRows();
      state.goToNext((row) => state.model.has(row, MARK.error));
      grid().focus({ preventScroll: true });
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

/** Writes the state into the URL, a little after it changed; another view or subtree can be gone back from. */
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
    changed(what) {
      if (what === "details" || what === "cursor") return;
      isStep ||= state.view !== view || state.focus !== focus;
      ({ view, focus } = state);
      clearTimeout(timer);
      timer = setTimeout(write, ADDRESS_MS);
    },
    dispose: () => clearTimeout(timer),
  };
}
