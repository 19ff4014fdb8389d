// The trace page's axis, lanes, search box and address: `node --test crates/viewer/viewer/tests/page/`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { queryOf, stateFrom } from "../../page/trace/address.js";
import { clampWindow, panWindow, ticks, zoomWindow } from "../../page/trace/axis.js";
import { lanesOf } from "../../page/trace/lanes.js";
import { filterOf } from "../../page/trace/search-query.js";
import { modelOf, repeats } from "./fixture.mjs";

test("ticks are round and within the shown time", () => {
  assert.deepEqual(ticks(0, 48_000_000, 6), [0, 10_000_000, 20_000_000, 30_000_000, 40_000_000]);
  assert.deepEqual(ticks(13_000, 27_000, 4), [15_000, 20_000, 25_000]);
});

test("the shown time stays within the trace and does not vanish", () => {
  assert.deepEqual(clampWindow(-50, 450, 1000), [0, 500]);
  assert.deepEqual(clampWindow(900, 1400, 1000), [500, 1000]);
  assert.deepEqual(clampWindow(300, 300, 1000), [300, 400]);
  assert.deepEqual(clampWindow(0, 5, 50), [0, 50]);
  assert.deepEqual(zoomWindow(0, 1000, 0.5, 500, 1000), [250, 750]);
  assert.deepEqual(panWindow(0, 200, 0.5, 1000), [100, 300]);
});

test("spans that overlap stand in different lanes, those that follow one another share one", () => {
  const model = modelOf([
    { depth: 0, duration: 100 },
    { depth: 1, start: 0, duration: 40 },
    { depth: 2, start: 5, duration: 10 },
    { depth: 1, start: 20, duration: 40 },
    { depth: 1, start: 60, duration: 10 },
  ]);
  assert.deepEqual(lanesOf(model), { lane: Int32Array.of(0, 1, 2, 2, 1), count: 3 });
});

test("what is typed becomes text and conditions", () => {
  assert.equal(filterOf("  "), null);
  assert.deepEqual(filterOf("card declined"), { attr: [], text: "card declined" });
  assert.deepEqual(filterOf("http.route=/api retry>=3"), { attr: ["http.route=/api", "retry>=3"] });
  assert.deepEqual(filterOf('resource:host.name="my host" lost'), {
    attr: ["resource:host.name=my host"],
    text: "lost",
  });
  assert.deepEqual(filterOf('"a=b"=c'), { attr: ['"a=b"=c'] });
  assert.deepEqual(filterOf("status=error name~pay"), { attr: ["name~pay"], status: "error" });
});

test("an address brings back what it was made from", () => {
  const model = modelOf([...repeats(6), { depth: 1, name: "b" }, { depth: 2, name: "c" }, { depth: 1, name: "d" }]);
  const text =
    "span=0000000000000009&view=flame&by=name&q=pay&only=hits&folds=off&highlight=shop&zoom=100-600&depth=1&unfolded=0000000000000002";
  assert.equal(queryOf(stateFrom(model, new URLSearchParams(text))).toString(), `${text}&open=0000000000000008`);
  assert.equal(queryOf(stateFrom(model, new URLSearchParams(""))).toString(), "");
});

test("an address with names of nothing is taken as far as it goes", () => {
  const model = modelOf(repeats(2));
  const query = new URLSearchParams(
    "span=ffff&view=x&by=y&focus=zz&zoom=9-1&depth=-1&collapsed=a,b,,&highlight=nobody",
  );
  assert.equal(queryOf(stateFrom(model, query)).toString(), "");
});

test("a selected span is brought out of folds and collapsed rows", () => {
  const model = modelOf([...repeats(6), { depth: 1, name: "b" }, { depth: 2, name: "c" }]);
  const state = stateFrom(model, new URLSearchParams("span=0000000000000004&collapsed=0000000000000001"));
  assert.deepEqual([...state.arranged.items], [0, ~0, 1, 2, 3, 4, 5, 6, 7, 8]);
  assert.equal(state.cursorItem, 4);
});
