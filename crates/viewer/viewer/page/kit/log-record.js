// @ts-check
// A log record as every view shows it: when, how grave, of which service, what it says; more on demand.

import { h, quoted } from "./dom.js";
import { time, timeExact, visibleText } from "./format.js";
import { serviceChip } from "./service-chip.js";
import { attributeTable, valueNode, valueText } from "../trace/values.js";

/** @typedef {import("./api-types").LogDetails} LogDetails */

/** Severities with the words of the API, the least first; "" asks for every one. */
export const SEVERITIES = /** @type {[string, string][]} */ ([
  ["", "any severity"],
  ["debug", "debug and above"],
  ["info", "info and above"],
  ["warn", "warn and above"],
  ["error", "error and above"],
  ["fatal", "fatal"],
]);

const NAMES = ["trace", "debug", "info", "warn", "error", "fatal"];

/**
 * A badge with the severity in the source's words, else by OTLP's numbers: four to each name, from 1.
 *
 * @param {{severity: number, severity_text: string}} record
 */
export function severityBadge({ severity, severity_text: text }) {
  const isKnown = severity >= 1 && severity <= 24;
  const words = text || (isKnown ? NAMES[Math.floor((severity - 1) / 4)] : "no severity");
  const name = severity >= 17 ? "bad" : severity >= 13 ? "warn" : "";
  return h("span", { class: `badge ${name}` }, visibleText(words));
}

/**
 * When it was written, or else seen, in nanoseconds since 1970.
 *
 * @param {LogDetails} log
 */
export function whenOf(log) {
  return log.time && log.time !== "0" ? log.time : log.observed;
}

/**
 * What was logged, with its type.
 *
 * @param {LogDetails} log
 */
export function bodyOf(log) {
  return /** @type {import("./api-types").TypedValue} */ ({ type: log.body_type, value: log.body });
}

/**
 * A line that opens. `when` is a text in place of the time of day, `more` stands behind the line: where it leads.
 *
 * @param {LogDetails} log
 * @param {{when?: string, more?: Node | null}} [options]
 */
export function logLine(log, { when, more = null } = {}) {
  const at = whenOf(log);
  const first = valueText(bodyOf(log)).split("\n", 1)[0];
  const rest = h("div", { class: "log-rest" });
  const line = h(
    "details",
    { class: "log-line" },
    h(
      "summary",
      {},
      h("time", { class: "log-time", title: timeExact(at) }, when ?? time(at, { date: true })),
      severityBadge(log),
      serviceChip(log.service),
      log.event_name ? quoted(visibleText(log.event_name), { class: "log-event" }) : null,
      quoted(visibleText(first.slice(0, 400)) || "(no body)", { class: "log-body elide" }),
    ),
    rest,
  );
  // Most lines are never opened.
  line.addEventListener("toggle", () => {
    if (!line.open || rest.firstChild) return;
    rest.append(
      h("div", { class: "log-whole" }, valueNode(bodyOf(log))),
      ...[attributeTable(log.attributes, log.dropped_attributes)].flat().filter((node) => node !== null),
    );
  });
  return h("li", { class: `log${log.severity >= 17 ? " is-bad" : ""}` }, line, more);
}
