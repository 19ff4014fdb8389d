// @ts-check
// Marks render passes as performance measures (`trace:load`, `trace:fold`, `trace:render`), which the browser's own
// tools and the tests read. The buffer is emptied before it grows without end.

const KEEPS = 5000;
const counts = new Map();

/**
 * Runs `work` and records how long it took under `name`.
 *
 * @template T
 * @param {string} name
 * @param {() => T} work
 */
export function measured(name, work) {
  const start = performance.now();
  try {
    return work();
  } finally {
    record(name, start);
  }
}

/**
 * Records a measure from `start` until now.
 *
 * @param {string} name
 * @param {number} start
 */
export function record(name, start) {
  const count = (counts.get(name) ?? 0) + 1;
  if (count > KEEPS) performance.clearMeasures(name);
  counts.set(name, count > KEEPS ? 1 : count);
  performance.measure(name, { start, end: performance.now() });
}
