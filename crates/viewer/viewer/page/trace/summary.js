// @ts-check
// Under the name of a trace: where the time went by service, in a sentence and as a strip, and why it failed.

import { clear, h, keep } from "../kit/dom.js";
import { duration, percent, visibleText } from "../kit/format.js";
import { link } from "../kit/router.js";
import { nameShown, serviceShown } from "./labels.js";
import { MARK } from "./model.js";
import { mostOfIt } from "./path.js";

/** Services that are told apart in the strip. */
const MAX_PARTS = 12;

/**
 * The critical path by service, the longest first.
 *
 * @param {import("./model.js").Model} model
 * @returns {{service: number, time: number}[]}
 */
export function byService(model) {
  const times = new Map();
  for (const { row, time } of model.path?.parts ?? []) {
    const service = model.service[row];
    times.set(service, (times.get(service) ?? 0) + time);
  }
  return [...times].map(([service, time]) => ({ service, time })).sort((one, other) => other.time - one.time);
}

/**
 * The failed row that says most of why: the last to begin of those with a message, else of all. -1 without one.
 *
 * @param {import("./model.js").Model} model
 * @param {Map<number, import("./results.js").Told>} told
 */
export function origin(model, told) {
  let [found, hasMessage] = [-1, false];
  for (let row = 0; row < model.count; row += 1) {
    if (!model.has(row, MARK.error)) continue;
    const says = Boolean(told.get(row)?.message);
    const isLater = found < 0 || model.start[row] >= model.start[found];
    if (says > hasMessage || (says === hasMessage && isLater)) [found, hasMessage] = [row, says];
  }
  return found;
}

/** @param {import("./state.js").State} state @param {import("./trace.js").Actions} actions */
export function summary(state, actions) {
  const { model } = state;
  const failure = h("p", { class: "tr-failure", hidden: true });
  const where = time();
  const node = h("div", { class: "tr-summary" });
  // "Where the time went" says it by itself.
  const draw = () => keep(node, failure, state.view === "path" || !where ? [] : where);

  function time() {
    const parts = byService(model);
    const total = parts.reduce((sum, part) => sum + part.time, 0);
    if (total === 0) return null;
    const shown = parts.slice(0, MAX_PARTS);
    const words = shown.map(({ service, time: spent }) => `${visibleText(model.services[service])} ${percent(spent / total)}`).join(", ");
    return h(
      "div",
      { class: "tr-where" },
      mostOfIt(state, actions, model.duration[model.path?.root ?? model.main]),
      h(
        "button",
        { type: "button", class: "tr-strip", "aria-label": `Where the time went: ${words}`, on: { click: () => state.setView("path") } },
        shown.map(({ service, time: spent }) =>
          h(
            "i",
            {
              class: `svc-${model.serviceColors[service]}`,
              style: { flexGrow: spent },
              title: `${visibleText(model.services[service]) || "(no service)"}: ${duration(spent)}, ${percent(spent / total)}`,
            },
            h("span", {}, visibleText(model.services[service]) || "(no service)"),
          ),
        ),
      ),
    );
  }

  /** Again when it is known what the spans say. */
  function why() {
    const row = origin(model, state.told);
    failure.hidden = row < 0;
    if (row < 0) return;
    const { message = "", errorType = "" } = state.told.get(row) ?? {};
    const reason = visibleText(message || errorType);
    const where = link(
      `/trace/${model.traceId}?span=${model.ids[row]}`,
      { class: "bad", title: "Go to where it failed" },
      h("bdi", {}, `${serviceShown(model, row)} ${nameShown(model, row)}`),
    );
    where.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      actions.show(row);
    });
    clear(failure, h("span", { "aria-hidden": true }, "✕ "), where, reason ? [": ", h("bdi", { class: "tr-reason" }, reason)] : null);
  }

  why();
  draw();
  const unsubscribe = state.subscribe((what) => {
    if (what === "told") why();
    if (what === "view") draw();
  });
  return { node, dispose: unsubscribe };
}
