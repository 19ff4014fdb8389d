// Sends one trace with the Zipkin library for JavaScript, and prints the body that it sent.
//
// Argument: the address of the Zipkin endpoint.
"use strict";

const http = require("node:http");
const { Annotation, BatchRecorder, ExplicitContext, InetAddress, Tracer, jsonEncoder } = require("zipkin");

const [endpoint] = process.argv.slice(2);
const bodies = [];
const answers = [];
// A logger of the library: it is given one encoded span at a time.
const logger = {
  logSpan(span) {
    const body = `[${jsonEncoder.JSON_V2.encode(span)}]`;
    bodies.push(...JSON.parse(body));
    answers.push(new Promise((resolve, reject) => {
      const request = http.request(`${endpoint}/api/v2/spans`, { method: "POST", headers: { "content-type": "application/json" } },
        (answer) => (answer.statusCode === 202 ? resolve(answer.resume()) : reject(new Error(`answered ${answer.statusCode}`))));
      request.on("error", reject);
      request.end(body);
    }));
  },
};

const tracer = new Tracer({
  ctxImpl: new ExplicitContext(),
  recorder: new BatchRecorder({ logger }),
  localServiceName: "zipkin-js",
  traceId128Bit: true,
});
tracer.scoped(() => {
  const root = tracer.createRootId();
  tracer.setId(root);
  tracer.recordAnnotation(new Annotation.ServiceName("zipkin-js"));
  tracer.recordRpc("get");
  tracer.recordBinary("http.path", "/things");
  tracer.recordAnnotation(new Annotation.ServerRecv());
  const child = tracer.createChildId(root);
  tracer.letId(child, () => {
    tracer.recordAnnotation(new Annotation.ServiceName("zipkin-js"));
    tracer.recordRpc("ask");
    tracer.recordAnnotation(new Annotation.ClientSend());
    tracer.recordAnnotation(new Annotation.ServerAddr({ serviceName: "inventory", host: new InetAddress("192.0.2.9"), port: 80 }));
    tracer.recordMessage("asked");
    tracer.recordAnnotation(new Annotation.ClientRecv());
  });
  tracer.recordAnnotation(new Annotation.ServerSend());
});
Promise.all(answers).then(
  () => console.log(JSON.stringify(bodies)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
