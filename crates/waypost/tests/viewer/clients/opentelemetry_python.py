"""Sends two traces with the OpenTelemetry SDK for Python, and prints what the SDK says it recorded as JSON.

Arguments: the protocol (grpc or http), and the endpoint.
"""

import json
import sys

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, set_span_in_context

protocol, endpoint = sys.argv[1:]
if protocol == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=True)
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    exporter = OTLPSpanExporter(endpoint=endpoint + "/v1/traces")


class Recorded(SpanExporter):
    """Passes spans on and keeps them; a refusal ends the program."""

    def __init__(self):
        self.spans = []

    def export(self, spans):
        self.spans.extend(spans)
        result = exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            sys.exit("the exporter says " + str(result))
        return result

    def shutdown(self):
        exporter.shutdown()


def typed(value):
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    return {"arrayValue": {"values": [typed(item) for item in value]}}


def attributes(given):
    return {key: typed(value) for key, value in (given or {}).items()}


def plain(span):
    return {
        "traceId": format(span.context.trace_id, "032x"),
        "spanId": format(span.context.span_id, "016x"),
        "parentSpanId": format(span.parent.span_id, "016x") if span.parent else "",
        "name": span.name,
        "kind": span.kind.value + 1,
        "start": str(span.start_time),
        "end": str(span.end_time),
        "status": span.status.status_code.value,
        "message": span.status.description or "",
        "attributes": attributes(span.attributes),
        "events": [
            {"time": str(event.timestamp), "name": event.name, "attributes": attributes(event.attributes)}
            for event in span.events
        ],
        "links": [
            {
                "traceId": format(link.context.trace_id, "032x"),
                "spanId": format(link.context.span_id, "016x"),
                "attributes": attributes(link.attributes),
            }
            for link in span.links
        ],
    }


recorded = Recorded()
provider = TracerProvider(resource=Resource.create({"service.name": "python-client", "service.version": "7.1"}))
provider.add_span_processor(SimpleSpanProcessor(recorded))
tracer = provider.get_tracer("scope-of-python", "0.3", attributes={"scope.key": "scope value"})

earlier = tracer.start_span("earlier", kind=SpanKind.PRODUCER)
earlier.end()
with tracer.start_as_current_span(
    "GET /things/{id} <b>\u00e4\u4f60</b>",
    kind=SpanKind.SERVER,
    links=[Link(earlier.get_span_context(), {"why": "follows"})],
    attributes={
        "text": "value \u0001 \"quoted\"",
        "whole": 9007199254740993,
        "negative": -5,
        "real": 0.1,
        "truth": False,
        "texts": ["a", ""],
        "wholes": [1, 2],
        "empty": "",
    },
) as root:
    root.add_event("asked", {"try": 1})
    with tracer.start_as_current_span("child", kind=SpanKind.CLIENT) as child:
        try:
            raise ValueError("no such thing")
        except ValueError as error:
            child.record_exception(error)
            child.set_status(Status(StatusCode.ERROR, "it failed"))
    late = tracer.start_span("late", context=set_span_in_context(root), start_time=1_500_000_000_123_456_789)
    late.set_status(Status(StatusCode.OK))
    late.end(end_time=1_500_000_000_123_456_790)
provider.shutdown()
print(json.dumps([plain(span) for span in recorded.spans]))
