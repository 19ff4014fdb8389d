"""Sends one trace with py_zipkin and prints the bodies that it sent, as JSON.

Arguments: the encoding (json or protobuf), and the address of the Zipkin endpoint.
"""

import json
import sys
import urllib.request

from py_zipkin import Encoding, Kind
from py_zipkin.encoding import convert_spans
from py_zipkin.util import generate_random_64bit_string
from py_zipkin.zipkin import ZipkinAttrs, zipkin_span

encoding, endpoint = sys.argv[1:]
encoding = Encoding.V2_PROTO3 if encoding == "protobuf" else Encoding.V2_JSON
sent = []


def transport(body):
    content_type = "application/x-protobuf" if encoding is Encoding.V2_PROTO3 else "application/json"
    data = body if isinstance(body, bytes) else body.encode()
    request = urllib.request.Request(endpoint + "/api/v2/spans", data, {"content-type": content_type})
    with urllib.request.urlopen(request) as answer:
        if answer.status != 202:
            sys.exit("answered " + str(answer.status))
    sent.extend(json.loads(convert_spans(body, Encoding.V2_JSON)) if encoding is Encoding.V2_JSON else [])


ids = ZipkinAttrs(
    trace_id="00" + generate_random_64bit_string()[2:] + generate_random_64bit_string(),
    span_id=generate_random_64bit_string(),
    parent_span_id=None,
    flags="0",
    is_sampled=True,
)
with zipkin_span(
    service_name="zipkin-client",
    span_name="get /things",
    transport_handler=transport,
    zipkin_attrs=ids,
    encoding=encoding,
    port=8080,
    host="192.0.2.1",
    kind=Kind.SERVER,
    binary_annotations={"http.path": "/things/\u00e4", "empty": ""},
) as root:
    with zipkin_span(service_name="zipkin-client", span_name="select", kind=Kind.CLIENT) as child:
        child.add_sa_binary_annotation(port=5432, service_name="postgres", host="192.0.2.7")
        child.add_annotation("cache missed", timestamp=1_600_000_000.123456)
        child.update_binary_annotations({"error": "it failed"})

print(json.dumps({"traceId": ids.trace_id, "rootId": ids.span_id, "sent": sent}))
