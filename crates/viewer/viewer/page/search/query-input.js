// @ts-check
// A line in which a query, or one condition of it, is typed: completed from the store, checked when it is entered.

import { get } from "../kit/api.js";
import { completing } from "../kit/complete.js";
import { clear, h } from "../kit/dom.js";
import { visibleText } from "../kit/format.js";
import { FIELD_NAMES, KEY_SCOPES, choicesOf, isKey, keyText, unfinished, valueText } from "./language/completion.js";
import { QueryError } from "./language/error.js";
import { parse } from "./language/filters.js";

const SHOWN = 50;

/**
 * `onEnter(filters, text)` is called with what was entered and can be read; `onValue()` when a value was chosen from the list;
 * `context()` answers the whole query as far as it is known; `past()` answers earlier queries.
 *
 * Answers `{node, input, problem, enter(), showError(error), clearError()}`; `problem` stands where the caller puts it.
 *
 * @param {{label: string, placeholder?: string, onEnter: (filters: import("./query.js").Filters, text: string) => void,
 *   onValue?: () => void, context?: () => import("./query.js").Filters | null, past?: () => string[]}} options
 */
export function queryInput({ label, placeholder = "", onEnter, onValue, context = () => null, past = () => [] }) {
  const input = h("input", { type: "text", class: "query-input", placeholder, "aria-label": label });
  const problem = h("p", { class: "query-problem field-error", role: "alert", hidden: true });

  /** @param {string} _ @param {AbortSignal} signal */
  async function suggestions(_, signal) {
    const text = input.value;
    if (!text.trim() && past().length) {
      const earlier = past().map((query) => ({ name: query, hint: "earlier", insert: query, isWhole: true }));
      return { names: [...earlier.slice(0, 8), ...fieldsLike("")], is_partial: false };
    }
    const { part, scope, name } = unfinished(text, input.selectionStart ?? text.length);
    if (name === null) return names(scope, part, signal);
    return values(scope, name, part, signal);
  }

  /** @param {string} scope @param {string} part @param {AbortSignal} signal */
  async function names(scope, part, signal) {
    const asked = KEY_SCOPES.includes(scope) ? scope : "";
    const keys = scope === "trace" ? { names: [], is_partial: false } : await get("/names/keys", { scope: asked, part, limit: SHOWN }, { signal });
    const found = keys.names.map((key) => ({ name: asked ? `${asked}:${key}` : key, hint: "attribute", insert: keyText(asked, key) }));
    return { names: [...(asked ? [] : fieldsLike(part)), ...found], is_partial: keys.is_partial };
  }

  /** @param {string} scope @param {string} name @param {string} part @param {AbortSignal} signal */
  async function values(scope, name, part, signal) {
    /** @param {string} value */
    const entry = (value) => ({ name: value, insert: valueText(value), isValue: true });
    if (isKey(scope, name)) {
      const found = await get("/names/values", { scope, key: name, part, limit: SHOWN }, { signal });
      const any = part ? [] : [{ name: "*", hint: "any value", insert: "*", isValue: true }];
      return { names: [...any, ...found.names.map(entry)], is_partial: found.is_partial };
    }
    const choices = choicesOf(name);
    if (choices) return { names: choices.filter((choice) => choice.startsWith(part)).map(entry), is_partial: false };
    if (name === "service") {
      const found = await get("/names/services", { part, limit: SHOWN }, { signal });
      return { names: found.names.map(entry), is_partial: found.is_partial };
    }
    if (name === "operation") {
      const found = await get("/names/operations", { service: serviceOf(), part, limit: SHOWN }, { signal });
      const distinct = new Map(found.names.map((one) => [one.name, { ...entry(one.name), hint: one.kind }]));
      return { names: [...distinct.values()], is_partial: found.is_partial };
    }
    return { names: [], is_partial: false };
  }

  function serviceOf() {
    const typed = /(?:^|[\s{])service:("(?:[^"\\]|\\.)*"|\S+)/.exec(input.value)?.[1] ?? "";
    return typed.replace(/^"|"$/g, "") || context()?.span.service || "";
  }

  /**
   * Puts what was chosen in the place of what was begun; answers whether suggestions go on.
   *
   * @param {import("../kit/complete.js").Entry} entry
   */
  function put(entry) {
    clearError();
    if (entry.isWhole) {
      input.value = entry.insert;
      enter();
      return false;
    }
    const { from, to } = unfinished(input.value, input.selectionStart ?? input.value.length);
    const text = entry.isValue && !onValue && to === input.value.length ? `${entry.insert} ` : entry.insert;
    input.setRangeText(text, from, to, "end");
    if (entry.isValue) onValue?.();
    return !entry.isValue;
  }

  const box = completing(input, suggestions, { put });
  input.addEventListener("input", clearError);

  function enter() {
    try {
      const text = input.value;
      onEnter(parse(text), text);
    } catch (error) {
      if (!(error instanceof QueryError)) throw error;
      showError(error);
    }
  }

  /** @param {QueryError} error */
  function showError(error) {
    const text = input.value;
    problem.hidden = false;
    input.setAttribute("aria-invalid", "true");
    clear(
      problem,
      `Column ${error.column}: ${visibleText(error.message)} `,
      h("code", {}, visibleText(text.slice(0, error.from)), h("mark", {}, visibleText(text.slice(error.from, error.to)) || "\u00a0"), visibleText(text.slice(error.to))),
    );
    input.focus();
    input.setSelectionRange(Math.min(error.from, text.length), Math.min(error.to, text.length));
  }

  function clearError() {
    problem.hidden = true;
    input.removeAttribute("aria-invalid");
  }

  return { node: box, input, problem, enter, showError, clearError };
}

/** @param {string} part */
function fieldsLike(part) {
  const wanted = part.toLowerCase();
  return FIELD_NAMES.filter(({ name }) => name.includes(wanted)).map((field) => ({ ...field, hint: "field" }));
}
