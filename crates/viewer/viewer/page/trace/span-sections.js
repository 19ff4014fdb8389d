// @ts-check
// The sections of the details: attributes, events, links, logs, resource, scope, and the exact times.

import { h, quoted } from "../kit/dom.js";
import { duration, timeExact, visibleText } from "../kit/format.js";
import { link } from "../kit/router.js";
import { bodyOf, severityBadge, whenOf } from "../kit/log-record.js";
import { attributeTable, attributesAsJson, copyButton, valueNode, valueText } from "./values.js";

/** More entries of a list than this are shown on demand. */
const AT_ONCE = 100;

/**
 * @typedef {import("./model.js").Model} Model
 * @typedef {import("../kit/api-types").SpanDetails} SpanDetails
 * @typedef {import("../kit/api-types").EventDetails} EventDetails
 * @typedef {import("../kit/api-types").LinkDetails} LinkDetails
 * @typedef {import("../kit/api-types").LogDetails} LogDetails
 * @typedef {import("../kit/api-types").Attribute} Attribute
 */

/**
 * Nodes for an answer of GET /traces/{id}/spans/{span_id}.
 *
 * @param {Model} model
 * @param {import("../kit/api-types").SpanAnswer} answer
 */
export function spanSections(model, answer) {
  const isTwice = answer.spans.length > 1;
  return [
    isTwice
      ? h("p", { class: "note warn" }, `${answer.spans.length} spans of this trace have this id. All are shown.`)
      : null,
    answer.spans.map((span, at) => [
      isTwice ? h("h3", { class: "tr-which" }, `Span ${at + 1} of ${answer.spans.length}`) : null,
      oneSpan(model, span, at === 0 ? answer.logs : []),
    ]),
    section(
      "Linked from",
      answer.linked_from.length,
      true,
      h(
        "ul",
        { class: "tr-entries" },
        answer.linked_from.map((from) => h("li", { class: "tr-entry" }, spanLink(from))),
      ),
      answer.linked_from_is_partial ? none("There may be more: not all spans were looked at.") : null,
    ),
  ];
}

/** @param {Model} model @param {SpanDetails} span @param {LogDetails[]} logs */
function oneSpan(model, span, logs) {
  const { status } = span;
  return [
    status.code === "error"
      ? h(
          "p",
          { class: "note bad" },
          "Error",
          status.message ? [": ", quoted(visibleText(status.message))] : ", without a message",
        )
      : null,
    section(
      "Attributes",
      span.attributes.length,
      true,
      attributeTable(span.attributes, span.dropped_attributes) ?? none("No attributes."),
      span.attributes.length > 1
        ? h("p", { class: "tr-copy-all" }, copyButton(attributesAsJson(span.attributes), "all attributes as JSON"), "Copy all as JSON")
        : null,
    ),
    section(
      "Events",
      span.events.length,
      span.events.length > 0,
      atOnce(span.events, (event) => eventNode(span, event), "events"),
      lost(span.dropped_events, "events"),
    ),
    section(
      "Links",
      span.links.length,
      true,
      h("ul", { class: "tr-entries" }, span.links.map(linkNode)),
      lost(span.dropped_links, "links"),
    ),
    section("Logs", logs.length, logs.length > 0, atOnce(logs, (log) => logNode(model, log), "logs")),
    section(
      "Resource",
      span.resource.attributes.length,
      false,
      attributeTable(span.resource.attributes, span.resource.dropped_attributes) ?? none("No attributes."),
      schema(span.resource),
    ),
    section(
      "Scope",
      null,
      false,
      h(
        "p",
        { class: "tr-scope" },
        quoted(visibleText(span.scope.name) || "(no name)"),
        " ",
        span.scope.version ? h("span", { class: "muted" }, visibleText(span.scope.version)) : null,
      ),
      attributeTable(span.scope.attributes, span.scope.dropped_attributes),
      schema(span.scope),
    ),
    section("Ids and times", null, false, exact(model, span)),
  ];
}

/**
 * A part that can be closed; left out when it has nothing to say.
 *
 * @param {string} title
 * @param {number | null} count
 * @param {boolean} isOpen
 * @param {...any} body
 */
function section(title, count, isOpen, ...body) {
  const parts = body.flat().filter(Boolean);
  if (count === 0 && title !== "Attributes" && !parts.some((part) => part.matches?.(".tr-dropped"))) return null;
  return h(
    "details",
    { class: "tr-section", open: isOpen },
    h("summary", {}, title, count === null ? null : h("span", { class: "muted" }, ` ${count.toLocaleString()}`)),
    parts,
  );
}

/** @param {string} text */
function none(text) {
  return h("p", { class: "muted" }, text);
}

/** @param {number} count @param {string} what */
function lost(count, what) {
  return count > 0
    ? h("p", { class: "tr-dropped" }, `${count.toLocaleString()} more ${what} were dropped before they came here.`)
    : null;
}

/** @param {{schema_url: string}} part */
function schema(part) {
  return part.schema_url ? h("p", { class: "muted" }, "Schema: ", visibleText(part.schema_url)) : null;
}

/**
 * The first entries of a list, the others on demand.
 *
 * @template T
 * @param {T[]} entries
 * @param {(entry: T) => Node} make
 * @param {string} what
 */
function atOnce(entries, make, what) {
  const list = h("ul", { class: "tr-entries" }, entries.slice(0, AT_ONCE).map(make));
  if (entries.length <= AT_ONCE) return list;
  const more = h("button", { type: "button" }, `Show ${(entries.length - AT_ONCE).toLocaleString()} more ${what}`);
  more.addEventListener("click", () => {
    list.append(...entries.slice(AT_ONCE).map(make));
    more.remove();
  });
  return h("div", {}, list, more);
}

/** @param {string} from @param {string} to */
const between = (from, to) => {
  const ns = Number(BigInt(to) - BigInt(from));
  return ns < 0 ? `−${duration(-ns)}` : `+${duration(ns)}`;
};

/** @param {Attribute[]} attributes @param {...string} texts */
const filterText = (attributes, ...texts) =>
  [...texts, ...attributes.map((one) => `${one.key}\n${valueText(one)}`)].join("\n").toLowerCase();

/** @param {SpanDetails} span @param {EventDetails} event */
function eventNode(span, event) {
  return h(
    "li",
    { class: "tr-entry", dataset: { filter: filterText(event.attributes, event.name) } },
    h(
      "div",
      { class: "tr-entry-head" },
      h("span", { class: "tr-offset", title: timeExact(event.time) }, between(span.start, event.time)),
      quoted(visibleText(event.name) || "(no name)", { class: "tr-entry-name" }),
    ),
    attributeTable(event.attributes, event.dropped_attributes),
  );
}

/** @param {import("../kit/api-types").SpanAddress} address */
function spanLink({ trace_id: trace, span_id: span }) {
  return link(
    `/trace/${encodeURIComponent(trace)}?span=${encodeURIComponent(span)}`,
    { class: "tr-id" },
    `${trace.slice(0, 8)}…${trace.slice(-4)} / ${span}`,
  );
}

/** @param {LinkDetails} one */
function linkNode(one) {
  return h(
    "li",
    { class: "tr-entry", dataset: { filter: filterText(one.attributes, one.trace_id, one.span_id) } },
    h(
      "div",
      { class: "tr-entry-head" },
      one.kept !== false ? spanLink(one) : h("span", { class: "tr-id" }, `${one.trace_id} / ${one.span_id}`),
      one.kept !== false
        ? null
        : h(
            "span",
            { class: "badge warn", title: "It was not sent here, or it was evicted" },
            "that trace is not kept",
          ),
      copyButton(one.trace_id, "trace id of the link"),
    ),
    one.trace_state ? h("p", { class: "muted" }, "Trace state: ", quoted(visibleText(one.trace_state))) : null,
    attributeTable(one.attributes, one.dropped_attributes),
  );
}

/** @param {Model} model @param {LogDetails} log */
function logNode(model, log) {
  const when = whenOf(log);
  const words = log.severity_text;
  return h(
    "li",
    { class: "tr-entry", dataset: { filter: filterText(log.attributes, valueText(bodyOf(log)), words) } },
    h(
      "div",
      { class: "tr-entry-head" },
      h("span", { class: "tr-offset", title: timeExact(when) }, between(model.startTime.toString(), when)),
      severityBadge(log),
      log.event_name ? quoted(visibleText(log.event_name), { class: "tr-entry-name" }) : null,
    ),
    h("div", { class: "tr-log-body" }, valueNode(bodyOf(log))),
    attributeTable(log.attributes, log.dropped_attributes),
  );
}

/** @param {Model} model @param {SpanDetails} span */
function exact(model, span) {
  /** @param {string} term @param {string} text @param {string} [what] */
  const line = (term, text, what = "") =>
    h("div", {}, h("dt", {}, term), h("dd", {}, quoted(text), what ? copyButton(text, what) : null));
  const ns = BigInt(span.end) - BigInt(span.start);
  return h(
    "dl",
    { class: "tr-exact" },
    line("Trace id", model.traceId, "trace id"),
    line("Span id", span.span_id, "span id"),
    line("Parent", span.parent_span_id || "none", span.parent_span_id ? "parent span id" : ""),
    line("Start", timeExact(span.start)),
    line("End", timeExact(span.end)),
    line("Start, ns", span.start, "start in nanoseconds"),
    line("End, ns", span.end, "end in nanoseconds"),
    line("Duration", `${ns.toLocaleString()} ns`),
    line("Status", span.status.code),
    line("Flags", `0x${Number(span.flags).toString(16).padStart(2, "0")}`),
    span.trace_state ? line("Trace state", visibleText(span.trace_state)) : null,
  );
}
