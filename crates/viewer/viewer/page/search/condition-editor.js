// @ts-check
// Conditions on attributes: one chip each, and a line to add one, with completion of keys and values.

import { get } from "../kit/api.js";
import { completing } from "../kit/complete.js";
import { all, clear, h, icon } from "../kit/dom.js";
import { visibleText } from "../kit/format.js";
import { OPERATORS, SCOPES, read, words, write } from "./condition.js";

/** @param {string[]} choice */
const option = ([value, label]) => h("option", { value }, label);

/**
 * Answers `{node, get, set}` of a list of condition texts; `onChange` is called after each change by the reader.
 *
 * @param {{onChange: () => void}} options
 */
export function conditionEditor({ onChange }) {
  /** @type {string[]} */
  let conditions = [];
  const chips = h("ul", { class: "chips condition-chips", "aria-label": "Conditions on attributes" });
  const scope = h(
    "select",
    { "aria-label": "Where the attribute stands" },
    [["", "anywhere"], ...SCOPES.map((name) => [name, `on ${name}`])].map(option),
  );
  const key = h("input", { type: "text", placeholder: "key", "aria-label": "Attribute key" });
  const operator = h("select", { "aria-label": "How the value is compared" }, OPERATORS.map(option));
  const value = h("input", { type: "text", placeholder: "value", "aria-label": "Attribute value" });
  const adding = h("button", { type: "button", "aria-label": "Add this condition" }, icon("plus"), "Add");

  const keyBox = completing(key, (part, signal) => get("/names/keys", { scope: scope.value, part }, { signal }));
  const valueBox = completing(value, (part, signal) =>
    key.value
      ? get("/names/values", { scope: scope.value, key: key.value, part }, { signal })
      : Promise.resolve({ names: [], is_partial: false }),
  );

  function draw() {
    clear(
      chips,
      conditions.map((text, at) => {
        const label = visibleText(words(text));
        const edit = h(
          "button",
          {
            type: "button",
            class: "textual elide",
            title: label,
            "aria-label": `Change: ${label}`,
            on: { click: () => take(at) },
          },
          h("bdi", {}, label),
        );
        const remove = h(
          "button",
          { type: "button", class: "quiet", "aria-label": `Remove: ${label}`, on: { click: () => drop(at) } },
          icon("close"),
        );
        return h("li", { class: "chip" }, edit, remove);
      }),
    );
    chips.hidden = conditions.length === 0;
  }

  /** @param {number} at */
  function drop(at) {
    conditions = conditions.filter((_, n) => n !== at);
    draw();
    (all(chips, ".quiet")[at] ?? key).focus();
    onChange();
  }

  /**
   * Back into the line, to be changed.
   *
   * @param {number} at
   */
  function take(at) {
    const parts = read(conditions[at]);
    if (!parts) return;
    scope.value = parts.scope;
    key.value = parts.key;
    operator.value = parts.operator;
    value.value = parts.value;
    valueBox.hidden = operator.value === "";
    conditions = conditions.filter((_, n) => n !== at);
    draw();
    (operator.value ? value : key).focus();
  }

  function add() {
    if (!key.value.trim()) {
      key.focus();
      return;
    }
    const text = write({ scope: scope.value, key: key.value.trim(), operator: operator.value, value: value.value });
    if (!conditions.includes(text)) conditions = [...conditions, text];
    key.value = "";
    value.value = "";
    draw();
    key.focus();
    onChange();
  }

  adding.addEventListener("click", add);
  operator.addEventListener("change", () => (valueBox.hidden = operator.value === ""));
  const line = h(
    "div",
    { class: "condition-line", role: "group", "aria-label": "A condition on an attribute" },
    scope,
    keyBox,
    operator,
    valueBox,
    adding,
  );
  // The line is a draft: only adding it changes the search.
  line.addEventListener("change", (event) => event.stopPropagation());
  line.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.defaultPrevented || event.target === adding) return;
    event.preventDefault();
    if (event.target === key && operator.value && !value.value) value.focus();
    else add();
  });
  draw();
  return {
    node: h(
      "div",
      { class: "field conditions", dataset: { parameter: "attr" } },
      h("span", { class: "label" }, "Attributes"),
      chips,
      line,
    ),
    get: () => [...conditions],
    /** @param {string[]} list */
    set(list) {
      // Chips that stay the same keep the focus.
      if (JSON.stringify(list) === JSON.stringify(conditions)) return;
      conditions = [...list];
      draw();
    },
  };
}
