"""A service in the middle of a trace, written with the OpenTelemetry SDK for Python.

Arguments: `http`, `grpc` or `kafka`; the format of the context; where it goes on to; for Kafka the topics it reads and writes (for
gRPC the method that it is asked for is the one that it asks for).
It prints `ready PORT`, and every span that it ends as JSON.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.jaeger import JaegerPropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

transport, form, onward, *more = sys.argv[1:]
formats = {
    "tracecontext": TraceContextTextMapPropagator,
    "b3": B3SingleFormat,
    "b3multi": B3MultiFormat,
    "jaeger": JaegerPropagator,
}
propagator = formats[form]()


class Printed(SpanExporter):
    def export(self, spans):
        for span in spans:
            ids = {
                "kind": span.kind.name,
                "trace": format(span.context.trace_id, "032x"),
                "span": format(span.context.span_id, "016x"),
                "parent": format(span.parent.span_id, "016x") if span.parent else "",
            }
            print(json.dumps(ids), flush=True)
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Printed()))
tracer = provider.get_tracer("middle")


def passed(headers, came, left, call):
    """Goes on in the trace of these headers, by `call` with the headers that it has to have."""
    context = propagator.extract({name.lower(): value for name, value in headers})
    with tracer.start_as_current_span("middle", context, kind=came):
        with tracer.start_as_current_span("onward", kind=left):
            carrier = {}
            propagator.inject(carrier)
            return call(carrier)


def http():
    import urllib.request
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            def call(headers):
                with urllib.request.urlopen(urllib.request.Request(onward, headers=headers), timeout=30) as answer:
                    return answer.read()

            body = passed(self.headers.items(), SpanKind.SERVER, SpanKind.CLIENT, call)
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print("ready", server.server_address[1], flush=True)
    server.serve_forever()


def grpc():
    import grpc

    channel = grpc.insecure_channel(onward)

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            def behaviour(request, context):
                call = channel.unary_unary(details.method)
                return passed(
                    context.invocation_metadata(),
                    SpanKind.SERVER,
                    SpanKind.CLIENT,
                    lambda headers: call(request, metadata=list(headers.items()), timeout=30),
                )

            return grpc.unary_unary_rpc_method_handler(behaviour)

    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print("ready", port, flush=True)
    server.wait_for_termination()


def kafka():
    from kafka import KafkaConsumer, KafkaProducer

    read, write = more
    consumer = KafkaConsumer(read, bootstrap_servers=onward, auto_offset_reset="earliest")
    producer = KafkaProducer(bootstrap_servers=onward)
    print("ready 0", flush=True)
    for record in consumer:
        headers = [(name, value.decode()) for name, value in record.headers]

        def call(carrier):
            sent = [(name, value.encode()) for name, value in carrier.items()]
            producer.send(write, key=record.key, value=record.value, headers=sent).get(timeout=60)

        passed(headers, SpanKind.CONSUMER, SpanKind.PRODUCER, call)


{"http": http, "grpc": grpc, "kafka": kafka}[transport]()
