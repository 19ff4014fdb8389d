// @ts-check
// What is being written at a place of a typed query, and the text of what was chosen for it. Pure.

import { CHOICES } from "./filters.js";
import { FIELDS, SCOPES, write } from "./terms.js";

/**
 * @typedef {{from: number, to: number, part: string, scope: string, name: string | null}} Unfinished
 *   What stands from `from` to `to` is replaced; `name` is that of the condition whose value is written, null while a name is.
 */

const TERM = /^(?:(span|resource|event|link|trace):)?("(?:[^"\\]|\\.)*"?|[^\s"{}:=!~<>]*)(!=|>=|<=|[:=~<>])?([^]*)$/;

/**
 * What the letters before `cursor` begin.
 *
 * @param {string} text
 * @param {number} cursor
 * @returns {Unfinished}
 */
export function unfinished(text, cursor) {
  const start = startOf(text, cursor);
  const [, scope = "", name, sign, rest] = /** @type {RegExpExecArray} */ (TERM.exec(text.slice(start, cursor)));
  const to = endOf(text, cursor);
  if (!sign) return { from: start, to, part: unquoted(name), scope, name: null };
  return { from: cursor - rest.length, to, part: unquoted(rest), scope, name: unquoted(name) };
}

/**
 * Where the condition begins in which the cursor stands, behind a minus.
 *
 * @param {string} text
 * @param {number} cursor
 */
function startOf(text, cursor) {
  let start = 0;
  let isQuoted = false;
  for (let at = 0; at < cursor; at += 1) {
    if (isQuoted) {
      if (text[at] === "\\") at += 1;
      else if (text[at] === '"') isQuoted = false;
    } else if (text[at] === '"') isQuoted = true;
    else if (/\s/.test(text[at]) || (at === start && /[-{]/.test(text[at]))) start = at + 1;
  }
  return start;
}

/** @param {string} text @param {number} cursor */
function endOf(text, cursor) {
  let at = cursor;
  while (at < text.length && !/[\s}]/.test(text[at])) at += 1;
  return at;
}

/** @param {string} text */
function unquoted(text) {
  return text.startsWith('"') ? text.replace(/^"|(?<!\\)"$/g, "").replace(/\\(["\\])/g, "$1") : text;
}

/** Names that stand for a field, with the operator that follows. */
export const FIELD_NAMES = [
  ...FIELDS.map((name) => ({ name, insert: `${name}${name === "duration" ? ">" : ":"}` })),
  { name: "trace:duration", insert: "trace:duration>" },
];

/**
 * The text that stands for a key, with an operator.
 *
 * @param {string} scope
 * @param {string} key
 */
export function keyText(scope, key) {
  const term = write({ type: "condition", isNegated: false, scope, name: key, isKey: true, operator: "", value: "" });
  return term.slice(0, -1);
}

/**
 * The text that stands for a value.
 *
 * @param {string} value
 */
export function valueText(value) {
  const term = write({ type: "condition", isNegated: false, scope: "", name: "k", isKey: true, operator: "=", value });
  return term.slice(2);
}

/**
 * What a field may be, where that is known. @returns {string[] | null}
 *
 * @param {string} name
 */
export function choicesOf(name) {
  return Object.hasOwn(CHOICES, name) ? CHOICES[name] : null;
}

/**
 * Whether a name stands for an attribute.
 *
 * @param {string} scope
 * @param {string} name
 */
export function isKey(scope, name) {
  return scope ? scope !== "trace" : !FIELDS.includes(name);
}

/** Those of the scopes of attributes. */
export const KEY_SCOPES = SCOPES.filter((scope) => scope !== "trace");
