// @ts-check
// Figures of alerts in words, and where a place leads. Pure but for links.

import { h } from "../kit/dom.js";
import { count, duration, percent, time, toMillis, visibleText } from "../kit/format.js";
import { link } from "../kit/router.js";
import { serviceChip } from "../kit/service-chip.js";

/**
 * "7.1 %", "1.2 s", "14.4 ×".
 *
 * @param {number | null} value
 * @param {import("../kit/api-types").FigureUnit | null} unit
 */
export function figure(value, unit) {
  if (value === null) return "–";
  if (unit === "share") return percent(value);
  if (unit === "duration") return duration(value);
  if (unit === "factor") return `${value >= 10 ? value.toFixed(1) : value.toFixed(2)} ×`;
  return count(value);
}

/**
 * How long ago a time in nanoseconds is: whole minutes from the second one on.
 *
 * @param {string | number | bigint} ns
 */
function age(ns) {
  const seconds = Math.max(1, Math.floor((Date.now() - toMillis(ns)) / 1000));
  return duration((seconds < 120 ? seconds : seconds - (seconds % 60)) * 1e9);
}

/**
 * "12 min ago", with the whole date to point at.
 *
 * @param {string | number | bigint} ns
 */
export const when = (ns) => h("time", { title: time(ns, { date: true }) }, `${age(ns)} ago`);

/**
 * "for 12 min", likewise.
 *
 * @param {string | number | bigint} ns
 */
export const since = (ns) => h("time", { class: "muted", title: `Since ${time(ns, { date: true })}` }, `for ${age(ns)}`);

/**
 * Service, operation or edge, as a link to its figures.
 *
 * @param {import("../kit/api-types").Place} place
 */
export function placeLink({ service, operation, kind, edge_from: from, edge_to: to }) {
  if (from && to) {
    const address = `/map?${new URLSearchParams({ edge_from: from, edge_to: to })}`;
    return link(address, { class: "plain alert-place" }, endOf(from), " → ", endOf(to));
  }
  if (!service) return h("span", { class: "muted" }, "every service");
  const query = new URLSearchParams(operation ? { operation, ...(kind ? { kind } : {}) } : {});
  return link(
    `/services/${encodeURIComponent(service)}?${query}`,
    { class: "plain alert-place" },
    serviceChip(service),
    operation ? h("bdi", {}, visibleText(operation)) : null,
  );
}

/** @param {string} id */
function endOf(id) {
  const [kind, name] = [id.slice(0, id.indexOf(":")), id.slice(id.indexOf(":") + 1)];
  return kind === "service" ? serviceChip(name) : h("bdi", {}, `${kind} ${visibleText(name)}`);
}

/**
 * Links to example traces.
 *
 * @param {string[]} ids
 */
export function traceLinks(ids) {
  if (!ids.length) return null;
  /** @param {string} id @param {number} at */
  const one = (id, at) => link(`/trace/${id}`, { title: id }, ids.length === 1 ? "trace" : `trace ${at + 1}`);
  return h("span", { class: "examples" }, ids.map(one));
}
