// @ts-check
// The tables of what many traces have in common: where their time goes, what a faster service would change, calls by edge, findings.

import { h, quoted } from "../kit/dom.js";
import { count, counted, duration, percent, visibleText } from "../kit/format.js";
import { link } from "../kit/router.js";
import { serviceChip } from "../kit/service-chip.js";
import { colorOf } from "../kit/service-colors.js";
import { sortable } from "../kit/sortable.js";
import { empty } from "../kit/state-box.js";
import { findingHead } from "../trace/findings.js";

/** @typedef {import("../kit/api-types").CommonOfTraces} Common */

/** @type {Record<import("../kit/api-types").Category, string>} */
const CATEGORIES = { work: "own work", network: "network", dependency: "a dependency" };
/** Calls of one edge in a trace from which on it is called chatty. */
const CHATTY = 10;

/** @param {string} trace @param {string} text */
const example = (trace, text) => link(`/trace/${trace}`, text);

/** @param {Common} answer */
export function placesView({ places, what_if: whatIf, total, traces, p50 }) {
  if (places.length === 0) return empty("No time to divide", "The roots of these traces took none.");
  const table = sortable({
    label: "Where the time goes",
    sort: "-time",
    onSort: null,
    columns: [
      {
        key: "operation",
        label: "Operation",
        isHeader: true,
        value: (row) => `${row.service} ${row.operation}`,
        cell: (row) => h("span", { class: "op-place" }, serviceChip(row.service), quoted(visibleText(row.operation) || "(no name)")),
      },
      {
        key: "time",
        label: "Share of the time",
        value: (row) => row.time,
        cell: (row) => share(row.service, total > 0 ? row.time / total : 0),
      },
      { key: "category", label: "With", value: (row) => row.category, cell: (/** @type {Common["places"][number]} */ row) => CATEGORIES[row.category] },
      { key: "traces", label: "Traces", isNumber: true, value: (row) => row.traces, cell: (row) => `${count(row.traces)} of ${count(traces)}` },
      { key: "p50", label: "p50", isNumber: true, value: (row) => row.p50, cell: (row) => duration(row.p50) },
      { key: "p95", label: "p95", isNumber: true, value: (row) => row.p95, cell: (row) => duration(row.p95) },
      { key: "worst", label: "Example", cell: (row) => example(row.worst, "most") },
    ],
  });
  table.show(places);
  const helpful = whatIf.filter((one) => one.saved > 0);
  return h(
    "div",
    { class: "op-section" },
    h("h2", {}, "If a service were twice as fast"),
    h("p", { class: "muted" }, `What a trace would save in the middle of all, whose p50 is ${duration(p50)}.`),
    helpful.length === 0
      ? h("p", { class: "muted" }, "No trace would end sooner.")
      : h(
          "ul",
          { class: "op-what-if" },
          helpful.slice(0, 6).map((one) =>
            h(
              "li",
              {},
              serviceChip(one.service),
              h("strong", {}, `${duration(one.p50)} less`),
              h("span", {}, `${duration(one.p95)} at p95`),
              h("span", { class: "muted" }, `${count(one.traces)} of ${counted(traces, "trace")} would end sooner, ${percent(total > 0 ? one.saved / total : 0)} of all time`),
            ),
          ),
        ),
    h("h2", {}, "Own time on the critical paths"),
    h("p", { class: "muted" }, "The shares add up to all of the roots' time."),
    table.node,
  );
}

/** @param {string} service @param {number} part */
function share(service, part) {
  return h(
    "span",
    { class: "op-share" },
    h("span", { class: `tr-share svc-${colorOf(service)}` }, h("i", { style: { width: `${part * 100}%` } })),
    h("span", { class: "num" }, percent(part)),
  );
}

/** @param {Common} answer */
export function edgesView({ edges, traces }) {
  if (edges.length === 0) return empty("No calls", "No span of these traces calls anything.");
  const table = sortable({
    label: "Calls",
    sort: "-p95",
    onSort: null,
    columns: [
      {
        key: "edge",
        label: "From and to",
        isHeader: true,
        value: (row) => `${row.from} ${row.to}`,
        cell: (row) =>
          h(
            "span",
            { class: "op-place" },
            serviceChip(row.from),
            "→",
            row.is_service ? serviceChip(row.to) : quoted(visibleText(row.to), { class: "chip" }),
            row.p95 >= CHATTY ? h("span", { class: "badge warn", title: `${CHATTY} calls of one trace or more` }, "chatty") : null,
          ),
      },
      { key: "p50", label: "Calls a trace, p50", isNumber: true, value: (row) => row.p50, cell: (row) => count(row.p50) },
      { key: "p95", label: "p95", isNumber: true, value: (row) => row.p95, cell: (row) => count(row.p95) },
      { key: "max", label: "Most", isNumber: true, value: (row) => row.max, cell: (row) => example(row.worst, count(row.max)) },
      { key: "traces", label: "Traces", isNumber: true, value: (row) => row.traces, cell: (row) => `${count(row.traces)} of ${count(traces)}` },
      {
        key: "call",
        label: "Most often there",
        value: (row) => row.alike,
        cell: (row) => h("span", { class: "op-call", title: visibleText(row.call) }, `${count(row.alike)} × `, quoted(visibleText(row.call))),
      },
    ],
  });
  table.show(edges);
  return h("div", { class: "op-section" }, table.node);
}

/** @param {Common} answer */
export function findingsView({ findings, traces, total }) {
  if (findings.length === 0)
    return empty("Nothing found", `None of the ${counted(traces, "trace")} that were looked at has anything that the rules know.`);
  return h(
    "ol",
    { class: "findings op-findings" },
    findings.map((finding) =>
      h(
        "li",
        { class: "finding" },
        findingHead(finding, total, " in all traces"),
        h("p", { class: "op-finding-place" }, quoted(visibleText(finding.place))),
        h(
          "p",
          {},
          h("strong", {}, `${count(finding.traces)} of ${counted(traces, "trace")}`),
          finding.p50 > 0 ? `, up to ${duration(finding.p50)} in the middle of them. ` : ". ",
          "The worst: ",
          quoted(visibleText(finding.sentence)),
          finding.instance === null ? null : h("span", { class: "op-instance" }, ` Most of it: ${visibleText(finding.instance)}.`),
        ),
        h("p", { class: "op-examples" }, "Examples: ", finding.examples.map((trace, at) => [at > 0 ? ", " : "", example(trace, trace.slice(0, 8))])),
      ),
    ),
  );
}
