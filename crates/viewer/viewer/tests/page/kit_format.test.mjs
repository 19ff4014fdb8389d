// Numbers, times and names as the page shows them: `node --test crates/viewer/viewer/tests/page/`.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bytes,
  duration,
  fromMillis,
  percent,
  rate,
  rateIn,
  rateUnit,
  SERVICE_COLORS,
  serviceColor,
  time,
  timeExact,
  toMillis,
  visibleText,
} from "../../page/kit/format.js";
import { colorOf } from "../../page/kit/service-colors.js";

const NS = { us: 1e3, ms: 1e6, s: 1e9, min: 60e9, h: 3600e9 };

test("a duration has three digits that count and never reads NaN", () => {
  const shown = [0, 1, 999, 12 * NS.us, 12_345, 48.2 * NS.ms, 999_999, 1.2 * NS.s, 59.9 * NS.s, 59.99 * NS.s];
  assert.deepEqual(shown.map(duration), [
    "0 ns",
    "1 ns",
    "999 ns",
    "12 µs",
    "12.3 µs",
    "48.2 ms",
    "1 ms",
    "1.20 s",
    "59.9 s",
    "1 min",
  ]);
  assert.deepEqual([200 * NS.s, 83 * NS.min, 26 * NS.h].map(duration), ["3 min 20 s", "1 h 23 min", "1 d 2 h"]);
  assert.deepEqual(["1500000", 1_500_000n, -1_500_000].map(duration), ["1.50 ms", "1.50 ms", "−1.50 ms"]);
  assert.deepEqual([null, undefined, NaN, Infinity, "x"].map(duration), ["–", "–", "–", "–", "–"]);
});

test("a time keeps all nine decimals, in 1970 and in 2100 too", () => {
  assert.match(timeExact("1790000000123456789"), /^2026-09-2\d \d\d:\d\d:20\.123456789 [+-]\d\d:\d\d$/);
  assert.match(time("1790000000123456789"), /^\d\d:\d\d:20\.123$/);
  assert.match(timeExact("1"), /^19(70-01-01|69-12-31) .*\.000000001 /);
  assert.match(time("4102444800000000000", { date: true }), /^2(100-01-01|099-12-31) /);
  assert.deepEqual([time("soon"), timeExact(null)], ["–", "–"]);
  assert.equal(fromMillis(toMillis("1790000000123000000")), "1790000000123000000");
});

test("rates are per second, minute or hour, whichever can be read", () => {
  assert.deepEqual([0, 12_345.6, 12.34, 0.5, 2 / 60, 3 / 3600].map(rate), [
    "0/s",
    `${(12_346).toLocaleString()}/s`,
    "12.3/s",
    "0.50/s",
    "2/min",
    "3/h",
  ]);
  assert.deepEqual([rate(null), rate(1e-9)], ["–", "< 0.01/h"]);
});

test("a share is never rounded to none or to all", () => {
  assert.deepEqual([0, 0.0001, 0.024, 0.9999, 1].map(percent), ["0 %", "< 0.1 %", "2.4 %", "> 99.9 %", "100 %"]);
});

test("bytes are binary", () => {
  assert.deepEqual([0, 640, 1024, 10_737_418_240].map(bytes), ["0 B", "640 B", "1 KiB", "10 GiB"]);
});

test("what cannot be seen or reorders text is written as an escape", () => {
  assert.equal(
    visibleText("a\nb\t\u0007\u0000\u202e\u2066\u200b\u2028\ufeff"),
    "a\\nb\\t\\u0007\\0\\u202e\\u2066\\u200b\\u2028\\ufeff",
  );
  assert.equal(visibleText("lone \ud83d end"), "lone \\ud83d end");
  assert.equal(visibleText("🧭 مرحبا <b>"), "🧭 مرحبا <b>");
});

test("a service has one colour of twelve, and names spread over all of them", () => {
  assert.equal(serviceColor("order-service"), serviceColor("order-service"));
  const used = new Set(Array.from({ length: 200 }, (_, at) => serviceColor(`service-${at}`)));
  assert.deepEqual(
    [...used].sort((a, b) => a - b),
    [...Array(SERVICE_COLORS).keys()],
  );
});

test("services have colours of their own while there are enough, and keep them", () => {
  const names = Array.from({ length: SERVICE_COLORS }, (_, at) => `service-${at}`);
  const colors = names.map(colorOf);
  assert.equal(new Set(colors).size, SERVICE_COLORS);
  assert.equal(colors[0], serviceColor(names[0]));
  assert.equal(colorOf("one-more"), serviceColor("one-more"));
  assert.deepEqual(names.toReversed().map(colorOf), colors.toReversed());
});

test("the rates of a column have one unit", () => {
  const shown = (rates) => rates.map((one) => rateIn(rateUnit(rates), one));
  assert.deepEqual(shown([12.34, 0.002, 0, 0.11]), ["12.3/s", "< 0.01/s", "0/s", "0.11/s"]);
  assert.deepEqual(shown([0.05, 0.0003]), ["3/min", "0.02/min"]);
  assert.deepEqual(shown([0.0003, 0]), ["1.08/h", "0/h"]);
  assert.deepEqual(shown([]), []);
});
