// @ts-check
// The spans of a search grouped by a field: how many, how many failed, how long they took, and a trace of each.

import { get } from "../kit/api.js";
import { clear, h } from "../kit/dom.js";
import { exampleLinks } from "../kit/figures.js";
import { count, counted, duration, percent, visibleText } from "../kit/format.js";
import { setState, state as addressState } from "../kit/router.js";
import { empty } from "../kit/state-box.js";
import { write } from "./condition.js";
import { SPAN_FIELDS } from "./query.js";

/** @typedef {import("../kit/api-types").Grouping} Grouping */

const USUAL = "message";
/** @type {[string, string][]} */
const WORDS = [
  ["message", "status message"],
  ["service", "service"],
  ["operation", "name of the span"],
  ["kind", "kind"],
  ["status", "status"],
];

/**
 * What a search is narrowed by to have only spans of this value.
 *
 * @param {string} field
 * @param {string} value
 * @param {string[]} attributes
 * @returns {Record<string, any>}
 */
export function narrowed(field, value, attributes) {
  if (field === "message") return { text: value, status: "error" };
  if (WORDS.some(([word]) => word === field)) return { [field]: value };
  const [, scope = "", key] = /^(?:(span|resource):)?(.*)$/s.exec(field) ?? ["", "", field];
  return { attr: [...attributes, write({ scope, key, operator: "=", value })] };
}

/**
 * Answers `{node, load(params, signal)}`; `onChange(params)` narrows the search, `onBy()` after another field was chosen.
 *
 * @param {{onChange: (params: object) => void, onBy: () => void}} options
 */
export function groups({ onChange, onBy }) {
  const keys = h("datalist", { id: "group-keys" });
  const by = h("input", {
    name: "by",
    list: "group-keys",
    "aria-label": "Group by",
    autocomplete: "off",
    spellcheck: "false",
  });
  const order = h(
    "select",
    { "aria-label": "Order of the groups" },
    [
      ["count", "most spans"],
      ["errors", "most errors"],
      ["p95", "slowest"],
    ].map(([value, label]) => h("option", { value }, label)),
  );
  const form = h(
    "form",
    { class: "overview-form", "aria-label": "Groups" },
    h("label", {}, "Group by", by),
    h("label", {}, "first", order),
    h("button", { type: "submit" }, "Group"),
    keys,
  );
  const answer = h("div", {});
  const node = h("div", { class: "groups" }, form, answer);
  let hasKeys = false;

  /** @param {Event} [event] */
  function choose(event) {
    event?.preventDefault();
    setState({ by: by.value.trim() === USUAL ? "" : by.value.trim(), group_order: order.value === "count" ? "" : order.value });
    onBy();
  }
  form.addEventListener("submit", choose);
  order.addEventListener("change", () => choose());

  /** @param {Record<string, any>} params @param {AbortSignal} signal */
  async function load(params, signal) {
    by.value = addressState().get("by") || USUAL;
    order.value = addressState().get("group_order") || "count";
    const asked = { ...params, by: by.value, order: order.value, limit: 50 };
    const found = await get("/groups", asked, { signal });
    show(found, params.attr ?? []);
    if (isOfAll(params)) answer.append(onlyRoots());
    if (!hasKeys) await completeKeys(signal);
  }

  function onlyRoots() {
    const button = h("button", { type: "button", class: "textual", on: { click: () => onChange({ root: "true" }) } }, "Only root spans");
    return h("p", { class: "muted foot-note" }, "Spans of every kind are grouped. ", button);
  }

  /** @param {AbortSignal} signal */
  async function completeKeys(signal) {
    const { names } = await get("/names/keys", { limit: 200 }, { signal });
    const options = [...WORDS, ...names.map((name) => [name, "attribute"])];
    clear(
      keys,
      options.map(([value, label]) => h("option", { value, label: visibleText(label) })),
    );
    hasKeys = true;
  }

  /** @param {Grouping} found @param {string[]} attributes */
  function show(found, attributes) {
    if (!found.groups.length) {
      clear(answer, empty("No span has this", `${counted(found.spans, "span")} met the conditions.`));
      return;
    }
    /** @param {Grouping["groups"][number]} group */
    const cells = (group) => [
      h("td", { class: "num" }, count(group.spans)),
      h("td", { class: "num" }, percent(group.share)),
      h("td", { class: group.errors ? "num bad" : "num muted" }, percent(group.errors / group.spans)),
      h("td", { class: "num" }, duration(group.p50)),
      h("td", { class: "num" }, duration(group.p95)),
      h("td", {}, exampleLinks(group.examples)),
    ];
    /** @param {Grouping["groups"][number]} group */
    const row = (group) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, valueButton(found.by, group.value, attributes, onChange)),
        cells(group),
      );
    const head = [visibleText(found.by), "Spans", "Share", "Errors", "p50", "p95", "Example traces"];
    clear(
      answer,
      h(
        "div",
        { class: "table-box", tabindex: "0", role: "region", "aria-label": "Groups" },
        h(
          "table",
          { class: "table" },
          h("thead", {}, h("tr", {}, head.map((label, at) => h("th", { scope: "col", class: at && at < 6 ? "num" : "" }, label)))),
          h("tbody", {}, found.groups.map(row)),
        ),
      ),
      h("p", { class: "muted foot-note" }, said(found)),
    );
  }

  return { node, load };
}

/**
 * Whether no condition says which spans.
 *
 * @param {Record<string, any>} params
 */
function isOfAll(params) {
  return [...SPAN_FIELDS, "attr", "not"].every((name) => !params[name]?.length);
}

/** @param {Grouping} found */
function said({ spans, values, groups: listed, without, others, scanned_to: scanned }) {
  const parts = [`${counted(spans, "span")}, ${counted(values, "different value")}.`];
  if (values > listed.length) parts.push(`${count(others)} of other values.`);
  if (without) parts.push(`${count(without)} without.`);
  if (scanned) parts.push("Older spans were not looked at.");
  return parts.join(" ");
}

/**
 * A value that narrows the search to it.
 *
 * @param {string} field
 * @param {string} value
 * @param {string[]} attributes
 * @param {(params: object) => void} onChange
 */
export function valueButton(field, value, attributes, onChange) {
  const text = visibleText(value) || "(empty)";
  return h(
    "button",
    {
      type: "button",
      class: "textual elide group-value",
      title: `Search only these: ${text}`,
      on: { click: () => onChange({ ...narrowed(field, value, attributes), look: "" }) },
    },
    h("bdi", {}, text),
  );
}
