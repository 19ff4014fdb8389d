// @ts-check
// Terms of a typed query as the conditions of a search (query.js), and back. Pure.
//
// Invariant: `filtersOf(termsOf(filters))` are the same filters, for all that the form can hold and the API takes.

import { read as readCondition, write as writeCondition } from "../condition.js";
import { MAX_OTHERS, SPAN_FIELDS, isEmpty, spanFilter } from "../query.js";
import { QueryError } from "./error.js";
import { read, write } from "./terms.js";

/** @typedef {import("./terms.js").Term} Term */
/** @typedef {import("./terms.js").Condition} Condition */
/** @typedef {import("../query.js").SpanFilter} SpanFilter */
/** @typedef {import("../query.js").Filters} Filters */

const MAX_ATTRIBUTES = 16;
const MAX_EXCLUDED = 16;

/**
 * What these names may be.
 *
 * @type {Record<string, string[]>}
 */
export const CHOICES = {
  kind: ["server", "client", "producer", "consumer", "internal", "unspecified"],
  status: ["error", "ok", "unset"],
  root: ["true", "false"],
};
const DURATION = /^(?:0|(?:\d+|\d+\.\d+)(?:ns|us|ms|s|m|h))$/;
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

const nothing = () => spanFilter(new URLSearchParams());

/** The filters of a text. Throws QueryError. @param {string} text @returns {Filters} */
export function parse(text) {
  return filtersOf(read(text));
}

/** The text of filters. @param {Filters} filters */
export function format(filters) {
  return termsOf(filters).map(write).join(" ");
}

/** What spans must not meet, each as a term without its minus. Throws QueryError. @param {string} text */
export function parseExcluded(text) {
  const terms = read(text);
  const negated = terms.find((term) => term.isNegated);
  if (negated) throw refused(negated, "everything here is excluded: leave the minus out");
  return filtersOf(terms.map((term) => ({ ...term, isNegated: true }))).span.not;
}

/** @param {SpanFilter[]} not */
export function formatExcluded(not) {
  const terms = termsOfSpan({ ...nothing(), not });
  return terms.map((term) => write({ ...term, isNegated: false })).join(" ");
}

/** Throws QueryError. @param {Term[]} terms @returns {Filters} */
export function filtersOf(terms) {
  /** @type {Filters} */
  const filters = { span: nothing(), others: [], min_trace_duration: "", max_trace_duration: "" };
  for (const term of terms) {
    if (term.type === "condition" && term.scope === "trace") traceDuration(filters, term);
    else if (term.type === "group" && !term.isNegated) {
      if (filters.others.length === MAX_OTHERS) throw refused(term, `at most ${MAX_OTHERS} groups`);
      const other = nothing();
      for (const inner of term.terms) add(other, inner);
      if (isEmpty(other)) throw refused(term, "expected a condition within { }");
      filters.others.push(other);
    } else add(filters.span, term);
  }
  return filters;
}

/** @param {SpanFilter} filter @param {Term} term */
function add(filter, term) {
  if (term.isNegated) return exclude(filter, term);
  if (term.type === "group") throw refused(term, "a group stands in no group");
  if (term.type === "text") {
    if (filter.text) throw refused(term, 'a text is there already; words that belong together stand in quotes: "not found"');
    if (!term.value) throw refused(term, "expected a text within the quotes");
    filter.text = term.value;
    return;
  }
  if (term.scope === "trace") throw refused(term, "a condition on the whole trace stands outside of { } and without -");
  if (term.isKey) return attribute(filter, term);
  CHECKED[term.name](filter, term);
}

/** @param {SpanFilter} filter @param {Term} term */
function exclude(filter, term) {
  if (filter.not.length === MAX_EXCLUDED) throw refused(term, `at most ${MAX_EXCLUDED} exclusions`);
  const excluded = nothing();
  const inner = term.type === "group" ? term.terms : [{ ...term, isNegated: false }];
  for (const one of inner) {
    if (one.isNegated) throw refused(one, "a condition is turned round only once");
    add(excluded, one);
  }
  // What is turned round by != was excluded within.
  if (excluded.not.length) throw refused(term, "a condition is turned round only once");
  if (isEmpty(excluded)) throw refused(term, "expected a condition within { }");
  filter.not.push(excluded);
}

/** @type {Record<string, (filter: SpanFilter, term: Condition) => void>} */
const CHECKED = {
  service: named,
  operation: named,
  kind: chosen,
  status: chosen,
  root: chosen,
  duration: (filter, term) => bound(filter, term, "min_duration", "max_duration"),
};

/** @param {SpanFilter} filter @param {Condition} term */
function named(filter, term) {
  const { name, operator, value } = term;
  if (operator === "!=") return exclude(filter, { ...term, isNegated: true, operator: "=" });
  if (operator !== "=" || !value) throw refused(term, `expected ${name}: or ${name}!= and a name`);
  if (filter[name]) throw refused(term, `a condition on ${name} is there already`);
  filter[name] = value;
}

/** @param {SpanFilter} filter @param {Condition} term */
function chosen(filter, term) {
  const { name, operator, value } = term;
  const choices = CHOICES[name];
  if (operator !== "=" && operator !== "!=") throw refused(term, `expected ${name}: or ${name}!= and one of ${choices.join(", ")}`);
  if (!choices.includes(value)) throw wrongValue(term, `expected one of ${choices.join(", ")}`);
  named(filter, term);
}

/** @param {Filters} filters @param {Condition} term */
function traceDuration(filters, term) {
  if (term.name !== "duration") throw refused(term, `expected trace:duration, found \`trace:${term.name}\``);
  if (term.isNegated) throw refused(term, "trace:duration is not turned round: turn the comparison");
  bound(filters, term, "min_trace_duration", "max_trace_duration");
}

/**
 * Both ends are included, whatever the operator: durations are exact to the nanosecond.
 *
 * @param {{[name: string]: any}} filter
 * @param {Condition} term
 * @param {string} least
 * @param {string} most
 */
function bound(filter, term, least, most) {
  const { operator, value } = term;
  if (![">", ">=", "<", "<="].includes(operator)) throw refused(term, "expected > or < and a duration such as 1.5ms or 2s");
  const normal = value.replace("µs", "us");
  if (!DURATION.test(normal)) throw wrongValue(term, "expected a duration such as 250us, 1.5ms, 2s or 1m");
  const end = operator.startsWith(">") ? least : most;
  if (filter[end]) throw refused(term, `a bound of this side is there already`);
  filter[end] = normal;
}

/** @param {SpanFilter} filter @param {Condition} term */
function attribute(filter, term) {
  const { scope, name, operator, value } = term;
  if (filter.attr.length === MAX_ATTRIBUTES) throw refused(term, `at most ${MAX_ATTRIBUTES} conditions on attributes`);
  if (/[<>]/.test(operator) && !NUMBER.test(value.trim())) throw wrongValue(term, `expected a number after ${operator}`);
  filter.attr.push(writeCondition({ scope, key: name, operator, value }));
}

/** @param {Term} term @param {string} message */
function refused(term, message) {
  const { from, to } = term.place ?? { from: 0, to: 0 };
  return new QueryError(message, from, to);
}

/** @param {Condition} term @param {string} message */
function wrongValue(term, message) {
  const { from, to } = term.valuePlace ?? term.place ?? { from: 0, to: 0 };
  return new QueryError(`${message}, found \`${term.value}\``, from, to);
}

/** @param {Filters} filters @returns {Term[]} */
export function termsOf(filters) {
  const { span, others, min_trace_duration: least, max_trace_duration: most } = filters;
  /** @type {Term[]} */
  const groups = others
    .filter((other) => !isEmpty(other))
    .map((other) => ({ type: "group", isNegated: false, terms: termsOfSpan(other) }));
  return [...termsOfSpan(span), ...bounds("trace", least, most), ...groups];
}

/** @param {SpanFilter} filter @returns {Term[]} */
function termsOfSpan(filter) {
  const named = SPAN_FIELDS.filter((name) => filter[name] && name !== "text" && !name.endsWith("_duration"));
  /** @type {Term[]} */
  const text = filter.text ? [{ type: "text", isNegated: false, value: filter.text }] : [];
  const excluded = filter.not.map((not) => {
    const terms = termsOfSpan(not);
    return terms.length === 1 ? { ...terms[0], isNegated: true } : { type: /** @type {const} */ ("group"), isNegated: true, terms };
  });
  return [
    ...named.map((name) => condition("", name, "=", filter[name])),
    ...bounds("", filter.min_duration, filter.max_duration),
    ...filter.attr.map(ofAttribute),
    ...text,
    ...excluded,
  ];
}

/** @param {string} scope @param {string} least @param {string} most @returns {Condition[]} */
function bounds(scope, least, most) {
  const ends = [];
  if (least) ends.push(condition(scope, "duration", ">=", least));
  if (most) ends.push(condition(scope, "duration", "<=", most));
  return ends;
}

/** @param {string} scope @param {string} name @param {string} operator @param {string} value @returns {Condition} */
function condition(scope, name, operator, value) {
  return { type: "condition", isNegated: false, scope, name, isKey: false, operator, value };
}

/** What the API would not read stands as a key, so that it can be seen and taken out. @param {string} text @returns {Condition} */
function ofAttribute(text) {
  const { scope, key, operator, value } = readCondition(text) ?? { scope: "", key: text, operator: "", value: "" };
  return { type: "condition", isNegated: false, scope, name: key, isKey: true, operator, value };
}
