// Which rows the waterfall shows: `node --test crates/viewer/viewer/tests/page/`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { nextRow, withAncestors } from "../../page/trace/model.js";
import { arrange, collapseFrom, foldFigures, HEADING, unfoldAround } from "../../page/trace/visible.js";
import { modelOf, repeats } from "./fixture.mjs";

function rowsOf(model, options = {}) {
  const bytes = () => new Uint8Array(model.count);
  const arranged = arrange(model, { collapsed: bytes(), unfolded: bytes(), ...options });
  return {
    items: [...arranged.items],
    levels: [...arranged.levels.subarray(0, arranged.length)],
    headings: arranged.headings,
    itemOf: [...arranged.itemOf],
  };
}

test("four repeats stay as they are and five are one row", () => {
  assert.deepEqual(rowsOf(modelOf(repeats(4))).items, [0, 1, 2, 3, 4]);
  const { items, headings } = rowsOf(modelOf(repeats(5)));
  assert.deepEqual(items, [0, ~0]);
  assert.deepEqual(headings, { kind: [HEADING.fold], first: [1], last: [5], count: [5], isOpen: [false], item: [1] });
});

test("an error within a repeat's subtree is never folded and divides the fold", () => {
  const rows = repeats(11);
  rows.splice(7, 0, { depth: 2, name: "inner", status: "error" });
  const { items, headings } = rowsOf(modelOf(rows));
  assert.deepEqual(items, [0, ~0, 6, 7, ~1]);
  assert.deepEqual(
    [headings.first, headings.count],
    [
      [1, 8],
      [5, 5],
    ],
  );
});

test("repeats on the critical path are folded as others are", () => {
  const segments = Array.from({ length: 6 }, (_, at) => ({ row: at + 1, start: at * 20, duration: 10 + at }));
  const model = modelOf(repeats(6), { segments });
  const { items, headings } = rowsOf(model);
  assert.deepEqual([items, headings.count], [[0, ~0], [6]]);
});

test("hits of a search are never folded", () => {
  const model = modelOf(repeats(6));
  assert.deepEqual(rowsOf(model, { pinned: withAncestors(model, [6]) }).items, [0, ~0, 6]);
});

test("another service, name or kind ends a run of repeats", () => {
  for (const change of [{ service: "other" }, { name: "UPDATE" }, { kind: "client" }]) {
    assert.deepEqual(rowsOf(modelOf(repeats(9, { 4: change }))).items, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  }
});

test("an open fold shows its members one level deeper below its heading", () => {
  const model = modelOf(repeats(5));
  const unfolded = new Uint8Array(model.count);
  unfoldAround(model, unfolded, 3);
  assert.deepEqual([...unfolded], [0, 1, 1, 1, 1, 1]);
  const { items, levels } = rowsOf(model, { unfolded });
  assert.deepEqual(items, [0, ~0, 1, 2, 3, 4, 5]);
  assert.deepEqual(levels, [1, 2, 3, 3, 3, 3, 3]);
});

test("folding turned off shows every repeat", () => {
  assert.deepEqual(rowsOf(modelOf(repeats(6)), { folds: false }).items, [0, 1, 2, 3, 4, 5, 6]);
});

test("repeats hide their subtrees with them", () => {
  const rows = repeats(0);
  for (let at = 0; at < 5; at += 1) rows.push({ depth: 1, name: "call" }, { depth: 2, name: "inner" });
  rows.push({ depth: 1, name: "last" });
  const { items, headings, itemOf } = rowsOf(modelOf(rows));
  assert.deepEqual(items, [0, ~0, 11]);
  assert.deepEqual([headings.last, headings.count], [[9], [5]]);
  assert.deepEqual(itemOf, [0, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 2]);
});

test("a collapsed row hides its subtree, and a subtree in focus stands alone at the first level", () => {
  const model = modelOf([
    { depth: 0, name: "a" },
    { depth: 1, name: "b" },
    { depth: 2, name: "c" },
    { depth: 3, name: "d" },
    { depth: 1, name: "e" },
  ]);
  const collapsed = new Uint8Array(model.count);
  collapsed[1] = 1;
  assert.deepEqual(rowsOf(model, { collapsed }).items, [0, 1, 4]);
  const focused = rowsOf(model, { focus: 1 });
  assert.deepEqual(
    [focused.items, focused.levels],
    [
      [1, 2, 3],
      [1, 2, 3],
    ],
  );
  collapseFrom(model, collapsed, 1);
  assert.deepEqual([...collapsed], [0, 1, 1, 0, 0]);
});

test("orphans stand below a heading that says that their parent is missing", () => {
  const model = modelOf([
    { depth: 0 },
    { depth: 0, name: "x", orphan: true },
    { depth: 1, name: "y" },
    { depth: 0, name: "z", orphan: true },
  ]);
  const { items, levels, headings } = rowsOf(model);
  assert.deepEqual(items, [0, ~0, 1, 2, 3]);
  assert.deepEqual(levels, [1, 1, 2, 3, 2]);
  assert.deepEqual([headings.kind, headings.count], [[HEADING.missing], [2]]);
});

test("only hits and their ancestors are shown when asked for, collapsed or not", () => {
  const model = modelOf([{ depth: 0 }, { depth: 1, name: "b" }, { depth: 2, name: "c" }, { depth: 1, name: "d" }]);
  const kept = withAncestors(model, [2]);
  assert.deepEqual([...kept], [1, 1, 2, 0]);
  const collapsed = new Uint8Array([0, 1, 0, 0]);
  assert.deepEqual(rowsOf(model, { collapsed, pinned: kept, only: kept }).items, [0, 1, 2]);
});

test("a fold's figures are those of its members", () => {
  const model = modelOf(repeats(6));
  assert.deepEqual(foldFigures(model, 1, 6), { count: 6, total: 75, start: 0, end: 115, spans: 6, median: 12 });
});

test("the next row with a mark is found going round, both ways", () => {
  const model = modelOf(repeats(4, { 0: { status: "error" }, 2: { status: "error" } }));
  const isError = (row) => (model.marks[row] & 1) !== 0;
  assert.deepEqual([nextRow(model, 0, isError), nextRow(model, 1, isError), nextRow(model, 3, isError)], [1, 3, 1]);
  assert.equal(nextRow(model, 1, isError, -1), 3);
  assert.equal(
    nextRow(model, 0, () => false),
    -1,
  );
});

test("a chain of 20,000 levels and 100,000 siblings are arranged without recursion", () => {
  const chain = modelOf(Array.from({ length: 20_000 }, (_, depth) => ({ depth, name: `level ${depth}` })));
  assert.equal(rowsOf(chain).items.length, 20_000);
  assert.equal(chain.maxDepth, 19_999);
  assert.deepEqual(rowsOf(modelOf(repeats(100_000))).items, [0, ~0]);
});
