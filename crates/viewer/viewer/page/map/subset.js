// @ts-check
// Which part of the map is drawn: what had calls, and of a large map what is near one service. Pure.

/** More nodes than this cannot be read at once. */
export const READABLE_NODES = 20;
/** Edges that are labelled without being pointed at: the busiest, and those that fail. */
const LABELLED = 12;

/**
 * @typedef {import("../kit/api-types").MapNode} MapNode
 * @typedef {import("../kit/api-types").MapEdge} MapEdge
 * @typedef {{nodes: MapNode[], edges: MapEdge[]}} Graph
 */

/**
 * Without nodes that had no calls; `silent` counts them.
 *
 * @param {Graph} graph
 */
export function alive({ nodes, edges }) {
  const connected = new Set(edges.flatMap(({ from, to }) => [from, to]));
  const kept = nodes.filter((node) => node.calls || connected.has(node.id));
  return { nodes: kept, edges, silent: nodes.length - kept.length };
}

/**
 * The nodes at most `hops` calls away from one, in either direction, and the edges between them.
 *
 * @param {Graph} graph
 * @param {string} id
 * @param {number} hops
 * @returns {Graph}
 */
export function around({ nodes, edges }, id, hops) {
  const near = new Set([id]);
  for (let hop = 0; hop < hops; hop += 1) {
    const reached = edges.filter(({ from, to }) => near.has(from) !== near.has(to));
    for (const { from, to } of reached) near.add(from).add(to);
  }
  return {
    nodes: nodes.filter((node) => near.has(node.id)),
    edges: edges.filter(({ from, to }) => near.has(from) && near.has(to)),
  };
}

/**
 * How far around a service as much is drawn as can be read: 1 to 3 calls.
 *
 * @param {Graph} graph
 * @param {string} id
 */
export function readableHops(graph, id) {
  return [3, 2].find((hops) => around(graph, id, hops).nodes.length <= READABLE_NODES) ?? 1;
}

/**
 * The service with the most calls: where a large map begins; null when there is none.
 *
 * @param {Graph} graph
 */
export function busiest({ nodes }) {
  const services = nodes.filter(({ kind }) => kind === "service");
  return services.sort((one, other) => (other.calls ?? 0) - (one.calls ?? 0) || (one.id < other.id ? -1 : 1))[0]?.id ?? null;
}

/**
 * The edges whose figures are written beside them.
 *
 * @param {MapEdge[]} edges
 * @returns {Set<MapEdge>}
 */
export function labelled(edges) {
  const byRate = [...edges].sort((one, other) => other.rate - one.rate);
  const failing = byRate.filter(({ errors }) => errors > 0).slice(0, LABELLED);
  return new Set([...failing, ...byRate].slice(0, LABELLED));
}

/**
 * How many calls of an edge there are for each that its caller took; null when that is not known.
 *
 * @param {{calls: number}} edge
 * @param {{calls?: number | null}} caller
 */
export function perCall(edge, caller) {
  return caller.calls ? edge.calls / caller.calls : null;
}

/**
 * How a node is: by the share of its calls that failed.
 *
 * @param {{calls: number | null, errors: number | null}} node
 * @returns {"" | "warn" | "bad"}
 */
export function health({ calls, errors }) {
  if (!calls || !errors) return "";
  return errors / calls >= 0.05 ? "bad" : "warn";
}
