// @ts-check
// A typed query as terms, and terms as text. Pure; docs/viewer-query.md has the grammar.
//
// This is only the form: what a name or a value may be is said in filters.js.

import { QueryError } from "./error.js";

/**
 * @typedef {{from: number, to: number}} Place
 * @typedef {{type: "condition", isNegated: boolean, scope: string, name: string, isKey: boolean, operator: string, value: string,
 *   place?: Place, namePlace?: Place, valuePlace?: Place}} Condition
 *   `isKey`: the name is that of an attribute, whatever it is called. The operator "" asks only whether it is there.
 * @typedef {{type: "text", isNegated: boolean, value: string, place?: Place}} Words
 * @typedef {{type: "group", isNegated: boolean, terms: Term[], place?: Place}} Group
 * @typedef {Condition | Words | Group} Term
 */

/** Names that begin a condition on something else than an attribute. */
export const FIELDS = ["service", "operation", "kind", "status", "root", "duration"];
export const SCOPES = ["span", "resource", "event", "link", "trace"];
const OPERATORS = ["!=", ">=", "<=", ">", "<", "~", ":", "="];
const NAME_END = /[\s"{}:=!~<>]/;
/** @type {Record<string, string>} */
const CONNECTIVES = {
  AND: "all conditions must hold: leave AND out",
  OR: "there is no OR: a value of several can be asked for one at a time",
  NOT: "write - before a condition to turn it round",
};

/**
 * The terms of a text. Throws QueryError.
 *
 * @param {string} text
 * @returns {Term[]}
 */
export function read(text) {
  let at = 0;

  const rest = () => text.slice(at);
  const found = (from = at) => (from < text.length ? `\`${text.slice(from).split(/\s/)[0].slice(0, 20) || text[from]}\`` : "the end");
  const skip = () => {
    while (at < text.length && /\s/.test(text[at])) at += 1;
  };

  /** Text in double quotes, in which `\"` and `\\` stand for a quote and a backslash. */
  function quoted() {
    const from = at;
    let value = "";
    for (at += 1; at < text.length; at += 1) {
      if (text[at] === '"') {
        at += 1;
        return value;
      }
      if (text[at] === "\\") {
        at += 1;
        if (text[at] !== '"' && text[at] !== "\\") throw new QueryError('within quotes only \\" and \\\\ are escaped', at - 1, at + 1);
      }
      value += text[at];
    }
    throw new QueryError("expected a closing quote, found the end", from, text.length);
  }

  function bareName() {
    const from = at;
    while (at < text.length && !NAME_END.test(text[at])) at += 1;
    return text.slice(from, at);
  }

  /** Up to a space, a quote, or a brace that closes what was not opened within. */
  function bareValue() {
    const from = at;
    for (let depth = 0; at < text.length && !/[\s"]/.test(text[at]); at += 1) {
      if (text[at] === "{") depth += 1;
      if (text[at] === "}" && (depth -= 1) < 0) break;
    }
    return text.slice(from, at);
  }

  function name() {
    return text[at] === '"' ? { isQuoted: true, name: quoted() } : { isQuoted: false, name: bareName() };
  }

  /** @param {boolean} isNegated @param {number} start @returns {Condition | Words} */
  function condition(isNegated, start) {
    const nameFrom = at;
    let { isQuoted, name: called } = name();
    let scope = "";
    if (!isQuoted && text[at] === ":" && SCOPES.includes(called)) {
      scope = called;
      at += 1;
      const keyFrom = at;
      ({ isQuoted, name: called } = name());
      if (!called) throw new QueryError(`expected a key after \`${scope}:\`, found ${found()}`, keyFrom);
      if (!OPERATORS.some((sign) => rest().startsWith(sign)))
        throw new QueryError(
          `expected : != ~ > >= < or <= after \`${scope}:${called}\`, found ${found()}; an attribute called ${scope} is written "${scope}"`,
          at,
        );
    }
    const namePlace = { from: nameFrom, to: at };
    const sign = OPERATORS.find((one) => rest().startsWith(one));
    if (!sign) {
      if (!isQuoted && text[at] === "!") throw new QueryError(`expected != , found ${found()}`, at);
      if (!isQuoted && !called) throw new QueryError(`expected a condition or a text, found ${found()}`, at);
      if (!isQuoted && called in CONNECTIVES) throw new QueryError(CONNECTIVES[called], nameFrom, at);
      return { type: "text", isNegated, value: called, place: { from: start, to: at } };
    }
    if (!called) throw new QueryError(`expected a name before \`${sign}\``, nameFrom);
    at += sign.length;
    const valuePlace = { from: at, to: at };
    const isBare = text[at] !== '"';
    const value = isBare ? bareValue() : quoted();
    if (isBare && !value) throw new QueryError(`expected a value after \`${sign}\`, found ${found()}; nothing is written ""`, at);
    valuePlace.to = at;
    if (isBare && text[at] === '"') throw new QueryError("expected a space before the quote", at);
    const isThere = isBare && value === "*" && (sign === ":" || sign === "=");
    return {
      type: "condition",
      isNegated,
      scope,
      name: called,
      isKey: isQuoted || (scope === "" ? !FIELDS.includes(called) : scope !== "trace"),
      operator: isThere ? "" : sign === ":" ? "=" : sign,
      value: isThere ? "" : value,
      place: { from: start, to: at },
      namePlace,
      valuePlace,
    };
  }

  /** @param {boolean} isWithin @returns {Term[]} */
  function terms(isWithin) {
    /** @type {Term[]} */
    const list = [];
    let isBare = false;
    for (skip(); at < text.length && !(isWithin && text[at] === "}"); skip()) {
      const start = at;
      const isNegated = text[at] === "-";
      if (isNegated) at += 1;
      const isWord = !isNegated && text[at] !== '"';
      if (text[at] === "{") {
        if (isWithin && !isNegated) throw new QueryError("a group stands in no group", at);
        at += 1;
        const inner = terms(true);
        if (text[at] !== "}") throw new QueryError("expected } at the end of the group, found the end", start, text.length);
        at += 1;
        list.push({ type: "group", isNegated, terms: inner, place: { from: start, to: at } });
        isBare = false;
        continue;
      }
      if (text[at] === "}") throw new QueryError("expected a condition, found } without {", at);
      const term = condition(isNegated, start);
      const last = list.at(-1);
      // Words beside each other are one text.
      if (term.type === "text" && isWord && isBare && last?.type === "text") {
        last.value += ` ${term.value}`;
        last.place = { from: last.place?.from ?? start, to: at };
      } else list.push(term);
      isBare = term.type === "text" && isWord;
    }
    return list;
  }

  return terms(false);
}

/** @param {string} text */
const quote = (text) => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;

/** The text of a term. @param {Term} term @returns {string} */
export function write(term) {
  const sign = term.isNegated ? "-" : "";
  if (term.type === "text") return sign + quote(term.value);
  if (term.type === "group") return `${sign}{${term.terms.map(write).join(" ")}}`;
  const { scope, name, isKey, operator, value } = term;
  const isPlain =
    name !== "" && !NAME_END.test(name) && !name.startsWith("-") && (!isKey || scope || !(FIELDS.includes(name) || SCOPES.includes(name)));
  const called = `${scope ? `${scope}:` : ""}${isPlain ? name : quote(name)}`;
  if (operator === "") return `${sign}${called}:*`;
  return `${sign}${called}${operator === "=" ? ":" : operator}${/^[^\s"{}*]+$/.test(value) ? value : quote(value)}`;
}
