// @ts-check
// What fires and what is unusual, one card each: the sentence first, then since when, example traces and what can be done.

import { h, icon } from "../kit/dom.js";
import { time, visibleText } from "../kit/format.js";
import { placeLink, since, traceLinks } from "./figure.js";

/**
 * @param {import("../kit/api-types").AlertLine} alert
 * @param {{silence: (alert: import("../kit/api-types").AlertLine) => void}} actions
 */
export function alertCard(alert, { silence }) {
  const isFiring = alert.state === "firing";
  const held = alert.silence;
  const state = held ? "silenced" : alert.state;
  return h(
    "li",
    { class: `alert-card is-${state}`, dataset: { rule: alert.rule, state: alert.state } },
    h(
      "div",
      { class: "alert-head" },
      icon(isFiring ? "error" : "clock"),
      h("span", { class: `badge ${isFiring && !held ? "bad" : "warn"}` }, alert.state),
      h("b", {}, visibleText(alert.rule)),
      h("span", { class: "badge" }, visibleText(alert.severity)),
      since(alert.since),
    ),
    h("p", { class: "alert-sentence" }, h("bdi", {}, visibleText(alert.sentence))),
    alert.summary ? h("p", { class: "muted" }, visibleText(alert.summary)) : null,
    held
      ? h(
          "p",
          { class: "muted" },
          `Silenced until ${time(held.until, { date: true }).slice(0, 16)}: `,
          h("bdi", {}, visibleText(held.reason)),
        )
      : null,
    h(
      "div",
      { class: "alert-foot" },
      placeLink(alert.place),
      traceLinks(alert.examples),
      alert.runbook ? h("a", { href: alert.runbook, target: "_blank", rel: "noreferrer" }, "Run-book") : null,
      held ? null : h("button", { type: "button", class: "textual", on: { click: () => silence(alert) } }, "Silence"),
    ),
  );
}

const WHAT = { errors: "errors", latency: "latency", rate: "fewer calls" };

/** @param {import("../kit/api-types").Anomaly} anomaly */
export function anomalyCard(anomaly) {
  const isOver = anomaly.until !== null;
  return h(
    "li",
    { class: `alert-card is-anomaly${isOver ? " is-over" : ""}`, dataset: { what: anomaly.what } },
    h(
      "div",
      { class: "alert-head" },
      icon("warning"),
      h("span", { class: `badge${isOver ? "" : " warn"}` }, WHAT[anomaly.what]),
      isOver && anomaly.until !== null
        ? h("span", { class: "muted" }, `${time(anomaly.since, { date: true }).slice(0, 16)} to ${time(anomaly.until).slice(0, 5)}, at its worst`)
        : since(anomaly.since),
    ),
    h("p", { class: "alert-sentence" }, h("bdi", {}, visibleText(anomaly.sentence))),
    h("div", { class: "alert-foot" }, placeLink(anomaly.place), traceLinks(anomaly.examples)),
  );
}
