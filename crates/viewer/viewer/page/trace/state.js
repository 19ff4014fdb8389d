// @ts-check
// What the trace page shows, apart from the trace itself: selection, cursor, collapse, folds, focus, zoom, hits. All of
// it that a reader would want to pass on stands in the URL's query (address.js); nothing else does.

import { clampWindow, panWindow, windowAround, zoomWindow } from "./axis.js";
import { arrange, collapseFrom, HEADING, setSiblings, unfoldAround } from "./visible.js";
import { nextRow, withAncestors } from "./model.js";
import { measured } from "./measure.js";
import { usualGrouping } from "./time-groups.js";

export const VIEWS = ["waterfall", "flame", "path", "logs"];

export class State {
  /** @type {Set<(what: string) => void>} */
  #listeners = new Set();
  /** @type {ReturnType<typeof arrange> | null} */
  #arranged = null;
  #cursorItem = -1;

  /** @param {import("./model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.view = "waterfall";
    this.collapsed = new Uint8Array(model.count);
    this.unfolded = new Uint8Array(model.count);
    /** First rows of the folds that the reader opened. */
    this.openFolds = /** @type {Set<number>} */ (new Set());
    this.folds = true;
    /** Rows of this depth and deeper are collapsed but for exceptions; null: none is. */
    this.depth = /** @type {number | null} */ (null);
    /** The row whose subtree is shown alone, or -1. */
    this.focus = -1;
    /** The row whose details are shown, or -1. */
    this.selected = -1;
    /** Where the keyboard is: a row, or `~first row` of a fold. */
    this.cursor = 0;
    this.text = "";
    /** Rows that the search found, in order; null without a search. */
    this.hits = /** @type {number[] | null} */ (null);
    this.hitKept = /** @type {Uint8Array | null} */ (null);
    this.isOnlyHits = false;
    /** The service that stands out, or -1. */
    this.service = -1;
    /** Whether the critical path is drawn. */
    this.showsPath = true;
    this.grouping = usualGrouping(model);
    /** How calls ended, by row, once it is known. */
    this.told = /** @type {Map<number, import("./results.js").Told>} */ (new Map());
    /** The selected span's details, once they are here. */
    this.details = /** @type {import("../kit/api-types").SpanAnswer | null} */ (null);
    this.from = 0;
    /** Which piece of the critical path the keyboard went to last. */
    this.pathAt = -1;
    this.to = model.span;
  }

  /** The rows as they stand; made anew after a change. */
  get arranged() {
    const arranged = this.#arranged ?? measured("trace:fold", () =>
      arrange(this.model, {
        focus: this.focus,
        collapsed: this.collapsed,
        unfolded: this.unfolded,
        folds: this.folds,
        pinned: this.hitKept,
        only: this.isOnlyHits ? this.hitKept : null,
      }),
    );
    this.#arranged = arranged;
    return arranged;
  }

  get isZoomed() {
    return this.from > 0 || this.to < this.model.span;
  }

  /**
   * Calls `listener(what)` on a change: `rows`, `time`, `cursor`, `selection`, `view`, `hits`, `light`, `details`.
   *
   * @param {(what: string) => void} listener
   */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @param {string} what */
  changed(what) {
    if (what === "rows" || what === "hits") this.#arranged = null;
    this.#cursorItem = -1;
    for (const listener of [...this.#listeners]) listener(what);
  }

  /** Where the cursor stands among the items; the nearest item above it when it is hidden. */
  get cursorItem() {
    if (this.#cursorItem < 0) this.#cursorItem = this.#findCursor();
    return this.#cursorItem;
  }

  #findCursor() {
    const { itemOf, headings } = this.arranged;
    if (this.cursor < 0) {
      const heading = headings.first.findIndex(
        (first, at) => first === ~this.cursor && headings.kind[at] === HEADING.fold,
      );
      if (heading >= 0) return headings.item[heading];
    }
    const row = this.cursor < 0 ? ~this.cursor : this.cursor;
    for (let at = row; at >= 0; at = this.model.parent[at]) {
      if (itemOf[at] >= 0) return itemOf[at];
      const heading = this.foldOver(at);
      if (heading >= 0) return headings.item[heading];
    }
    return 0;
  }

  /**
   * The closed fold that hides `row`, or -1. Headings stand in order of their first rows.
   *
   * @param {number} row
   */
  foldOver(row) {
    const { headings } = this.arranged;
    let low = 0;
    let high = headings.first.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (headings.first[middle] <= row) low = middle + 1;
      else high = middle;
    }
    const at = low - 1;
    const covers =
      at >= 0 &&
      headings.kind[at] === HEADING.fold &&
      !headings.isOpen[at] &&
      row < this.model.after(headings.last[at]);
    return covers ? at : -1;
  }

  /** @param {number} item */
  setCursorItem(item) {
    const { items, length, headings } = this.arranged;
    let at = Math.min(Math.max(item, 0), length - 1);
    // The line above orphans is no place to be at; a row follows it always.
    if (items[at] < 0 && headings.kind[~items[at]] === HEADING.missing) at += at > 0 && at < this.cursorItem ? -1 : 1;
    const value = items[at];
    this.cursor = value >= 0 ? value : ~headings.first[~value];
    this.changed("cursor");
  }

  /**
   * Puts the cursor on `row` and opens whatever hides it.
   *
   * @param {number} row
   */
  goTo(row) {
    if (this.focus >= 0 && !this.model.isWithin(row, this.focus)) this.focus = -1;
    this.uncover(row);
    this.cursor = row;
    this.changed("rows");
    this.changed("cursor");
  }

  /** @param {number} row */
  select(row) {
    if (row === this.selected) return;
    this.selected = row;
    this.details = null;
    if (row >= 0) this.cursor = row;
    this.changed("selection");
  }

  /** @param {number} row */
  uncover(row) {
    const { model } = this;
    if (this.isOnlyHits && this.hitKept?.[row] === 0) this.isOnlyHits = false;
    for (let at = row; at >= 0; at = model.parent[at]) {
      if (at !== row) this.collapsed[at] = 0;
      unfoldAround(model, this.unfolded, at);
    }
  }

  /** @param {number} row @param {boolean} isCollapsed */
  collapse(row, isCollapsed) {
    if (this.model.descendants[row] === 0 || (this.collapsed[row] !== 0) === isCollapsed) return;
    this.collapsed[row] = isCollapsed ? 1 : 0;
    this.changed("rows");
  }

  /** @param {number} heading @param {boolean} isOpen */
  setFold(heading, isOpen) {
    const { first, last } = this.arranged.headings;
    setSiblings(this.model, this.unfolded, first[heading], last[heading], isOpen ? 1 : 0);
    if (isOpen) this.openFolds.add(first[heading]);
    else
      for (const row of this.openFolds) if (row >= first[heading] && row <= last[heading]) this.openFolds.delete(row);
    this.cursor = ~first[heading];
    this.changed("rows");
  }

  /**
   * Collapses rows of this depth and deeper; null opens all.
   *
   * @param {number | null} depth
   */
  collapseTo(depth) {
    this.depth = depth;
    collapseFrom(this.model, this.collapsed, depth ?? Infinity);
    this.changed("rows");
  }

  /** @param {boolean} folds */
  setFolds(folds) {
    this.folds = folds;
    this.changed("rows");
  }

  /** @param {number} row */
  focusOn(row) {
    this.cursor = Math.max(row >= 0 ? row : this.focus, 0);
    this.focus = row;
    if (row >= 0) this.collapsed[row] = 0;
    this.changed("rows");
    this.changed("cursor");
  }

  /** @param {string} view */
  setView(view) {
    this.view = view;
    this.changed("view");
  }

  /** @param {number} from @param {number} to */
  setWindow(from, to) {
    [this.from, this.to] = clampWindow(from, to, this.model.span);
    this.changed("time");
  }

  /** @param {number} factor @param {number} at */
  zoom(factor, at) {
    this.setWindow(...zoomWindow(this.from, this.to, factor, at, this.model.span));
  }
  /** @param {number} part */
  pan(part) {
    this.setWindow(...panWindow(this.from, this.to, part, this.model.span));
  }
  /** @param {number} row */
  zoomTo(row) {
    this.setWindow(...windowAround(this.model.start[row], this.model.duration[row], this.model.span));
  }
  resetWindow() {
    this.setWindow(0, this.model.span);
  }

  /** @param {number[] | null} rows */
  setHits(rows) {
    this.hits = rows;
    this.hitKept = rows && withAncestors(this.model, rows);
    if (rows === null) this.isOnlyHits = false;
    this.changed("hits");
  }

  /** @param {boolean} isOnlyHits */
  setOnlyHits(isOnlyHits) {
    this.isOnlyHits = isOnlyHits && this.hits !== null;
    this.changed("rows");
  }

  /** @param {number} row */
  isHit(row) {
    return this.hitKept !== null && this.hitKept[row] === 2;
  }

  /**
   * Makes one service stand out; again: none.
   *
   * @param {number} service
   */
  setService(service) {
    this.service = this.service === service ? -1 : service;
    this.changed("light");
  }

  /** @param {boolean} showsPath */
  setShowsPath(showsPath) {
    this.showsPath = showsPath;
    this.changed("light");
  }

  /** @param {string} grouping */
  setGrouping(grouping) {
    this.grouping = grouping;
    this.changed("view");
  }

  /** @param {Map<number, import("./results.js").Told>} told */
  setTold(told) {
    this.told = told;
    this.changed("told");
  }

  /** @param {import("../kit/api-types").SpanAnswer | null} details */
  setDetails(details) {
    this.details = details;
    this.changed("details");
  }

  /**
   * Goes to the next row with a mark, going round; false when there is none.
   *
   * @param {(row: number) => boolean} test
   * @param {number} [step]
   */
  goToNext(test, step = 1) {
    const from = this.cursor < 0 ? ~this.cursor : this.cursor;
    const row = nextRow(this.model, from, test, step);
    if (row < 0) return false;
    this.goTo(row);
    return true;
  }
}
