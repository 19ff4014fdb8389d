// @ts-check
// Where the parts of a merged tree stand. Pure.

/** @typedef {import("../kit/api-types").FlameLine} FlameLine */
/** @typedef {{at: number, depth: number, left: number, width: number}} Box `at` is the place in the list; shares of the whole width. */

/** Narrower boxes are not drawn, nor what is below them. */
const MIN_WIDTH = 0.001;

/**
 * Boxes of the tree, or of what lies below one node, parents before children, the widest of siblings first. Times on the path fit
 * exactly; times of spans side by side may be more than their parent's, and are then drawn to its scale.
 *
 * @param {FlameLine[]} nodes parents before children
 * @param {"on_path" | "time"} measure
 * @param {number | null} from the node that takes the whole width
 * @returns {Box[]}
 */
export function layout(nodes, measure, from = null) {
  const children = childrenOf(nodes);
  const roots = from === null ? nodes.flatMap((node, at) => (node.parent === null ? [at] : [])) : [from];
  /** @type {Box[]} */
  const boxes = [];
  /** @type {{places: number[], depth: number, left: number, width: number, whole: number}[]} */
  const waiting = [{ places: roots, depth: 0, left: 0, width: 1, whole: 0 }];
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const { places, depth, left, width, whole } = next;
    const sum = places.reduce((so, at) => so + nodes[at][measure], 0);
    const scale = Math.max(sum, whole);
    if (scale === 0) continue;
    let edge = left;
    for (const at of [...places].sort((one, other) => nodes[other][measure] - nodes[one][measure] || one - other)) {
      const share = (nodes[at][measure] / scale) * width;
      if (share < MIN_WIDTH) break;
      boxes.push({ at, depth, left: edge, width: share });
      waiting.push({ places: children[at], depth: depth + 1, left: edge, width: share, whole: nodes[at][measure] });
      edge += share;
    }
  }
  return boxes;
}

/** @param {FlameLine[]} nodes @returns {number[][]} */
function childrenOf(nodes) {
  /** @type {number[][]} */
  const children = nodes.map(() => []);
  nodes.forEach((node, at) => {
    if (node.parent !== null) children[node.parent].push(at);
  });
  return children;
}

/**
 * The places of a node and of those above it, the root first.
 *
 * @param {FlameLine[]} nodes
 * @param {number} at
 */
export function pathTo(nodes, at) {
  /** @type {number[]} */
  const path = [];
  for (let up = /** @type {number | null} */ (at); up !== null; up = nodes[up].parent) path.unshift(up);
  return path;
}
