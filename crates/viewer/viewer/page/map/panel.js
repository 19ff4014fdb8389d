// @ts-check
// Beside the map: the figures of what is selected, and the way to traces of it.

import { chartPanel } from "../charts/panel.js";
import { clear, h, icon } from "../kit/dom.js";
import { errorShare, exampleLinks, searchAddress } from "../kit/figures.js";
import { count, counted, duration, percent, rate, visibleText } from "../kit/format.js";
import { link, navigate } from "../kit/router.js";
import { serviceChip } from "../kit/service-chip.js";
import { edgeKey, inWords } from "./graph.js";

/**
 * @typedef {import("./subset.js").MapNode} MapNode
 * @typedef {import("./subset.js").MapEdge} MapEdge
 * @typedef {import("./graph.js").Selection} Selection
 */

const LISTED = 60;

/**
 * The filters of a search for the spans behind an edge; the span is the callee's own where it sends spans.
 *
 * @param {{kind: string, name: string}} from
 * @param {{kind: string, name: string}} to
 * @param {string} range
 * @returns {Record<string, string>}
 */
export function edgeSearch(from, to, range) {
  if (to.kind === "service") {
    /** @type {Record<string, string>} */
    const caller = from.kind === "service" ? { with: new URLSearchParams({ service: from.name }).toString() } : {};
    return { service: to.name, ...caller, from: range };
  }
  if (from.kind !== "service") return { service: to.name, from: range };
  return { service: from.name, kind: to.kind === "messaging" ? "producer" : "client", from: range };
}

/**
 * Answers `{node, show(selection, data, range), dispose}`; `onSelect` as of the graph.
 *
 * @param {{onSelect: (selection: Selection) => void}} options
 */
export function panel({ onSelect }) {
  const node = h("aside", { class: "map-panel", "aria-label": "Selected", hidden: true });
  /** @type {Record<string, string>} */
  let behind = {};
  const charts = chartPanel({
    isSmall: true,
    search: () => behind,
    onRange: ({ from, to }) => navigate(searchAddress({ ...behind, from, to })),
  });

  /** @param {Selection} selection @param {import("./subset.js").Graph} graph @param {string} range */
  function show(selection, { nodes, edges }, range) {
    const byId = new Map(nodes.map((one) => [one.id, one]));
    const chosen = selection?.node != null ? byId.get(selection.node) : null;
    const edge = selection?.edge != null ? edges.find((one) => edgeKey(one) === selection.edge) : null;
    node.hidden = !chosen && !edge;
    if (chosen) clear(node, head(title(chosen)), ofNode(chosen, edges, byId, range));
    else if (edge) {
      const [from, to] = [byId.get(edge.from), byId.get(edge.to)];
      behind = from && to ? edgeSearch(from, to, range) : {};
      clear(
        node,
        head([title(byId.get(edge.from)), " calls ", title(byId.get(edge.to))]),
        figures(edge),
        examples(edge),
        search(behind),
        charts.node,
      );
      charts.load({ edge_from: edge.from, edge_to: edge.to, from: range });
    }
  }

  /** @param {import("../kit/dom.js").Child} words */
  function head(words) {
    return h(
      "div",
      { class: "panel-head" },
      h("h2", {}, words),
      h(
        "button",
        { type: "button", class: "quiet", "aria-label": "Close", on: { click: () => onSelect(null) } },
        icon("close"),
      ),
    );
  }

  /** @param {MapNode} chosen @param {MapEdge[]} edges @param {Map<string, MapNode>} byId @param {string} range */
  function ofNode(chosen, edges, byId, range) {
    const isService = chosen.kind === "service";
    return [
      h("p", { class: "muted" }, chosen.kind),
      chosen.calls == null ? null : [figures(chosen), examples(chosen)],
      isService
        ? h("p", {}, link(`/services/${encodeURIComponent(chosen.name)}?from=${range}`, "Its operations"))
        : null,
      isService ? search({ service: chosen.name, from: range }) : null,
      neighbours(
        "Called by",
        edges.filter(({ to }) => to === chosen.id),
        ({ from }) => byId.get(from),
      ),
      neighbours(
        "Calls",
        edges.filter(({ from }) => from === chosen.id),
        ({ to }) => byId.get(to),
      ),
    ];
  }

  /** @param {string} label @param {MapEdge[]} edges @param {(edge: MapEdge) => MapNode | undefined} other */
  function neighbours(label, edges, other) {
    if (!edges.length) return null;
    const sorted = [...edges].sort((a, b) => b.rate - a.rate);
    /** @param {MapEdge} edge */
    const item = (edge) =>
      h(
        "li",
        {},
        h(
          "button",
          { type: "button", class: "neighbour", on: { click: () => onSelect({ edge: edgeKey(edge) }) } },
          h("bdi", { class: "elide" }, visibleText(other(edge)?.name)),
          h("span", { class: edge.errors ? "bad" : "muted" }, inWords(edge)),
        ),
      );
    return h(
      "section",
      {},
      h("h3", {}, `${label} ${count(edges.length)}`),
      h("ul", { class: "neighbours" }, sorted.slice(0, LISTED).map(item)),
      edges.length > LISTED
        ? h("p", { class: "muted" }, `and ${count(edges.length - LISTED)} more: see the table`)
        : null,
    );
  }

  return { node, show, dispose: charts.dispose };
}

/** @param {import("../kit/api-types").MapNode | undefined} node */
function title(node) {
  if (!node) return "?";
  return node.kind === "service" ? serviceChip(node.name) : h("bdi", {}, visibleText(node.name) || node.kind);
}

/** @param {import("../kit/api-types").Figure} figure */
function figures(figure) {
  const rows = [
    ["Rate", `${rate(figure.rate)} (${counted(figure.calls, "call")})`],
    [
      "Errors",
      h("span", { class: figure.errors ? "bad" : "" }, `${percent(errorShare(figure))} (${count(figure.errors)})`),
    ],
    ["p50", duration(figure.p50)],
    ["p95", duration(figure.p95)],
    ["p99", duration(figure.p99)],
  ];
  return h(
    "dl",
    {},
    rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
  );
}

/** @param {{examples: import("../kit/api-types").Examples | null}} figure */
function examples(figure) {
  return h("p", {}, "Example traces: ", exampleLinks(figure.examples));
}

/** @param {Record<string, string>} params */
function search(params) {
  return h(
    "p",
    {},
    link(searchAddress(params), "Search its traces"),
    params.status ? null : [", ", link(searchAddress({ ...params, status: "error" }), "failed ones")],
  );
}
