//! Spans as OTLP JSON. Every time is at or after [`START`].

use serde_json::{Value, json};

/// 2026-09-21T14:13:20Z in nanoseconds.
pub(crate) const START: u64 = 1_790_000_000_000_000_000;

/// A search range in microseconds around [`START`].
pub(crate) const RANGE: &str = "start=1789999999000000&end=1790000100000000";

/// The trace of [`cart`].
pub(crate) const CART: &str = "4fd0c6a2b81e9735d2a6c1f08e5b7394";

/// The trace of [`ping`], whose first half is zero.
pub(crate) const PING: &str = "00000000000000000a1b2c3d4e5f6071";

/// Nanoseconds after [`START`], as OTLP JSON writes them.
pub(crate) fn at(nanos: u64) -> String {
    (START + nanos).to_string()
}

pub(crate) fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

pub(crate) fn int(key: &str, value: i64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}

/// One message of one resource and one scope.
pub(crate) fn message(resource: Value, scope: Value, spans: Vec<Value>) -> Value {
    let scopes = json!([{"scope": scope, "spans": spans}]);
    json!({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": scopes}]})
}

/// A message with one span of a service and nothing but what is said.
pub(crate) fn lone(service: &str, trace: &str, span: &str, fields: Value) -> Value {
    let mut whole = json!({
        "traceId": trace, "spanId": span, "name": "work", "kind": 1,
        "startTimeUnixNano": at(0), "endTimeUnixNano": at(1_000_000),
    });
    for (key, value) in fields.as_object().unwrap() {
        whole[key] = value.clone();
    }
    message(json!([text("service.name", service)]), json!({}), vec![whole])
}

/// A trace of one span, with as little as a span can say.
pub(crate) fn ping() -> Value {
    json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": PING, "spanId": "0000000000000001", "name": "ping",
        "startTimeUnixNano": at(5_000_000_000), "endTimeUnixNano": at(5_000_000_999),
    }]}]}]})
}

/// A trace with everything that a span can say, in two messages: a web server that calls a stock service on another host
/// whose clock is behind.
pub(crate) fn cart() -> [Value; 2] {
    let web = json!([
        text("service.name", "shop-web"),
        text("host.name", "web-1"),
        int("process.pid", 42),
        {"key": "zones", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}]}}},
    ]);
    let root = json!({
        "traceId": CART, "spanId": "00f1e2d3c4b5a697", "name": "GET /cart", "kind": 2, "flags": 257,
        "traceState": "vendor=1",
        "startTimeUnixNano": at(123_456_789), "endTimeUnixNano": at(171_668_788),
        "attributes": [
            text("url.path", "/cart <script>\u{7}\u{1f600}"),
            int("http.response.status_code", 200),
            int("large", 9_007_199_254_740_993),
            {"key": "ratio", "value": {"doubleValue": 0.25}},
            {"key": "cached", "value": {"boolValue": true}},
            {"key": "digest", "value": {"bytesValue": "AP8="}},
            {"key": "nested", "value": {"kvlistValue": {"values": [int("a", 1)]}}},
            {"key": "nothing", "value": {}},
        ],
        "droppedAttributesCount": 3,
        "events": [
            {"timeUnixNano": at(124_000_001), "name": "cache.miss", "attributes": [text("key", "cart:7")]},
            {"timeUnixNano": at(125_000_000), "name": "renamed", "attributes": [text("event", "kept"), int("a", 2)]},
            {"timeUnixNano": at(126_000_000)},
        ],
        "droppedEventsCount": 1,
        "links": [
            {"traceId": PING, "spanId": "0000000000000001", "attributes": [text("why", "batch")]},
            {"traceId": CART, "spanId": "1000000000000002", "attributes": [text("opentracing.ref_type", "child_of")]},
        ],
    });
    let call = json!({
        "traceId": CART, "spanId": "1000000000000002", "parentSpanId": "00f1e2d3c4b5a697",
        "name": "reserve", "kind": 3,
        "startTimeUnixNano": at(130_000_000), "endTimeUnixNano": at(160_000_000),
        "status": {"code": 2, "message": "out of stock"},
    });
    let web = message(web, json!({"name": "http-server", "version": "1.2.0"}), vec![root, call]);
    let stock = json!([text("service.name", "stock"), text("host.name", "stock-1")]);
    let handler = json!({
        "traceId": CART, "spanId": "1000000000000003", "parentSpanId": "1000000000000002", "name": "Reserve", "kind": 2,
        "startTimeUnixNano": at(129_000_000), "endTimeUnixNano": at(150_000_000),
        "status": {"code": 2},
    });
    let orphan = json!({
        "traceId": CART, "spanId": "1000000000000004", "parentSpanId": "10000000000000ff", "name": "audit", "kind": 1,
        "startTimeUnixNano": at(140_000_000), "endTimeUnixNano": at(139_000_000),
        "status": {"code": 1},
    });
    let follower = json!({
        "traceId": CART, "spanId": "1000000000000005", "parentSpanId": "1000000000000003", "name": "notify", "kind": 4,
        "startTimeUnixNano": at(149_000_000), "endTimeUnixNano": at(149_500_000),
        "links": [{"traceId": CART, "spanId": "1000000000000003"}],
    });
    [web, message(stock, json!({}), vec![handler, orphan, follower])]
}
