// @ts-check
// Which rows stand in the waterfall, in what order: one pass over the columns for collapsing, focus, folding of
// repeats and "only hits". Pure.
//
// An item is a row (>= 0) or a heading (< 0, `~item` is its place in the headings): a fold of repeats, or the "missing
// parent" above orphans. Never folded: an error anywhere in the subtree, and pinned rows. The critical path is drawn on a
// fold as on a row.

import { MARK } from "./model.js";

/** As many alike, one after the other, are folded. */
/** @typedef {import("./model.js").Model} Model */
/** @typedef {ReturnType<typeof arrange>} Arranged */

const FOLD_FROM = 5;

export const HEADING = { fold: 0, missing: 1 };

/**
 * @param {Model} model the columns
 * @param {{focus?: number, collapsed: Uint8Array, unfolded: Uint8Array, folds?: boolean, pinned?: Uint8Array | null, only?: Uint8Array | null}} options
 *   `focus`: row of the subtree shown alone, or -1; `collapsed`, `unfolded`: bytes per row; `folds`: false
 *   shows every repeat; `pinned`: a byte per row, not 0 where folding must not hide it; `only`: a byte per row, 0 where
 *   it is left out
 */
export function arrange(model, { focus = -1, collapsed, unfolded, folds = true, pinned = null, only = null }) {
  const { parent, count } = model;
  const from = focus < 0 ? 0 : focus;
  const end = focus < 0 ? count : model.after(focus);
  const items = new Int32Array(2 * (end - from) + 1);
  const itemLevel = new Int32Array(items.length);
  const itemOf = new Int32Array(count).fill(-1);
  const level = new Int32Array(count);
  // 0: not looked at, 1: no repeat, 2: within an open fold.
  const repeat = new Uint8Array(count);
  /** @type {{kind: number[], first: number[], last: number[], count: number[], isOpen: boolean[], item: number[]}} */
  const headings = { kind: [], first: [], last: [], count: [], isOpen: [], item: [] };
  let length = 0;

  /** @param {number} item @param {number} at */
  const put = (item, at) => {
    items[length] = item;
    itemLevel[length] = at;
    return length++;
  };
  /**
   * @param {number} kind
   * @param {number} first
   * @param {number} last
   * @param {number} members
   * @param {boolean} isOpen
   * @param {number} at
   */
  const head = (kind, first, last, members, isOpen, at) => {
    const index = headings.kind.length;
    headings.kind.push(kind);
    headings.first.push(first);
    headings.last.push(last);
    headings.count.push(members);
    headings.isOpen.push(isOpen);
    headings.item.push(put(~index, at));
  };

  let orphansTo = -1;
  for (let row = from; row < end;) {
    if (only !== null && only[row] === 0) {
      row = model.after(row);
      continue;
    }
    const isTop = row === focus || parent[row] < 0;
    if (isTop && row !== focus && model.marks[row] & MARK.orphan && row > orphansTo) {
      const [last, members] = orphanRun(model, row, only);
      orphansTo = last;
      head(HEADING.missing, row, last, members, true, 1);
    }
    let at = isTop ? (row <= orphansTo ? 2 : 1) : level[parent[row]] + 1;
    if (folds && only === null && repeat[row] === 0 && row !== focus) {
      const [last, members] = repeatRun(model, row, end, pinned, repeat);
      if (members >= FOLD_FROM) {
        const isOpen = unfolded[row] !== 0;
        head(HEADING.fold, row, last, members, isOpen, at);
        if (!isOpen) {
          row = model.after(last);
          continue;
        }
        for (let member = row; member <= last; member = model.after(member)) repeat[member] = 2;
      }
    }
    if (repeat[row] === 2) at += 1;
    level[row] = at;
    itemOf[row] = put(row, at);
    row = collapsed[row] !== 0 && only === null ? model.after(row) : row + 1;
  }
  /** @type {Map<number, ReturnType<typeof foldFigures>>} of headings, as far as they were asked for */
  const figures = new Map();
  return { items: items.subarray(0, length), levels: itemLevel, length, itemOf, headings, figures };
}

/**
 * The repeats that begin at `row`: the last of them and how many; what was looked at is marked in `repeat`.
 *
 * @param {Model} model
 * @param {number} row
 * @param {number} end
 * @param {Uint8Array | null} pinned
 * @param {Uint8Array} repeat
 */
function repeatRun(model, row, end, pinned, repeat) {
  const { parent, service, name, kind, below, marks } = model;
  /** @param {number} at */
  const mayFold = (at) => (below[at] & MARK.error) === 0 && (pinned === null || pinned[at] === 0);
  repeat[row] = 1;
  if (!mayFold(row)) return [row, 1];
  let last = row;
  let members = 1;
  for (let next = model.after(row); next < end; next = model.after(next)) {
    const isAlike =
      parent[next] === parent[row] &&
      service[next] === service[row] &&
      name[next] === name[row] &&
      kind[next] === kind[row] &&
      ((marks[next] ^ marks[row]) & MARK.orphan) === 0;
    if (!isAlike || !mayFold(next)) break;
    repeat[next] = 1;
    last = next;
    members++;
  }
  return [last, members];
}

/**
 * Orphans that stand one after the other from `row` on.
 *
 * @param {Model} model
 * @param {number} row
 * @param {Uint8Array | null} only
 */
function orphanRun(model, row, only) {
  let last = row;
  let members = 0;
  for (let next = row; next < model.count && model.marks[next] & MARK.orphan && model.parent[next] < 0;) {
    if (only === null || only[next] !== 0) members++;
    last = next;
    next = model.after(next);
  }
  return [last, members];
}

/**
 * Count, sum, median and extent of a fold's members; `spans` counts what is below them too.
 *
 * @param {Model} model
 * @param {number} first
 * @param {number} last
 */
export function foldFigures(model, first, last) {
  /** @type {number[]} */
  const durations = [];
  let total = 0;
  let start = Infinity;
  let end = 0;
  for (let row = first; row <= last; row = model.after(row)) {
    durations.push(model.duration[row]);
    total += model.duration[row];
    start = Math.min(start, model.start[row]);
    end = Math.max(end, model.start[row] + model.duration[row]);
  }
  const sorted = Float64Array.from(durations).sort();
  return {
    count: sorted.length,
    total,
    start,
    end,
    spans: model.after(last) - first,
    median: sorted[(sorted.length - 1) >> 1],
  };
}

/**
 * Marks the run of siblings like `row` that it stands in, so that it is shown open.
 *
 * @param {Model} model
 * @param {Uint8Array} unfolded
 * @param {number} row
 */
export function unfoldAround(model, unfolded, row) {
  const { parent, name, service, kind } = model;
  let from = -1;
  for (
    let at = parent[row] < 0 ? 0 : parent[row] + 1;
    at < model.count && parent[at] === parent[row];
    at = model.after(at)
  ) {
    const isAlike = name[at] === name[row] && service[at] === service[row] && kind[at] === kind[row];
    if (!isAlike && at > row) return;
    if (!isAlike) from = -1;
    else if (from < 0) from = at;
    if (at === row) setSiblings(model, unfolded, from, row, 1);
    if (at > row) unfolded[at] = 1;
  }
}

/**
 * Sets the byte of every sibling from `first` to `last`.
 *
 * @param {Model} model
 * @param {Uint8Array} bytes
 * @param {number} first
 * @param {number} last
 * @param {number} value
 */
export function setSiblings(model, bytes, first, last, value) {
  for (let at = first; at <= last; at = model.after(at)) bytes[at] = value;
}

/**
 * Collapses every row that has rows below it and stands at `depth` or deeper; the others open.
 *
 * @param {Model} model
 * @param {Uint8Array} collapsed
 * @param {number} depth
 */
export function collapseFrom(model, collapsed, depth) {
  for (let row = 0; row < model.count; row++) {
    collapsed[row] = model.descendants[row] > 0 && model.depth[row] >= depth ? 1 : 0;
  }
}
