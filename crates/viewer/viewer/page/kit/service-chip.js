// @ts-check
// A service by name and colour. The name is always there: colour alone says nothing.

import { h } from "./dom.js";
import { count, counted, visibleText } from "./format.js";
import { colorOf } from "./service-colors.js";

/**
 * `spans` and `errors`, when given: both in the title, errors beside the name.
 *
 * @param {string} name
 * @param {{spans?: number, errors?: number}} [counts]
 */
export function serviceChip(name, { spans, errors } = {}) {
  const text = visibleText(name) || "(no name)";
  const details = [
    text,
    spans == null ? null : counted(spans, "span"),
    errors ? counted(errors, "error") : null,
  ].filter(Boolean);
  return h(
    "span",
    { class: `chip service-chip svc-${colorOf(name)}${errors ? " has-errors" : ""}`, title: details.join(", ") },
    h("bdi", {}, text),
    errors
      ? h(
          "span",
          { class: "bad" },
          h("span", { "aria-hidden": true }, "✕"),
          count(errors),
          h("span", { class: "visually-hidden" }, " errors"),
        )
      : null,
  );
}
