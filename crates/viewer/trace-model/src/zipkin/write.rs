//! Spans as Zipkin v2 JSON.

use super::{
    SCHEMA_URL,
    span::{
        DEBUG, LOCAL_ADDRESS, LOCAL_IPV6, LOCAL_PORT, PartName, REMOTE_ADDRESS, REMOTE_IPV6, REMOTE_PORT,
        REMOTE_SERVICE, SHARED, TIMESTAMP,
    },
};
use crate::{Attribute, Event, Kind, Span, StatusCode, Value};
use serde_json::{Map, json};
use std::net::IpAddr;

type Object = Map<String, serde_json::Value>;

/// The spans as a list.
pub(super) fn write(spans: &[Span]) -> serde_json::Value {
    spans.iter().map(write_span).collect()
}

fn write_span(span: &Span) -> serde_json::Value {
    let mut object = Object::new();
    object.insert("traceId".to_owned(), json!(span.trace_id));
    object.insert("id".to_owned(), json!(span.span_id));
    if let Some(parent) = span.parent_span_id {
        object.insert("parentId".to_owned(), json!(parent));
    }
    if let Kind::Client | Kind::Server | Kind::Producer | Kind::Consumer = span.kind {
        object.insert("kind".to_owned(), json!(span.kind.name().to_ascii_uppercase()));
    }
    insert_text(&mut object, "name", &span.name);
    insert_number(&mut object, "timestamp", timestamp(span));
    // Zipkin rounds up what is less than a microsecond; zero would mean that nobody knows.
    let duration = span.duration();
    insert_number(&mut object, "duration", if duration == 0 { 0 } else { (duration / 1000).max(1) });
    if span.scope.schema_url == SCHEMA_URL {
        from_zipkin(span, &mut object);
    } else {
        transformed(span, &mut object);
    }
    if !span.events.is_empty() {
        object.insert("annotations".to_owned(), span.events.iter().map(annotation).collect());
    }
    object.into()
}

/// In microseconds; of a span that came in Zipkin's format, as it was sent.
fn timestamp(span: &Span) -> u64 {
    let is_zipkin = span.scope.schema_url == SCHEMA_URL;
    let mark = span.attributes.iter().find(|attribute| is_zipkin && is_timestamp(attribute));
    match mark.map(|attribute| &attribute.value) {
        Some(Value::Int(sent)) => u64::try_from(*sent).unwrap_or(0),
        Some(_) => span.start,
        None => span.start / 1000,
    }
}

/// The mark of a timestamp, and not a tag of that name, which is a text.
fn is_timestamp(attribute: &Attribute) -> bool {
    &*attribute.key == TIMESTAMP && attribute.value.as_text().is_none()
}

/// What came in Zipkin's format goes out as it came.
fn from_zipkin(span: &Span, object: &mut Object) {
    let mut rest: Vec<&Attribute> =
        span.attributes.iter().filter(|attribute| !is_timestamp(attribute)).collect();
    let mut local = Object::new();
    if !span.resource.attributes.is_empty() {
        insert_text(&mut local, "serviceName", &span.resource.service);
    }
    insert_address(&mut local, take_part(&mut rest, &LOCAL_ADDRESS));
    insert_port(&mut local, take_part(&mut rest, &LOCAL_PORT));
    insert_address(&mut local, take(&mut rest, LOCAL_IPV6));
    insert_object(object, "localEndpoint", local);
    let mut remote = Object::new();
    if let Some(Value::Text(service)) = take_part(&mut rest, &REMOTE_SERVICE) {
        insert_text(&mut remote, "serviceName", service);
    }
    insert_address(&mut remote, take_part(&mut rest, &REMOTE_ADDRESS));
    insert_port(&mut remote, take_part(&mut rest, &REMOTE_PORT));
    insert_address(&mut remote, take(&mut rest, REMOTE_IPV6));
    insert_object(object, "remoteEndpoint", remote);
    for (attribute, name) in [(DEBUG, "debug"), (SHARED, "shared")] {
        if take(&mut rest, attribute).is_some() {
            object.insert(name.to_owned(), json!(true));
        }
    }
    let mut tags = Object::new();
    for Attribute { key, value } in rest {
        tags.insert(key.to_string(), json!(value.display()));
    }
    insert_object(object, "tags", tags);
}

/// Takes an attribute that is not a tag out of the list.
fn take<'a>(attributes: &mut Vec<&'a Attribute>, key: &str) -> Option<&'a Value> {
    let place = attributes.iter().position(|attribute| &*attribute.key == key)?;
    Some(&attributes.remove(place).value)
}

fn take_part<'a>(attributes: &mut Vec<&'a Attribute>, name: &PartName) -> Option<&'a Value> {
    take(attributes, name.own).or_else(|| take(attributes, name.plain))
}

/// The OpenTelemetry specification's transform.
fn transformed(span: &Span, object: &mut Object) {
    object.insert("localEndpoint".to_owned(), json!({ "serviceName": &**span.service() }));
    if let Kind::Client | Kind::Producer = span.kind {
        insert_object(object, "remoteEndpoint", remote_endpoint(&span.attributes));
    }
    let mut tags = Object::new();
    let of_resource = span.resource.attributes.iter().filter(|attribute| &*attribute.key != "service.name");
    for Attribute { key, value } in of_resource.chain(&span.attributes) {
        tags.insert(key.to_string(), json!(value.display()));
    }
    // Zipkin takes any `error` for a failure.
    if tags.get("error").is_some_and(|error| error == "false") {
        tags.remove("error");
    }
    insert_text(&mut tags, "otel.scope.name", &span.scope.name);
    insert_text(&mut tags, "otel.scope.version", &span.scope.version);
    match span.status.code {
        StatusCode::Unset => {}
        StatusCode::Ok => insert_text(&mut tags, "otel.status_code", "OK"),
        StatusCode::Error => {
            insert_text(&mut tags, "otel.status_code", "ERROR");
            tags.insert("error".to_owned(), json!(&*span.status.message));
        }
    }
    for (name, dropped) in [
        ("otel.dropped_attributes_count", span.dropped_attributes),
        ("otel.dropped_events_count", span.dropped_events),
        ("otel.dropped_links_count", span.dropped_links),
    ] {
        if dropped != 0 {
            insert_text(&mut tags, name, &dropped.to_string());
        }
    }
    insert_object(object, "tags", tags);
}

/// Attributes that name the other side, the best first, each with the one that has the port when it is an address.
const REMOTE: [(&str, Option<&str>); 11] = [
    ("peer.service", None),
    ("server.address", None),
    ("net.peer.name", None),
    ("network.peer.address", Some("network.peer.port")),
    ("server.socket.domain", None),
    ("server.socket.address", Some("server.socket.port")),
    ("net.sock.peer.name", None),
    ("net.sock.peer.addr", Some("net.sock.peer.port")),
    ("peer.hostname", None),
    ("peer.address", None),
    ("db.name", None),
];

fn remote_endpoint(attributes: &[Attribute]) -> Object {
    let find =
        |key: &str| attributes.iter().find(|attribute| &*attribute.key == key).map(|found| &found.value);
    let mut endpoint = Object::new();
    let Some((value, port)) = REMOTE.iter().find_map(|(key, port)| Some((find(key)?, port))) else {
        return endpoint;
    };
    match port {
        None => insert_text(&mut endpoint, "serviceName", &value.display()),
        Some(port) => {
            insert_address(&mut endpoint, Some(value));
            if endpoint.is_empty() {
                insert_text(&mut endpoint, "serviceName", &value.display());
            }
            insert_port(&mut endpoint, find(port));
        }
    }
    endpoint
}

/// An event's attributes have no place of their own: `"name": {"key": "value"}`.
fn annotation(event: &Event) -> serde_json::Value {
    let value = if event.attributes.is_empty() {
        event.name.to_string()
    } else {
        let attributes = Value::Map(event.attributes.clone().into());
        format!("{}: {attributes}", json!(&*event.name))
    };
    json!({ "timestamp": event.time / 1000, "value": value })
}

fn insert_text(object: &mut Object, name: &str, text: &str) {
    if !text.is_empty() {
        object.insert(name.to_owned(), json!(text));
    }
}

fn insert_number(object: &mut Object, name: &str, number: u64) {
    if number != 0 {
        object.insert(name.to_owned(), json!(number));
    }
}

fn insert_object(object: &mut Object, name: &str, part: Object) {
    if !part.is_empty() {
        object.insert(name.to_owned(), part.into());
    }
}

fn insert_address(endpoint: &mut Object, address: Option<&Value>) {
    match address.and_then(Value::as_text).and_then(|text| text.parse().ok()) {
        Some(IpAddr::V4(address)) => insert_text(endpoint, "ipv4", &address.to_string()),
        Some(IpAddr::V6(address)) => insert_text(endpoint, "ipv6", &address.to_string()),
        None => {}
    }
}

fn insert_port(endpoint: &mut Object, port: Option<&Value>) {
    if let Some(Value::Int(port)) = port
        && let Ok(port) = u16::try_from(*port)
    {
        insert_number(endpoint, "port", port.into());
    }
}
