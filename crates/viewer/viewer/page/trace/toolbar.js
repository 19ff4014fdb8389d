// The line of controls above the spans: which view, what is collapsed and folded, the zoom; and where a subtree is
// shown alone, the way back.

import { clear, h, icon, quoted } from "../kit/dom.js";
import { duration } from "../kit/format.js";
import { nameShown } from "./labels.js";

const VIEWS = [
  ["waterfall", "Waterfall", "w"],
  ["flame", "Flame", "f"],
  ["path", "Where the time went", "p"],
];
const DEPTHS = [1, 2, 3, 4, 6, 8];
const CRUMBS = 3;

export function toolbar(state, search) {
  const views = VIEWS.map(([view, label, key]) =>
    h(
      "button",
      {
        type: "button",
        title: `${label} (${key})`,
        on: { click: () => state.setView(view) },
      },
      label,
    ),
  );
  const folds = h(
    "button",
    {
      type: "button",
      title: "Show five and more repeats of a call as one row. Errors and the critical path are never folded.",
      on: { click: () => state.setFolds(!state.folds) },
    },
    "Fold repeats",
  );
  const depth = h(
    "select",
    {
      class: "tr-depth",
      "aria-label": "Levels shown",
      on: { change: () => state.collapseTo(depth.value === "" ? null : Number(depth.value)) },
    },
    h("option", { value: "" }, "All levels"),
    DEPTHS.map((levels) => h("option", { value: levels - 1 }, `${levels} ${levels === 1 ? "level" : "levels"}`)),
  );
  const zoom = h("button", {
    type: "button",
    title: "Show the whole time (0)",
    on: { click: () => state.resetWindow() },
  });
  const rowTools = h("div", { class: "tr-row-tools" }, depth, folds);
  const node = h(
    "div",
    { class: "tr-tools" },
    h("div", { class: "segments", role: "group", "aria-label": "View" }, views),
    rowTools,
    zoom,
    search.node,
  );
  const crumbs = h("nav", { class: "tr-crumbs", "aria-label": "Subtree" });

  function draw() {
    VIEWS.forEach(([view], at) => views[at].setAttribute("aria-pressed", state.view === view));
    folds.setAttribute("aria-pressed", state.folds);
    depth.value = state.depth === null ? "" : String(state.depth);
    rowTools.hidden = state.view !== "waterfall";
    zoom.hidden = !state.isZoomed || state.view === "path";
    if (state.isZoomed) clear(zoom, icon("fit"), `${duration(state.from)} – ${duration(state.to)}`);
    drawCrumbs();
  }

  function drawCrumbs() {
    crumbs.hidden = state.focus < 0 || state.view === "path";
    if (crumbs.hidden) return;
    const { model } = state;
    const above = [];
    for (let row = model.parent[state.focus]; row >= 0 && above.length <= CRUMBS; row = model.parent[row])
      above.unshift(row);
    const isCut = above.length > CRUMBS;
    const step = (label, row) => [
      h("button", { type: "button", class: "textual", on: { click: () => state.focusOn(row) } }, label),
      h("span", { class: "muted", "aria-hidden": true }, " › "),
    ];
    clear(
      crumbs,
      step("Whole trace", -1),
      isCut ? h("span", { class: "muted" }, "… › ") : null,
      above.slice(isCut ? 1 : 0).map((row) => step(quoted(nameShown(model, row)), row)),
      h("strong", {}, quoted(nameShown(model, state.focus))),
    );
  }

  const unsubscribe = state.subscribe((what) => what !== "cursor" && what !== "details" && draw());
  draw();
  return { node, crumbs, dispose: unsubscribe };
}
