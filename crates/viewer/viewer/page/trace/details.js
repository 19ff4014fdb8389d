// @ts-check
// The details of the selected span: beside the waterfall, on a phone over it. Fetched when a span is selected.

import { get, isAbort } from "../kit/api.js";
import { onHost } from "../kit/base.js";
import { all, clear, h, icon, quoted } from "../kit/dom.js";
import { duration, visibleText } from "../kit/format.js";
import { failed, loading } from "../kit/state-box.js";
import { marksOf, nameShown, serviceShown } from "./labels.js";
import { colorOf } from "./row.js";
import { copyButton } from "./values.js";
import { spanSections } from "./span-sections.js";

/** Moving over rows with a key held down fetches nothing until it rests. */
const REST_MS = 90;
const KEPT = 50;

/** @param {import("./state.js").State} state @param {import("./trace.js").Actions} actions */
export function detailsPanel(state, actions) {
  const { model } = state;
  const body = h("div", { class: "tr-details-body" });
  const filter = h("input", {
    type: "search",
    placeholder: "Filter keys and values",
    "aria-label": "Filter keys and values",
    autocomplete: "off",
    spellcheck: "false",
  });
  const title = h("div", { class: "tr-details-title" });
  const close = h(
    "button",
    { type: "button", class: "quiet", "aria-label": "Close details", title: "Close details (Esc)" },
    icon("close"),
  );
  const node = h(
    "aside",
    { class: "tr-details", "aria-label": "Span details", tabindex: -1, hidden: true },
    h("div", { class: "tr-details-head" }, title, close),
    body,
  );
  /** @type {Map<string, import("../kit/api-types").SpanAnswer>} */
  const answers = new Map();
  /** @type {AbortController | null} */
  let fetching = null;
  let resting = 0;

  /** @param {number} row */
  async function load(row) {
    fetching?.abort();
    fetching = new AbortController();
    const id = model.ids[row];
    try {
      const answer =
        answers.get(id) ?? (await get(`/traces/${model.traceId}/spans/${id}`, undefined, { signal: fetching.signal }));
      answers.set(id, answer);
      if (answers.size > KEPT) answers.delete(answers.keys().next().value ?? "");
      if (state.selected !== row) return;
      show(row, answer);
      state.setDetails(answer);
    } catch (error) {
      if (!isAbort(error) && state.selected === row)
        clear(
          body,
          failed(error, () => load(row)),
        );
    }
  }

  /** @param {number} row @param {import("../kit/api-types").SpanAnswer} answer */
  function show(row, answer) {
    const sections = spanSections(model, answer);
    clear(body, facts(row), h("div", { class: "tr-details-filter" }, filter), sections);
    applyFilter();
  }

  /**
   * What the row itself tells, there before the answer is.
   *
   * @param {number} row
   */
  function facts(row) {
    const share = (model.duration[row] / model.span) * 100;
    const marks = marksOf(model, row).map(([kind, , words]) => h("li", { class: `tr-fact-${kind}` }, words));
    return [
      h(
        "dl",
        { class: "tr-facts" },
        h(
          "div",
          {},
          h("dt", {}, "Duration"),
          h("dd", {}, `${duration(model.duration[row])} (${share < 0.1 ? "< 0.1" : share.toFixed(1)} % of the trace)`),
        ),
        h("div", {}, h("dt", {}, "Starts at"), h("dd", {}, `+${duration(model.start[row])}`)),
        h("div", {}, h("dt", {}, "Kind"), h("dd", {}, model.kindOf(row))),
        h("div", {}, h("dt", {}, "Below it"), h("dd", {}, `${model.descendants[row].toLocaleString()} spans`)),
      ),
      marks.length > 0 ? h("ul", { class: "tr-facts-marks" }, marks) : null,
    ];
  }

  function applyFilter() {
    const part = filter.value.trim().toLowerCase();
    for (const row of all(body, "[data-filter]"))
      row.hidden = part !== "" && !row.dataset.filter?.includes(part);
    for (const section of body.querySelectorAll("details")) {
      if (section.querySelector("[data-filter]") === null) continue;
      section.classList.toggle(
        "has-none",
        part !== "" && section.querySelector("[data-filter]:not([hidden])") === null,
      );
      if (part !== "" && !section.classList.contains("has-none")) section.open = true;
    }
  }

  /** @param {string} what */
  function update(what) {
    if (what !== "selection") return;
    const row = state.selected;
    node.hidden = row < 0;
    clearTimeout(resting);
    if (row < 0) {
      fetching?.abort();
      return;
    }
    const link = onHost(`/trace/${model.traceId}?span=${model.ids[row]}`);
    clear(
      title,
      h(
        "div",
        { class: "tr-details-line" },
        h("span", { class: `chip service-chip svc-${colorOf(model, row)}` }, h("bdi", {}, serviceShown(model, row))),
        h("span", { class: "spread" }),
        copyButton(new URL(link, location.href).href, "a link to this span"),
      ),
      h("h2", {}, quoted(nameShown(model, row))),
      h(
        "div",
        { class: "tr-details-line" },
        h("code", { class: "tr-id" }, visibleText(model.ids[row])),
        copyButton(model.ids[row], "span id"),
        h("button", { type: "button", class: "textual", on: { click: () => state.zoomTo(row) } }, "Zoom to it"),
        model.descendants[row] > 0
          ? h(
              "button",
              { type: "button", class: "textual", on: { click: () => state.focusOn(row) } },
              "Show only its subtree",
            )
          : null,
      ),
    );
    if (!answers.has(model.ids[row])) clear(body, facts(row), loading());
    resting = setTimeout(() => load(row), answers.has(model.ids[row]) ? 0 : REST_MS);
  }

  filter.addEventListener("input", applyFilter);
  close.addEventListener("click", () => actions.closeDetails());
  const unsubscribe = state.subscribe(update);
  update("selection");
  return {
    node,
    dispose() {
      unsubscribe();
      fetching?.abort();
      clearTimeout(resting);
    },
  };
}
