// The drawing of the service map: `node --test crates/viewer/viewer/tests/page/`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { layout, NODE } from "../../page/map/layout.js";
import { line } from "../../page/map/shapes.js";

const nodes = (count) => Array.from({ length: count }, (_, at) => ({ id: `n${at}` }));
const edge = (from, to) => ({ from: `n${from}`, to: `n${to}` });

/** Numbers below `limit`, the same ones each time. */
function numbers(seed) {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * limit);
  };
}

test("callers stand left of what they call, and nothing overlaps, whatever the graph", () => {
  const below = numbers(7);
  for (let round = 0; round < 150; round += 1) {
    const count = 1 + below(round % 30 ? 40 : 300);
    const edges = Array.from({ length: below(count * 3) }, () => edge(below(count), below(count)));
    const { places, width, height, turned } = layout(nodes(count), edges);
    const boxes = nodes(count).map(({ id }) => places.get(id));
    for (const { x, y } of boxes) {
      assert.ok(x >= 0 && y >= -1e-6 && x + NODE.width <= width + 1e-6 && y + NODE.height <= height + 1e-6);
    }
    boxes.sort((a, b) => a.x - b.x || a.y - b.y);
    boxes.slice(1).forEach((box, at) => assert.ok(box.x > boxes[at].x || box.y >= boxes[at].y + NODE.height));
    for (const one of edges) {
      if (one.from === one.to || turned.has(one)) continue;
      assert.ok(places.get(one.from).x < places.get(one.to).x);
    }
  }
});

test("a cycle is broken at one edge and a call to itself moves nothing", () => {
  const edges = [edge(0, 1), edge(1, 2), edge(2, 0), edge(1, 1)];
  const { places, turned } = layout(nodes(3), edges);
  assert.deepEqual([...turned], [edges[2]]);
  assert.deepEqual(
    nodes(3).map(({ id }) => places.get(id).x / places.get("n1").x),
    [0, 1, 2],
  );
});

test("a line over a layer has a lane beside the node there", () => {
  const edges = [edge(0, 1), edge(1, 2), edge(0, 2)];
  const { places, bends } = layout(nodes(3), edges);
  const [bend, ...more] = bends.get(edges[2]);
  assert.deepEqual([more.length, bend.x], [0, places.get("n1").x]);
  assert.notEqual(bend.y, places.get("n1").y);
  assert.equal(
    line(places.get("n0"), places.get("n2"), { bends: [bend] })
      .d.match(/[CH]/g)
      .join(""),
    "CHC",
  );
});

test("the same graph is drawn the same, in whatever order it is given", () => {
  const edges = [edge(0, 1), edge(0, 2), edge(2, 3), edge(1, 3), edge(3, 4)];
  const one = layout(nodes(5), edges);
  const other = layout(nodes(5).reverse(), edges);
  assert.deepEqual([...one.places].sort(), [...other.places].sort());
});

test("what is connected with nothing stands below what is", () => {
  const { places } = layout(nodes(5), [edge(2, 4)]);
  const column = ["n0", "n1", "n2", "n3"].sort((a, b) => places.get(a).y - places.get(b).y);
  assert.deepEqual(column, ["n2", "n0", "n1", "n3"]);
});

test("an edge to a node that is not there, no edge and no node do no harm", () => {
  assert.equal(layout(nodes(1), [edge(0, 9)]).places.size, 1);
  assert.equal(layout([], []).places.size, 0);
});

test("a chain of 3,000 services does not exhaust the stack", () => {
  const edges = Array.from({ length: 2999 }, (_, at) => edge(at, at + 1));
  assert.equal(layout(nodes(3000), edges).places.size, 3000);
});
