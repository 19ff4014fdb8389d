// @ts-check
// "Where the time went": the parts of the critical path, which add up to the root's duration to the nanosecond, and
// the calls that could overlap.

import { clear, h, quoted } from "../kit/dom.js";
import { count, duration } from "../kit/format.js";
import { nameShown, plural, serviceShown } from "./labels.js";
import { colorOf } from "./row.js";
import { grouped, largest } from "./time-groups.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./trace.js").Actions} Actions */

/** @type {Record<import("../kit/api-types").Category, string>} */
const CATEGORIES = { work: "own work", network: "network and queueing", dependency: "waiting for a dependency" };
const GROUPINGS = [
  ["span", "By span"],
  ["name", "By service and name"],
  ["category", "By category"],
];
const AT_ONCE = 100;

/** @param {State} state @param {Actions} actions */
export function pathView(state, actions) {
  const node = h("div", { class: "tr-path-view", tabindex: 0, role: "region", "aria-label": "Where the time went" });
  const draw = () =>
    clear(
      node,
      state.model.path === null
        ? h("p", { class: "muted" }, "This trace has no root to divide the time of.")
        : content(state, actions),
    );
  const unsubscribe = state.subscribe((what) => {
    if (what === "view" && state.view === "path") draw();
  });
  return { node, grid: node, shown: draw, dispose: unsubscribe };
}

/** @param {State} state @param {Actions} actions */
function content(state, actions) {
  const { model } = state;
  const { path } = model;
  if (!path) return null;
  const total = model.duration[path.root];
  const sum = path.parts.reduce((so, part) => so + part.time, 0);
  const groups = grouped(model, state.grouping);
  const body = h("tbody", {});
  const more = h("button", { type: "button" });
  const showMore = () => {
    const from = body.childElementCount;
    body.append(...groups.slice(from, from + AT_ONCE).map((group) => partRow(state, actions, group, total)));
    more.hidden = body.childElementCount >= groups.length;
    more.textContent = `Show more: ${count(groups.length - body.childElementCount)} shorter ones are left`;
  };
  more.addEventListener("click", showMore);
  showMore();
  const exact = `${sum.toLocaleString("en")} ns of ${total.toLocaleString("en")} ns`;
  return [
    h("div", { class: "tr-path-top" }, mostOfIt(state, actions, total), groupingSwitch(state)),
    h(
      "div",
      { class: "table-box" },
      h(
        "table",
        { class: "table tr-parts" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["What", "With", "Time", "Share"].map((text, at) =>
              h("th", { scope: "col", class: at === 2 ? "num" : null }, text),
            ),
          ),
        ),
        body,
        h(
          "tfoot",
          {},
          h(
            "tr",
            { title: exact },
            h("th", { scope: "row" }, "Sum"),
            h("td", {}, sumInWords(sum, total)),
            h("td", { class: "num" }, duration(sum)),
            h("td", { class: "mono" }, `${sum.toLocaleString("en")} ns`),
          ),
        ),
      ),
    ),
    more,
    overlaps(state, actions),
    tails(state, actions),
  ];
}

/** @param {number} sum @param {number} total */
function sumInWords(sum, total) {
  // Beyond 104 days a number does not hold every nanosecond.
  if (total > Number.MAX_SAFE_INTEGER) return "the root's duration, too long to be counted exactly here";
  if (sum === total) return "the root's duration exactly";
  return h("strong", { class: "bad" }, `not the root's duration: ${total.toLocaleString("en")} ns`);
}

/** @param {State} state @param {Actions} actions @param {import("./time-groups.js").Group} group @param {number} total */
function partRow(state, actions, group, total) {
  const { model, grouping } = state;
  const isSpan = grouping === "span";
  const share = total > 0 ? (group.time / total) * 100 : 0;
  const what = grouping === "category" ? CATEGORIES[group.category] : rowButton(model, actions, group.row);
  const many = isSpan ? null : h("span", { class: "muted" }, ` ${count(group.spans)} ${plural("span", group.spans)}`);
  return h(
    "tr",
    {},
    h("td", { class: "tr-part-what" }, what, many),
    h(
      "td",
      {},
      grouping === "category" ? ["longest: ", rowButton(model, actions, group.row)] : CATEGORIES[group.category],
    ),
    h("td", { class: "num", title: `${group.time.toLocaleString("en")} ns` }, duration(group.time)),
    h(
      "td",
      { class: "tr-share-cell" },
      h("span", { class: `tr-share svc-${colorOf(model, group.row)}` }, h("i", { style: { width: `${share}%` } })),
      h("span", { class: "tr-percent" }, share > 0 && share < 0.1 ? "< 0.1 %" : `${share.toFixed(1)} %`),
    ),
  );
}

/**
 * A span's name that leads to its row.
 *
 * @param {State["model"]} model
 * @param {Actions} actions
 * @param {number} row
 */
function rowButton(model, actions, row) {
  return h(
    "button",
    { type: "button", class: "tr-row-link", on: { click: () => actions.show(row) } },
    h("span", { class: `chip service-chip svc-${colorOf(model, row)}` }, h("bdi", {}, serviceShown(model, row))),
    quoted(nameShown(model, row), { class: "tr-row-link-name" }),
  );
}

/**
 * What most of the time went to, repeats counted together and the root's own work too.
 *
 * @param {{model: State["model"]}} state
 * @param {Actions} actions
 * @param {number} total
 */
export function mostOfIt({ model }, actions, total) {
  const group = largest(model);
  if (!group) return h("p", { class: "tr-slowest" }, "The root took no time.");
  const share = ((group.time / Math.max(total, 1)) * 100).toFixed(0);
  const many = group.spans > 1 ? ` in ${count(group.spans)} spans` : "";
  return h(
    "p",
    { class: "tr-slowest" },
    "Most of the time went to ",
    rowButton(model, actions, group.row),
    `: ${duration(group.time)} ${CATEGORIES[group.category]}${many}, ${share} % of ${duration(total)}.`,
    group.isRepeated
      ? h("strong", {}, " These calls are alike and follow one another (N+1): one call for all would do.")
      : null,
  );
}

/** @param {State} state */
function groupingSwitch(state) {
  return h(
    "div",
    { class: "segments", role: "group", "aria-label": "Group the parts" },
    GROUPINGS.map(([value, label]) =>
      h(
        "button",
        {
          type: "button",
          "aria-pressed": state.grouping === value,
          on: { click: () => state.setGrouping(value) },
        },
        label,
      ),
    ),
  );
}

/** @param {{model: State["model"]}} state @param {Actions} actions */
function overlaps({ model }, actions) {
  const list = model.path?.overlaps ?? [];
  if (list.length === 0) return null;
  return h(
    "section",
    { class: "tr-overlaps" },
    h("h2", {}, "Could run in parallel"),
    h(
      "ul",
      {},
      list.slice(0, AT_ONCE).map((overlap) =>
        h(
          "li",
          {},
          h(
            "p",
            {},
            "Within ",
            rowButton(model, actions, overlap.parent),
            ` these ${overlap.rows.length} calls follow one another. They could run in parallel: `,
            h("strong", {}, `saves up to ${duration(overlap.saves_up_to)}`),
            ", if they do not depend on each other.",
          ),
          shortList("ol", overlap.rows, 12, (row) =>
            h("li", {}, rowButton(model, actions, row), ` ${duration(model.duration[row])}`),
          ),
        ),
      ),
    ),
  );
}

/** @param {{model: State["model"]}} state @param {Actions} actions */
function tails({ model }, actions) {
  const rows = model.path?.outliving ?? [];
  if (rows.length === 0) return null;
  return h(
    "section",
    { class: "tr-overlaps" },
    h("h2", {}, "Async tail"),
    h(
      "p",
      { class: "muted" },
      `${count(rows.length)} ${rows.length === 1 ? "span outlives its parent" : "spans outlive their parents"}; `,
      "what lies after a parent's end counts for nothing above.",
    ),
    shortList("ul", rows, 20, (row) => h("li", {}, rowButton(model, actions, row), ` ends ${tail(model, row)} after its parent`)),
  );
}

/**
 * The first of a list; a button shows the rest.
 *
 * @param {"ol" | "ul"} tag
 * @param {number[]} rows
 * @param {number} first
 * @param {(row: number) => HTMLElement} item
 */
function shortList(tag, rows, first, item) {
  const list = h(tag, {}, rows.slice(0, first).map(item));
  if (rows.length <= first) return list;
  const more = h("button", { type: "button", class: "textual" }, `and ${count(rows.length - first)} more`);
  more.addEventListener("click", () => {
    list.append(...rows.slice(first).map(item));
    more.remove();
  });
  return h("div", {}, list, more);
}

/** @param {State["model"]} model @param {number} row */
function tail(model, row) {
  const parent = model.parent[row];
  if (parent < 0) return duration(0);
  return duration(model.start[row] + model.duration[row] - model.start[parent] - model.duration[parent]);
}
