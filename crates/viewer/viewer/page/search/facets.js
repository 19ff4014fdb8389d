// @ts-check
// Beside the list: the values that the matching spans have, with how many; a click narrows the search to one or leaves it out.

import { get, isAbort, messageOf } from "../kit/api.js";
import { completing } from "../kit/complete.js";
import { clear, h, icon } from "../kit/dom.js";
import { count, counted, percent, visibleText } from "../kit/format.js";
import { setState, state as addressState } from "../kit/router.js";
import { write } from "./condition.js";
import { filterParams, isEmpty, spanFilter, timeParams } from "./query.js";

/** @typedef {import("./query.js").Filters} Filters */
/** @typedef {import("./query.js").State} State */

const USUAL = ["service", "operation", "status", "http.response.status_code"];
/** @type {Record<string, string>} */
const LABELS = { service: "Service", operation: "Operation", kind: "Kind", status: "Status", message: "Status message", "http.response.status_code": "HTTP status" };
/** Fields that are no attributes. */
const FIELDS = ["service", "operation", "kind", "status"];

/**
 * The filter of a span that has this value; null where there is none.
 *
 * @param {string} by
 * @param {string} value
 */
export function filterOf(by, value) {
  const filter = spanFilter(new URLSearchParams());
  if (FIELDS.includes(by)) return { ...filter, [by]: value };
  if (by === "message") return { ...filter, text: value };
  const [, scope = "", key] = /^(?:(span|resource):)?(.*)$/s.exec(by) ?? ["", "", by];
  return { ...filter, attr: [write({ scope, key, operator: "=", value })] };
}

/**
 * The filters with the value asked for, or no more when it was. @param {import("./query.js").Filters} filters
 *
 * @param {Filters} filters
 * @param {string} by
 * @param {string} value
 * @returns {Filters}
 */
export function withValue(filters, by, value) {
  const { span } = filters;
  if (FIELDS.includes(by)) return { ...filters, span: { ...span, [by]: span[by] === value ? "" : value } };
  const wanted = filterOf(by, value);
  if (by === "message") return { ...filters, span: { ...span, text: span.text === value ? "" : value } };
  const [one] = wanted.attr;
  const attr = span.attr.includes(one) ? span.attr.filter((other) => other !== one) : [...span.attr, one];
  return { ...filters, span: { ...span, attr } };
}

/**
 * The filters with spans of the value left out. @param {import("./query.js").Filters} filters
 *
 * @param {Filters} filters
 * @param {string} by
 * @param {string} value
 * @returns {Filters}
 */
export function withoutValue(filters, by, value) {
  return { ...filters, span: { ...filters.span, not: [...filters.span.not, filterOf(by, value)] } };
}

/**
 * Answers `{node, load(state, signal), dispose}`; `onApply(filters)` after a value was chosen.
 *
 * @param {{onApply: (filters: Filters) => void}} options
 */
export function facets({ onApply }) {
  /** @type {State | null} */
  let state = null;
  let asked = new AbortController();
  const total = h("p", { class: "facet-total" });
  const lists = h("div", { class: "facet-lists" });
  const key = h("input", { type: "text", placeholder: "attribute", "aria-label": "Count the values of an attribute" });
  const keyBox = completing(key, (part, signal) => get("/names/keys", { part, limit: 50 }, { signal }));
  const adding = h("form", { class: "facet-add", "aria-label": "More counts" }, keyBox, h("button", { type: "submit", "aria-label": "Count it" }, icon("plus")));
  const box = h("details", { class: "facets" }, h("summary", {}, icon("table"), "Counts"), total, lists, adding);
  const wide = matchMedia("(min-width: 900px)");
  const fold = () => (box.open = wide.matches);
  wide.addEventListener("change", fold);
  fold();
  // Folded on a phone, they are counted when they are looked at.
  box.addEventListener("toggle", () => box.open && state && load(state));

  const chosen = () => addressState().getAll("facet");

  /** @param {string[]} list */
  function choose(list) {
    setState({ facet: list }, { replace: true });
    if (state) load(state);
  }
  const add = () => {
    const name = key.value.trim();
    key.value = "";
    if (name && ![...USUAL, ...chosen()].includes(name)) choose([...chosen(), name]);
  };
  adding.addEventListener("submit", (event) => {
    event.preventDefault();
    add();
  });
  key.addEventListener("change", () => document.activeElement === key && key.value && add());

  /** @param {State} next */
  async function load(next) {
    state = next;
    asked.abort();
    asked = new AbortController();
    if (!box.open) return;
    const by = [...USUAL, ...chosen()];
    try {
      const params = { ...filterParams(next), ...timeParams(next), by, limit: 8 };
      show(await get("/facets", params, { signal: asked.signal }), next);
    } catch (error) {
      if (isAbort(error)) return;
      clear(total, h("span", { class: "field-error" }, messageOf(error)));
      clear(lists);
    }
  }

  /** @param {import("../kit/api-types").Facets} found @param {State} state */
  function show(found, state) {
    clear(
      total,
      h("strong", {}, counted(found.spans, "span")),
      isEmpty(state.span) ? null : " matched",
      found.errors ? [", ", h("span", { class: "bad" }, `${count(found.errors)} failed`)] : null,
      found.scanned_to ? h("span", { class: "muted" }, " (older ones were not counted)") : null,
    );
    clear(
      lists,
      found.facets.filter((facet) => facet.values.length || chosen().includes(facet.by)).map((facet) => section(facet, state)),
    );
  }

  /** @param {import("../kit/api-types").Facet} facet @param {State} state */
  function section(facet, state) {
    const { by, values, distinct, others, without } = facet;
    const label = LABELS[by] ?? by;
    const isChosen = chosen().includes(by);
    const most = Math.max(1, ...values.map((one) => one.spans));
    const rest = [others ? `${count(distinct - values.length)} more values` : "", without ? `${count(without)} without` : ""].filter(Boolean);
    return h(
      "section",
      { class: "facet", "aria-label": label },
      h(
        "h3",
        { class: "elide", title: by },
        h("bdi", {}, visibleText(label)),
        isChosen
          ? h("button", { type: "button", class: "quiet", "aria-label": `No counts of ${visibleText(by)}`, on: { click: () => choose(chosen().filter((one) => one !== by)) } }, icon("close"))
          : null,
      ),
      h("ul", {}, values.map((one) => line(state, by, one, most))),
      rest.length ? h("p", { class: "muted" }, rest.join(", ")) : null,
    );
  }

  /** @param {State} state @param {string} by @param {import("../kit/api-types").FacetValue} found @param {number} most */
  function line(state, by, { value, spans, errors }, most) {
    const text = visibleText(value) || "(empty)";
    const wanted = filterOf(by, value);
    const isOn = FIELDS.includes(by) ? state.span[by] === value : wanted.attr.some((/** @type {string} */ one) => state.span.attr.includes(one));
    /** @param {number} part */
    const share = (part) => `${Math.max(part ? 2 : 0, Math.round((100 * part) / most))}%`;
    return h(
      "li",
      { class: "facet-line" },
      h("span", { class: "facet-bar", "aria-hidden": true, style: { width: share(spans) } }),
      h("span", { class: "facet-bar is-bad", "aria-hidden": true, style: { width: share(errors) } }),
      h(
        "button",
        {
          type: "button",
          class: "textual elide facet-value",
          "aria-pressed": isOn,
          title: `${isOn ? "No more only" : "Only"} ${text}${errors ? `; ${percent(errors / spans)} failed` : ""}`,
          on: { click: () => onApply(withValue(state, by, value)) },
        },
        h("bdi", {}, text),
      ),
      h("span", { class: "num muted" }, count(spans)),
      h(
        "button",
        { type: "button", class: "quiet facet-exclude", "aria-label": `Leave out ${text}`, title: `Leave out ${text}`, on: { click: () => onApply(withoutValue(state, by, value)) } },
        icon("minus"),
      ),
    );
  }

  return {
    node: box,
    load,
    dispose() {
      asked.abort();
      wide.removeEventListener("change", fold);
    },
  };
}
