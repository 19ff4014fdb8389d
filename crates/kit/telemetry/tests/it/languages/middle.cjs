// A service in the middle of a trace, written with the OpenTelemetry SDK for JavaScript.
//
// Arguments: `http`, `grpc` or `kafka`; the format of the context; where it goes on to; for gRPC the path of the method, for Kafka
// the topics it reads and writes.
// It prints `ready PORT`, and every span that it ends as JSON.
"use strict";

const { ROOT_CONTEXT, SpanKind, defaultTextMapGetter, defaultTextMapSetter, trace } = require("@opentelemetry/api");
const { W3CTraceContextPropagator } = require("@opentelemetry/core");
const { B3InjectEncoding, B3Propagator } = require("@opentelemetry/propagator-b3");
const { JaegerPropagator } = require("@opentelemetry/propagator-jaeger");
const { BasicTracerProvider, SimpleSpanProcessor } = require("@opentelemetry/sdk-trace-base");

const [transport, form, onward, ...more] = process.argv.slice(2);
const formats = {
  tracecontext: () => new W3CTraceContextPropagator(),
  b3: () => new B3Propagator({ injectEncoding: B3InjectEncoding.SINGLE_HEADER }),
  b3multi: () => new B3Propagator({ injectEncoding: B3InjectEncoding.MULTI_HEADER }),
  jaeger: () => new JaegerPropagator(),
};
const propagator = formats[form]();

const printed = {
  export(spans, done) {
    for (const span of spans) {
      const { traceId, spanId } = span.spanContext();
      const parent = span.parentSpanContext?.spanId ?? "";
      console.log(JSON.stringify({ kind: SpanKind[span.kind], trace: traceId, span: spanId, parent }));
    }
    done({ code: 0 });
  },
  shutdown: () => Promise.resolve(),
};
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(printed)] });
const tracer = provider.getTracer("middle");

/** Goes on in the trace of these headers, by `call` with the headers that it has to have. */
async function passed(headers, came, left, call) {
  const caller = propagator.extract(ROOT_CONTEXT, headers, defaultTextMapGetter);
  const middle = tracer.startSpan("middle", { kind: came }, caller);
  const inside = trace.setSpan(caller, middle);
  const away = tracer.startSpan("onward", { kind: left }, inside);
  const carrier = {};
  propagator.inject(trace.setSpan(inside, away), carrier, defaultTextMapSetter);
  try {
    return await call(carrier);
  } finally {
    away.end();
    middle.end();
  }
}

function http() {
  const server = require("node:http").createServer(async (request, response) => {
    const call = async (headers) => (await fetch(onward, { headers })).text();
    response.end(await passed(request.headers, SpanKind.SERVER, SpanKind.CLIENT, call));
  });
  server.listen(0, "127.0.0.1", () => console.log("ready", server.address().port));
}

function grpc() {
  const { Client, Metadata, Server, ServerCredentials, credentials } = require("@grpc/grpc-js");
  const client = new Client(onward, credentials.createInsecure());
  const same = (bytes) => bytes;
  const [path] = more;
  const method = { path, requestStream: false, responseStream: false };
  Object.assign(method, { requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same });
  const server = new Server();
  server.addService(
    { Call: method },
    {
      Call(request, answered) {
        const call = (headers) =>
          new Promise((resolve, reject) => {
            const metadata = new Metadata();
            for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
            client.makeUnaryRequest(path, same, same, request.request, metadata, (error, value) =>
              error ? reject(error) : resolve(value),
            );
          });
        const sent = passed(request.metadata.getMap(), SpanKind.SERVER, SpanKind.CLIENT, call);
        sent.then((value) => answered(null, value), answered);
      },
    },
  );
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    console.log("ready", port);
  });
}

async function kafka() {
  const { Kafka, logLevel } = require("kafkajs");
  const [read, write] = more;
  const client = new Kafka({ brokers: [onward], logLevel: logLevel.NOTHING });
  const [consumer, producer] = [client.consumer({ groupId: `middle-${read}` }), client.producer()];
  await Promise.all([consumer.connect(), producer.connect()]);
  await consumer.subscribe({ topics: [read], fromBeginning: true });
  const eachMessage = ({ message }) => {
    const texts = Object.entries(message.headers).map(([name, value]) => [name, value.toString()]);
    const call = (headers) => producer.send({ topic: write, messages: [{ key: message.key, value: message.value, headers }] });
    return passed(Object.fromEntries(texts), SpanKind.CONSUMER, SpanKind.PRODUCER, call);
  };
  await consumer.run({ eachMessage });
  console.log("ready 0");
}

({ http, grpc, kafka })[transport]();
