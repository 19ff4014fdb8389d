// @ts-check
// The query of a search in three forms that are always the same: typed, as chips, and as the form of all conditions.

import { h, icon } from "../kit/dom.js";
import { conditionChips } from "./chips.js";
import { filterForm } from "./form.js";
import { format } from "./language/filters.js";
import { queryInput } from "./query-input.js";
import { recentQueries, rememberQuery, savedSearches } from "./saved.js";

/**
 * Answers `{node, set(state), showError(error), clearError, focus}`; `onApply(filters)` is called after each change.
 *
 * @param {{onApply: (filters: import("./query.js").Filters) => void}} options
 */
export function queryBar({ onApply }) {
  /** @type {import("./query.js").Filters | null} */
  let filters = null;
  /** @param {import("./query.js").Filters} changed */
  const apply = (changed) => {
    rememberQuery(format(changed));
    onApply(changed);
  };
  const line = queryInput({
    label: "Query",
    placeholder: "service:api-gateway status:error duration>1s order.id:123 \"text\"",
    onEnter: apply,
    context: () => filters,
    past: recentQueries,
  });
  line.input.name = "query";
  const chips = conditionChips({ onChange: apply });
  const form = filterForm({ onApply: apply });
  const formBox = h("details", { class: "filter-box" }, h("summary", {}, icon("filter"), "All conditions"), form.node);
  const typed = h(
    "form",
    { class: "query-line", role: "search", "aria-label": "Query" },
    icon("search"),
    line.node,
    h("button", { type: "submit", class: "primary" }, "Search"),
    savedSearches({ usualName: () => (filters && format(filters)) || "All traces" }),
  );
  typed.addEventListener("submit", (event) => {
    event.preventDefault();
    line.enter();
  });
  const node = h("div", { class: "query-bar" }, typed, line.problem, h("div", { class: "query-below" }, chips.node, formBox));

  return {
    node,
    /** @param {import("./query.js").Filters} state */
    set(state) {
      filters = state;
      line.clearError();
      line.input.value = format(state);
      chips.set(state);
      form.set(state);
    },
    /** @param {{parameter: string | null, message: string}} error */
    showError(error) {
      const isMarked = form.showError(error);
      if (isMarked) formBox.open = true;
      return isMarked;
    },
    focus() {
      line.input.focus();
      line.input.select();
    },
  };
}
