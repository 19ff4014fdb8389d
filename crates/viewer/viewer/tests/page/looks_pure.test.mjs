// What pages tell at first sight, as far as it is computed: `node --test crates/viewer/viewer/tests/page/`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { health, perCall } from "../../page/map/subset.js";
import { resultOf } from "../../page/search/result.js";
import { before, change, changeText } from "../../page/services/before.js";
import { shapeOf } from "../../page/services/sparkline.js";
import { byService, origin } from "../../page/trace/summary.js";
import { modelOf } from "./fixture.mjs";

test("the time before a stretch is as long as it", () => {
  assert.deepEqual(before({ from: "15m", to: "" }), { from: "30m", to: "15m" });
  assert.deepEqual(before({ from: "7000000000", to: "9000000000" }), { from: "5000000000", to: "7000000000" });
});

test("a change of latency is told when enough is known", () => {
  const figure = (p95, calls = 10) => ({ p95, calls });
  assert.equal(change(figure(300), figure(100)), 2);
  assert.equal(change(figure(300), undefined), null);
  assert.equal(change(figure(300), figure(100, 4)), null);
  assert.deepEqual([2.4, -0.121, 0].map(changeText), ["+240 %", "−12 %", "+0 %"]);
});

test("a line of calls has the failures below it", () => {
  const { line, area, hasErrors } = shapeOf([
    { calls: 0, errors: 0 },
    { calls: 10, errors: 5 },
  ]);
  assert.equal(line, "M0.0 21.0L110.0 2.0");
  assert.ok(area.startsWith("M0.0 21.0L110.0 11.5") && area.endsWith("Z"));
  assert.deepEqual([hasErrors, shapeOf([{ calls: 1, errors: 0 }]).hasErrors], [true, false]);
});

test("how a call ended is told by the code of HTTP or gRPC", () => {
  const of = (...values) => resultOf([0, 1, 2, 3].map((at) => values[at] ?? null));
  assert.equal(of(), null);
  assert.deepEqual(of("402"), { text: "402", look: "warn" });
  assert.deepEqual(of(null, "503"), { text: "503", look: "bad" });
  assert.deepEqual(of("201"), { text: "201", look: "" });
  assert.deepEqual(of(null, null, "UNAVAILABLE"), { text: "UNAVAILABLE", look: "bad" });
  assert.deepEqual(of(null, null, null, "9"), { text: "FAILED_PRECONDITION", look: "warn" });
  assert.deepEqual(of(null, null, null, "0"), { text: "OK", look: "" });
});

test("a node is ill by the share of its calls that failed", () => {
  assert.deepEqual(
    [[100, 0], [100, 1], [100, 5], [null, null], [0, 0]].map(([calls, errors]) => health({ calls, errors })),
    ["", "warn", "bad", "", ""],
  );
  assert.deepEqual([perCall({ calls: 30 }, { calls: 10 }), perCall({ calls: 30 }, { calls: null })], [3, null]);
});

test("of several failures the one that says why is told, else the last to begin", () => {
  const model = modelOf([
    { name: "a", status: "error", start: 0 },
    { name: "b", depth: 1, status: "error", start: 5 },
    { name: "c", depth: 2, status: "error", start: 9 },
    { name: "d", depth: 1, start: 20 },
  ]);
  assert.equal(origin(model, new Map()), 2);
  assert.equal(origin(model, new Map([[1, { message: "declined" }]])), 1);
  assert.equal(origin(modelOf([{ name: "a" }]), new Map()), -1);
  assert.deepEqual(byService(modelOf([{ name: "a" }])), []);
});
