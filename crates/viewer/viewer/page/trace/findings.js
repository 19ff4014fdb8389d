// @ts-check
// What is worth changing about the trace: one line in the head, opened into a list. Each entry leads to its spans.

import { get, isAbort, messageOf } from "../kit/api.js";
import { clear, h, icon, quoted } from "../kit/dom.js";
import { count, duration, visibleText } from "../kit/format.js";
import { plural } from "./labels.js";

/** @typedef {import("../kit/api-types").TraceFinding} TraceFinding */

/** @type {Record<import("../kit/api-types").FindingKind, string>} */
export const KINDS = {
  repeated_call: "Repeated call",
  serial_calls: "One after the other",
  slow_dependency: "Slow dependency",
  retries: "Retries",
  waiting: "Waiting for a turn",
  cache_miss: "Cache miss",
  instrumentation_gap: "Not instrumented",
  clock_skew: "Clocks differ",
  swallowed_error: "Swallowed error",
};

/**
 * Answers `{node, dispose}`. The line has its height from the start, so that nothing moves when the answer is there.
 *
 * @param {import("./state.js").State} state
 * @param {import("./trace.js").Actions} actions
 */
export function findingsPanel(state, actions) {
  const { model } = state;
  /** @param {string} text */
  const line = (text) => h("p", { class: "tr-findings-line muted" }, text);
  const node = h("div", { class: "tr-findings-box" }, line("Looking for findings…"));
  const ended = new AbortController();

  async function load() {
    try {
      const answer = await get(`/traces/${model.traceId}/findings`, undefined, { signal: ended.signal });
      clear(node, answer.findings.length === 0 ? line("No findings") : panel(answer));
    } catch (error) {
      // The trace is there without them; why not is said where they would stand.
      if (!isAbort(error)) clear(node, line(`Findings: ${messageOf(error)}`));
    }
  }

  /** @param {import("../kit/api-types").TraceFindings} answer */
  function panel({ findings, duration: total, detailed, spans }) {
    const [first] = findings;
    return h(
      "details",
      { class: "tr-findings" },
      h(
        "summary",
        {},
        icon("chevron-right"),
        h("strong", {}, `${count(findings.length)} ${plural("finding", findings.length)}`),
        h("span", { class: "tr-findings-first elide" }, `${KINDS[first.kind]}: `, quoted(visibleText(first.sentence))),
      ),
      h(
        "ol",
        { class: "findings" },
        findings.map((finding) =>
          h("li", { class: "finding" }, findingHead(finding, total), h("p", {}, quoted(visibleText(finding.sentence))), spansButton(finding)),
        ),
      ),
      detailed < spans
        ? h("p", { class: "muted" }, `Attributes were looked at of ${count(detailed)} of ${count(spans)} spans.`)
        : null,
    );
  }

  /** @param {TraceFinding} finding */
  function spansButton(finding) {
    const rows = finding.span_ids
      .map((id) => model.rowOf(id))
      .filter((row) => row >= 0)
      .sort((one, other) => one - other);
    if (rows.length === 0) return null;
    return h(
      "button",
      {
        type: "button",
        class: "textual",
        on: {
          click: () => {
            state.setHits(rows);
            actions.show(rows[0]);
          },
        },
      },
      `Show ${count(finding.spans)} ${plural("span", finding.spans)}`,
    );
  }

  load();
  return { node, dispose: () => ended.abort() };
}

/**
 * Kind, service and what it saves, with a bar of its share.
 *
 * @param {{kind: import("../kit/api-types").FindingKind, service: string, saves: number}} finding
 * @param {number} total
 * @param {string} [where]
 */
export function findingHead(finding, total, where = "") {
  const share = total > 0 ? Math.min(100, (finding.saves / total) * 100) : 0;
  return h(
    "div",
    { class: "finding-head" },
    h("strong", {}, KINDS[finding.kind]),
    h("span", { class: "muted" }, "in ", quoted(visibleText(finding.service))),
    finding.saves > 0
      ? h(
          "span",
          { class: "finding-saves", title: `${finding.saves.toLocaleString("en")} ns, at most` },
          h("span", { class: "finding-bar", "aria-hidden": true }, h("i", { style: { width: `${share}%` } })),
          `up to ${duration(finding.saves)} less${where} (${share < 1 ? "< 1" : share.toFixed(0)} %)`,
        )
      : null,
  );
}
