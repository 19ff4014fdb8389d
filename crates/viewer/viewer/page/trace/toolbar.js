// @ts-check
// The line of controls above the spans: which view, what is collapsed and folded, the zoom; and where a subtree is
// shown alone, the way back.

import { clear, h, icon, quoted } from "../kit/dom.js";
import { duration } from "../kit/format.js";
import { nameShown } from "./labels.js";

const VIEWS = [
  ["waterfall", "Waterfall", "w"],
  ["flame", "Flame", "f"],
  ["path", "Where the time went", "p"],
  ["logs", "Logs", "l"],
];
const DEPTHS = [1, 2, 3, 4, 6, 8];
const CRUMBS = 3;

/** @param {import("./state.js").State} state @param {ReturnType<typeof import("./search.js").searchBox>} search */
export function toolbar(state, search) {
  const { model } = state;
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
      title: "Show five and more repeats of a call as one row. What has errors is never folded (r)",
      on: { click: () => state.setFolds(!state.folds) },
    },
    "Fold repeats",
  );
  const path = h(
    "button",
    {
      type: "button",
      class: "tr-path-toggle",
      title: "The critical path: what the root waited for at each moment, as a line under the bars (c goes along it)",
      on: { click: () => state.setShowsPath(!state.showsPath) },
    },
    h("i", { class: "tr-path-key", "aria-hidden": true }),
    "Critical path",
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
    path,
    zoom,
    search.node,
  );
  const crumbs = h("nav", { class: "tr-crumbs", "aria-label": "Subtree" });

  /** Whether the view draws spans along the time. */
  const isOverTime = () => state.view === "waterfall" || state.view === "flame";

  function draw() {
    VIEWS.forEach(([view], at) => views[at].setAttribute("aria-pressed", String(state.view === view)));
    path.setAttribute("aria-pressed", String(state.showsPath));
    path.hidden = !isOverTime() || model.pathRows.length === 0;
    folds.setAttribute("aria-pressed", String(state.folds));
    depth.value = state.depth === null ? "" : String(state.depth);
    rowTools.hidden = state.view !== "waterfall";
    zoom.hidden = !state.isZoomed || !isOverTime();
    if (state.isZoomed) clear(zoom, icon("fit"), `${duration(state.from)} – ${duration(state.to)}`);
    drawCrumbs();
  }

  function drawCrumbs() {
    crumbs.hidden = state.focus < 0 || !isOverTime();
    if (crumbs.hidden) return;
    /** @type {number[]} */
    const above = [];
    for (let row = model.parent[state.focus]; row >= 0 && above.length <= CRUMBS; row = model.parent[row])
      above.unshift(row);
    const isCut = above.length > CRUMBS;
    /** @param {import("../kit/dom.js").Child} label @param {number} row */
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

  const unsubscribe = state.subscribe((what) => !["cursor", "details", "told"].includes(what) && draw());
  draw();
  return { node, crumbs, dispose: unsubscribe };
}
