// @ts-check
// Asks for how long and why nobody is to be told of an alert.

import { messageOf, post } from "../kit/api.js";
import { openDialog } from "../kit/dialog.js";
import { h } from "../kit/dom.js";
import { visibleText } from "../kit/format.js";

/** @type {[string, string][]} */
const LENGTHS = [
  ["30m", "30 minutes"],
  ["2h", "2 hours"],
  ["8h", "8 hours"],
  ["24h", "a day"],
  ["168h", "a week"],
];

/**
 * Opens the dialog; `done()` is called once the silence has begun.
 *
 * @param {import("../kit/api-types").AlertLine} alert
 * @param {() => void} done
 */
export function askForSilence(alert, done) {
  const length = h(
    "select",
    { name: "for", "aria-label": "For how long" },
    LENGTHS.map(([value, label]) => h("option", { value, selected: value === "2h" }, label)),
  );
  const reason = h("input", { name: "reason", required: true, maxlength: 400, autocomplete: "off" });
  const all = h("input", { type: "checkbox", name: "all" });
  const problem = h("p", { class: "field-error", role: "alert", hidden: true });
  const form = h(
    "form",
    { class: "silence-form" },
    h("p", {}, h("b", {}, visibleText(alert.rule)), ": nobody is told while the silence lasts. The alert stays on this page."),
    h("label", { class: "field" }, "For", length),
    h("label", { class: "field" }, "Reason, for others to read", reason),
    h("label", { class: "silence-all" }, all, "Every alert of this rule, not only of this place"),
    problem,
    h("button", { type: "submit", class: "primary" }, "Silence"),
  );
  const dialog = openDialog({ title: "Silence", body: form });
  reason.focus();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { service, operation, span_kind, edge_from, edge_to } = alert.labels;
    const here = { service, operation, span_kind, edge_from, edge_to };
    const labels = Object.fromEntries(Object.entries(here).filter(([, value]) => value !== undefined));
    try {
      await post("/silences", {
        rule: alert.rule,
        labels: all.checked ? {} : labels,
        reason: reason.value,
        for: length.value,
      });
      dialog.close();
      await dialog.closed;
      done();
    } catch (error) {
      problem.hidden = false;
      problem.textContent = messageOf(error);
    }
  });
}
