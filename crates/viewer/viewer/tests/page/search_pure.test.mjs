// Conditions, the address and the axes of the search page: `node --test crates/viewer/viewer/tests/page/`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { durationTicks, linear, logarithmic, timeTicks } from "../../page/search/axes.js";
import { OPERATORS, read as readCondition, words, write } from "../../page/search/condition.js";
import { filterParams, hasFilters, pointParams, read, searchParams, tailParams } from "../../page/search/query.js";

test("a condition that is written is read as the same", () => {
  const keys = ["http.route", "a=b", 'quo"te', "back\\slash", "span:x", '"', "!~", "scope:x", "é"];
  for (const scope of ["", "span", "resource", "event", "link"]) {
    for (const key of keys) {
      for (const [operator] of OPERATORS) {
        const condition = { scope, key, operator, value: operator ? '= "v" ~' : "" };
        assert.deepEqual(readCondition(write(condition)), condition);
      }
    }
  }
});

test("conditions read as the API's documentation writes them", () => {
  assert.deepEqual(readCondition("order.id"), { scope: "", key: "order.id", operator: "", value: "" });
  assert.deepEqual(readCondition("resource:a!=b"), { scope: "resource", key: "a", operator: "!=", value: "b" });
  assert.deepEqual(readCondition('"a=b">=3'), { scope: "", key: "a=b", operator: ">=", value: "3" });
  assert.deepEqual(["=a", "span:", "a>3", '"a'].map(readCondition), [
    null,
    null,
    null,
    { scope: "", key: '"a', operator: "", value: "" },
  ]);
  assert.equal(words("event:exception.message~time"), "event exception.message contains time");
  assert.equal(words("a="), "a is (empty)");
});

test("the address keeps the whole search", () => {
  const query = new URLSearchParams({
    service: "api-gateway",
    min_duration: "5ms",
    text: "<b>",
    max_trace_duration: "2s",
    from: "6h",
    order: "longest",
    live: "1",
  });
  query.append("attr", "a=1");
  query.append("attr", "b");
  query.append("with", "service=payment-service&status=error&attr=c%3D2");
  const state = read(query);
  assert.deepEqual(
    state.others.map(({ service, status, attr }) => ({ service, status, attr })),
    [{ service: "payment-service", status: "error", attr: ["c=2"] }],
  );
  const again = new URLSearchParams(query);
  for (const [name, value] of Object.entries(filterParams(state))) {
    again.delete(name);
    for (const one of [value].flat()) if (one) again.append(name, one);
  }
  assert.deepEqual(read(again), state);
});

test("the API gets only parameters that it knows", () => {
  const state = read(new URLSearchParams("service=a&scale=linear&show=100&live=1&with=kind%3Dclient"));
  const filter = ["service", "operation", "kind", "status", "min_duration", "max_duration", "root", "text", "attr"];
  const search = [...filter, "with", "min_trace_duration", "max_trace_duration", "from", "to"];
  const unknown = (params, known) => Object.keys(params).filter((name) => !known.includes(name));
  assert.deepEqual(unknown(searchParams(state), [...search, "order"]), []);
  assert.deepEqual(unknown(pointParams(state), [...search, "limit"]), []);
  assert.deepEqual(unknown(tailParams(state), filter), []);
});

test("without a time the last hour is searched, and all means no bound", () => {
  assert.equal(searchParams(read(new URLSearchParams(""))).from, "1h");
  assert.equal("from" in searchParams(read(new URLSearchParams("from=all"))), false);
});

test("without a condition on a span a dot is a root, with one it is what meets it", () => {
  assert.equal(pointParams(read(new URLSearchParams("min_trace_duration=1s"))).root, "true");
  assert.equal(pointParams(read(new URLSearchParams("status=error"))).root, "");
  assert.deepEqual(
    ["", "from=all&order=longest", "with=kind%3Dclient", "attr=a"].map((text) =>
      hasFilters(read(new URLSearchParams(text))),
    ),
    [false, false, true, true],
  );
});

test("scales lead back to where they came from", () => {
  for (const scale of [linear(100, 900, 20, 420), logarithmic(1e3, 1e9, 150, 10)]) {
    for (const value of [1e3 / 5 + 1e3, 5e3]) assert.ok(Math.abs(scale.back(scale.of(value)) / value - 1) < 1e-9);
  }
  assert.equal(logarithmic(1e3, 1e9, 150, 10).of(0), logarithmic(1e3, 1e9, 150, 10).of(100));
});

test("ticks are few and within the axis, for a millisecond as for a century", () => {
  const start = Date.UTC(2026, 0, 1, 12, 0, 3);
  for (const length of [1, 500, 60_000, 3_600_000, 86_400_000 * 30, 86_400_000 * 36_500]) {
    const { ticks } = timeTicks(start, start + length, 8);
    assert.ok(ticks.length <= 9 && ticks.every((tick) => tick >= start && tick <= start + length), String(length));
  }
  assert.deepEqual(durationTicks(5e5, 2e9, false), [1e6, 1e7, 1e8, 1e9]);
  assert.deepEqual(durationTicks(0, 1e9, true), [0, 5e8, 1e9]);
});
