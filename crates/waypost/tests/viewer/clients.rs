//! What clients that nobody here wrote have sent is what the viewer gives back: ids, parents, times to the nanosecond,
//! attributes with their types, events and links.
//!
//! `cargo xtask test` installs the clients and names them in `TEST_PYTHON`, `TEST_PYTHON_PACKAGES`, `TEST_NODE` and
//! `TEST_NODE_MODULES`. Without them a test says what it leaves out.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value, json};
use waypost_telemetry::config::Exporter;
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::{Outcome, Settings};
use waypost_testkit::{Client, Process, Viewer, left_out};

use crate::{BINARY, account};

/// What runs the scripts of one language.
struct Language {
    program: String,
    /// The variable that names the folder of the packages, and that folder.
    packages: (&'static str, String),
}

/// Names of the variables: the program, its packages, and what the program calls the latter.
const PYTHON: [&str; 3] = ["TEST_PYTHON", "TEST_PYTHON_PACKAGES", "PYTHONPATH"];
const NODE: [&str; 3] = ["TEST_NODE", "TEST_NODE_MODULES", "NODE_PATH"];

impl Language {
    /// The language if it was installed; otherwise says that `test` is left out.
    fn find([program, packages, path]: [&'static str; 3], test: &str) -> Option<Language> {
        let (found, folder) = (std::env::var(program), std::env::var(packages));
        if let (Ok(program), Ok(packages)) = (found, folder) {
            return Some(Language { program, packages: (path, packages) });
        }
        let why = format!("{program} and {packages} are not set; `cargo xtask test` sets them");
        left_out(test, &why);
        None
    }

    /// Runs a script of this folder and returns what it printed.
    async fn run(&self, script: &str, arguments: &[&str]) -> Value {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/viewer/clients").join(script);
        let (path, packages) = &self.packages;
        let mut command = Command::new(&self.program);
        command.arg(file).args(arguments).env(path, packages);
        let ended = Process::start(&mut command).unwrap().ended().await.unwrap();
        assert!(ended.status.success(), "{script} {arguments:?}: {}", ended.err);
        serde_json::from_str(&ended.out).unwrap()
    }
}

/// The attributes of OTLP JSON, by key.
fn by_key(attributes: &Value) -> Value {
    let entries = attributes.as_array().cloned().unwrap_or_default();
    let entry = |entry: Value| (entry["key"].as_str().unwrap().to_owned(), entry["value"].clone());
    Value::Object(entries.into_iter().map(entry).collect::<Map<String, Value>>())
}

fn or<T: Into<Value>>(value: &Value, absent: T) -> Value {
    if value.is_null() { absent.into() } else { value.clone() }
}

/// A span of OTLP JSON in the form that the scripts print.
fn plain(span: &Value) -> Value {
    let list = |key: &str| span[key].as_array().cloned().unwrap_or_default();
    let event = |event: &Value| json!({"time": event["timeUnixNano"], "name": event["name"], "attributes": by_key(&event["attributes"])});
    let link = |link: &Value| json!({"traceId": link["traceId"], "spanId": link["spanId"], "attributes": by_key(&link["attributes"])});
    json!({
        "traceId": span["traceId"],
        "spanId": span["spanId"],
        "parentSpanId": or(&span["parentSpanId"], ""),
        "name": span["name"],
        "kind": span["kind"],
        "start": span["startTimeUnixNano"],
        "end": span["endTimeUnixNano"],
        "status": or(&span["status"]["code"], 0),
        "message": or(&span["status"]["message"], ""),
        "attributes": by_key(&span["attributes"]),
        "events": list("events").iter().map(event).collect::<Vec<_>>(),
        "links": list("links").iter().map(link).collect::<Vec<_>>(),
    })
}

/// Whole numbers are compared as numbers: an SDK writes them as text or as number.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| {
                let value = match (key.as_str(), value) {
                    ("intValue", Value::Number(number)) => Value::from(number.to_string()),
                    // An array without values.
                    ("arrayValue", Value::Object(array)) if array.is_empty() => json!({"values": []}),
                    _ => normal(value),
                };
                (key.clone(), value)
            };
            Value::Object(fields.iter().map(field).collect())
        }
        Value::Array(values) => values.iter().map(normal).collect(),
        other => other.clone(),
    }
}

/// Everything that the viewer has of a trace: the spans in the scripts' form with their resource and scope.
async fn kept(viewer: &Client, trace_id: &str) -> Vec<(Value, Value, Value)> {
    let answer = viewer.get(&format!("/api/v1/traces/{trace_id}/otlp")).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.json);
    let mut found = Vec::new();
    for resource in answer.json["resourceSpans"].as_array().unwrap() {
        for scope in resource["scopeSpans"].as_array().unwrap() {
            for span in scope["spans"].as_array().unwrap() {
                found.push((
                    normal(&plain(span)),
                    by_key(&resource["resource"]["attributes"]),
                    scope["scope"].clone(),
                ));
            }
        }
    }
    found
}

/// Sends by an OpenTelemetry SDK and compares every span that it says it sent.
async fn assert_all_kept(viewer: &Viewer, sent: &Value, service: &str, scope: &str) {
    let client = viewer.client("viewer");
    let sent = sent.as_array().unwrap();
    assert_eq!(sent.len(), 4);
    let mut traces: Vec<&str> = sent.iter().map(|span| span["traceId"].as_str().unwrap()).collect();
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), 2);
    let mut total = 0;
    for trace in traces {
        let kept = kept(&client, trace).await;
        total += kept.len();
        for (span, resource, library) in kept {
            let original = sent.iter().find(|sent| sent["spanId"] == span["spanId"]).unwrap();
            assert_eq!(span, normal(original));
            assert_eq!(resource["service.name"], json!({"stringValue": service}));
            assert_eq!(resource["service.version"], json!({"stringValue": "7.1"}));
            assert_eq!((&library["name"], &library["version"]), (&json!(scope), &json!("0.3")));
        }
    }
    assert_eq!(total, sent.len(), "each span once");
    assert_found(&client, sent, service).await;
}

/// What was recorded in a place is found there, and in no other place.
async fn assert_found(client: &Client, sent: &[Value], service: &str) {
    let id_of = |name: &str| {
        let span = sent.iter().find(|span| span["name"].as_str().unwrap().starts_with(name)).unwrap();
        span["spanId"].as_str().unwrap()
    };
    let (root, child) = (id_of("GET /things/"), id_of("child"));
    for (condition, expected) in [
        ("event:exception.message=no such thing", Some(child)),
        ("event:exception.message~SUCH", Some(child)),
        ("event:try=1", Some(root)),
        ("event:try>=2", None),
        ("link:why=follows", Some(root)),
        ("span:why", None),
        ("event:why", None),
        ("span:exception.message", None),
        ("span:real=0.1", Some(root)),
        ("resource:real", None),
    ] {
        let attribute = account::encoded(condition);
        let lines = account::traces(client, &format!("service={service}&attr={attribute}")).await;
        let matches = lines.iter().map(|line| &line["match"]["span_id"]);
        let found: Vec<&Value> =
            matches.filter(|id| sent.iter().any(|span| span["spanId"] == **id)).collect();
        assert_eq!(found, expected.iter().collect::<Vec<_>>(), "{condition}");
    }
}

async fn viewer(data: &Path) -> Viewer {
    Viewer::start(BINARY, data, &[]).await.unwrap()
}

#[tokio::test]
async fn the_opentelemetry_sdk_for_python_is_kept_as_it_was_recorded() {
    let Some(python) = Language::find(PYTHON, "the OpenTelemetry SDK for Python") else { return };
    let data = tempfile::tempdir().unwrap();
    let viewer = viewer(data.path()).await;
    for (protocol, listener) in [("grpc", "otlp-grpc"), ("http", "otlp-http")] {
        let endpoint = format!("http://{}", viewer.address(listener));
        let sent = python.run("opentelemetry_python.py", &[protocol, &endpoint]).await;
        assert_all_kept(&viewer, &sent, "python-client", "scope-of-python").await;
    }
}

#[tokio::test]
async fn the_opentelemetry_sdk_for_javascript_is_kept_as_it_was_recorded() {
    let Some(node) = Language::find(NODE, "the OpenTelemetry SDK for JavaScript") else { return };
    let data = tempfile::tempdir().unwrap();
    let viewer = viewer(data.path()).await;
    for (form, listener) in
        [("grpc", "otlp-grpc"), ("http-protobuf", "otlp-http"), ("http-json", "otlp-http")]
    {
        let endpoint = format!("http://{}", viewer.address(listener));
        let sent = node.run("opentelemetry_javascript.cjs", &[form, &endpoint]).await;
        assert_all_kept(&viewer, &sent, "javascript-client", "scope-of-javascript").await;
    }
}

/// A Zipkin span without what the format lets anybody leave out or write in another way.
fn zipkin(span: &Value) -> Value {
    let mut span = span.as_object().unwrap().clone();
    let is_empty = |value: &Value| match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(truth) => !truth,
        Value::Null => true,
        _ => false,
    };
    span.retain(|_, value| !is_empty(value));
    Value::Object(span)
}

fn sorted(mut spans: Vec<Value>) -> Vec<Value> {
    spans.sort_by_key(|span| span["id"].as_str().unwrap().to_owned());
    spans
}

async fn zipkin_trace(client: &Client, path: &str, trace_id: &str) -> Vec<Value> {
    let answer = client.get(&format!("{path}/trace/{trace_id}")).await.unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.bytes));
    sorted(answer.json.as_array().unwrap().iter().map(zipkin).collect())
}

#[tokio::test]
async fn a_zipkin_client_for_javascript_gets_back_what_it_sent() {
    let Some(node) = Language::find(NODE, "the Zipkin client for JavaScript") else { return };
    let data = tempfile::tempdir().unwrap();
    let viewer = viewer(data.path()).await;
    let endpoint = format!("http://{}", viewer.address("zipkin"));
    let sent = node.run("zipkin_javascript.cjs", &[&endpoint]).await;
    let sent = sorted(sent.as_array().unwrap().iter().map(zipkin).collect());
    assert_eq!(sent.len(), 2);
    let trace_id = sent[0]["traceId"].as_str().unwrap();
    // The door beside the intake and the one beside the page.
    assert_eq!(zipkin_trace(&viewer.client("zipkin"), "/api/v2", trace_id).await, sent);
    assert_eq!(zipkin_trace(&viewer.client("viewer"), "/zipkin/api/v2", trace_id).await, sent);
}

#[tokio::test]
async fn a_zipkin_client_for_python_gets_back_what_it_sent() {
    let Some(python) = Language::find(PYTHON, "the Zipkin client for Python") else { return };
    let data = tempfile::tempdir().unwrap();
    let viewer = viewer(data.path()).await;
    let endpoint = format!("http://{}", viewer.address("zipkin"));
    let sent = python.run("zipkin_python.py", &["json", &endpoint]).await;
    let spans = sorted(sent["sent"].as_array().unwrap().iter().map(zipkin).collect());
    assert_eq!(spans.len(), 2);
    let trace_id = sent["traceId"].as_str().unwrap();
    assert!(trace_id.starts_with("00"), "the id has leading zeros");
    assert_eq!(zipkin_trace(&viewer.client("zipkin"), "/api/v2", trace_id).await, spans);

    // As protobuf the client keeps no copy of its own: the trace has the shape that the script made.
    let sent = python.run("zipkin_python.py", &["protobuf", &endpoint]).await;
    let trace = zipkin_trace(&viewer.client("zipkin"), "/api/v2", sent["traceId"].as_str().unwrap()).await;
    let root = trace.iter().find(|span| span["id"] == sent["rootId"]).unwrap();
    let child = trace.iter().find(|span| span["parentId"] == sent["rootId"]).unwrap();
    assert_eq!(trace.len(), 2);
    assert_eq!((&root["name"], &root["kind"]), (&json!("get /things"), &json!("SERVER")));
    assert_eq!(root["tags"], json!({"http.path": "/things/ä", "empty": ""}));
    assert_eq!((&child["name"], &child["kind"]), (&json!("select"), &json!("CLIENT")));
    assert_eq!(
        child["remoteEndpoint"],
        json!({"serviceName": "postgres", "ipv4": "192.0.2.7", "port": 5432})
    );
    assert_eq!(
        child["annotations"],
        json!([{"timestamp": 1_600_000_000_123_456_u64, "value": "cache missed"}])
    );
    assert_eq!(child["tags"], json!({"error": "it failed"}));
}

#[tokio::test]
async fn the_kits_own_zipkin_exporter_is_understood() {
    let data = tempfile::tempdir().unwrap();
    let viewer = viewer(data.path()).await;
    let mut settings = Settings::new("order-service");
    settings.traces.exporters = vec![Exporter::Zipkin];
    settings.zipkin.endpoint = format!("http://{}/api/v2/spans", viewer.address("zipkin"));
    let telemetry = waypost_telemetry::init(settings).unwrap();
    let served = telemetry.span("POST /orders").kind(SpanKind::Server).attr("order.items", 3).start();
    let call = telemetry.span("GET").kind(SpanKind::Client).parent(served.context());
    let call = call.attr("server.address", "stock").attr("network.peer.address", "192.0.2.7");
    call.start().end(Outcome::Error("timeout".into()));
    let trace_id = served.span_context().trace_id().to_string();
    served.end(Outcome::Ok);
    let report = telemetry.shutdown(Duration::from_secs(20)).await;
    assert_eq!((report.traces.exported(), report.traces.dropped()), (2, 0), "{report}");

    let trace = zipkin_trace(&viewer.client("zipkin"), "/api/v2", &trace_id).await;
    let kind = |wanted: &str| trace.iter().find(|span| span["kind"] == wanted).unwrap();
    let (server, client) = (kind("SERVER"), kind("CLIENT"));
    assert_eq!(trace.len(), 2);
    assert_eq!(client["parentId"], server["id"]);
    assert_eq!(server["localEndpoint"]["serviceName"], "order-service");
    assert_eq!(server["tags"]["order.items"], "3");
    assert_eq!(client["remoteEndpoint"], json!({"serviceName": "stock", "ipv4": "192.0.2.7"}));
    assert_eq!(client["tags"]["error.type"], "timeout");
    assert!(client["tags"].get("error").is_some(), "{client}");
}
