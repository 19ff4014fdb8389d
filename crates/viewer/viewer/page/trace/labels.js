// @ts-check
// The words for what is marked on a row, the same in the waterfall, the flame view, the details and for screen readers.

import { count, duration, visibleText } from "../kit/format.js";
import { MARK } from "./model.js";
import { foldFigures, HEADING } from "./visible.js";

/** Longer names are cut in rows; the details have them whole. */
const LONGEST = 160;

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./visible.js").Arranged} Arranged */

/**
 * A name on one line, cut when it is very long.
 *
 * @param {string} text
 * @param {number} [most]
 */
export function shown(text, most = LONGEST) {
  return text.length > most ? `${visibleText(text.slice(0, most))}…` : visibleText(text);
}

const cuts = new WeakMap();

/**
 * A text of one of the model's lists, made ready once: rows are filled while scrolling.
 *
 * @param {string[]} list
 * @param {number} index
 * @param {number} most
 * @param {string} none
 * @returns {string}
 */
function ready(list, index, most, none) {
  let texts = cuts.get(list);
  if (texts === undefined) cuts.set(list, (texts = []));
  return (texts[index] ??= shown(list[index], most) || none);
}

/** @param {Model} model @param {number} row */
export function nameShown(model, row) {
  return ready(model.names, model.name[row], LONGEST, "(no name)");
}

/** @param {Model} model @param {number} row */
export function serviceShown(model, row) {
  return ready(model.services, model.service[row], 60, "(no service)");
}

/** @param {number} ns */
const signed = (ns) => (ns < 0 ? `−${duration(-ns)}` : `+${duration(ns)}`);

/**
 * What is marked on a row: `[class, short sign, words]` each.
 *
 * @param {Model} model
 * @param {number} row
 */
export function marksOf(model, row) {
  /** @type {[string, string, string][]} */
  const marks = [];
  /** @param {string} name @param {string} sign @param {string} words */
  const put = (name, sign, words) => marks.push([name, sign, words]);
  if (model.has(row, MARK.error)) put("error", "!", "error");
  if (model.has(row, MARK.orphan)) put("orphan", "no parent", "its parent is not here");
  if (model.has(row, MARK.skew)) {
    const offset = model.skew.get(row);
    put(
      "skew",
      `clock ${signed(-offset)}`,
      `its clock differs from its caller's by about ${signed(-offset)}; ${model.isAligned ? "drawn where the caller's clock has it" : "drawn as it was sent"}`,
    );
  }
  if (model.has(row, MARK.negative)) put("negative", "end < start", "ended before it began; drawn without a duration");
  if (model.has(row, MARK.cycle)) put("cycle", "cycle", "was its own ancestor; shown as a root");
  if (model.has(row, MARK.duplicate)) put("duplicate", "same id", "another span has the same id");
  if (model.has(row, MARK.outlives)) put("outlives", "async tail", "outlives its parent");
  if (model.links[row] > 0)
    put("links", `↗${model.links[row]}`, `${count(model.links[row])} ${plural("link", model.links[row])}`);
  if (model.events[row] > 0)
    put("events", `◆${model.events[row]}`, `${count(model.events[row])} ${plural("event", model.events[row])}`);
  if (model.logs[row] > 0)
    put("logs", `≡${model.logs[row]}`, `${count(model.logs[row])} ${plural("log", model.logs[row])}`);
  if (model.dropped[row] > 0)
    put("dropped", `−${model.dropped[row]}`, `${count(model.dropped[row])} dropped attributes, events or links`);
  return marks;
}

/**
 * A row in one sentence.
 *
 * @param {Model} model
 * @param {number} row
 */
export function sentence(model, row) {
  const words = [
    `${nameShown(model, row)}, ${serviceShown(model, row)}, ${model.kindOf(row)}, ${duration(model.duration[row])}`,
  ];
  words.push(`starts at ${duration(model.start[row])}`);
  if (model.has(row, MARK.path)) words.push("on the critical path");
  for (const mark of marksOf(model, row)) words.push(mark[2]);
  return words.join(", ");
}

/**
 * A fold or the line above orphans: `{title, text}`.
 *
 * @param {Model} model
 * @param {Arranged} arranged
 * @param {number} heading
 */
export function headingLabel(model, arranged, heading) {
  const { kind, count: members, first } = arranged.headings;
  const many = members[heading];
  if (kind[heading] === HEADING.missing) {
    return { title: "missing parent", text: `${count(many)} ${plural("span", many)} whose parent is not here` };
  }
  const figures = figuresOf(model, arranged, heading);
  const inside = figures.spans > figures.count ? ` · ${count(figures.spans)} spans` : "";
  return {
    title: `${count(many)} × ${nameShown(model, first[heading])}`,
    text: `${duration(figures.total)} of ${duration(model.total)} · median ${duration(figures.median)}${inside}`,
  };
}

/**
 * The figures of a fold, made once for each arrangement.
 *
 * @param {Model} model
 * @param {Arranged} arranged
 * @param {number} heading
 */
export function figuresOf(model, arranged, heading) {
  let figures = arranged.figures.get(heading);
  if (figures === undefined) {
    figures = foldFigures(model, arranged.headings.first[heading], arranged.headings.last[heading]);
    arranged.figures.set(heading, figures);
  }
  return figures;
}

/** @param {string} word @param {number} many */
export function plural(word, many) {
  return many === 1 ? word : `${word}s`;
}
