// @ts-check
// All conditions of a search: of one span, of other spans of the same trace, of the whole trace.

import { all, clear, h, icon } from "../kit/dom.js";
import { QueryError } from "./language/error.js";
import { MAX_OTHERS, isEmpty, spanFilter } from "./query.js";
import { between, spanForm } from "./span-form.js";

/**
 * @typedef {import("./query.js").Filters} Filters
 * @typedef {import("./query.js").SpanFilter} SpanFilter
 * @typedef {ReturnType<typeof spanForm> & {node: HTMLElement}} Group
 */

/**
 * Answers `{node, set(state), showError(error), focusText}`; `onApply(filters)` is called after each change.
 *
 * @param {{onApply: (filters: Filters) => void}} options
 */
export function filterForm({ onApply }) {
  const apply = () => {
    clearErrors();
    try {
      onApply({
        span: span.get(),
        others: others.map((form) => form.get()),
        min_trace_duration: trace.from.value.trim(),
        max_trace_duration: trace.to.value.trim(),
      });
    } catch (error) {
      if (!(error instanceof QueryError)) throw error;
      showError({ parameter: "not", message: `Column ${error.column}: ${error.message}` });
    }
  };
  const span = spanForm({ onChange: apply });
  const trace = between("Trace duration", "min_trace_duration", "max_trace_duration");
  /** @type {Group[]} */
  let others = [];

  const groups = h("div", { class: "other-groups", dataset: { parameter: "with" } });
  const adding = h(
    "button",
    { type: "button", on: { click: () => addGroup() } },
    icon("plus"),
    "Another span of the same trace…",
  );
  const problem = h("p", { class: "field-error", role: "alert", hidden: true });
  const clearing = h("button", { type: "button", on: { click: reset } }, "Clear");
  const form = h(
    "form",
    { class: "filter", "aria-label": "Conditions", novalidate: true },
    h("fieldset", {}, h("legend", { class: "group-title" }, "Where a span has"), span.nodes),
    groups,
    adding,
    h("fieldset", {}, h("legend", { class: "group-title" }, "The whole trace"), trace.node),
    problem,
    h(
      "div",
      { class: "filter-actions" },
      h("button", { type: "submit", class: "primary" }, icon("search"), "Search"),
      clearing,
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
  });
  form.addEventListener("change", apply);

  /** @param {SpanFilter} filter */
  function group(filter) {
    const form = spanForm({ onChange: apply });
    form.set(filter);
    const remove = h("button", { type: "button", class: "quiet", "aria-label": "Remove this group" }, icon("close"));
    const node = h(
      "fieldset",
      { class: "other-group" },
      h("legend", { class: "group-title" }, "and another span of the trace has"),
      remove,
      form.nodes,
    );
    /** @type {Group} */
    const other = { ...form, node };
    remove.addEventListener("click", () => {
      others = others.filter((one) => one !== other);
      draw();
      adding.focus();
      apply();
    });
    return other;
  }

  function addGroup() {
    const added = group(spanFilter(new URLSearchParams()));
    others = [...others, added];
    draw();
    added.node.querySelector("input")?.focus();
  }

  function draw() {
    clear(
      groups,
      others.map(({ node }) => node),
    );
    adding.disabled = others.length >= MAX_OTHERS;
  }

  function reset() {
    set({ span: spanFilter(new URLSearchParams()), others: [], min_trace_duration: "", max_trace_duration: "" });
    apply();
  }

  /** @param {Filters} state */
  function set(state) {
    clearErrors();
    span.set(state.span);
    trace.from.value = state.min_trace_duration;
    trace.to.value = state.max_trace_duration;
    // An unfinished group asks nothing and is not in the address; it stays until the reader removes it.
    const asked = others.map(askedBy).filter((filter) => filter && !isEmpty(filter));
    if (JSON.stringify(asked) !== JSON.stringify(state.others)) others = state.others.map(group);
    draw();
  }

  /**
   * What a group asks; null while that cannot be read.
   *
   * @param {Group} group
   */
  function askedBy(group) {
    try {
      return group.get();
    } catch {
      return null;
    }
  }

  function clearErrors() {
    problem.hidden = true;
    for (const node of form.querySelectorAll("[aria-invalid]")) {
      node.removeAttribute("aria-invalid");
      node.removeAttribute("aria-describedby");
    }
    for (const node of form.querySelectorAll(".field-error:not([role])")) node.remove();
  }

  /**
   * Marks the field that the API refused; answers whether there is one.
   *
   * @param {{parameter: string | null, message: string}} error
   */
  function showError({ parameter, message }) {
    clearErrors();
    const name = (parameter ?? "").split(/[.[ ]/)[0];
    const field = all(form, "[data-parameter]").find(
      (node) => name && node.dataset.parameter?.split(" ").includes(name),
    );
    if (!field) {
      problem.hidden = !parameter;
      problem.textContent = `${parameter}: ${message}`;
      return false;
    }
    const text = h("p", { class: "field-error", id: "field-error" }, message);
    field.append(text);
    const input = field.querySelector(`[name="${CSS.escape(name)}"]`) ?? field.querySelector("input");
    input?.setAttribute("aria-invalid", "true");
    input?.setAttribute("aria-describedby", text.id);
    return true;
  }

  return { node: form, set, showError, clearErrors, focusText: span.focusText };
}
