// What differs between two traces, and where the parts of a merged tree stand: `node --test crates/viewer/viewer/tests/page/`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { differenceOf, differing, relative, signed } from "../../page/compare/differences.js";
import { layout, pathTo } from "../../page/operation/flame-layout.js";

const side = (time, spans = 1, errors = 0) => ({ time, spans, errors, on_path: time, self_on_path: 0, span_ids: ["1"] });
const line = (parent, left, right) => ({ parent, depth: 0, service: "s", name: "n", kind: "client", left, right });

test("a line differs by who has it, how many, failures, or much time", () => {
  assert.equal(differenceOf(line(null, null, side(5)), 100), "right");
  assert.equal(differenceOf(line(null, side(5), null), 100), "left");
  assert.equal(differenceOf(line(null, side(5), side(5, 2)), 100), "count");
  assert.equal(differenceOf(line(null, side(5), side(5, 1, 1)), 100), "count");
  assert.equal(differenceOf(line(null, side(10), side(13)), 100), "time");
  assert.equal(differenceOf(line(null, side(10), side(13)), 1000), "same", "nobody waits for it");
  assert.equal(differenceOf(line(null, side(900), side(930)), 1000), "same", "it is nearly as long");
});

test("what differs is shown with what it is in", () => {
  const lines = [
    line(null, side(100), side(101)),
    line(0, side(10), side(10)),
    line(1, side(5), side(5)),
    line(0, side(20), side(21)),
    line(3, side(5), null),
  ];
  assert.deepEqual(differing(lines, 101), [0, 3, 4]);
  assert.deepEqual(differing(lines.slice(0, 3), 101), []);
});

test("differences have a sign and a size", () => {
  const shown = (ns) => `${ns} ns`;
  assert.deepEqual([signed(5, shown), signed(-5, shown), signed(0, shown)], ["+5 ns", "−5 ns", "0"]);
  assert.deepEqual(
    [relative(100, 140), relative(100, 92), relative(100, 310), relative(100, 100), relative(0, 5), relative(10, 200)],
    ["+40 %", "−8 %", "×3.1", "", "", "×20"],
  );
});

const node = (parent, on_path, time = on_path) => ({ parent, on_path, time });

test("parts on the path fill what they are in, the widest first", () => {
  const nodes = [node(null, 100), node(0, 20), node(0, 60), node(2, 60)];
  assert.deepEqual(layout(nodes, "on_path"), [
    { at: 0, depth: 0, left: 0, width: 1 },
    { at: 2, depth: 1, left: 0, width: 0.6 },
    { at: 1, depth: 1, left: 0.6, width: 0.2 },
    { at: 3, depth: 2, left: 0, width: 0.6 },
  ]);
});

test("parts side by side are drawn to the scale of what they are in", () => {
  const nodes = [node(null, 100), node(0, 50, 80), node(0, 50, 120)];
  const boxes = layout(nodes, "time");
  assert.deepEqual(
    boxes.map(({ at, width }) => [at, width]),
    [
      [0, 1],
      [2, 0.6],
      [1, 0.4],
    ],
  );
});

test("a chosen part is the whole, and what is too narrow is left out", () => {
  const nodes = [node(null, 10_000), node(0, 5_000), node(1, 4_999), node(1, 1)];
  assert.deepEqual(
    layout(nodes, "on_path", 1).map(({ at, depth }) => [at, depth]),
    [
      [1, 0],
      [2, 1],
    ],
  );
  assert.deepEqual(pathTo(nodes, 3), [0, 1, 3]);
  assert.deepEqual(layout([node(null, 0)], "on_path"), []);
});
