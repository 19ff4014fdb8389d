// @ts-check
// The drawing of the map: nodes by kind, edges by weight, failures in red and dashed.

import { clear, h, svg, within } from "../kit/dom.js";
import { errorShare } from "../kit/figures.js";
import { counted, duration, percent, rate, visibleText } from "../kit/format.js";
import { colorOf } from "../kit/service-colors.js";
import { layout, NODE } from "./layout.js";
import { line, outline } from "./shapes.js";
import { stage } from "./stage.js";
import { health, labelled } from "./subset.js";

/**
 * @typedef {import("./subset.js").MapNode} MapNode
 * @typedef {import("./subset.js").MapEdge} MapEdge
 * @typedef {import("./subset.js").Graph} Graph
 * @typedef {{node?: string, edge?: string} | null} Selection
 */

const FOCUSABLE = 300;
/** Names can be read down to this scale. */
const READABLE = 0.5;

/** Nodes and edges. */
const PART = "[data-node], [data-edge]";

/** @param {{from: string, to: string}} edge */
export const edgeKey = ({ from, to }) => JSON.stringify([from, to]);

/**
 * Figures in one line.
 *
 * @param {MapNode | MapEdge | null | undefined} figure
 */
export function inWords(figure) {
  if (!figure || figure.calls == null) return "no calls measured";
  return `${rate(figure.rate)}, ${percent(errorShare(figure))} failed, p95 ${duration(figure.p95)}`;
}

/**
 * Answers `{node, show({nodes, edges}), mark(selection), reveal(id), fit, zoom, pan}`; `onSelect({node} or {edge} or null)`.
 *
 * @param {{onSelect: (selection: Selection) => void}} options
 */
export function graph({ onSelect }) {
  const view = stage({ label: "Service map. Nodes and calls can be reached with Tab; the same is there as a table." });
  /** @type {{nodes: Map<string, SVGElement>, edges: Map<string, SVGElement>}} */
  const parts = { nodes: new Map(), edges: new Map() };
  /** @type {(Graph & {places: Map<string, import("./layout.js").Spot>}) | null} */
  let drawn = null;

  view.node.addEventListener("click", (event) => {
    if (view.wasDragged()) return;
    if (!within(event, ".map-tools")) onSelect(picked(within(event, PART)));
  });
  view.node.addEventListener("keydown", (event) => {
    const target = within(event, PART);
    if (!target || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    onSelect(picked(target));
  });

  /** @param {HTMLElement | null} target @returns {Selection} */
  function picked(target) {
    if (!target) return null;
    return target.dataset.node != null ? { node: target.dataset.node } : { edge: target.dataset.edge };
  }

  /** @param {Graph} graph */
  function show({ nodes, edges }) {
    const { places, width, height, turned, bends } = layout(nodes, edges);
    drawn = { nodes, edges, places };
    parts.nodes.clear();
    parts.edges.clear();
    const busiest = Math.max(1e-9, ...edges.map((edge) => edge.rate));
    const names = new Map(nodes.map((node) => [node.id, node.name]));
    const withLabel = labelled(edges);
    /** @type {SVGElement[]} */
    const lines = [];
    // What is labelled is drawn last, so that other lines do not go through the words.
    const last = (/** @type {MapEdge} */ edge) => Number(withLabel.has(edge));
    for (const edge of [...edges].sort((one, other) => last(one) - last(other))) {
      const [from, to] = [places.get(edge.from), places.get(edge.to)];
      if (!from || !to) continue;
      const shape = line(from, to, { isSelf: edge.from === edge.to, isBack: turned.has(edge), bends: bends.get(edge) });
      lines.push(edgePart(edge, shape, {
          busiest,
          names,
          hasLabel: withLabel.has(edge),
          isFocusable: edges.length <= FOCUSABLE,
        }));
    }
    clear(
      view.canvas,
      markers(),
      lines,
      nodes.map((node) => nodePart(node, places.get(node.id) ?? { x: 0, y: 0 })),
    );
    view.fit(width, height + 60, READABLE);
  }

  /**
   * @param {MapEdge} edge
   * @param {{d: string, x: number, y: number}} shape
   * @param {{busiest: number, names: Map<string, string>, hasLabel: boolean, isFocusable: boolean}} how
   */
  function edgePart(edge, shape, { busiest, names, hasLabel, isFocusable }) {
    const isBad = edge.errors > 0;
    const weight = 1.25 + 3.75 * Math.sqrt(edge.rate / busiest);
    const words = `${visibleText(names.get(edge.from))} calls ${visibleText(names.get(edge.to))}: ${inWords(edge)}`;
    const text = `${rate(edge.rate)} · ${duration(edge.p95)}`;
    const part = svg(
      "g",
      {
        class: `map-edge${isBad ? " failing" : ""}`,
        dataset: { edge: edgeKey(edge) },
        tabindex: isFocusable ? "0" : null,
        role: "button",
        "aria-label": words,
      },
      svg("path", { class: "map-hit", d: shape.d }),
      svg("path", {
        class: "map-line",
        d: shape.d,
        style: { strokeWidth: `${weight}px` },
        "marker-end": `url(#${isBad ? "map-arrow-bad" : "map-arrow"})`,
      }),
      svg(
        "text",
        { class: `map-label${hasLabel ? "" : " on-demand"}`, x: shape.x, y: shape.y - 5 },
        text,
        isBad ? svg("tspan", { x: shape.x, dy: 13 }, `✕ ${percent(errorShare(edge))}`) : null,
      ),
      svg("title", {}, words),
    );
    parts.edges.set(edgeKey(edge), part);
    return part;
  }

  /** @param {MapNode} node @param {import("./layout.js").Spot} place */
  function nodePart(node, { x, y }) {
    const name = visibleText(node.name) || "(no name)";
    const isBad = (node.errors ?? 0) > 0;
    const figure =
      node.calls == null
        ? node.kind
        : `${node.kind === "service" ? "" : `${node.kind} · `}${rate(node.rate)}${isBad ? ` · ${percent(errorShare(node))} ✕` : ""}`;
    const color = node.kind === "service" ? `svc-${colorOf(node.name)}` : "";
    const part = svg(
      "g",
      {
        class: `map-node map-${node.kind} ${color}${isBad ? ` failing is-${health(node)}` : ""}`,
        transform: `translate(${x} ${y})`,
        dataset: { node: node.id },
        tabindex: "0",
        role: "button",
        "aria-label": `${node.kind} ${name}: ${inWords(node)}`,
      },
      svg("path", { class: "map-outline", d: outline(node.kind) }),
      isBad ? ring(node) : null,
      svg(
        "foreignObject",
        { width: NODE.width, height: NODE.height },
        h(
          "div",
          { class: "map-text" },
          h("span", { class: "map-name elide" }, h("i", { class: "map-dot", "aria-hidden": true }), h("bdi", {}, name)),
          h("span", { class: "map-figure elide" }, figure),
        ),
      ),
      svg("title", {}, `${node.kind} ${name} (${counted(node.calls ?? 0, "call")})`),
    );
    parts.nodes.set(node.id, part);
    part.addEventListener("focus", () => part.matches(":focus-visible") && view.reveal({ x, y, ...NODE }));
    return part;
  }

  /**
   * Makes what is selected, and what it is connected with, stand out.
   *
   * @param {Selection} selection
   */
  function mark(selection) {
    const edges = drawn?.edges ?? [];
    const near = new Set();
    for (const edge of edges) {
      const isNear =
        selection?.edge === edgeKey(edge) ||
        (selection?.node != null && (edge.from === selection.node || edge.to === selection.node));
      parts.edges.get(edgeKey(edge))?.classList.toggle("near", isNear);
      if (isNear) near.add(edge.from).add(edge.to);
    }
    for (const [id, part] of parts.nodes) {
      part.classList.toggle("selected", selection?.node === id);
      part.setAttribute("aria-pressed", String(selection?.node === id));
      part.classList.toggle("near", near.has(id));
    }
    view.canvas.classList.toggle("has-selection", Boolean(selection));
  }

  /**
   * Into view, once the panel beside it has taken its room.
   *
   * @param {string} id
   */
  function reveal(id) {
    const place = drawn?.places.get(id);
    if (place) view.reveal({ ...place, ...NODE });
  }

  return { node: view.node, show, mark, reveal, fit: () => view.fit(), zoom: view.zoom, pan: view.pan };
}

/**
 * As much of the outline as calls failed.
 *
 * @param {MapNode} node
 */
function ring(node) {
  const share = Math.max(errorShare(node), 0.02);
  return svg("path", {
    class: "map-ring",
    d: outline(node.kind),
    pathLength: 1,
    style: { strokeDasharray: `${share} 1` },
  });
}

function markers() {
  /** @param {string} id */
  /** @param {string} id */
  const arrow = (/** @type {string} */ id) =>
    svg(
      "marker",
      {
        id,
        class: id,
        viewBox: "0 0 8 8",
        refX: 7,
        refY: 4,
        markerWidth: 9,
        markerHeight: 9,
        markerUnits: "userSpaceOnUse",
        orient: "auto",
      },
      svg("path", { d: "M0 0 8 4 0 8Z" }),
    );
  return svg("defs", {}, arrow("map-arrow"), arrow("map-arrow-bad"));
}
