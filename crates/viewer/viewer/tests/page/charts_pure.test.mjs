// What charts draw of `GET /series`: `node --test crates/viewer/viewer/tests/page/`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bounds, cells, columns, durationSplits, figuresOf, stepWords, timeWords, widened } from "../../page/charts/data.js";

const MINUTE = 60e9;
const step = (start, more) => ({
  start: String(start),
  is_over: true,
  calls: 0,
  errors: 0,
  rate: 0,
  p50: null,
  p95: null,
  p99: null,
  apdex: null,
  latencies: [],
  ...more,
});
const latencies = [
  { from: 4e6, to: 5e6, calls: 8, errors: 0 },
  { from: 60e6, to: 70e6, calls: 2, errors: 1 },
];
const answer = {
  step: MINUTE,
  steps: [
    step(0, { rate: null }),
    step(MINUTE, { calls: 10, errors: 1, rate: 0.5, p50: 4.5e6, p95: 65e6, p99: 65e6, apdex: 0.9, latencies }),
    step(2 * MINUTE),
  ],
};

test("a step stands in its middle, and what is not known is no zero", () => {
  assert.deepEqual(columns(answer), {
    x: [30, 90, 150],
    rate: [null, 0.5, 0],
    failedRate: [null, 0.05, 0],
    errorShare: [null, 0.1, null],
    p50: [null, 4.5e6, null],
    p95: [null, 65e6, null],
    p99: [null, 65e6, null],
  });
});

test("cells of the heatmap have their step and their range", () => {
  const all = cells(answer);
  assert.deepEqual(all[1], { at: 1, x0: 60, x1: 120, low: 60e6, high: 70e6, calls: 2, errors: 1 });
  const [low, high] = bounds(all);
  assert.ok(low <= 4e6 && high >= 70e6 && high / low >= 9.99);
  assert.deepEqual(bounds([]), [1e6, 1e9]);
});

test("a logarithmic axis always has words", () => {
  for (const low of [1e3, 3.3e6, 4.9e6, 7.1e8]) {
    const splits = durationSplits(low, low * 10);
    assert.ok(splits.length >= 3, `${low}`);
    assert.ok(splits.every((split) => split >= low && split <= low * 10));
  }
  assert.deepEqual(durationSplits(1e3, 1e9).length, 7);
});

test("times are as fine as the axis", () => {
  const noon = new Date(2026, 8, 21, 12, 0, 30).getTime() / 1000;
  assert.deepEqual(timeWords([noon], 30), ["12:00:30"]);
  assert.deepEqual(timeWords([noon], 300), ["12:00"]);
  assert.deepEqual(timeWords([noon], 86_400), ["09-21"]);
  const start = String(BigInt(new Date(2026, 8, 21, 12, 5).getTime()) * 1_000_000n);
  assert.equal(stepWords({ start }, MINUTE), "12:05 to 12:06");
});

test("a step in words", () => {
  const words = Object.fromEntries(figuresOf(answer.steps[1]));
  assert.deepEqual(words, {
    Calls: "10",
    Rate: "0.50/s",
    Errors: "1 (10 %)",
    p50: "4.50 ms",
    p95: "65 ms",
    p99: "65 ms",
    Apdex: "0.90",
  });
  assert.equal(Object.fromEntries(figuresOf(answer.steps[0])).Rate, "–");
});

test("zooming out doubles the time and ends now", () => {
  assert.deepEqual(widened(100, 200, 1000), [50, 250]);
  assert.deepEqual(widened(900, 1000, 1000), [800, 1000]);
});
