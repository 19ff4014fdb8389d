// @ts-check
// What the failed, or the slow, spans of a search have more often than the others.

import { get } from "../kit/api.js";
import { clear, h } from "../kit/dom.js";
import { count, counted, percent, visibleText } from "../kit/format.js";
import { setState, state as addressState } from "../kit/router.js";
import { empty } from "../kit/state-box.js";
import { valueButton } from "./groups.js";

const USUAL_SLOW = "500ms";
/** @type {Record<string, Record<string, string>>} */
const SELECTED = { failed: { status: "error" }, refused: { attr: "http.response.status_code>=400" } };

/**
 * Answers `{node, load(params, signal)}`; `onChange(params)` narrows the search, `onSelected()` after another choice.
 *
 * @param {{onChange: (params: object) => void, onSelected: () => void}} options
 */
export function differences({ onChange, onSelected }) {
  const which = h(
    "select",
    { "aria-label": "Which spans" },
    h("option", { value: "failed" }, "that failed"),
    h("option", { value: "refused" }, "answered with 4xx or 5xx"),
    h("option", { value: "slow" }, "that took at least"),
  );
  const least = h("input", { "aria-label": "Shortest duration", autocomplete: "off", spellcheck: "false" });
  const form = h(
    "form",
    { class: "overview-form", "aria-label": "Compared spans" },
    h("label", {}, "What is different about spans", which),
    least,
    h("button", { type: "submit" }, "Compare"),
  );
  const answer = h("div", {});
  const node = h("div", { class: "differences" }, form, answer);

  /** @param {Event} [event] */
  function choose(event) {
    event?.preventDefault();
    setState({
      slow: which.value === "slow" ? least.value.trim() || USUAL_SLOW : "",
      differ: which.value === "refused" ? "refused" : "",
    });
    onSelected();
  }
  form.addEventListener("submit", choose);
  which.addEventListener("change", () => choose());

  /** @param {Record<string, any>} params @param {AbortSignal} signal */
  async function load(params, signal) {
    const slow = addressState().get("slow");
    which.value = slow ? "slow" : addressState().get("differ") === "refused" ? "refused" : "failed";
    least.hidden = !slow;
    least.value = slow || USUAL_SLOW;
    const selected = new URLSearchParams(SELECTED[which.value] ?? { min_duration: slow });
    show(await get("/differences", { ...params, selected: selected.toString() }, { signal }), params.attr ?? []);
    if (params.root === "true") answer.append(h("p", { class: "muted foot-note" }, "Only root spans are compared, each with the others: a condition on a span compares the spans that meet it."));
  }

  /** @param {import("../kit/api-types").Comparison} found @param {string[]} attributes */
  function show(found, attributes) {
    const { selected, rest, differences: list } = found;
    if (!selected || !rest) {
      const words = selected ? "All spans are of this kind" : "No span is of this kind";
      clear(answer, empty(words, `${counted(selected + rest, "span")} met the conditions: there is nothing to compare.`));
      return;
    }
    /** @param {number} share @param {string} kind */
    const bar = (share, kind) => h("span", { class: `share-bar ${kind}`, style: { width: `${Math.round(share * 100)}%` } });
    /** @param {import("../kit/api-types").Difference} one */
    const row = (one) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, h("bdi", {}, visibleText(one.field))),
        h("td", {}, valueButton(one.field, one.value, attributes, onChange)),
        h("td", { class: "num" }, `${percent(one.selected_share)} (${count(one.selected)})`),
        h("td", { class: "num" }, `${percent(one.rest_share)} (${count(one.rest)})`),
        h("td", { class: "share-cell", "aria-hidden": true }, bar(one.selected_share, "is-selected"), bar(one.rest_share, "")),
      );
    const head = ["Field", "Value", `Of ${count(selected)} of these`, `Of ${count(rest)} others`, ""];
    clear(
      answer,
      list.length
        ? h(
            "div",
            { class: "table-box", tabindex: "0", role: "region", "aria-label": "Differences" },
            h(
              "table",
              { class: "table" },
              h("thead", {}, h("tr", {}, head.map((label, at) => h("th", { scope: "col", class: at === 2 || at === 3 ? "num" : "" }, label)))),
              h("tbody", {}, list.map(row)),
            ),
          )
        : empty("Nothing stands out", "No field has a value that these spans have more often than the others."),
      h("p", { class: "muted foot-note" }, said(found)),
    );
  }

  return { node, load };
}

/** @param {import("../kit/api-types").Comparison} found */
function said({ varied, scanned_to: scanned }) {
  const parts = ["Ranked by how much more often these spans have the value than the others."];
  if (varied.length) parts.push(`Too many different values to compare: ${varied.slice(0, 12).map(visibleText).join(", ")}.`);
  if (scanned) parts.push("Older spans were not looked at.");
  return parts.join(" ");
}
