// @ts-check
// A drawing that can be moved and scaled: with the pointer, the wheel, two fingers, buttons and keys.

import { h, icon, svg } from "../kit/dom.js";

const LEAST = 0.1;
const MOST = 3;

/**
 * Answers `{node, canvas, fit(width, height), zoom(factor), pan(x, y), reveal(box), wasDragged}`; what is drawn goes into `canvas`.
 *
 * @param {{label: string}} options
 */
export function stage({ label }) {
  const canvas = svg("g", {});
  const drawing = svg("svg", { class: "map-drawing", role: "group", "aria-label": label }, canvas);
  let [x, y, scale] = [0, 0, 1];
  let size = { width: 1, height: 1 };
  let moved = 0;
  /** @type {Map<number, import("./layout.js").Spot>} */
  const fingers = new Map();

  /** @param {string} name @param {string} words @param {() => void} run */
  const button = (name, words, run) =>
    h("button", { type: "button", "aria-label": words, title: words, on: { click: run } }, icon(name));
  const tools = h(
    "div",
    { class: "map-tools", role: "group", "aria-label": "Zoom" },
    button("plus", "Zoom in (+)", () => zoom(1.25)),
    button("minus", "Zoom out (-)", () => zoom(0.8)),
    button("fit", "Show all (0)", () => fit()),
  );
  const node = h("div", { class: "map-stage" }, drawing, tools);

  function apply() {
    canvas.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
  }

  /** Shows all; `least` is how small that may be at first: then the side of the callers is shown. */
  function fit(width = size.width, height = size.height, least = LEAST) {
    size = { width, height };
    const [room, tall] = [drawing.clientWidth || 800, drawing.clientHeight || 500];
    scale = Math.min(1.1, Math.max(least, Math.min((room - 40) / width, (tall - 70) / height)));
    x = Math.max(10, (room - width * scale) / 2);
    y = (tall - height * scale) / 2;
    apply();
  }

  /** @param {number} factor @param {import("./layout.js").Spot} [at] */
  function zoom(factor, at = { x: drawing.clientWidth / 2, y: drawing.clientHeight / 2 }) {
    const next = Math.min(MOST, Math.max(LEAST, scale * factor));
    x = at.x - ((at.x - x) / scale) * next;
    y = at.y - ((at.y - y) / scale) * next;
    scale = next;
    apply();
  }

  /** @param {number} right @param {number} down */
  function pan(right, down) {
    x += right;
    y += down;
    apply();
  }

  /**
   * Moves as little as it takes to show a box of the drawing.
   *
   * @param {{x: number, y: number, width: number, height: number}} box
   */
  function reveal({ x: left, y: top, width, height }) {
    const [from, over] = [left * scale + x, top * scale + y];
    const overRight = from + width * scale - drawing.clientWidth + 10;
    const overBottom = over + height * scale - drawing.clientHeight + 10;
    pan(
      from < 10 ? 10 - from : overRight > 0 ? -overRight : 0,
      over < 10 ? 10 - over : overBottom > 0 ? -overBottom : 0,
    );
  }

  /** @param {MouseEvent} event */
  function place(event) {
    const bounds = drawing.getBoundingClientRect();
    return { x: event.clientX - bounds.left, y: event.clientY - bounds.top };
  }

  drawing.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), place(event));
    },
    { passive: false },
  );
  drawing.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (!fingers.size) moved = 0;
    fingers.set(event.pointerId, place(event));
  });
  drawing.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = place(event);
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      /** @param {import("./layout.js").Spot} point */
      const distance = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
      zoom(distance(now) / distance(before), other);
    } else pan(now.x - before.x, now.y - before.y);
    moved += Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
    // Captured only now: captured at once, a click would miss what it was on.
    if (moved > 4 && !drawing.hasPointerCapture(event.pointerId)) drawing.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, now);
  });
  for (const end of /** @type {const} */ (["pointerup", "pointercancel"]))
    drawing.addEventListener(end, (event) => fingers.delete(event.pointerId));
  drawing.addEventListener(
    "pointerleave",
    (event) => !drawing.hasPointerCapture(event.pointerId) && fingers.delete(event.pointerId),
  );

  return { node, canvas, fit, zoom, pan, reveal, wasDragged: () => moved > 4 };
}
