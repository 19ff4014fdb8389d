// A service by name and colour. The name is always there: colour alone says nothing.

import { h } from "./dom.js";
import { count, counted, serviceColor, visibleText } from "./format.js";

/** `spans` and `errors`, when given: both in the title, errors beside the name. */
export function serviceChip(name, { spans, errors } = {}) {
  const text = visibleText(name) || "(no name)";
  const details = [
    text,
    spans == null ? null : counted(spans, "span"),
    errors ? counted(errors, "error") : null,
  ].filter(Boolean);
  return h(
    "span",
    { class: `chip service-chip svc-${serviceColor(name)}${errors ? " has-errors" : ""}`, title: details.join(", ") },
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
