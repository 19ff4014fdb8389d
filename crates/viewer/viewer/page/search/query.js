// @ts-check
// The state of the search page as its address has it, and what the API is asked for. Pure.
//
// The address uses the API's own names. Two things differ: without `from` the last hour is searched, and `from=all` has
// no bound. `show` (rows), `live`, `scale`, `col` (columns of the list) and `facet` (attributes whose values are counted) belong to
// the page.

import { RESULT_KEYS } from "./result.js";

const TRACE_FIELDS = /** @type {const} */ (["min_trace_duration", "max_trace_duration"]);
/** What is asked of one span. */
export const SPAN_FIELDS = ["service", "operation", "kind", "status", "min_duration", "max_duration", "root", "text"];
export const DEFAULT_RANGE = "1h";
export const PAGE_SIZE = 50;
/** Filters on other spans of the trace. */
export const MAX_OTHERS = 8;

/**
 * @typedef {{attr: string[], not: SpanFilter[], [name: string]: any}} SpanFilter
 * @typedef {ReturnType<typeof read>} State
 * @typedef {{span: SpanFilter, others: SpanFilter[], min_trace_duration: string, max_trace_duration: string}} Filters
 */

/**
 * A filter of one span from a query: the fields; `attr`, a list; `not`, a list of filters that the span must not meet.
 *
 * @param {URLSearchParams} query
 * @returns {SpanFilter}
 */
export function spanFilter(query) {
  const not = query.getAll("not").map((text) => spanFilter(new URLSearchParams(text)));
  /** @type {SpanFilter} */
  const filter = { attr: query.getAll("attr").filter(Boolean), not: not.filter((one) => !isEmpty(one)) };
  for (const name of SPAN_FIELDS) filter[name] = query.get(name) ?? "";
  return filter;
}

/** The query string of such a filter, for `with` and `not`. @param {SpanFilter} filter */
export function filterText(filter) {
  const query = new URLSearchParams();
  for (const name of SPAN_FIELDS) if (filter[name]) query.set(name, filter[name]);
  for (const condition of filter.attr) query.append("attr", condition);
  for (const excluded of filter.not) query.append("not", filterText(excluded));
  return query.toString();
}

/** As parameters of the API, and names of the address. @param {SpanFilter} filter */
export function spanParams(filter) {
  return { ...filter, not: filter.not.map(filterText) };
}

/**
 * Whether nothing at all is asked.
 *
 * @param {SpanFilter} filter
 */
export function isEmpty(filter) {
  return filterText(filter) === "";
}

/**
 * The page's state from its address.
 *
 * @param {URLSearchParams} query
 */
export function read(query) {
  return {
    span: spanFilter(query),
    others: query.getAll("with").map((text) => spanFilter(new URLSearchParams(text))),
    from: query.get("from") || DEFAULT_RANGE,
    to: query.get("to") ?? "",
    order: query.get("order") || "newest",
    show: Math.max(PAGE_SIZE, Number(query.get("show")) || PAGE_SIZE),
    isLive: query.get("live") === "1",
    isLinear: query.get("scale") === "linear",
    /** Attributes as columns of the list. */
    columns: query.getAll("col").filter(Boolean),
    /** Whether the text was first looked for as the id of a trace. */
    wasId: query.get("sought") === "id",
    min_trace_duration: query.get("min_trace_duration") ?? "",
    max_trace_duration: query.get("max_trace_duration") ?? "",
  };
}

/**
 * The address of a search for a text in all that is kept, which was typed where a trace's id would open the trace.
 *
 * @param {string} text
 */
export function textSearch(text) {
  return new URLSearchParams({ text, from: "all", sought: "id" });
}

/**
 * The filters as names of the address: what the form changes. Empty values take a name out.
 *
 * @param {Filters} state
 */
export function filterParams(state) {
  /** @type {Record<string, any>} */
  const params = { ...spanParams(state.span), with: state.others.map(filterText).filter(Boolean) };
  for (const name of TRACE_FIELDS) params[name] = state[name];
  return params;
}

/**
 * Whether any filter but the time is set.
 *
 * @param {Filters} state
 */
export function hasFilters(state) {
  return (
    !isEmpty(state.span) || state.others.some((filter) => !isEmpty(filter)) || TRACE_FIELDS.some((name) => state[name])
  );
}

/**
 * When, as parameters of the API.
 *
 * @param {{from: string, to: string}} state
 */
export function timeParams(state) {
  return state.from === "all" ? { to: state.to } : { from: state.from, to: state.to };
}

/**
 * For GET /search: without a condition on a span, traces stand in the order of their roots.
 *
 * @param {State} state
 */
export function searchParams(state) {
  const root = listsRoots(state) ? { root: "true" } : {};
  return { ...anySpanParams(state), ...root };
}

/**
 * Whether the list is of root spans, which leaves out traces whose root is not here.
 *
 * @param {{span: SpanFilter}} state
 */
export function listsRoots(state) {
  return isEmpty(state.span);
}

/**
 * For GET /search: the same, whatever spans of them are here.
 *
 * @param {State} state
 */
export function anySpanParams(state) {
  return { ...filterParams(state), ...timeParams(state), order: state.order, column: [...RESULT_KEYS, ...state.columns] };
}

/**
 * The time that is searched, as milliseconds since 1970; null where it has no bound.
 *
 * @param {{from: string, to: string}} state
 * @param {number} [now]
 */
export function windowOf(state, now = Date.now()) {
  /** @type {Record<string, number>} */
  const units = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3, w: 7 * 86400e3 };
  /** @param {string} text */
  const at = (text) => {
    const age = /^(\d+(?:\.\d+)?)([smhdw])$/.exec(text);
    if (age) return now - Number(age[1]) * units[age[2]];
    if (/^\d+$/.test(text)) return Number(BigInt(text) / 1000n) / 1000;
    const moment = Date.parse(text);
    return Number.isNaN(moment) ? null : moment;
  };
  return { from: state.from === "all" ? null : at(state.from), to: state.to ? at(state.to) : now };
}

/**
 * Three times the time that is searched, around its middle and not beyond now; all durations.
 *
 * @param {{from: string, to: string}} state
 * @param {number} [now]
 */
export function zoomedOut(state, now = Date.now()) {
  const { from, to } = windowOf(state, now);
  const durations = { min_duration: "", max_duration: "" };
  if (from === null || to === null) return { from: "all", to: "", ...durations };
  const size = Math.max(to - from, 1);
  const end = Math.min(to + size, now);
  /** @param {number} ms */
  const text = (ms) => `${BigInt(Math.floor(Math.max(ms, 0))) * 1_000_000n}`;
  return { from: text(from - size), to: text(end), ...durations };
}

/**
 * Whether a dot stands for a whole trace: without a condition on a span, its root is shown.
 *
 * @param {{span: SpanFilter}} state
 */
export function pointsAreRoots(state) {
  return isEmpty(state.span);
}

/**
 * For GET /points.
 *
 * @param {State} state
 * @returns {Record<string, any>}
 */
export function pointParams(state) {
  const root = pointsAreRoots(state) ? { root: "true" } : {};
  return { ...filterParams(state), ...timeParams(state), limit: 2000, ...root };
}

/**
 * For GET /tail, which knows only the filter of one span.
 *
 * @param {{span: SpanFilter}} state
 */
export function tailParams(state) {
  return spanParams(state.span);
}
