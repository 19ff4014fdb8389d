//! Traces as OTLP JSON.

use serde_json::{Value, json};

/// When the fixtures begin, in nanoseconds since 1970.
pub(crate) const START: u64 = 1_790_000_000_123_456_789;

pub(crate) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(crate) const OTHER_TRACE: &str = "000000000000000000000000000000ab";
pub(crate) const ROOT: &str = "00f067aa0ba902b7";
pub(crate) const CALL: &str = "00000000000000b2";
pub(crate) const CHARGE: &str = "00000000000000c3";

/// Text that must come back as text.
pub(crate) const NASTY: &str = "<script>alert(1)</script>\u{1}\u{7f}\"\\\u{2028}";

/// `ms` milliseconds after the start, as OTLP JSON writes it.
pub(crate) fn at(ms: u64) -> String {
    (START + ms * 1_000_000).to_string()
}

pub(crate) fn resource(service: &str, spans: &Value) -> Value {
    let attributes = json!([
        {"key": "service.name", "value": {"stringValue": service}},
        {"key": "host.name", "value": {"stringValue": "box-1"}},
    ]);
    let scope = json!({"name": "shop", "version": "1.2"});
    json!({"resource": {"attributes": attributes}, "scopeSpans": [{"scope": scope, "spans": spans}]})
}

/// A request of 48 ms that calls a service for 30 ms, which works for 20 ms and fails; with a log record. A second
/// trace links to the failed span.
pub(crate) fn shop() -> Value {
    let root = json!({
        "traceId": TRACE, "spanId": ROOT, "name": "POST /api/orders", "kind": 2,
        "startTimeUnixNano": at(0), "endTimeUnixNano": at(48),
        "attributes": [
            {"key": "http.response.status_code", "value": {"intValue": "502"}},
            {"key": "order.total", "value": {"doubleValue": 99.99}},
            {"key": NASTY, "value": {"stringValue": NASTY}},
        ],
    });
    let call = json!({
        "traceId": TRACE, "spanId": CALL, "parentSpanId": ROOT, "name": "charge", "kind": 3,
        "startTimeUnixNano": at(1), "endTimeUnixNano": at(31),
    });
    let charge = json!({
        "traceId": TRACE, "spanId": CHARGE, "parentSpanId": CALL, "name": NASTY, "kind": 2,
        "startTimeUnixNano": at(5), "endTimeUnixNano": at(25), "traceState": "a=b", "flags": 257,
        "status": {"code": 2, "message": "card declined"},
        "attributes": [
            {"key": "list", "value": {"arrayValue": {"values": [{"boolValue": true}, {"intValue": "7"}]}}},
            {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"bytesValue": "AP8="}}]}}},
        ],
        "droppedAttributesCount": 3,
        "events": [{
            "timeUnixNano": at(24), "name": "exception", "droppedAttributesCount": 1,
            "attributes": [{"key": "exception.message", "value": {"stringValue": "declined"}}],
        }],
        "droppedEventsCount": 4,
        "links": [{"traceId": OTHER_TRACE, "spanId": "0000000000000001", "traceState": "c=d", "flags": 1}],
        "droppedLinksCount": 5,
    });
    let follower = json!({
        "traceId": OTHER_TRACE, "spanId": "0000000000000001", "name": "settle", "kind": 5,
        "startTimeUnixNano": at(100), "endTimeUnixNano": at(110),
        "links": [
            {"traceId": TRACE, "spanId": CHARGE},
            {"traceId": "ffffffffffffffffffffffffffffffff", "spanId": "ffffffffffffffff"},
        ],
    });
    let log = json!({
        "timeUnixNano": at(6), "observedTimeUnixNano": at(7), "severityNumber": 17, "severityText": "ERROR",
        "body": {"stringValue": NASTY}, "attributes": [{"key": "attempt", "value": {"intValue": "1"}}],
        "traceId": TRACE, "spanId": CHARGE,
    });
    let name = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "payment-service"}}]});
    json!({
        "resourceSpans": [
            resource("api-gateway", &json!([root, call])),
            resource("payment-service", &json!([charge])),
            resource("settlement", &json!([follower])),
        ],
        "resourceLogs": [{"resource": name, "scopeLogs": [{"scope": {"name": "log"}, "logRecords": [log]}]}],
    })
}

/// A trace of one span, the `number`th second after the start, which takes `number` milliseconds.
pub(crate) fn single(number: u64) -> Value {
    let trace = format!("{:032x}", 0x1000 + number);
    let span = json!({
        "traceId": trace, "spanId": format!("{number:016x}"), "name": "tick", "kind": 1,
        "startTimeUnixNano": at(number * 1000), "endTimeUnixNano": at(number * 1000 + number),
        "attributes": [{"key": "number", "value": {"intValue": number.to_string()}}],
    });
    json!({"resourceSpans": [resource("clock", &json!([span]))]})
}
