// @ts-check
// A trace as columns: typed arrays made once from the answer of GET /traces/{id}, never an object per row.
//
// Rows stand in the order of a depth-first walk, so a subtree is the stretch [row, row + descendants]. Times are
// nanoseconds after the trace's start, exact up to 104 days. Pure: no page, no clock.

import { colorOf } from "../kit/service-colors.js";

const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];

/** What is marked on a row; bits of `marks`. */
export const MARK = {
  error: 1,
  path: 2,
  orphan: 4,
  skew: 8,
  negative: 16,
  cycle: 32,
  duplicate: 64,
  outlives: 128,
};

const REPAIR_MARK = {
  clock_skew: MARK.skew,
  negative_duration: MARK.negative,
  cycle: MARK.cycle,
  duplicate_id: MARK.duplicate,
  missing_parent: MARK.orphan,
};

export class Model {
  /** @type {Map<string, number> | null} */
  #rowsById = null;
  segmentFrom = new Int32Array(0);
  segmentStart = new Float64Array(0);
  segmentDuration = new Float64Array(0);
  pathRows = new Int32Array(0);

  /**
   * `isAligned` moves the server side of calls to where its caller's clock has it, with everything below; only what is
   * drawn, the details have the times as they were sent.
   *
   * @param {import("../kit/api-types").TraceAnswer} answer
   * @param {{isAligned?: boolean}} [options]
   */
  constructor(answer, { isAligned = false } = {}) {
    const rows = answer.rows;
    const count = rows.id.length;
    this.traceId = answer.trace_id;
    this.startTime = BigInt(answer.start);
    this.count = count;
    this.errors = answer.errors;
    this.services = answer.services;
    this.serviceColors = this.services.map(colorOf);
    this.names = answer.names;
    this.roots = answer.roots;
    this.completeness = answer.completeness;

    this.ids = rows.id;
    this.parent = Int32Array.from(rows.parent);
    this.depth = Int32Array.from(rows.depth);
    this.descendants = Int32Array.from(rows.descendants);
    this.service = Int32Array.from(rows.service);
    this.name = Int32Array.from(rows.name);
    this.kind = Uint8Array.from(rows.kind, (kind) => Math.max(KINDS.indexOf(kind), 0));
    this.start = Float64Array.from(rows.start);
    this.duration = Float64Array.from(rows.duration);
    this.events = Int32Array.from(rows.events);
    this.links = Int32Array.from(rows.links);
    this.logs = Int32Array.from(rows.logs);
    this.dropped = Int32Array.from(rows.dropped);

    this.skew = new Map();
    for (const repair of answer.repairs) if (repair.what === "clock_skew") this.skew.set(repair.row, repair.offset);
    this.isAligned = isAligned && this.skew.size > 0;
    const moved = this.isAligned ? this.#align() : 0;
    this.startTime += BigInt(moved);

    this.marks = new Uint8Array(count);
    this.serviceSpans = new Int32Array(this.services.length);
    this.serviceErrors = new Int32Array(this.services.length);
    this.maxDepth = 0;
    this.main = answer.roots[0] ?? 0;
    // Nanoseconds from the earliest start to the latest end; the axis is at least 1 wide.
    this.total = this.isAligned ? 0 : answer.duration;
    for (let row = 0; row < count; row++) {
      this.serviceSpans[this.service[row]]++;
      if (rows.status[row] === "error") {
        this.marks[row] |= MARK.error;
        this.serviceErrors[this.service[row]]++;
      }
      if (rows.orphan[row]) this.marks[row] |= MARK.orphan;
      if (this.depth[row] > this.maxDepth) this.maxDepth = this.depth[row];
      this.total = Math.max(this.total, this.start[row] + this.duration[row]);
    }
    this.span = Math.max(this.total, 1);
    this.repairs = answer.repairs;
    for (const repair of answer.repairs) {
      this.marks[repair.row] |= REPAIR_MARK[repair.what] ?? 0;
    }
    this.#takePath(answer.critical_path, moved);
    this.below = summary(this);
  }

  /** The largest difference between two clocks, in nanoseconds; 0 when none is known. */
  get clockDifference() {
    return Math.max(0, ...[...this.skew.values()].map(Math.abs));
  }

  /** Moves rows by the offsets of their clocks; answers by how much the trace begins later (or earlier) now. */
  #align() {
    const shift = new Float64Array(this.count);
    let first = Infinity;
    for (let row = 0; row < this.count; row++) {
      const above = this.parent[row] < 0 ? 0 : shift[this.parent[row]];
      shift[row] = above + (this.skew.get(row) ?? 0);
      this.start[row] += shift[row];
      first = Math.min(first, this.start[row]);
    }
    for (let row = 0; row < this.count; row++) this.start[row] -= first;
    return Math.round(first);
  }

  /**
   * The first row with this span id, or -1.
   *
   * @param {string} id
   */
  rowOf(id) {
    let rows = this.#rowsById;
    if (rows === null) {
      this.#rowsById = rows = new Map();
      for (let row = this.count - 1; row >= 0; row--) rows.set(this.ids[row], row);
    }
    return rows.get(id) ?? -1;
  }

  /** @param {number} row */
  nameOf(row) {
    return this.names[this.name[row]];
  }
  /** @param {number} row */
  kindOf(row) {
    return KINDS[this.kind[row]];
  }
  /** @param {number} row @param {number} mark */
  has(row, mark) {
    return (this.marks[row] & mark) !== 0;
  }
  /**
   * The row after the subtree of `row`.
   *
   * @param {number} row
   */
  after(row) {
    return row + this.descendants[row] + 1;
  }
  /**
   * True when `row` is `ancestor` or below it.
   *
   * @param {number} row
   * @param {number} ancestor
   */
  isWithin(row, ancestor) {
    return row >= ancestor && row < this.after(ancestor);
  }

  /** Segments of the critical path, sorted by row: those of `row` are [segmentFrom[row], segmentFrom[row + 1]). */
  /** @param {import("../kit/api-types").TracePath | null} path @param {number} moved */
  #takePath(path, moved) {
    const count = this.count;
    const segments = path ? path.segments : [];
    this.path = path && {
      root: path.root,
      parts: path.parts,
      slowest: path.slowest ?? -1,
      overlaps: path.overlaps,
      outliving: path.outliving,
    };
    this.segmentFrom = new Int32Array(count + 1);
    for (const segment of segments) this.segmentFrom[segment.row + 1]++;
    for (let row = 0; row < count; row++) this.segmentFrom[row + 1] += this.segmentFrom[row];
    const next = this.segmentFrom.slice();
    this.segmentStart = new Float64Array(segments.length);
    this.segmentDuration = new Float64Array(segments.length);
    // The rows in order of time: what "next on the critical path" walks along.
    this.pathRows = new Int32Array(segments.length);
    segments.forEach((segment, index) => {
      const place = next[segment.row]++;
      this.segmentStart[place] = Math.max(segment.start - moved, 0);
      this.segmentDuration[place] = segment.duration;
      this.marks[segment.row] |= MARK.path;
      this.pathRows[index] = segment.row;
    });
    for (const row of path ? path.outliving : []) this.marks[row] |= MARK.outlives;
  }
}

/**
 * For each row the marks of its whole subtree, its own included.
 *
 * @param {Model} model
 */
function summary(model) {
  const below = model.marks.slice();
  for (let row = model.count - 1; row > 0; row--) {
    const parent = model.parent[row];
    if (parent >= 0) below[parent] |= below[row];
  }
  return below;
}

/**
 * Marks `rows` and all their ancestors: 1 for an ancestor, 2 for a row itself.
 *
 * @param {Model} model
 * @param {Iterable<number>} rows
 */
export function withAncestors(model, rows) {
  const kept = new Uint8Array(model.count);
  for (const row of rows) {
    for (let at = model.parent[row]; at >= 0 && kept[at] === 0; at = model.parent[at]) kept[at] = 1;
    kept[row] = 2;
  }
  return kept;
}

/**
 * The next row after `from` (before it with `step` -1) for which `test` holds, going round; -1 if there is none.
 *
 * @param {Model} model
 * @param {number} from
 * @param {(row: number) => boolean} test
 * @param {number} [step]
 */
export function nextRow(model, from, test, step = 1) {
  for (let far = 1; far <= model.count; far++) {
    const row = (from + far * step + model.count) % model.count;
    if (test(row)) return row;
  }
  return -1;
}
