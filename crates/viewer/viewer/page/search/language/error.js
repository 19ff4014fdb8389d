// @ts-check
// What is wrong in a typed query, and where.

export class QueryError extends Error {
  /**
   * @param {string} message what was expected, and what stands there
   * @param {number} from the place of the first letter that is wrong, from 0
   * @param {number} [to] behind the last one
   */
  constructor(message, from, to = from + 1) {
    super(message);
    this.name = "QueryError";
    this.from = from;
    this.to = to;
  }

  /** Counted from 1, as people do. */
  get column() {
    return this.from + 1;
  }
}
