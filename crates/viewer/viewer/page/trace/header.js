// @ts-check
// The head of the trace page: what the trace is, whether it is whole, its services, and the ways out of here with it.

import { chooseButton, compareAddress } from "../compare/choice.js";
import { address } from "../kit/api.js";
import { onHost } from "../kit/base.js";
import { clear, h, icon, quoted } from "../kit/dom.js";
import { isSearched, lastSearch } from "../kit/last-search.js";
import { link } from "../kit/router.js";
import { count, duration, time, timeExact } from "../kit/format.js";
import { nameShown, plural, serviceShown, shown } from "./labels.js";
import { colorOf } from "./row.js";
import { pinButton } from "./pin.js";
import { copyButton } from "./values.js";

/** Services named at once; the others open on demand. */
const NAMED = 14;

/** @type {Record<string, string>} */
const REASONS = {
  malformed: "malformed",
  invalid_id: "invalid ids",
  attribute_limit: "too many or too large attributes",
  part_limit: "too many events or links",
  trace_limit: "the trace has too many spans",
  too_large: "too large",
  overloaded: "the viewer was overloaded",
  disk: "the disk was full",
  repeated: "sent twice",
};

/** @param {import("./state.js").State} state @param {import("./trace.js").Actions} actions */
export function traceHeader(state, actions) {
  const { model } = state;
  const id = model.traceId;
  const legend = h("div", {
    class: "chips tr-legend",
    role: "group",
    "aria-label": "Services; choose one to make it stand out",
  });
  const more = h("span", { class: "tr-more", role: "status" });
  let isWhole = model.services.length <= NAMED;

  function drawLegend() {
    const order = [...model.services.keys()].sort((one, other) => model.serviceSpans[other] - model.serviceSpans[one]);
    clear(
      legend,
      order.slice(0, isWhole ? order.length : NAMED).map((service) => {
        const errors = model.serviceErrors[service];
        const name = shown(model.services[service], 60) || "(no service)";
        return h(
          "button",
          {
            type: "button",
            class: `chip service-chip svc-${model.serviceColors[service]}${errors > 0 ? " has-errors" : ""}`,
            "aria-pressed": state.service === service,
            on: { click: () => state.setService(service) },
            "aria-label": `${name}: ${model.serviceSpans[service]} spans${errors > 0 ? `, ${errors} errors` : ""}`,
          },
          h("bdi", {}, name),
          h("span", { class: "tr-legend-count" }, count(model.serviceSpans[service])),
          errors > 0 ? h("span", { class: "bad" }, `${count(errors)} !`) : null,
        );
      }),
      isWhole
        ? null
        : h(
            "button",
            { type: "button", class: "chip", on: { click: () => ((isWhole = true), drawLegend()) } },
            `${order.length - NAMED} more`,
          ),
    );
  }

  /** @param {import("../kit/dom.js").Child} text @param {string} [title] */
  const fact = (text, title) => h("span", { class: "tr-fact", title }, text);
  const errors =
    model.errors > 0
      ? h(
          "button",
          { type: "button", class: "badge bad tr-errors", title: "Next error (e)", on: { click: actions.nextError } },
          `${count(model.errors)} ${plural("error", model.errors)}`,
        )
      : fact("no errors");
  const rootTakes = model.duration[model.main];
  const title = h(
    "div",
    { class: "tr-title" },
      isSearched() ? link(lastSearch(), { class: "tr-back", title: "Back to the search" }, icon("chevron-left"), "Results") : null,
      h(
        "span",
        { class: `chip service-chip svc-${colorOf(model, model.main)}` },
        h("bdi", {}, serviceShown(model, model.main)),
      ),
      h("h1", { class: "elide" }, quoted(nameShown(model, model.main))),
      more,
  );
  const node = h(
    "header",
    { class: "tr-header" },
    title,
    h(
      "div",
      { class: "tr-facts-line" },
      fact(duration(model.total), `${model.total.toLocaleString("en")} ns from the first start to the last end`),
      rootTakes < model.total
        ? fact(`root ${duration(rootTakes)}`, `${rootTakes.toLocaleString("en")} ns: the main root's own duration`)
        : null,
      fact(time(model.startTime.toString(), { date: true }), timeExact(model.startTime.toString())),
      fact(`${count(model.count)} ${plural("span", model.count)}`),
      errors,
      completeness(model),
      clocks(model, actions),
      h(
        "span",
        { class: "tr-out" },
        h("code", { class: "tr-id", title: id }, id),
        copyButton(id, "trace id"),
        link(compareAddress(id), { class: "tr-out-link", title: "Beside what is typical of this root operation" }, icon("compare"), "Compare with typical"),
        chooseButton(id, nameShown(model, model.main), "with another"),
        pinButton(id),
        h(
          "a",
          { class: "tr-out-link", href: address(`/traces/${id}/otlp`), download: `trace-${id}.json` },
          icon("download"),
          "OTLP JSON",
        ),
        h(
          "a",
          { class: "tr-out-link", href: onHost(`/api/traces/${id}?prettyPrint=true`), target: "_blank", rel: "noreferrer" },
          "Jaeger JSON",
        ),
      ),
    ),
    legend,
  );
  drawLegend();
  const unsubscribe = state.subscribe((what) => what === "light" && drawLegend());
  return { node, title, more, dispose: unsubscribe };
}

/**
 * That clocks differ, and a switch to draw the spans where their callers' clocks have them.
 *
 * @param {import("./model.js").Model} model
 * @param {import("./trace.js").Actions} actions
 */
function clocks(model, actions) {
  if (model.skew.size === 0) return null;
  return h(
    "button",
    {
      type: "button",
      class: "badge warn tr-clocks",
      "aria-pressed": model.isAligned,
      title: model.isAligned
        ? "Spans are drawn where their callers' clocks have them. Show them as they were sent"
        : "Spans are drawn as they were sent. Align them with their callers' clocks",
      on: { click: () => actions.align(!model.isAligned) },
    },
    icon("clock"),
    `clocks differ by ${duration(model.clockDifference)}${model.isAligned ? ": aligned" : ": align"}`,
  );
}

/**
 * "complete", or a button that opens why not.
 *
 * @param {import("./model.js").Model} model
 */
function completeness({ completeness: so }) {
  if (so.complete && so.dropped === 0) return h("span", { class: "tr-fact tr-complete" }, icon("check"), "complete");
  const why = [];
  if (so.orphans > 0)
    why.push(
      `${count(so.orphans)} ${plural("span", so.orphans)} whose parent is not here: it was not sent, or not yet.`,
    );
  for (const [reason, spans] of Object.entries(so.refused))
    if (spans > 0) why.push(`${count(spans)} refused: ${REASONS[reason] ?? reason}.`);
  if (so.evicted > 0) why.push(`${count(so.evicted)} evicted, to make room for newer ones.`);
  if (so.dropped > 0)
    why.push(`${count(so.dropped)} attributes, events or links dropped by the programs before they sent.`);
  return h(
    "details",
    { class: "tr-why" },
    h("summary", { class: "badge warn" }, so.complete ? "complete, with drops" : "incomplete: why?"),
    h(
      "ul",
      {},
      why.map((text) => h("li", {}, text)),
    ),
  );
}
