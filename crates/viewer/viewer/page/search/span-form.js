// @ts-check
// The fields that ask something of one span.

import { get } from "../kit/api.js";
import { completing } from "../kit/complete.js";
import { h } from "../kit/dom.js";
import { conditionEditor } from "./condition-editor.js";
import { formatExcluded, parseExcluded } from "./language/filters.js";
import { SPAN_FIELDS } from "./query.js";

const KINDS = [
  ["", "any"],
  ["server", "server"],
  ["client", "client"],
  ["producer", "producer"],
  ["consumer", "consumer"],
  ["internal", "internal"],
  ["unspecified", "unspecified"],
];
const STATUSES = [
  ["", "any"],
  ["error", "error"],
  ["ok", "ok"],
  ["unset", "unset"],
];
const ROOTS = [
  ["", "any"],
  ["true", "only"],
  ["false", "without"],
];
let ids = 0;

/**
 * A control under its label; `parameter` is the API's name for it, by which its mistakes are found.
 *
 * @param {string} label
 * @param {HTMLElement} control
 * @param {any} [input]
 * @param {string} [parameter]
 */
export function labelled(label, control, input = control, parameter = input.name) {
  input.id ||= `field-${(ids += 1)}`;
  return h("div", { class: "field", dataset: { parameter } }, h("label", { for: input.id }, label), control);
}

/**
 * Two durations; both carry their own names.
 *
 * @param {string} label
 * @param {string} least
 * @param {string} most
 */
export function between(label, least, most) {
  /** @param {string} name @param {string} words */
  const input = (name, words) =>
    h("input", {
      type: "text",
      name,
      placeholder: words,
      "aria-label": `${label}, ${words}`,
      autocomplete: "off",
      spellcheck: "false",
      title: "A number with a unit: 250us, 1.5ms, 2s, 1m",
    });
  const [from, to] = [input(least, "at least"), input(most, "at most")];
  const node = h(
    "div",
    { class: "field", role: "group", "aria-label": label, dataset: { parameter: `${least} ${most}` } },
    h("span", { class: "label" }, label),
    h("div", { class: "pair" }, from, h("span", { "aria-hidden": true }, "–"), to),
  );
  return { node, from, to };
}

/** @param {string} name @param {string[][]} options */
function choice(name, options) {
  return h(
    "select",
    { name },
    options.map(([value, label]) => h("option", { value }, label)),
  );
}

/** @param {string} name @param {string} [placeholder] */
function field(name, placeholder = "") {
  return h("input", { type: "text", name, placeholder });
}

/**
 * Those of the names that fit what is typed.
 *
 * @param {Promise<import("../kit/api-types").NameList<string | import("../kit/api-types").OperationName>>} asked
 * @param {string} part
 */
async function fitting(asked, part) {
  const answer = await asked;
  const wanted = part.toLowerCase();
  const names = answer.names.map((entry) =>
    typeof entry === "string" ? { name: entry } : { name: entry.name, hint: entry.kind },
  );
  const found = names.filter(({ name }) => name.toLowerCase().includes(wanted));
  return { names: found.slice(0, 50), is_partial: answer.is_partial || found.length > 50 };
}

/**
 * Answers `{nodes, get, set}` of a span filter (query.js). `get` throws a QueryError when what is excluded cannot be read.
 *
 * @param {{onChange: () => void}} options
 */
export function spanForm({ onChange }) {
  /** @type {Record<string, HTMLInputElement | HTMLSelectElement>} */
  const controls = {
    service: field("service", "any"),
    operation: field("operation", "any"),
    kind: choice("kind", KINDS),
    status: choice("status", STATUSES),
    root: choice("root", ROOTS),
    text: h("input", {
      type: "search",
      name: "text",
      placeholder: "names, messages, values, logs",
      autocomplete: "off",
      spellcheck: "false",
    }),
  };
  const duration = between("Span duration", "min_duration", "max_duration");
  Object.assign(controls, { min_duration: duration.from, max_duration: duration.to });
  const attributes = conditionEditor({ onChange });
  const excluded = h("input", {
    type: "text",
    name: "not",
    placeholder: "http.route:/health {service:a status:ok}",
    title: "Conditions as in a typed query: a span that meets one of them is left out",
    autocomplete: "off",
    spellcheck: "false",
  });
  const serviceBox = completing(/** @type {HTMLInputElement} */ (controls.service), (part, signal) =>
    fitting(get("/names/services", { limit: 500 }, { signal }), part),
    { isStrict: true },
  );
  const operationBox = completing(/** @type {HTMLInputElement} */ (controls.operation), (part, signal) =>
    fitting(get("/names/operations", { service: controls.service.value, limit: 500 }, { signal }), part),
    { isStrict: true },
  );
  return {
    nodes: [
      labelled("Service", serviceBox, controls.service),
      labelled("Operation", operationBox, controls.operation),
      h(
        "div",
        { class: "thirds" },
        labelled("Kind", controls.kind),
        labelled("Status", controls.status),
        labelled("Root spans", controls.root),
      ),
      duration.node,
      labelled("Text", controls.text),
      attributes.node,
      labelled("But not", excluded),
    ],
    get() {
      /** @type {import("./query.js").SpanFilter} */
      const filter = { attr: attributes.get(), not: parseExcluded(excluded.value) };
      for (const name of SPAN_FIELDS) filter[name] = controls[name].value.trim();
      return filter;
    },
    /** @param {import("./query.js").SpanFilter} filter */
    set(filter) {
      for (const name of SPAN_FIELDS) controls[name].value = filter[name] ?? "";
      attributes.set(filter.attr);
      excluded.value = formatExcluded(filter.not);
    },
    focusText: () => controls.text.focus(),
  };
}
