// @ts-check
// The trees of many traces laid over one another, as boxes: each is a button that makes its part the whole.

import { clear, h } from "../kit/dom.js";
import { count, counted, duration, percent, visibleText } from "../kit/format.js";
import { colorOf } from "../kit/service-colors.js";
import { setState, state as addressState } from "../kit/router.js";
import { layout, pathTo } from "./flame-layout.js";

const ROW = 22;
const MEASURES = [
  ["on_path", "Critical path"],
  ["time", "All spans"],
];

/** @param {import("../kit/api-types").CommonOfTraces} answer */
export function flameView({ flame, traces, flame_left_out: leftOut }) {
  /** @type {number | null} */
  let from = null;
  const stage = h("div", { class: "op-flame", role: "group", "aria-label": "Merged tree; a part becomes the whole when it is chosen" });
  const crumbs = h("p", { class: "op-crumbs" });
  const details = h("p", { class: "op-details", role: "status" }, "Point at a part, or go to it with Tab, to read its figures.");
  const buttons = MEASURES.map(([value, label]) => h("button", { type: "button", dataset: { value }, on: { click: () => measureBy(value) } }, label));

  const measure = () => (addressState().get("by") === "time" ? "time" : "on_path");

  /** @param {string} value */
  function measureBy(value) {
    setState({ by: value === "on_path" ? "" : value }, { replace: true });
    draw();
  }

  /** @param {number | null} at */
  function zoom(at) {
    from = at;
    draw();
    /** @type {HTMLElement | null} */ (stage.querySelector("button"))?.focus();
  }

  /** @param {number} at */
  function tell(at) {
    const node = flame[at];
    /** @param {number} ns */
    const each = (ns) => duration(ns / traces);
    clear(
      details,
      h("strong", {}, `${visibleText(node.service)} ${visibleText(node.operation)}`),
      ` ${counted(node.spans, "span")} in ${count(node.traces)} of ${counted(traces, "trace")}`,
      node.errors ? h("span", { class: "bad" }, `, ${counted(node.errors, "error")}`) : null,
      `. A trace on average: ${each(node.on_path)} on the critical path, ${each(node.self_on_path)} of it its own; spans ${each(node.time)}, ${each(node.self_time)} of it their own.`,
    );
  }

  function draw() {
    const by = measure();
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.value === by));
    const boxes = layout(flame, by, from);
    const depth = boxes.reduce((most, box) => Math.max(most, box.depth), 0);
    const whole = boxes.length > 0 ? flame.filter((node) => node.parent === null).reduce((sum, node) => sum + node[by], 0) : 0;
    stage.style.height = `${(depth + 1) * ROW}px`;
    clear(
      stage,
      boxes.map(({ at, depth: row, left, width }) => {
        const node = flame[at];
        const share = whole > 0 ? node[by] / whole : 0;
        const name = visibleText(node.operation) || "(no name)";
        return h(
          "button",
          {
            type: "button",
            class: `op-box svc-${colorOf(node.service)}${node.errors ? " has-errors" : ""}`,
            style: { left: `${left * 100}%`, width: `${width * 100}%`, top: `${row * ROW}px` },
            "aria-label": `${visibleText(node.service)} ${name}, ${percent(share)}, ${counted(node.spans, "span")}`,
            on: { click: () => zoom(at), focus: () => tell(at), mouseenter: () => tell(at) },
          },
          h("bdi", {}, name),
          width > 0.12 ? h("span", {}, percent(share)) : null,
        );
      }),
    );
    clear(
      crumbs,
      from === null
        ? null
        : [
            h("button", { type: "button", class: "textual", on: { click: () => zoom(null) } }, "Everything"),
            ...pathTo(flame, from).map((at) => [" › ", h("button", { type: "button", class: "textual", on: { click: () => zoom(at) } }, visibleText(flame[at].operation) || "(no name)")]),
          ],
    );
  }

  draw();
  return h(
    "div",
    {},
    h("div", { class: "page-head" }, h("div", { class: "segments", role: "group", "aria-label": "Width" }, buttons), crumbs),
    stage,
    details,
    leftOut ? h("p", { class: "muted" }, `${counted(leftOut, "span")} of further paths are left out.`) : null,
  );
}
