// Conditions, the address and the axes of the search page: `node --test crates/viewer/viewer/tests/page/`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { durationTicks, linear, logarithmic, timeTicks } from "../../page/search/axes.js";
import { OPERATORS, read as readCondition, words, write } from "../../page/search/condition.js";
import { nearest } from "../../page/search/nearest.js";
import { anySpanParams, filterParams, hasFilters, pointParams, read, searchParams, tailParams, textSearch, windowOf, zoomedOut } from "../../page/search/query.js";

test("a condition that is written is read as the same", () => {
  const keys = ["http.route", "a=b", 'quo"te', "back\\slash", "span:x", '"', "!~", "scope:x", "é"];
  for (const scope of ["", "span", "resource", "event", "link"]) {
    for (const key of keys) {
      for (const [operator] of OPERATORS) {
        const value = /[<>]/.test(operator) ? "1.5" : '= "v" ~';
        const condition = { scope, key, operator, value: operator ? value : "" };
        assert.deepEqual(readCondition(write(condition)), condition);
      }
    }
  }
});

test("conditions read as the API's documentation writes them", () => {
  assert.deepEqual(readCondition("order.id"), { scope: "", key: "order.id", operator: "", value: "" });
  assert.deepEqual(readCondition("resource:a!=b"), { scope: "resource", key: "a", operator: "!=", value: "b" });
  assert.deepEqual(readCondition('"a=b">=3'), { scope: "", key: "a=b", operator: ">=", value: "3" });
  assert.deepEqual(readCondition("a>3"), { scope: "", key: "a", operator: ">", value: "3" });
  assert.deepEqual(["=a", "span:", '"a'].map(readCondition), [
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
  const filter = ["service", "operation", "kind", "status", "min_duration", "max_duration", "root", "text", "attr", "not"];
  const search = [...filter, "with", "min_trace_duration", "max_trace_duration", "from", "to"];
  const unknown = (params, known) => Object.keys(params).filter((name) => !known.includes(name));
  assert.deepEqual(unknown(searchParams(state), [...search, "order", "column"]), []);
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

test("an axis without a power of ten in it has ticks too", () => {
  assert.deepEqual(durationTicks(2.5e6, 8e6, false), [5e6]);
  assert.deepEqual(durationTicks(1.2e6, 9e6, false), [2e6, 5e6]);
  assert.deepEqual(durationTicks(4e6, 6e7, false), [5e6, 1e7, 2e7, 5e7]);
});

test("without a condition on a span the list is of roots, and the others are asked for apart", () => {
  const of = (query) => read(new URLSearchParams(query));
  assert.equal(searchParams(of("min_trace_duration=1s")).root, "true");
  assert.equal(anySpanParams(of("min_trace_duration=1s")).root, "");
  assert.equal(searchParams(of("status=error")).root, "");
});

test("the time that is searched has the ends that were chosen", () => {
  const of = (query) => windowOf(read(new URLSearchParams(query)), 10_000_000);
  assert.deepEqual(of("from=15m"), { from: 10_000_000 - 900_000, to: 10_000_000 });
  assert.deepEqual(of("from=all"), { from: null, to: 10_000_000 });
  assert.deepEqual(of("from=5000000000&to=6000000000"), { from: 5000, to: 6000 });
});

test("a text that is no id is searched in all that is kept, and it is said that it was looked for as one", () => {
  const state = read(textSearch("0af7-65"));
  assert.deepEqual([state.span.text, state.from, state.wasId], ["0af7-65", "all", true]);
});

test("names that are alike are offered for one that is not there", () => {
  const names = ["api-gateway", "order-service", "payment-service", "x"];
  assert.deepEqual(nearest("api-g", names), ["api-gateway"]);
  assert.equal(nearest("oder-service", names)[0], "order-service");
  assert.deepEqual(nearest("zzzzzz", names), []);
});

test("zoomed out, three times the time is searched and not what is to come", () => {
  const of = (query, now) => zoomedOut(read(new URLSearchParams(query)), now);
  const wide = of("from=5000000000000&to=6000000000000&min_duration=5ms", 1e9);
  assert.deepEqual(wide, { from: "4000000000000", to: "7000000000000", min_duration: "", max_duration: "" });
  assert.equal(of("from=5000000000000&to=6000000000000", 6_100_000).to, "6100000000000");
  assert.equal(of("from=all&to=6000000000000", 1e9).from, "all");
});
