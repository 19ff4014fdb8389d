//! Ways out beside OTLP over the network: Zipkin's JSON, and lines of OTLP in files.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use waypost_telemetry::config::Exporter;
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{DropReason, Outcome, Settings, Telemetry, event, init, span};

use waypost_telemetry::config::ExporterFilter;

use crate::receiver::{HttpReceiver, Manner, PATIENCE};

fn settings(exporter: Exporter) -> Settings {
    let mut settings = TestTelemetry::settings("order-service");
    settings.traces.exporters = vec![exporter];
    settings.logs.exporters.clear();
    settings.traces.batch.delay = Duration::from_millis(1);
    settings
}

fn zipkin(receiver: &HttpReceiver) -> Telemetry {
    let mut settings = settings(Exporter::Zipkin);
    settings.zipkin.endpoint = format!("http://{}/api/v2/spans", receiver.address);
    init(settings).unwrap()
}

/// A request that failed, with everything that a span can have.
fn place(telemetry: &Telemetry) {
    let call = telemetry.span("GET").kind(SpanKind::Client).attr("server.address", "stock");
    let call = call.attr("network.peer.address", "127.0.0.1").attr("network.peer.port", 8080);
    call.start().end(Outcome::Ok);
    let server = telemetry.span("POST /orders").kind(SpanKind::Server).attr("order.items", 3);
    let server = server.attr("http.request.header.x-plan", vec!["gold".to_owned(), "a\"b".to_owned()]);
    let _ = server.try_in_scope(|| {
        event("stock.asked", vec![KeyValue::new("product", "prod456"), KeyValue::new("quantity", 2)]);
        event("seen", Vec::new());
        span("inner").in_scope(|| ());
        Err::<(), _>(std::io::Error::new(std::io::ErrorKind::TimedOut, "no \"answer\""))
    });
}

#[test]
fn spans_reach_zipkin_as_its_json() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let telemetry = zipkin(&receiver);
    place(&telemetry);
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert_eq!((report.traces.exported(), report.traces.dropped()), (3, 0), "{report}");
    assert_eq!(report.traces.exporters[0].exporter, "zipkin");
    let posted = receiver.taken();
    assert!(posted.iter().all(|request| request.path == "/api/v2/spans"));
    assert!(posted.iter().all(|request| request.header("content-type") == Some("application/json")));
    let spans: Vec<Value> = posted
        .iter()
        .flat_map(|request| serde_json::from_slice::<Vec<Value>>(&request.body).unwrap())
        .collect();
    let named = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();

    let server = named("POST /orders");
    assert_eq!(server["kind"], "SERVER");
    assert_eq!(server["localEndpoint"], json!({"serviceName": "order-service"}));
    assert_eq!((server.get("parentId"), server.get("remoteEndpoint")), (None, None));
    assert_eq!(server["traceId"].as_str().unwrap().len(), 32);
    assert!(server["timestamp"].as_u64().unwrap() > 1_700_000_000_000_000);
    assert!(server["duration"].as_u64().unwrap() >= 1);
    let tags = &server["tags"];
    assert_eq!((&tags["order.items"], &tags["otel.status_code"]), (&json!("3"), &json!("ERROR")));
    assert_eq!(tags["http.request.header.x-plan"], r#"["gold","a\"b"]"#);
    assert_eq!((&tags["error"], &tags["error.type"]), (&json!("no \"answer\""), &json!("timed_out")));
    assert_eq!(tags["otel.scope.name"], "waypost-telemetry");
    let annotations: Vec<&Value> =
        server["annotations"].as_array().unwrap().iter().map(|annotation| &annotation["value"]).collect();
    assert_eq!(annotations[0], r#""stock.asked": {"product":"prod456","quantity":2}"#);
    assert_eq!(annotations[1], "seen");

    let inner = named("inner");
    assert_eq!((inner.get("kind"), &inner["parentId"]), (None, &server["id"]));
    assert_eq!(inner["tags"].get("error"), None);
    assert_eq!(
        named("GET")["remoteEndpoint"],
        json!({"serviceName": "stock", "ipv4": "127.0.0.1", "port": 8080})
    );
}

#[test]
fn what_zipkin_refuses_is_counted() {
    let receiver = HttpReceiver::start(Manner::Answers(400));
    let telemetry = zipkin(&receiver);
    place(&telemetry);
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert_eq!(report.traces.dropped_for(DropReason::ExportFailed), 3, "{report}");
    assert!(report.traces.is_balanced());
}

#[test]
fn zipkin_that_is_away_for_a_while_gets_everything() {
    let receiver = HttpReceiver::start(Manner::AnswersFirst(2, 503));
    let telemetry = zipkin(&receiver);
    place(&telemetry);
    assert!(telemetry.flush_blocking(PATIENCE).complete);
    assert_eq!(telemetry.shutdown_blocking(PATIENCE).traces.exported(), 3);
}

#[test]
fn metrics_and_log_records_cannot_go_to_zipkin() {
    let mut settings = settings(Exporter::Zipkin);
    settings.logs.exporters = vec![Exporter::Zipkin];
    settings.zipkin.endpoint = "zipkin:9411".to_owned();
    let refused = settings.check().unwrap_err().to_string();
    assert!(refused.contains("logs.exporters") && refused.contains("zipkin.endpoint"), "{refused}");
}

fn to_files(folder: &Path) -> Settings {
    let mut settings = settings(Exporter::OtlpFile);
    settings.logs.exporters = vec![Exporter::OtlpFile];
    settings.metrics.exporters = vec![Exporter::OtlpFile];
    settings.logs.batch.delay = Duration::from_millis(1);
    settings.otlp_file.traces = folder.join("traces.jsonl");
    settings.otlp_file.metrics = folder.join("metrics.jsonl");
    settings.otlp_file.logs = folder.join("logs.jsonl");
    settings
}

/// The lines of a file, each a value.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_signal_has_a_file_of_lines() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let telemetry = init(to_files(folder.path())).unwrap();
        place(&telemetry);
        let report = telemetry.shutdown_blocking(PATIENCE);
        assert_eq!((report.traces.exported(), report.traces.dropped()), (3, 0), "{report}");
    }
    let spans: Vec<Value> = lines(&folder.path().join("traces.jsonl"))
        .into_iter()
        .flat_map(|line| line["resourceSpans"].as_array().unwrap().clone())
        .flat_map(|resource| resource["scopeSpans"].as_array().unwrap().clone())
        .flat_map(|scope| scope["spans"].as_array().unwrap().clone())
        .collect();
    let mut names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["GET", "GET", "POST /orders", "POST /orders", "inner", "inner"]);
    assert!(lines(&folder.path().join("logs.jsonl")).iter().all(|line| line["resourceLogs"].is_array()));
    let metrics = lines(&folder.path().join("metrics.jsonl"));
    assert!(metrics.iter().all(|line| line["resourceMetrics"].is_array()) && metrics.len() >= 2);
}

#[test]
fn a_file_is_renamed_before_it_grows_beyond_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = to_files(folder.path());
    settings.logs.exporters.clear();
    settings.metrics.exporters.clear();
    settings.otlp_file.max_bytes = 20_000;
    let telemetry = init(settings).unwrap();
    for _ in 0..200 {
        place(&telemetry);
        assert!(telemetry.flush_blocking(PATIENCE).complete);
    }
    assert_eq!(telemetry.shutdown_blocking(PATIENCE).traces.exported(), 600);
    let files: Vec<_> = ["traces.jsonl", "traces.jsonl.1"].map(|name| folder.path().join(name)).into();
    for file in &files {
        assert!(std::fs::metadata(file).unwrap().len() <= 20_000);
        assert!(!lines(file).is_empty());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_file_that_cannot_be_written_loses_no_count() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = to_files(&folder.path().join("not-there"));
    settings.logs.exporters.clear();
    settings.metrics.exporters.clear();
    settings.traces.batch.export_timeout = Duration::from_millis(50);
    let telemetry = init(settings).unwrap();
    place(&telemetry);
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert_eq!(report.traces.dropped(), 3, "{report}");
    assert!(report.traces.is_balanced());
}

#[test]
fn two_signals_cannot_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = to_files(folder.path());
    settings.otlp_file.logs = settings.otlp_file.traces.clone();
    assert!(settings.check().unwrap_err().to_string().contains("otlp_file.logs"));
}

const SECRET: &str = "s3cret-of-a-person";

/// Work with a secret in every place that an attribute can stand in.
fn with_secrets(telemetry: &Telemetry) {
    let other = telemetry.span("linked").start();
    telemetry
        .span("place")
        .attr("user.name", SECRET)
        .attr("user.id", 7)
        .attr("order.id", "order-1")
        .in_scope(|| {
            event("asked", vec![KeyValue::new("user.name", SECRET), KeyValue::new("product", "prod456")]);
            let class = std::io::Error::new(std::io::ErrorKind::TimedOut, "late");
            waypost_telemetry::record_error(&class);
        });
    other.end(Outcome::Ok);
    telemetry.span("GET /health").in_scope(|| ());
    telemetry.span("place").attr("tenant.id", "internal-7").in_scope(|| ());
}

#[test]
fn one_exporter_gets_less_than_another() {
    let (own, zipkin) = (HttpReceiver::start(Manner::Takes), HttpReceiver::start(Manner::Takes));
    let mut settings = settings(Exporter::OtlpHttp);
    settings.traces.exporters.push(Exporter::Zipkin);
    settings.otlp.endpoint = Some(own.endpoint());
    settings.zipkin.endpoint = format!("{}/api/v2/spans", zipkin.endpoint());
    settings.resource_attributes.insert("deployment.owner".to_owned(), SECRET.to_owned());
    settings.exporter_filters = vec![
        ExporterFilter {
            exporter: "zip*".to_owned(),
            leave_out_names: vec!["GET /health*".to_owned()],
            leave_out_attributes: [("tenant.id".to_owned(), "internal*".to_owned())].into(),
            remove_attributes: vec!["user.name".to_owned()],
            ..ExporterFilter::default()
        },
        ExporterFilter {
            exporter: "zipkin".to_owned(),
            redact_attributes: vec!["user.*".to_owned(), "deployment.*".to_owned()],
            ..ExporterFilter::default()
        },
    ];
    let telemetry = init(settings).unwrap();
    with_secrets(&telemetry);
    let report = telemetry.shutdown_blocking(PATIENCE);
    let account = |name: &str| {
        let mut exporters = report.traces.exporters.iter();
        exporters.find(|exporter| exporter.exporter == name).unwrap().clone()
    };
    assert_eq!((account("otlp_http").exported, account("otlp_http").dropped_total()), (4, 0));
    assert_eq!((account("zipkin").exported, account("zipkin").dropped_for(DropReason::Filtered)), (2, 2));
    assert!(report.traces.is_balanced());

    let bytes = |receiver: &HttpReceiver| {
        let bodies = receiver.taken().into_iter().flat_map(|request| request.body);
        String::from_utf8_lossy(&bodies.collect::<Vec<_>>()).into_owned()
    };
    let (whole, less) = (bytes(&own), bytes(&zipkin));
    assert!(whole.contains(SECRET) && whole.contains("GET /health") && whole.contains("internal-7"));
    assert!(
        !less.contains(SECRET) && !less.contains("GET /health") && !less.contains("internal-7"),
        "{less}"
    );
    assert!(!less.contains("user.name") && less.contains(r#""user.id":"REDACTED""#), "{less}");
    assert!(less.contains(r#""order.id":"order-1""#) && less.contains("prod456"), "{less}");
}

#[test]
fn log_records_are_filtered_and_a_filter_of_everything_sends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = to_files(folder.path());
    settings.metrics.exporters.clear();
    settings.resource_attributes.insert("deployment.owner".to_owned(), SECRET.to_owned());
    settings.exporter_filters = vec![ExporterFilter {
        leave_out_names: vec!["*".to_owned()],
        remove_attributes: vec!["exception.*".to_owned()],
        redact_attributes: vec!["deployment.*".to_owned()],
        ..ExporterFilter::default()
    }];
    let telemetry = init(settings).unwrap();
    with_secrets(&telemetry);
    assert!(telemetry.flush_blocking(PATIENCE).complete, "what is left out holds no flush up");
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert_eq!(report.traces.dropped_for(DropReason::Filtered), 4);
    assert!(!folder.path().join("traces.jsonl").exists());
    let logs = std::fs::read_to_string(folder.path().join("logs.jsonl")).unwrap();
    assert!(logs.contains("error.type") && logs.contains("REDACTED"), "{logs}");
    assert!(!logs.contains("exception.") && !logs.contains(SECRET), "{logs}");
}

#[test]
fn each_service_has_a_file_of_its_own_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["order-service", "../../etc/shop"] {
        let mut settings = to_files(folder.path());
        name.clone_into(&mut settings.service_name);
        settings.logs.exporters.clear();
        settings.metrics.exporters.clear();
        settings.otlp_file.traces = folder.path().join("{service}.traces.jsonl");
        let telemetry = init(settings).unwrap();
        place(&telemetry);
        assert_eq!(telemetry.shutdown_blocking(PATIENCE).traces.exported(), 3);
    }
    for file in ["order-service.traces.jsonl", ".._.._etc_shop.traces.jsonl"] {
        assert!(!lines(&folder.path().join(file)).is_empty());
    }
}
