// @ts-check
// Outlines of nodes and lines of edges, as SVG paths. Pure.

import { NODE } from "./layout.js";

/** @typedef {import("./layout.js").Spot} Spot */

const { width: W, height: H } = NODE;
/** How far before its end a line is labelled: the middle of the gap between layers. */
const LABEL_BEFORE = 58;

/** @type {Record<import("../kit/api-types").PeerKind, string>} */
const OUTLINES = {
  service: `M6 0H${W - 6}Q${W} 0 ${W} 6V${H - 6}Q${W} ${H} ${W - 6} ${H}H6Q0 ${H} 0 ${H - 6}V6Q0 0 6 0Z`,
  caller: `M${H / 2} 0H${W - H / 2}A${H / 2} ${H / 2} 0 0 1 ${W - H / 2} ${H}H${H / 2}A${H / 2} ${H / 2} 0 0 1 ${H / 2} 0Z`,
  database: `M0 6A${W / 2} 6 0 0 1 ${W} 6V${H - 6}A${W / 2} 6 0 0 1 0 ${H - 6}ZM0 6A${W / 2} 6 0 0 0 ${W} 6`,
  cache: `M10 0H${W - 10}L${W} ${H / 2}L${W - 10} ${H}H10L0 ${H / 2}Z`,
  messaging: `M12 0H${W}L${W - 12} ${H}H0Z`,
  external: `M0 0H${W}V${H}H0Z`,
};

/**
 * The outline of a kind of node; an unknown kind is a plain box.
 *
 * @param {import("../kit/api-types").PeerKind} kind
 */
export function outline(kind) {
  return OUTLINES[kind] ?? OUTLINES.external;
}

/**
 * The line of an edge, and the place of its label: `{d, x, y}`.
 *
 * @param {Spot} from
 * @param {Spot} to
 * @param {{isSelf: boolean, isBack: boolean, bends?: Spot[]}} how
 */
export function line(from, to, { isSelf, isBack, bends = [] }) {
  if (isSelf) {
    const [x, y] = [from.x + 22, from.y];
    return { d: `M${x + 24} ${y}C${x + 40} ${y - 34} ${x - 6} ${y - 34} ${x} ${y - 2}`, x: x + 14, y: y - 26 };
  }
  if (isBack) {
    const [x1, y1, x2, y2] = [from.x + W / 2, from.y + H, to.x + W / 2, to.y + H];
    const low = Math.max(y1, y2) + 44 + Math.abs(x1 - x2) * 0.04;
    return { d: `M${x1} ${y1}C${x1} ${low} ${x2} ${low} ${x2} ${y2 + 2}`, x: (x1 + x2) / 2, y: low - 12 };
  }
  const stops = [
    [from.x + W, from.y + H / 2],
    ...bends.flatMap(({ x, y }) => [
      [x, y + H / 2],
      [x + W, y + H / 2],
    ]),
    [to.x - 2, to.y + H / 2],
  ];
  let d = `M${stops[0].join(" ")}`;
  let last = { xs: [0, 0, 0, 0], ys: [0, 0, 0, 0] };
  for (let at = 1; at < stops.length; at += 1) {
    const [[x1, y1], [x2, y2]] = [stops[at - 1], stops[at]];
    const middle = (x1 + x2) / 2;
    last = { xs: [x1, middle, middle, x2], ys: [y1, y1, y2, y2] };
    // Odd stops end a gap between layers, even ones a lane through a layer.
    d += at % 2 ? `C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}` : `H${x2}`;
  }
  return { d, ...onCurve(last.xs, last.ys, to.x - 2 - LABEL_BEFORE) };
}

/**
 * The point of a curve at `x`: what leads far has its label before its end, not behind the nodes between.
 *
 * @param {number[]} xs
 * @param {number[]} ys
 * @param {number} x
 */
function onCurve(xs, ys, x) {
  /** @param {number[]} curve @param {number} t */
  const at = ([a, b, c, d], t) => a * (1 - t) ** 3 + 3 * b * t * (1 - t) ** 2 + 3 * c * t * t * (1 - t) + d * t ** 3;
  let [low, high] = [0, 1];
  for (let step = 0; step < 20; step += 1) {
    const middle = (low + high) / 2;
    if (at(xs, middle) < x) low = middle;
    else high = middle;
  }
  return { x: at(xs, low), y: at(ys, low) };
}
