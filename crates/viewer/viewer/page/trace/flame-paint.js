// @ts-check
// Drawing the flame view: one pass over the rows; spans thinner than a pixel are drawn once a pixel, so that a frame's
// work is bounded by the pixels and not by the spans.

import { nameShown } from "./labels.js";
import { MARK } from "./model.js";
import { colorOf } from "./row.js";

/** Height of a lane in pixels. */
export const LANE = 20;

/**
 * @typedef {{x: number, y: number, width: number, height: number}} Box
 * @typedef {{state: import("./state.js").State, palette: import("./palette.js").Palette, lane: Int32Array, top: number, scroll: number,
 *   width: number, height: number, hover: number}} View `top` is the lane that stands uppermost
 */

const LETTER = 6.9;
const FAINT = 0.25;

/** @param {CanvasRenderingContext2D} context @param {View} view */
export function paintFlame(context, view) {
  const { state, palette, lane, top, scroll, width, height } = view;
  const { model } = state;
  context.clearRect(0, 0, width, height);
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  const firstLane = top + Math.floor(scroll / LANE);
  const lastLane = top + Math.ceil((scroll + height) / LANE);
  const drawnTo = new Int32Array(lastLane - firstLane + 1).fill(-1);
  const scale = width / (state.to - state.from);
  const end = state.focus < 0 ? model.count : model.after(state.focus);
  const cursor = state.cursor < 0 ? ~state.cursor : state.cursor;

  for (let row = Math.max(state.focus, 0); row < end; row++) {
    const at = lane[row];
    if (at < firstLane || at > lastLane) continue;
    const start = (model.start[row] - state.from) * scale;
    const stop = start + model.duration[row] * scale;
    if (stop < 0 || start > width) continue;
    const left = Math.max(start, 0);
    const isThin = stop - start < 1.5;
    const isKept = row === cursor || row === state.selected || row === view.hover;
    // Within a lane spans come in order of time: what ends within what is drawn already would not be seen.
    const isCovered = drawnTo[at - firstLane] >= (isThin ? Math.floor(left) : Math.ceil(Math.min(stop, width)));
    if (isCovered && !isKept) continue;
    const box = {
      x: isThin ? Math.floor(left) : left,
      y: (at - top) * LANE - scroll,
      width: isThin ? 1 : Math.max(Math.min(stop, width) - left - 0.5, 1),
      height: LANE - 2,
    };
    drawnTo[at - firstLane] = Math.max(drawnTo[at - firstLane], Math.floor(box.x + box.width - 0.01));
    paintSpan(context, view, row, box, scale);
  }
  for (const row of [cursor, state.selected, view.hover]) {
    if (row < 0) continue;
    const x = Math.max((model.start[row] - state.from) * scale, 1);
    const right = Math.min((model.start[row] + model.duration[row] - state.from) * scale, width - 1);
    context.strokeStyle = row === state.selected ? palette.accent : palette.text;
    context.lineWidth = 2;
    context.strokeRect(x, (lane[row] - top) * LANE - scroll + 1, Math.max(right - x - 1, 2), LANE - 4);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {View} view
 * @param {number} row
 * @param {Box} box
 * @param {number} scale
 */
function paintSpan(context, view, row, box, scale) {
  const { state, palette } = view;
  const { model } = state;
  const isFaint =
    (state.service >= 0 && model.service[row] !== state.service) || (state.hits !== null && !state.isHit(row));
  context.globalAlpha = isFaint ? FAINT : 1;
  context.fillStyle = palette.services[colorOf(model, row)];
  context.fillRect(box.x, box.y, box.width, box.height);
  const isError = model.has(row, MARK.error);
  if (isError) {
    context.fillStyle = palette.error;
    context.fillRect(box.x, box.y, Math.min(box.width, 4), box.height);
  }
  if (box.width > 36) {
    const room = Math.floor((box.width - 10) / LETTER);
    const text = (isError ? "! " : "") + nameShown(model, row);
    context.fillStyle = palette["on-svc-bar"];
    context.fillText(
      text.length > room ? `${text.slice(0, Math.max(room - 1, 1))}…` : text,
      box.x + 6,
      box.y + box.height / 2,
    );
  }
  context.globalAlpha = 1;
  paintPath(context, view, row, box, scale);
}

/**
 * The critical path as a line along the foot of the span.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {View} view
 * @param {number} row
 * @param {Box} box
 * @param {number} scale
 */
function paintPath(context, { state, palette }, row, box, scale) {
  const { model } = state;
  if (!state.showsPath) return;
  let drawn = -1;
  context.fillStyle = palette.path;
  for (let at = model.segmentFrom[row]; at < model.segmentFrom[row + 1]; at++) {
    const left = Math.max(Math.floor((model.segmentStart[at] - state.from) * scale), Math.floor(box.x));
    const right = Math.min(
      Math.ceil((model.segmentStart[at] + model.segmentDuration[at] - state.from) * scale),
      box.x + box.width,
    );
    if (right <= drawn || right <= left) continue;
    context.fillRect(left, box.y + box.height - 3, Math.max(right - left, 1), 3);
    drawn = right;
  }
}
