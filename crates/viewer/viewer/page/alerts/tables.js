// @ts-check
// Rules with what they measure, silences, history, receivers, pinned traces: tables of one row each.

import { h } from "../kit/dom.js";
import { bytes, count, counted, duration, time, visibleText } from "../kit/format.js";
import { link } from "../kit/router.js";
import { serviceChip } from "../kit/service-chip.js";
import { figure, placeLink, traceLinks, when } from "./figure.js";

/**
 * A table in its box; `rows` are lists of cells, of which the first is the row's head.
 *
 * @param {string} label
 * @param {string[]} names
 * @param {import("../kit/dom.js").Child[][]} rows
 */
function table(label, names, rows) {
  const head = names.map((name) => h("th", { scope: "col" }, name));
  const body = rows.map(([first, ...cells]) =>
    h("tr", {}, h("th", { scope: "row" }, first), cells.map((cell) => h("td", {}, cell))),
  );
  return h(
    "div",
    { class: "table-box", tabindex: "0", role: "region", "aria-label": label },
    h("table", { class: "table alert-table" }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)),
  );
}

/** @param {import("../kit/api-types").AlertRule[]} rules */
export function rulesTable(rules) {
  const rows = rules.map((rule) => {
    const worst = rule.readings[0];
    const state = worst?.state ?? "inactive";
    return [
      h("bdi", {}, visibleText(rule.name)),
      h("span", { class: `badge${state === "firing" ? " bad" : state === "pending" ? " warn" : ""}` }, state),
      placeLink(rule.places === 1 && worst ? worst.place : rule.place),
      h("span", { class: "num" }, figure(worst?.value ?? null, rule.unit)),
      h("span", { class: "num" }, rule.kind === "anomaly" ? "none" : figure(rule.threshold, rule.unit)),
      h("span", {}, rule.kind, rule.hold ? h("span", { class: "muted" }, ` for ${duration(rule.hold)}`) : null),
      worst ? h("bdi", { class: "alert-reading" }, visibleText(worst.sentence)) : h("span", { class: "muted" }, "nothing measured yet"),
    ];
  });
  return table("Rules", ["Rule", "State", "Of", "Value", "Threshold", "Kind", "Worst now"], rows);
}

/**
 * @param {import("../kit/api-types").AlertSilence[]} silences
 * @param {(id: string) => void} end
 */
export function silencesTable(silences, end) {
  const rows = silences.map((silence) => [
    h("bdi", {}, visibleText(silence.rule ?? "every rule")),
    h("bdi", {}, Object.entries(silence.labels).map(([name, value]) => `${name}=${visibleText(value)}`).join(", ") || "everywhere"),
    h("bdi", {}, visibleText(silence.reason)),
    time(silence.until, { date: true }).slice(0, 16),
    h("button", { type: "button", class: "textual", on: { click: () => end(silence.id) } }, "End"),
  ]);
  return table("Silences", ["Rule", "Where", "Reason", "Until", ""], rows);
}

/** @param {import("../kit/api-types").AlertEntry[]} history */
export function historyTable(history) {
  const rows = history.map((entry) => [
    time(entry.at, { date: true }).slice(0, 19),
    h("span", { class: `badge${entry.state === "firing" ? " bad" : ""}` }, entry.is_silenced ? `${entry.state}, silenced` : entry.state),
    h("bdi", {}, visibleText(entry.rule)),
    h("bdi", { class: "alert-reading" }, visibleText(entry.sentence)),
    traceLinks(entry.examples) ?? "",
  ]);
  return table("History", ["Time", "State", "Rule", "What", "Example traces"], rows);
}

/** @param {import("../kit/api-types").AlertReceiver[]} receivers */
export function receiversTable(receivers) {
  const rows = receivers.map((one) => [
    h("bdi", {}, visibleText(one.name)),
    one.kind,
    count(one.waiting),
    count(one.delivered),
    count(one.failed),
    count(one.refused + one.given_up),
    one.last === null ? "never" : when(one.last),
    one.trouble === null ? h("span", { class: "muted" }, "none") : h("span", { class: "bad" }, visibleText(one.trouble)),
  ]);
  return table("Receivers", ["Receiver", "Kind", "Waiting", "Told", "Failed attempts", "Given up", "Last told", "Trouble"], rows);
}

/**
 * @param {import("../kit/api-types").PinList} list
 * @param {(id: string) => void} unpin
 */
export function pinsTable({ pins, bytes: used, max_bytes: most, max_traces: traces }, unpin) {
  const rows = pins.map((pin) => [
    link(`/trace/${pin.trace_id}`, { class: "pin-trace" }, serviceChip(pin.service), h("bdi", {}, visibleText(pin.name) || "(no name)")),
    duration(pin.duration),
    h("span", {}, counted(pin.spans, "span"), pin.errors ? h("span", { class: "bad" }, `, ${counted(pin.errors, "error")}`) : null),
    pin.by === "alert" ? "an alert" : "a person",
    h("bdi", { class: "alert-reading" }, visibleText(pin.reason)),
    when(pin.pinned),
    bytes(pin.bytes),
    h("button", { type: "button", class: "textual", on: { click: () => unpin(pin.trace_id) } }, "Unpin"),
  ]);
  return [
    h(
      "p",
      { class: "muted" },
      `${count(pins.length)} of at most ${count(traces)} traces, ${bytes(used)} of ${bytes(most)}. Retention does not take them. ` +
        "At the bound an alert's oldest makes room; a person is refused.",
    ),
    pins.length ? table("Pinned traces", ["Trace", "Duration", "Spans", "Pinned by", "Reason", "When", "Size", ""], rows) : null,
  ];
}
