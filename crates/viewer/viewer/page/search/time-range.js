// @ts-check
// When: an age up to now, everything, or two points in time.

import { clear, h, icon } from "../kit/dom.js";
import { fromMillis, time, toMillis } from "../kit/format.js";

/** @typedef {{from: string, to: string}} Range */

const AGES = ["5m", "15m", "1h", "6h", "24h", "7d"];
/** @param {number} n */
const two = (n) => String(n).padStart(2, "0");

/**
 * A time in nanoseconds as a datetime-local field has it.
 *
 * @param {string} ns
 */
function localText(ns) {
  const at = new Date(toMillis(ns));
  if (Number.isNaN(at.getTime())) return "";
  const date = `${String(at.getFullYear()).padStart(4, "0")}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${date}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

/** @param {string} text */
const isInstant = (text) => /^\d+$/.test(text);

/**
 * Answers `{node, set({from, to}), showError(error)}`; `onChange({from, to})`, and `onRefresh()` for the same again.
 *
 * @param {{onChange: (range: Range) => void, onRefresh: () => void, ages?: string[], hasAll?: boolean, hasCustom?: boolean}} options
 */
export function timeRange({ onChange, onRefresh, ages = AGES, hasAll = true, hasCustom = true }) {
  const choices = [...ages.map((age) => [age, age]), ...(hasAll ? [["all", "All"]] : [])];
  const buttons = choices.map(([from, label]) =>
    h(
      "button",
      { type: "button", "aria-pressed": false, dataset: { from }, on: { click: () => onChange({ from, to: "" }) } },
      label,
    ),
  );
  const customButton = h(
    "button",
    {
      type: "button",
      "aria-label": "Custom time",
      "aria-pressed": false,
      "aria-expanded": false,
      on: { click: () => openCustom(custom.hidden) },
    },
    icon("clock"),
    h("span", { class: "custom-word" }, "Custom"),
  );
  /** @param {"from" | "to"} name */
  const field = (name) =>
    h("input", { type: "datetime-local", step: "0.001", name, "aria-label": name === "from" ? "From" : "To" });
  const [from, to] = [field("from"), field("to")];
  const problem = h("p", { class: "field-error", role: "alert", id: "time-error", hidden: true });
  const custom = h(
    "form",
    { class: "custom-range", "aria-label": "From and to", hidden: true },
    from,
    h("span", {}, "to"),
    to,
    h("button", { type: "submit" }, "Apply"),
  );
  const words = h("span", { class: "muted range-words" });
  const refresh = h(
    "button",
    { type: "button", "aria-label": "Search again", title: "Search again (r)", on: { click: onRefresh } },
    icon("refresh"),
  );

  /** @param {boolean} isOpen */
  function openCustom(isOpen) {
    custom.hidden = !isOpen;
    customButton.setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) return;
    const now = fromMillis(Date.now());
    if (!to.value) to.value = localText(now);
    if (!from.value) from.value = localText(fromMillis(Date.now() - 3_600_000));
    from.focus();
  }

  custom.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    openCustom(false);
    customButton.focus();
  });
  custom.addEventListener("focusout", (event) => {
    const isGone = event.relatedTarget instanceof Node && !custom.contains(event.relatedTarget) && event.relatedTarget !== customButton;
    if (isGone) openCustom(false);
  });
  custom.addEventListener("submit", (event) => {
    event.preventDefault();
    openCustom(false);
    const ends = [from, to].map((input) => (input.value ? fromMillis(new Date(input.value).getTime()) : ""));
    onChange({ from: ends[0] || "all", to: ends[1] });
  });

  /** @param {Range} range */
  function set(range) {
    clearError();
    const isCustom = !choices.some(([age]) => age === range.from) || Boolean(range.to);
    for (const button of buttons)
      button.setAttribute("aria-pressed", String(!isCustom && button.dataset.from === range.from));
    customButton.setAttribute("aria-pressed", String(isCustom));
    from.value = isInstant(range.from) ? localText(range.from) : "";
    to.value = isInstant(range.to) ? localText(range.to) : "";
    clear(words, isCustom ? `${described(range.from)} to ${described(range.to || "now")}` : null);
  }

  /** @param {string} text */
  function described(text) {
    return isInstant(text) ? time(text, { date: true }) : text;
  }

  function clearError() {
    problem.hidden = true;
    for (const input of [from, to]) input.removeAttribute("aria-invalid");
  }

  /** @param {{parameter: string | null, message: string}} error */
  function showError({ parameter, message }) {
    const input = parameter === "from" ? from : parameter === "to" ? to : null;
    if (!input) return false;
    custom.hidden = false;
    input.setAttribute("aria-invalid", "true");
    problem.hidden = false;
    problem.textContent = message;
    return true;
  }

  const node = h(
    "div",
    { class: "time-range", role: "group", "aria-label": "Time" },
    h("div", { class: "segments" }, buttons, hasCustom ? customButton : null),
    refresh,
    words,
    hasCustom ? custom : null,
    problem,
  );
  return { node, set, showError };
}
