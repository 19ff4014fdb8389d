// The typed query of the search page: `node --test crates/viewer/viewer/tests/page/`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { OPERATORS, SCOPES, write as writeCondition } from "../../page/search/condition.js";
import { CHOICES, filtersOf, format, formatExcluded, parse, parseExcluded, termsOf } from "../../page/search/language/filters.js";
import { read as readTerms, write } from "../../page/search/language/terms.js";
import { filterParams, read, spanFilter } from "../../page/search/query.js";

/** Numbers that are the same in each run. */
function randomness(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const below = (n) => Math.floor(next() * n);
  return { below, pick: (list) => list[below(list.length)], maybe: (share) => next() < share };
}

const PIECES = [..."abz09.-_/:=!~<>{}\"\\ *é\u200b\n", "service", "AND", "OR", "span:", "kind", "trace:duration", "->", "::"];

function anyText({ below, pick }, most = 6) {
  return Array.from({ length: 1 + below(most) }, () => pick(PIECES)).join("");
}

function anyFilter(random, isExcluded = false) {
  const filter = spanFilter(new URLSearchParams());
  const { below, maybe, pick } = random;
  if (maybe(0.3)) filter.service = anyText(random);
  if (maybe(0.3)) filter.operation = anyText(random);
  for (const name of ["kind", "status", "root"]) if (maybe(0.2)) filter[name] = pick(CHOICES[name]);
  for (const name of ["min_duration", "max_duration"])
    if (maybe(0.2)) filter[name] = `${below(50)}${pick(["", ".5"])}${pick(["ns", "us", "ms", "s", "m", "h"])}`;
  for (let count = below(3); count > 0; count -= 1) filter.attr.push(anyAttribute(random));
  if (maybe(0.3)) filter.text = anyText(random);
  if (!isExcluded)
    for (let count = below(3); count > 0; count -= 1) {
      const excluded = anyFilter(random, true);
      if (Object.values(excluded).some((value) => value.length)) filter.not.push(excluded);
    }
  return filter;
}

/** As the form writes it. */
function anyAttribute(random) {
  const { pick } = random;
  const [operator] = pick(OPERATORS);
  const value = /[<>]/.test(operator) ? pick(["5", "-1.5", "1e9", ".5"]) : pick([anyText(random), "", "*"]);
  return writeCondition({ scope: pick(["", ...SCOPES]), key: anyText(random, 3), operator, value });
}

test("what the form holds is written as a query that is read as the same", () => {
  for (let seed = 1; seed <= 3000; seed += 1) {
    const random = randomness(seed);
    const filters = {
      span: anyFilter(random),
      others: Array.from({ length: random.below(3) }, () => anyFilter(random)),
      min_trace_duration: random.maybe(0.2) ? "1.5s" : "",
      max_trace_duration: random.maybe(0.2) ? "0" : "",
    };
    filters.others = filters.others.filter((other) => Object.values(other).some((value) => value.length));
    const text = format(filters);
    assert.deepEqual(parse(text), filters, text);
    // The same by way of the address.
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(filterParams(filters)))
      for (const one of [value].flat()) if (one) query.append(name, one);
    const { span, others, min_trace_duration, max_trace_duration } = read(query);
    assert.deepEqual({ span, others, min_trace_duration, max_trace_duration }, filters, text);
  }
});

test("any text is read, or refused at a place within it, and what was read is written in one way", () => {
  let readable = 0;
  for (let seed = 1; seed <= 20_000; seed += 1) {
    const random = randomness(seed);
    const text = Array.from({ length: 1 + random.below(4) }, () => anyText(random, 8)).join(" ");
    let filters;
    try {
      filters = parse(text);
    } catch (error) {
      assert.equal(error.name, "QueryError", `${text}: ${error.stack}`);
      assert.ok(error.from >= 0 && error.from <= text.length && error.to > error.from, `${text}: ${error.from}`);
      continue;
    }
    readable += 1;
    const written = format(filters);
    assert.deepEqual(parse(written), filters, `${text} as ${written}`);
    assert.equal(format(parse(written)), written);
    for (const term of readTerms(text)) assert.deepEqual(shape(readTerms(write(term))[0]), shape(term), text);
  }
  assert.ok(readable > 1000, String(readable));
});

/** A term without the places of its parts. */
function shape(term) {
  const { place: _, namePlace: __, valuePlace: ___, ...rest } = term;
  return rest.terms ? { ...rest, terms: rest.terms.map(shape) } : rest;
}

const params = (text) => {
  const all = filterParams(parse(text));
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value.length));
};

test("each operator is the condition that the documentation says", () => {
  assert.deepEqual(params('service:api-gateway status:error duration>1s order.id:123 -http.route:/health "text"'), {
    service: "api-gateway",
    status: "error",
    min_duration: "1s",
    attr: ["order.id=123"],
    not: ["attr=http.route%3D%2Fhealth"],
    text: "text",
  });
  assert.deepEqual(params('operation:"POST /orders" kind:server root:true duration<=20µs'), {
    operation: "POST /orders",
    kind: "server",
    root: "true",
    max_duration: "20us",
  });
  assert.deepEqual(params('a=1 b!=2 c~part d>=3 e<=4 f>5 g<6 h:* i:"*" j:""').attr, [
    "a=1",
    "b!=2",
    "c~part",
    "d>=3",
    "e<=4",
    "f>5",
    "g<6",
    "h",
    "i=*",
    "j=",
  ]);
  assert.deepEqual(params('resource:host.name:box "service":x event:"a b"~c "span:x":y').attr, [
    "resource:host.name=box",
    "service=x",
    "event:a b~c",
    '"span:x"=y',
  ]);
  assert.deepEqual(params("-order.id:* service!=a -{kind:client status:error} -lost").not, [
    "attr=order.id",
    "service=a",
    "kind=client&status=error",
    "text=lost",
  ]);
  assert.deepEqual(params("trace:duration>2s {service:till status:error} {-kind:client}"), {
    min_trace_duration: "2s",
    with: ["service=till&status=error", "not=kind%3Dclient"],
  });
  assert.deepEqual(params("card  declined"), { text: "card declined" });
  assert.deepEqual(params("http.route:/users/{id}/x"), { attr: ["http.route=/users/{id}/x"] });
});

test("what is wrong is said with its column and what was expected", () => {
  for (const [text, column, part] of [
    ["service:a service:b", 11, "there already"],
    ["duration>fast", 10, "expected a duration"],
    ["duration:1s", 1, "expected > or <"],
    ["kind:srver", 6, "expected one of server, client"],
    ["status~err", 1, "expected status:"],
    ["retries>many", 9, "expected a number"],
    ["a OR b", 3, "there is no OR"],
    ["order.id:", 10, "expected a value"],
    ["order.id: 5", 10, "expected a value"],
    [":5", 1, "expected a name"],
    ['a:"b', 3, "closing quote"],
    ['a:"\\n"', 4, "escaped"],
    ["{service:a", 1, "expected }"],
    ["service:a}", 10, "found } without {"],
    ["{}", 1, "expected a condition"],
    ["{{a:b}}", 2, "no group"],
    ["-{-a:b}", 3, "only once"],
    ["span:foo", 9, "expected : !="],
    ["trace:spans>3", 1, "expected trace:duration"],
    ["-trace:duration>1s", 1, "not turned round"],
    ["{trace:duration>1s}", 2, "outside"],
    ['"a" "b"', 5, "a text is there already"],
    ["a!b", 2, "expected !="],
    ["- a", 2, "expected a condition"],
    [Array.from({ length: 17 }, (_, at) => `a:${at}`).join(" "), 71, "at most 16"],
  ]) {
    assert.throws(
      () => parse(text),
      (error) => {
        assert.deepEqual([error.column, error.message.includes(part)], [column, true], `${text}: ${error.column} ${error.message}`);
        return true;
      },
    );
  }
});

test("terms of filters are those of the text", () => {
  const text = 'service:a "b" -c:d {e:f}';
  assert.deepEqual(termsOf(filtersOf(readTerms(text))).map(write).join(" "), text);
});

test("what is excluded is written without its minus, and excludes", () => {
  for (const text of ["service:a", 'order.id:"7 8" b:c', "{service:a status:error} c:d"]) {
    const not = parseExcluded(text);
    assert.ok(not.length > 0, text);
    assert.equal(formatExcluded(not), text);
  }
  assert.deepEqual(parseExcluded("service:a c:d"), parse("-service:a -c:d").span.not);
  assert.throws(() => parseExcluded("a:b -c:d"), (error) => error.column === 5 && error.message.includes("leave the minus out"));
});
