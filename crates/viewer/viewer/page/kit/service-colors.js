// @ts-check
// The colour of each service, the same in every view: its own, or the next that none before it has while there are any
// left. All services that the viewer knows are given theirs at the start, by name, so that a colour does not depend on which
// view was looked at first.

import { get } from "./api.js";
import { SERVICE_COLORS, serviceColor } from "./format.js";

/** @type {Map<string, number>} */
const colors = new Map();
/** @type {Set<number>} */
const taken = new Set();

/**
 * The number of the colour of a service, for the class `svc-<n>`.
 *
 * @param {string} name
 */
export function colorOf(name) {
  const known = colors.get(name);
  if (known !== undefined) return known;
  const own = serviceColor(name);
  const after = Array.from({ length: SERVICE_COLORS }, (_, step) => (own + step) % SERVICE_COLORS);
  const color = after.find((one) => !taken.has(one)) ?? own;
  taken.add(color);
  colors.set(name, color);
  return color;
}

/** Gives every service that is known now its colour. Without an answer they have theirs as they are met. */
export async function assignColors() {
  try {
    const { names } = await get("/names/services");
    names.forEach(colorOf);
  } catch {
    // The view says what is wrong.
  }
}
