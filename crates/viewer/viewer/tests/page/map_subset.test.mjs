// Which part of the map is drawn: `node --test crates/viewer/viewer/tests/page/`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { alive, around, busiest, labelled, readableHops } from "../../page/map/subset.js";

const node = (id, calls = 1) => ({ id, kind: "service", name: id, calls, errors: 0 });
const edge = (from, to, rate = 1, errors = 0) => ({ from, to, rate, errors, calls: 1 });
const ids = ({ nodes }) => nodes.map(({ id }) => id);

test("nodes without calls are left out and counted", () => {
  const graph = { nodes: [node("a"), node("dead", 0), node("called", 0), node("db", null)], edges: [edge("a", "called"), edge("a", "db")] };
  const living = alive(graph);
  assert.deepEqual([ids(living), living.silent], [["a", "called", "db"], 1]);
});

test("around a service are its callers and what it calls, so many calls away", () => {
  const nodes = ["a", "b", "c", "d", "e"].map((id) => node(id));
  const graph = { nodes, edges: [edge("a", "b"), edge("b", "c"), edge("c", "d"), edge("e", "d")] };
  assert.deepEqual(ids(around(graph, "b", 1)), ["a", "b", "c"]);
  assert.deepEqual(around(graph, "b", 1).edges.length, 2);
  assert.deepEqual(ids(around(graph, "b", 2)), ["a", "b", "c", "d"]);
  assert.deepEqual(ids(around(graph, "b", 9)), ["a", "b", "c", "d", "e"]);
});

test("as much is drawn around a service as can be read", () => {
  const chain = Array.from({ length: 40 }, (_, at) => node(`${at}`));
  const links = chain.slice(1).map(({ id }, at) => edge(`${at}`, id));
  assert.equal(readableHops({ nodes: chain, edges: links }, "20"), 3);
  const star = chain.slice(1).map(({ id }) => edge("0", id));
  assert.equal(readableHops({ nodes: chain, edges: star }, "0"), 1);
});

test("a large map begins at the service with the most calls", () => {
  assert.equal(busiest({ nodes: [node("a", 2), node("b", 5), { ...node("db", 9), kind: "database" }], edges: [] }), "b");
  assert.equal(busiest({ nodes: [], edges: [] }), null);
});

test("the busiest and the failing edges are labelled, twelve at most", () => {
  const edges = Array.from({ length: 40 }, (_, at) => edge("a", `${at}`, 100 - at, at === 39 ? 1 : 0));
  const shown = labelled(edges);
  assert.equal(shown.size, 12);
  assert.ok(shown.has(edges[39]) && shown.has(edges[0]) && !shown.has(edges[20]));
});
