// @ts-check
// One row of the waterfall: its nodes, and filling them for an item. Nodes are recycled, so filling sets everything.

import { clear, h, icon } from "../kit/dom.js";
import { duration } from "../kit/format.js";
import { figuresOf, headingLabel, marksOf, nameShown, sentence, serviceShown } from "./labels.js";
import { MARK } from "./model.js";
import { kindSign } from "./results.js";
import { HEADING } from "./visible.js";

/**
 * @typedef {import("./state.js").State} State
 * @typedef {State["model"]} Model
 * @typedef {Record<"toggle" | "stripe" | "level" | "kind" | "result" | "service" | "name" | "note" | "marks" | "bar" | "members" | "path" | "label"
 *   | "ticks" | "cell" | "track", HTMLElement>} Nodes
 * @typedef {Iterable<[number, number]>} Pieces stretches of time, in order
 */

const STEP = 14;
/** Deeper levels are indented by less, and from the last on not at all: the name stays within its column. */
const FULL_STEPS = 8;
const MOST_STEPS = 40;
/** Stripes drawn within one bar, at most. */
const MOST_STRIPES = 300;
const MOST_TICKS = 100;
/** What the windowed list needs on its rows. */
const ROW = "windowed-row tr-row";

/** @type {WeakMap<HTMLElement, Nodes>} */
const nodesOf = new WeakMap();

/** An empty row. */
export function createRow() {
  /** @param {string} name */
  const span = (name) => h("span", { class: name });
  const parts = {
    toggle: span("tr-toggle"),
    stripe: span("tr-stripe"),
    level: span("tr-level"),
    kind: span("tr-kind"),
    result: span("tr-result"),
    service: h("bdi", { class: "tr-service" }),
    name: h("bdi", { class: "tr-op" }),
    note: span("tr-note"),
    marks: span("tr-marks"),
    bar: h("div", { class: "tr-bar" }),
    members: h("div", { class: "tr-members" }),
    path: h("div", { class: "tr-path" }),
    label: span("tr-label"),
    ticks: h("div", { class: "tr-ticks" }),
  };
  const cell = h(
    "div",
    { class: "tr-name", role: "gridcell" },
    parts.toggle,
    parts.stripe,
    parts.level,
    parts.kind,
    parts.marks,
    parts.result,
    parts.service,
    parts.name,
    parts.note,
  );
  const track = h("div", { class: "tr-track", role: "gridcell" }, parts.bar, parts.members, parts.path, parts.ticks, parts.label);
  const row = h("div", { class: "tr-row", role: "row" }, cell, track);
  nodesOf.set(row, { ...parts, cell, track });
  return row;
}

/**
 * Fills a row for item `index`. `trackWidth` is in pixels.
 *
 * @param {HTMLElement} row
 * @param {number} index
 * @param {State} state
 * @param {number} trackWidth
 */
export function fillRow(row, index, state, trackWidth) {
  const nodes = nodesOf.get(row);
  if (!nodes) return;
  const { arranged } = state;
  const item = arranged.items[index];
  const level = arranged.levels[index];
  const steps = Math.min(level - 1, FULL_STEPS) * STEP + Math.max(0, Math.min(level - 1 - FULL_STEPS, MOST_STEPS));
  nodes.cell.style.paddingInlineStart = `${steps}px`;
  // Lines down from the rows above, as far as levels stand apart.
  nodes.cell.style.backgroundSize = `${Math.min(level - 1, FULL_STEPS) * STEP}px 100%`;
  nodes.level.textContent = level > FULL_STEPS ? String(level) : "";
  row.id = `tr-item-${index}`;
  row.setAttribute("aria-level", String(level));
  row.setAttribute("aria-rowindex", String(index + 1));
  if (item >= 0) fillSpan(row, nodes, item, state, trackWidth);
  else fillHeading(row, nodes, ~item, state, trackWidth);
  row.classList.toggle("is-cursor", index === state.cursorItem);
}

/** @param {HTMLElement} row @param {Nodes} nodes @param {number} at @param {State} state @param {number} trackWidth */
function fillSpan(row, nodes, at, state, trackWidth) {
  const { model } = state;
  const hasMore = model.descendants[at] > 0;
  const isOpen = hasMore && state.collapsed[at] === 0;
  row.className = rowClass(state, at, state.service >= 0 && model.service[at] !== state.service);
  expandable(row, nodes, hasMore, isOpen);
  row.setAttribute("aria-selected", String(at === state.selected));
  row.setAttribute("aria-label", sentence(model, at));
  nodes.stripe.className = `tr-stripe svc-${colorOf(model, at)}`;
  nodes.service.textContent = serviceShown(model, at);
  nodes.name.textContent = nameShown(model, at);
  sign(nodes, kindSign(model, at, state.told.get(at)));
  result(nodes, state.told.get(at)?.result);
  nodes.note.textContent = hasMore && !isOpen ? `+${model.descendants[at]}` : "";
  const marks = marksOf(model, at);
  if (marks.length > 0 || nodes.marks.firstChild) {
    clear(
      nodes.marks,
      marks.map(([kind, sign, words]) => h("span", { class: `tr-mark tr-mark-${kind}`, title: words }, sign)),
    );
  }
  nodes.bar.className = `tr-bar svc-${colorOf(model, at)}${model.has(at, MARK.error) ? " has-error" : ""}`;
  place(nodes, model.start[at], model.start[at] + model.duration[at], state, duration(model.duration[at]));
  nodes.members.style.backgroundImage = "none";
  const hasPath = model.segmentFrom[at] < model.segmentFrom[at + 1];
  nodes.path.style.backgroundImage = hasPath
    ? kept(state, trackWidth, `path ${at}`, () => pathPieces(model, at, at + 1), "var(--tr-path)")
    : "none";
  const events = at === state.selected ? state.details?.spans[0]?.events : null;
  if (events || nodes.ticks.firstChild)
    clear(
      nodes.ticks,
      (events ?? []).slice(0, MOST_TICKS).map((event) => tick(event, state)),
    );
}

/** @param {HTMLElement} row @param {Nodes} nodes @param {number} heading @param {State} state @param {number} trackWidth */
function fillHeading(row, nodes, heading, state, trackWidth) {
  const { model, arranged } = state;
  const { kind, first, last, isOpen } = arranged.headings;
  const label = headingLabel(model, arranged, heading);
  const isFold = kind[heading] === HEADING.fold;
  const at = first[heading];
  const isDim = isFold && state.service >= 0 && model.service[at] !== state.service;
  row.className = `${ROW} tr-heading${isFold ? "" : " tr-missing"}`;
  row.classList.toggle("is-dim", isDim);
  row.classList.toggle("is-same-service", isOfParent(model, at));
  expandable(row, nodes, isFold, isOpen[heading]);
  row.setAttribute("aria-selected", "false");
  row.setAttribute(
    "aria-label",
    isFold ? `${label.title}, ${serviceShown(model, at)}, repeats folded, ${label.text}` : label.text,
  );
  nodes.stripe.className = isFold ? `tr-stripe svc-${colorOf(model, at)}` : "tr-stripe";
  nodes.service.textContent = isFold ? serviceShown(model, at) : "";
  nodes.name.textContent = label.title;
  nodes.note.textContent = label.text;
  clear(nodes.marks);
  clear(nodes.ticks);
  sign(nodes, isFold ? kindSign(model, at, state.told.get(at)) : null);
  result(nodes, null);
  nodes.bar.className = "tr-bar is-group";
  nodes.members.style.backgroundImage = nodes.path.style.backgroundImage = "none";
  if (isFold) {
    const figures = figuresOf(model, arranged, heading);
    place(nodes, figures.start, figures.end, state, duration(figures.end - figures.start));
    nodes.bar.className = `tr-bar is-group svc-${colorOf(model, at)}`;
    nodes.members.className = `tr-members svc-${colorOf(model, at)}`;
    nodes.members.style.backgroundImage = kept(
      state,
      trackWidth,
      `members ${at}`,
      () => members(model, at, last[heading]),
      "var(--svc)",
    );
    nodes.path.style.backgroundImage = kept(
      state,
      trackWidth,
      `fold ${at}`,
      () => pathPieces(model, at, model.after(last[heading])),
      "var(--tr-path)",
    );
  } else {
    nodes.bar.hidden = true;
    nodes.label.textContent = "";
  }
}

/**
 * The icon of what kind of call it is; made anew only when it is another.
 *
 * @param {Nodes} nodes
 * @param {[string, string] | null} kind
 */
function sign(nodes, kind) {
  const [name, words] = kind ?? ["", ""];
  if (nodes.kind.dataset.kind === name && nodes.kind.title === words) return;
  nodes.kind.dataset.kind = name;
  nodes.kind.title = words;
  clear(nodes.kind, name ? icon(`kind-${name}`) : null);
}

/** @param {Nodes} nodes @param {{text: string, look: string} | null | undefined} told */
function result(nodes, told) {
  nodes.result.textContent = told?.text ?? "";
  nodes.result.className = `tr-result ${told?.look ?? ""}`;
}

/** @param {State} state @param {number} at @param {boolean} isDim */
function rowClass(state, at, isDim) {
  let name = ROW;
  if (at === state.selected) name += " is-selected";
  if (isOfParent(state.model, at)) name += " is-same-service";
  if (state.isHit(at)) name += " is-hit";
  if (isDim) name += " is-dim";
  if (state.model.has(at, MARK.path)) name += " on-path";
  if (state.model.has(at, MARK.error)) name += " has-error";
  return name;
}

/** @param {Model} model @param {number} row */
function isOfParent(model, row) {
  const parent = model.parent[row];
  return parent >= 0 && model.service[parent] === model.service[row];
}

/**
 * The colour number of a row's service.
 *
 * @param {Model} model
 * @param {number} row
 */
export function colorOf(model, row) {
  return model.serviceColors[model.service[row]];
}

/** @param {HTMLElement} row @param {Nodes} nodes @param {boolean} hasMore @param {boolean} isOpen */
function expandable(row, nodes, hasMore, isOpen) {
  nodes.toggle.textContent = hasMore ? (isOpen ? "▾" : "▸") : "";
  if (hasMore) row.setAttribute("aria-expanded", String(isOpen));
  else row.removeAttribute("aria-expanded");
}

/**
 * Puts the bar and its label; what lies outside the shown time leaves an arrow at that side.
 *
 * @param {Nodes} nodes
 * @param {number} start
 * @param {number} end
 * @param {State} state
 * @param {string} text
 */
function place(nodes, start, end, state, text) {
  const width = state.to - state.from;
  const left = Math.max((start - state.from) / width, 0) * 100;
  const right = Math.min((end - state.from) / width, 1) * 100;
  const isBefore = end < state.from;
  const isAfter = start > state.to;
  nodes.bar.hidden = isBefore || isAfter;
  const { style } = nodes.label;
  style.left = style.right = "auto";
  if (isBefore || isAfter) {
    nodes.label.textContent = isBefore ? `‹ ${text}` : `${text} ›`;
    style[isBefore ? "left" : "right"] = "2px";
    nodes.label.className = "tr-label is-out";
    return;
  }
  nodes.bar.style.left = `${left}%`;
  nodes.bar.style.width = `${Math.max(right - left, 0)}%`;
  nodes.label.textContent = text;
  nodes.label.className = "tr-label";
  if (right < 82) style.left = `calc(${right}% + 6px)`;
  else if (left > 18) style.right = `calc(${100 - left}% + 4px)`;
  else {
    style.right = `calc(${100 - right}% + 4px)`;
    nodes.label.className = "tr-label is-inside";
  }
}

/**
 * The critical path within the rows [from, to), in order of time.
 *
 * @param {Model} model
 * @param {number} from
 * @param {number} to
 * @returns {Pieces}
 */
function pathPieces(model, from, to) {
  /** @type {[number, number][]} */
  const pieces = [];
  for (let place = model.segmentFrom[from]; place < model.segmentFrom[to]; place++) {
    pieces.push([model.segmentStart[place], model.segmentStart[place] + model.segmentDuration[place]]);
  }
  return pieces.sort(([one], [other]) => one - other);
}

/** @param {Model} model @param {number} first @param {number} last @returns {Generator<[number, number]>} */
function* members(model, first, last) {
  for (let row = first; row <= last; row = model.after(row))
    yield [model.start[row], model.start[row] + model.duration[row]];
}

/** @type {WeakMap<object, {from: number, to: number, width: number, stripes: Map<string, string>}>} */
const drawn = new WeakMap();

/**
 * The stripes of a row or fold, made once as long as time, width and rows stay: there may be 100,000 of them.
 *
 * @param {State} state
 * @param {number} trackWidth
 * @param {string} key
 * @param {() => Pieces} pieces
 * @param {string} color
 */
function kept(state, trackWidth, key, pieces, color) {
  const { from, to, arranged } = state;
  let of = drawn.get(arranged);
  if (of === undefined || of.from !== from || of.to !== to || of.width !== trackWidth) {
    drawn.set(arranged, (of = { from, to, width: trackWidth, stripes: new Map() }));
  }
  const known = of.stripes.get(key) ?? stripes(state, trackWidth, pieces(), color);
  of.stripes.set(key, known);
  return known;
}

/**
 * A background of stripes over the track, merged to whole pixels; pieces come in order of time.
 *
 * @param {State} state
 * @param {number} trackWidth
 * @param {Pieces} pieces
 * @param {string} color
 */
function stripes(state, trackWidth, pieces, color) {
  const scale = trackWidth / (state.to - state.from);
  /** @type {string[]} */
  const stops = [];
  let from = -1;
  let to = -1;
  const flush = () => {
    if (to > from) stops.push(`transparent ${from}px`, `${color} ${from}px ${to}px`, `transparent ${to}px`);
  };
  for (const [start, end] of pieces) {
    if (end < state.from || start > state.to || stops.length > MOST_STRIPES * 3) continue;
    const left = Math.max(Math.floor((start - state.from) * scale), 0);
    const right = Math.min(Math.max(Math.ceil((end - state.from) * scale), left + 1), trackWidth);
    if (left > to || from < 0) {
      flush();
      [from, to] = [left, right];
    } else to = Math.max(to, right);
  }
  flush();
  return stops.length > 0 ? `linear-gradient(to right, ${stops.join(", ")})` : "none";
}

/** @param {import("../kit/api-types").EventDetails} event @param {State} state */
function tick(event, state) {
  const at = Number(BigInt(event.time) - state.model.startTime);
  const left = ((at - state.from) / (state.to - state.from)) * 100;
  return left >= 0 && left <= 100
    ? h("span", { class: "tr-tick", title: event.name.slice(0, 200), style: { left: `${left}%` } })
    : null;
}
