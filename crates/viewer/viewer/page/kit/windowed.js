// @ts-check
// A list of any length of which only the visible rows exist.
//
// Rows have one height. Nodes are recycled and stand in the document in the order of their rows. Browsers cannot lay out
// more than some ten million pixels: above that the scroll bar is scaled, small movements still go pixel by pixel, and
// the bar is put right when the movement rests.

import { h } from "./dom.js";

const TALLEST = 8_000_000;
const ANCHOR = 1000;
const REST_MS = 120;

export class Windowed {
  /**
   * `container` scrolls (it needs a height and `overflow: auto`). `create()` makes an empty row, `render(index, node)`
   * fills it. `layerRole` is the role of the element around the rows ("rowgroup", "presentation", ...); `onRange(first,
   * end)` is told which rows exist.
   *
   * @param {{container: HTMLElement, rowHeight: number, count: number, render: (index: number, node: HTMLElement) => void,
   *   create: () => HTMLElement, overscan?: number, layerRole?: string,
   *   onRange?: ((first: number, end: number) => void) | null}} options
   */
  constructor({
    container,
    rowHeight,
    count,
    render,
    create,
    overscan = 12,
    layerRole = "presentation",
    onRange = null,
  }) {
    this.container = container;
    this.rowHeight = rowHeight;
    this.count = count;
    this.render = render;
    this.create = create;
    this.overscan = overscan;
    this.onRange = onRange;
    /** @type {Map<number, HTMLElement>} */
    this.rows = new Map();
    /** @type {HTMLElement[]} */
    this.spare = [];
    this.top = 0;
    this.height = 0;
    this.lastScroll = 0;
    this.anchor = 0;
    this.frame = 0;
    this.layer = h("div", { class: "windowed-layer", role: layerRole });
    this.sizer = h("div", { class: "windowed-sizer", role: "presentation" }, this.layer);
    container.classList.add("windowed");
    container.append(this.sizer);
    this.scrolled = () => this.#scrolled();
    container.addEventListener("scroll", this.scrolled, { passive: true });
    this.observer = new ResizeObserver(() => this.#resized());
    this.observer.observe(container);
    this.#resized();
  }

  /**
   * Another number of rows; those there are filled anew.
   *
   * @param {number} count
   */
  setCount(count) {
    this.count = count;
    this.#resized();
    this.refresh();
  }

  /** Fills all existing rows anew. */
  refresh() {
    for (const [index, node] of this.rows) if (index < this.count) this.render(index, node);
    this.#draw();
  }

  /**
   * Fills one row anew, if it exists.
   *
   * @param {number} index
   */
  refreshRow(index) {
    const node = this.rows.get(index);
    if (node) this.render(index, node);
  }

  /**
   * The node of a row, or undefined while it is out of view.
   *
   * @param {number} index
   */
  nodeAt(index) {
    return this.rows.get(index);
  }

  /** The rows that are visible now: `{first, end}`, `end` excluded. */
  visible() {
    const first = Math.floor(this.top / this.rowHeight);
    return { first, end: Math.min(this.count, Math.ceil((this.top + this.height) / this.rowHeight)) };
  }

  /**
   * Brings a row into view. `align`: "nearest" (moves only if needed), "center" or "start".
   *
   * @param {number} index
   * @param {{align?: "nearest" | "center" | "start"}} [options]
   */
  scrollToIndex(index, { align = "nearest" } = {}) {
    const at = Math.max(0, Math.min(index, this.count - 1)) * this.rowHeight;
    let top = this.top;
    if (align === "start") top = at;
    else if (align === "center") top = at - (this.height - this.rowHeight) / 2;
    else if (at < top) top = at;
    else if (at + this.rowHeight > top + this.height) top = at + this.rowHeight - this.height;
    this.#setTop(top);
    this.#syncBar();
    this.#draw();
  }

  dispose() {
    this.observer.disconnect();
    this.container.removeEventListener("scroll", this.scrolled);
    cancelAnimationFrame(this.frame);
    clearTimeout(this.rest);
    this.sizer.remove();
  }

  get #total() {
    return this.count * this.rowHeight;
  }

  get #isScaled() {
    return this.#total > TALLEST;
  }

  #resized() {
    this.height = this.container.clientHeight;
    this.sizer.style.height = `${Math.min(this.#total, TALLEST)}px`;
    this.#setTop(this.#isScaled ? this.top : this.container.scrollTop);
    this.#syncBar();
    this.#draw();
  }

  /** @param {number} top */
  #setTop(top) {
    this.top = Math.max(0, Math.min(top, this.#total - this.height));
  }

  /** Pixels of the list for one pixel of the bar. */
  #ratio() {
    return (this.#total - this.height) / Math.max(1, Math.min(this.#total, TALLEST) - this.height);
  }

  #syncBar() {
    const wanted = this.#isScaled ? this.top / this.#ratio() : this.top;
    if (Math.abs(this.container.scrollTop - wanted) >= 1) this.container.scrollTop = wanted;
    this.lastScroll = this.container.scrollTop;
  }

  #scrolled() {
    const at = this.container.scrollTop;
    const moved = at - this.lastScroll;
    this.lastScroll = at;
    if (!this.#isScaled) this.#setTop(at);
    else if (moved !== 0) {
      this.#setTop(Math.abs(moved) <= this.height ? this.top + moved : at * this.#ratio());
      clearTimeout(this.rest);
      this.rest = setTimeout(() => {
        this.#syncBar();
        this.#draw();
      }, REST_MS);
    }
    if (!this.frame) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.#draw();
      });
    }
  }

  #draw() {
    const { first: seen, end: seenEnd } = this.visible();
    const first = Math.max(0, seen - this.overscan);
    const end = Math.min(this.count, seenEnd + this.overscan);
    this.#place(first);
    for (const [index, node] of this.rows) if (index < first || index >= end) this.#release(index, node);
    let after = null;
    for (let index = end - 1; index >= first; index -= 1) {
      const node = this.rows.get(index) ?? this.#take(index);
      if (node.nextSibling !== after || node.parentNode !== this.layer) this.layer.insertBefore(node, after);
      after = node;
    }
    for (const node of this.spare) node.remove();
    this.onRange?.(first, end);
  }

  /**
   * Transforms lose precision far out: rows are placed from an anchor near them.
   *
   * @param {number} first
   */
  #place(first) {
    const anchor = first - (first % ANCHOR);
    const shift = this.#isScaled ? this.lastScroll - this.top : 0;
    this.layer.style.top = `${anchor * this.rowHeight + shift}px`;
    if (anchor === this.anchor) return;
    this.anchor = anchor;
    for (const [index, node] of this.rows) this.#move(index, node);
  }

  /** @param {number} index @param {HTMLElement} node */
  #move(index, node) {
    node.style.transform = `translateY(${(index - this.anchor) * this.rowHeight}px)`;
  }

  /** @param {number} index */
  #take(index) {
    const node = this.spare.pop() ?? this.create();
    node.classList.add("windowed-row");
    this.rows.set(index, node);
    this.#move(index, node);
    this.render(index, node);
    return node;
  }

  /** @param {number} index @param {HTMLElement} node */
  #release(index, node) {
    this.rows.delete(index);
    // The focus would fall to the body, and with it the keyboard.
    if (node.contains(document.activeElement)) this.container.focus({ preventScroll: true });
    this.spare.push(node);
  }
}
