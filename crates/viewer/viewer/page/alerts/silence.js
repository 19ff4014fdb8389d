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

/** Labels that say of what an alert is: without a choice a silence is of the rule and these. */
const OF_PLACE = ["service", "operation", "span_kind", "edge_from", "edge_to"];

/**
 * What alerts can have in common with this one, each with a box: its rule (no label) and its labels.
 *
 * @param {import("../kit/api-types").AlertLine} alert
 * @returns {{ label: string | null, value: string, text: string, box: HTMLInputElement }[]}
 */
function partsOf(alert) {
  /** @param {string} name @param {boolean} checked */
  const box = (name, checked) =>
    /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", name: "part", value: name, checked }));
  // The rule's name is the label `alertname` too.
  const labels = Object.entries(alert.labels).filter(([label]) => label !== "alertname");
  return [
    { label: null, value: alert.rule, text: `rule ${alert.rule}`, box: box("rule", true) },
    ...labels.map(([label, value]) => ({ label, value, text: `${label} ${value}`, box: box(label, OF_PLACE.includes(label)) })),
  ];
}

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
  const parts = partsOf(alert);
  const problem = h("p", { class: "field-error", role: "alert", hidden: true });
  const form = h(
    "form",
    { class: "silence-form" },
    h("p", {}, h("b", {}, visibleText(alert.rule)), ": nobody is told while the silence lasts. The alert stays on this page."),
    h("label", { class: "field" }, "For", length),
    h("label", { class: "field" }, "Reason, for others to read", reason),
    h(
      "fieldset",
      { class: "silence-parts" },
      h("legend", {}, "Alerts that have"),
      parts.map(({ box, text }) => h("label", { class: "silence-part" }, box, h("bdi", {}, visibleText(text)))),
    ),
    problem,
    h("button", { type: "submit", class: "primary" }, "Silence"),
  );
  const dialog = openDialog({ title: "Silence", body: form });
  reason.focus();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const chosen = parts.filter(({ box }) => box.checked);
    if (!chosen.length) {
      problem.hidden = false;
      problem.textContent = "Choose at least one: a silence of everything is none.";
      return;
    }
    try {
      await post("/silences", {
        rule: chosen.some(({ label }) => label === null) ? alert.rule : null,
        labels: Object.fromEntries(chosen.flatMap(({ label, value }) => (label === null ? [] : [[label, value]]))),
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
