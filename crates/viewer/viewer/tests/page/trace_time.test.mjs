// Where the time went, in groups and in one sentence, and clocks: `node --test crates/viewer/viewer/tests/page/`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Model } from "../../page/trace/model.js";
import { grouped, largest, usualGrouping } from "../../page/trace/time-groups.js";
import { plainNumber, valueText } from "../../page/trace/values.js";
import { answer, repeats } from "./fixture.mjs";

function divided(rows, parts) {
  const made = answer(rows);
  made.critical_path.parts = parts;
  return new Model(made);
}

const part = (row, time, category = "dependency") => ({ row, category, time });

test("calls that follow one another are counted together, and said to be repeated", () => {
  const rows = repeats(6, Object.fromEntries(Array.from({ length: 6 }, (_, at) => [at, { kind: "client", duration: 10 }])));
  rows.push({ depth: 1, name: "slow", kind: "client", start: 200, duration: 50 });
  const model = divided(rows, [part(7, 50), ...[1, 2, 3, 4, 5, 6].map((row) => part(row, 10)), part(0, 8, "work")]);
  const most = largest(model);
  assert.deepEqual([most.row, most.time, most.spans, most.isRepeated], [1, 60, 6, true]);
  assert.equal(usualGrouping(model), "name");
  assert.deepEqual(grouped(model, "category").map(({ time }) => time), [110, 8]);
});

test("the root's own work can be most of it", () => {
  const model = divided(repeats(1), [part(0, 900, "work"), part(1, 100)]);
  assert.deepEqual([largest(model).row, largest(model).isRepeated], [0, false]);
  assert.equal(usualGrouping(model), "span");
});

test("calls that overlap are not one after the other", () => {
  const rows = repeats(6, Object.fromEntries(Array.from({ length: 6 }, (_, at) => [at, { kind: "client", start: 5 * at, duration: 20 }])));
  assert.equal(largest(divided(rows, [1, 2, 3, 4, 5, 6].map((row) => part(row, 5)))).isRepeated, false);
});

test("aligned, a subtree is where its caller's clock has it, and the trace as long as that", () => {
  const rows = [
    { depth: 0, name: "call", kind: "client", start: 500, duration: 100 },
    { depth: 1, name: "serve", kind: "server", service: "other", start: 0, duration: 80 },
    { depth: 2, name: "inner", service: "other", start: 10, duration: 20 },
  ];
  const made = answer(rows, { repairs: [{ what: "clock_skew", row: 1, offset: 510 }] });
  made.duration = 600;
  const sent = new Model(made);
  assert.deepEqual([[...sent.start], sent.total, sent.clockDifference, sent.isAligned], [[500, 0, 10], 600, 510, false]);
  const aligned = new Model(made, { isAligned: true });
  assert.deepEqual([[...aligned.start], aligned.total, aligned.isAligned], [[0, 10, 20], 100, true]);
  assert.equal(aligned.startTime - sent.startTime, 500n);
});

test("values are shown as a search finds them", () => {
  assert.equal(valueText({ type: "bytes", value: "AAH/" }), "0001ff");
  assert.deepEqual([1e21, 1e-9, -1.5e-7, 1.25e22, 0.1, "NaN", 5].map(plainNumber), [
    "1000000000000000000000",
    "0.000000001",
    "-0.00000015",
    "12500000000000000000000",
    "0.1",
    "NaN",
    "5",
  ]);
});
