// @ts-check
// The conditions of a search, one chip each: a click edits it where it stands, the cross takes it out, "Filter" adds one.

import { clear, h, icon } from "../kit/dom.js";
import { visibleText } from "../kit/format.js";
import { QueryError } from "./language/error.js";
import { filtersOf, termsOf } from "./language/filters.js";
import { read, write } from "./language/terms.js";
import { queryInput } from "./query-input.js";

/** @typedef {import("./language/terms.js").Term} Term */

/** @type {Record<string, string>} */
const SIGNS = { "=": "=", "!=": "≠", "~": "contains", ">=": "≥", "<=": "≤", ">": ">", "<": "<", "": "exists" };

/** A condition in the signs that people read: "duration ≥ 1s". @param {Term} term @returns {string} */
export function words(term) {
  const sign = term.isNegated ? "not " : "";
  if (term.type === "text") return `${sign}text “${term.value}”`;
  if (term.type === "group") return `${sign}${term.isNegated ? "" : "another span: "}${term.terms.map(words).join(", ")}`;
  const name = `${term.scope ? `${term.scope}:` : ""}${term.name}`;
  return `${sign}${name} ${SIGNS[term.operator]}${term.operator ? ` ${term.value === "" ? "(empty)" : term.value}` : ""}`;
}

/**
 * Answers `{node, set(filters)}`; `onChange(filters)` after each change.
 *
 * @param {{onChange: (filters: import("./query.js").Filters) => void}} options
 */
export function conditionChips({ onChange }) {
  /** @type {import("./query.js").Filters | null} */
  let filters = null;
  /** @type {Term[]} */
  let terms = [];
  const list = h("ul", { class: "chips query-chips", "aria-label": "Conditions" });
  const problem = h("div", {});
  const adding = h("button", { type: "button", class: "chip add-filter", on: { click: () => edit(terms.length) } }, icon("plus"), "Filter");
  const node = h("div", { class: "query-chips-box" }, list, problem);

  function draw() {
    clear(problem);
    clear(
      list,
      terms.map((term, at) => chip(term, at)),
      h("li", {}, adding),
    );
  }

  /** @param {import("./language/terms.js").Term} term @param {number} at */
  function chip(term, at) {
    const label = visibleText(words(term));
    return h(
      "li",
      { class: `chip${term.isNegated ? " is-negated" : ""}` },
      h(
        "button",
        { type: "button", class: "textual elide", title: `Change: ${visibleText(write(term))}`, "aria-label": `Change: ${label}`, on: { click: () => edit(at) } },
        h("bdi", {}, label),
      ),
      h("button", { type: "button", class: "quiet", "aria-label": `Remove: ${label}`, on: { click: () => apply(terms.filter((_, n) => n !== at)) } }, icon("close")),
    );
  }

  /**
   * A line in the place of a chip, or at the end.
   *
   * @param {number} at
   */
  function edit(at) {
    draw();
    const line = queryInput({
      label: at < terms.length ? "Change the condition" : "Add a condition",
      placeholder: "service:… or a text",
      context: () => filters,
      onValue: () => line.enter(),
      onEnter: (_, text) => {
        try {
          apply([...terms.slice(0, at), ...read(text), ...terms.slice(at + 1)]);
        } catch (error) {
          if (!(error instanceof QueryError)) throw error;
          // It is right by itself: what is wrong is how it stands beside the others.
          line.showError(new QueryError(error.message, 0, Math.max(1, text.length)));
        }
      },
    });
    line.input.value = at < terms.length ? write(terms[at]) : "";
    const place = h("li", { class: "chip chip-edit" }, line.node);
    list.children[at].replaceWith(place);
    clear(problem, line.problem);
    line.input.addEventListener("keydown", (event) => {
      if (event.defaultPrevented) return;
      if (event.key === "Enter") {
        event.preventDefault();
        line.enter();
      } else if (event.key === "Escape") {
        draw();
        adding.focus();
      }
    });
    line.input.addEventListener("blur", () => {
      if (line.input.value.trim() === "" && at >= terms.length) draw();
    });
    line.input.focus();
    // The list of what can be asked opens with it.
    if (at < terms.length) line.input.select();
    else line.input.click();
  }

  /** @param {import("./language/terms.js").Term[]} changed */
  function apply(changed) {
    const next = filtersOf(changed);
    clear(list);
    onChange(next);
    adding.focus();
  }

  return {
    node,
    /** @param {import("./query.js").Filters} next */
    set(next) {
      filters = next;
      const changed = termsOf(next);
      // A line that is being written in stays as long as nothing else changes.
      if (list.firstChild && JSON.stringify(changed) === JSON.stringify(terms)) return;
      terms = changed;
      draw();
    },
  };
}
