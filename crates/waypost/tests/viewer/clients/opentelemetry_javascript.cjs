// Sends two traces with the OpenTelemetry SDK for JavaScript, and prints what the SDK says it recorded as JSON.
//
// Arguments: the form (grpc, http-protobuf or http-json), and the endpoint.
"use strict";

const { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = require("@opentelemetry/api");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BasicTracerProvider, SimpleSpanProcessor } = require("@opentelemetry/sdk-trace-base");

const [form, endpoint] = process.argv.slice(2);
const packages = {
  "grpc": "@opentelemetry/exporter-trace-otlp-grpc",
  "http-protobuf": "@opentelemetry/exporter-trace-otlp-proto",
  "http-json": "@opentelemetry/exporter-trace-otlp-http",
};
const { OTLPTraceExporter } = require(packages[form]);
const exporter = new OTLPTraceExporter({ url: form === "grpc" ? endpoint : `${endpoint}/v1/traces` });

const spans = [];
// Passes spans on and keeps them; a refusal ends the program.
const recorded = {
  export(batch, done) {
    spans.push(...batch);
    exporter.export(batch, (result) => {
      if (result.code !== 0) {
        console.error(result.error);
        process.exit(1);
      }
      done(result);
    });
  },
  forceFlush: () => Promise.resolve(),
  shutdown: () => exporter.shutdown(),
};

function typed(value) {
  if (Array.isArray(value)) return { arrayValue: { values: value.map(typed) } };
  if (typeof value === "boolean") return { boolValue: value };
  if (Number.isInteger(value)) return { intValue: String(value) };
  if (typeof value === "number") return { doubleValue: value };
  return { stringValue: value };
}

const attributes = (given) => Object.fromEntries(Object.entries(given ?? {}).map(([key, value]) => [key, typed(value)]));
const nanos = ([seconds, rest]) => (BigInt(seconds) * 1_000_000_000n + BigInt(rest)).toString();

function plain(span) {
  return {
    traceId: span.spanContext().traceId,
    spanId: span.spanContext().spanId,
    parentSpanId: span.parentSpanContext?.spanId ?? "",
    name: span.name,
    kind: span.kind + 1,
    start: nanos(span.startTime),
    end: nanos(span.endTime),
    status: span.status.code,
    message: span.status.message ?? "",
    attributes: attributes(span.attributes),
    events: span.events.map((event) => ({ time: nanos(event.time), name: event.name, attributes: attributes(event.attributes) })),
    links: span.links.map((link) => ({
      traceId: link.context.traceId,
      spanId: link.context.spanId,
      attributes: attributes(link.attributes),
    })),
  };
}

async function main() {
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ "service.name": "javascript-client", "service.version": "7.1" }),
    spanProcessors: [new SimpleSpanProcessor(recorded)],
  });
  const tracer = provider.getTracer("scope-of-javascript", "0.3");
  const earlier = tracer.startSpan("earlier", { kind: SpanKind.PRODUCER });
  earlier.end();
  const root = tracer.startSpan("GET /things/{id} <b>\u00e4\u4f60</b>", {
    kind: SpanKind.SERVER,
    links: [{ context: earlier.spanContext(), attributes: { why: "follows" } }],
    attributes: {
      text: 'value \u0001 "quoted"',
      whole: 4503599627370497,
      negative: -5,
      real: 0.1,
      truth: false,
      texts: ["a", ""],
      wholes: [1, 2],
      empty: "",
    },
  });
  root.addEvent("asked", { try: 1 });
  const inside = trace.setSpan(ROOT_CONTEXT, root);
  const child = tracer.startSpan("child", { kind: SpanKind.CLIENT }, inside);
  child.recordException(new Error("no such thing"));
  child.setStatus({ code: SpanStatusCode.ERROR, message: "it failed" });
  child.end();
  const late = tracer.startSpan("late", { startTime: [1_500_000_000, 123_456_789] }, inside);
  late.setStatus({ code: SpanStatusCode.OK });
  late.end([1_500_000_000, 123_456_790]);
  root.end();
  await provider.forceFlush();
  await provider.shutdown();
  console.log(JSON.stringify(spans.map(plain)));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
