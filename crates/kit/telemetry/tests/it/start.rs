//! `start("shop")` in a process of its own: what it reads of the real environment, and what leaves.

use std::process::Command;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use waypost_telemetry::span;

use crate::receiver::{HttpReceiver, Manner, Posted};

/// The program. It is what the test below runs in a process of its own.
#[test]
#[ignore = "run by the test beside it, under an environment of its own"]
fn program() {
    let _telemetry = waypost_telemetry::start("shop").unwrap();
    span("open").in_scope(|| tracing::warn!(left = 3, "the shop is open"));
    println!("service {}", waypost_telemetry::Telemetry::current().service_name());
}

/// What the program said under these variables and nothing else.
fn run(variables: &[(&str, &str)]) -> String {
    let program = std::env::current_exe().unwrap();
    let arguments = ["--exact", "start::program", "--ignored", "--nocapture"];
    let run = Command::new(program).args(arguments).env_clear().envs(variables.iter().copied()).output();
    let output = run.unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    said
}

fn of<'a>(posted: &'a [Posted], path: &str) -> &'a Posted {
    posted.iter().find(|posted| posted.path == path).unwrap_or_else(|| panic!("nothing came to {path}"))
}

fn texts(resource: Option<Resource>) -> Vec<(String, String)> {
    let attributes = resource.unwrap().attributes.into_iter();
    let text = |attribute: opentelemetry_proto::tonic::common::v1::KeyValue| match attribute.value?.value? {
        Value::StringValue(text) => Some((attribute.key, text)),
        _ => None,
    };
    attributes.filter_map(text).collect()
}

#[test]
fn start_reads_the_real_environment() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let said = run(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=1234"),
        ("OTEL_SERVICE_NAME", "renamed"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=blue"),
        ("OTEL_TRACES_SAMPLER_ARG", "x"),
    ]);
    assert!(said.contains("service renamed"), "{said}");
    assert!(said.contains("OTEL_TRACES_SAMPLER_ARG"), "a wrong value is named: {said}");

    let posted = receiver.taken();
    let traces = of(&posted, "/v1/traces");
    assert_eq!(traces.header("api-key"), Some("1234"));
    assert_eq!(traces.spans()[0].name, "open");
    let request = ExportTraceServiceRequest::decode(traces.body.as_slice()).unwrap();
    let resource = texts(request.resource_spans[0].resource.clone());
    for (key, value) in [("service.name", "renamed"), ("team", "blue")] {
        assert!(resource.contains(&(key.to_owned(), value.to_owned())), "{resource:?}");
    }
    let logs = ExportLogsServiceRequest::decode(of(&posted, "/v1/logs").body.as_slice()).unwrap();
    let records = logs.resource_logs.iter().flat_map(|of| &of.scope_logs).flat_map(|of| &of.log_records);
    let of_the_span = records.filter(|record| record.span_id == traces.spans()[0].span_id);
    assert_eq!(of_the_span.count(), 1);
    let metrics = ExportMetricsServiceRequest::decode(of(&posted, "/v1/metrics").body.as_slice()).unwrap();
    assert!(!metrics.resource_metrics.is_empty());
}

#[test]
fn start_sends_nothing_where_the_environment_says_so() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let said = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint()), ("OTEL_SDK_DISABLED", "true")]);
    assert!(said.contains("service shop") && said.contains("the shop is open"), "{said}");
    assert!(receiver.taken().is_empty());
}
