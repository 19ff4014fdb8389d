//! Settings from the standard variables, and what is refused.

use std::collections::HashMap;
use std::time::Duration;

use waypost_telemetry::config::{Exporter, Propagator, SamplerKind};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{InitError, Settings, SettingsError};

fn from(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    let mut settings = Settings::default();
    settings.overlay_env(&|name| variables.get(name).map(ToString::to_string))?;
    Ok(settings)
}

fn problem_names(error: &SettingsError) -> Vec<&str> {
    error.problems.iter().map(|problem| problem.name.as_str()).collect()
}

#[test]
fn without_variables_the_settings_stay() {
    assert_eq!(from(&[]).unwrap(), Settings::default());
    assert_eq!(
        from(&[("OTEL_SERVICE_NAME", ""), ("OTEL_TRACES_SAMPLER", "  ")]).unwrap(),
        Settings::default()
    );
}

#[test]
fn every_standard_variable_is_honoured() {
    let settings = from(&[
        ("OTEL_SERVICE_NAME", "order-service"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=loses,team=blue%20team, zone = a"),
        ("OTEL_PROPAGATORS", "tracecontext"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_TRACES_EXPORTER", "otlp,console"),
        ("OTEL_METRICS_EXPORTER", "otlp,prometheus"),
        ("OTEL_LOGS_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://metrics/v1/metrics"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20x,a=b"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "c=d"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "3000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1000"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "700"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "2000"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1500"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "500"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "64"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "20"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "30"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "4"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "5"),
        ("RUST_LOG", "debug"),
    ])
    .unwrap();

    assert_eq!(settings.service_name, "order-service");
    assert_eq!(settings.resource_attributes["team"], "blue team");
    assert_eq!(settings.resource_attributes["zone"], "a");
    assert_eq!(settings.propagators, [Propagator::TraceContext]);
    assert_eq!((settings.traces.sampler, settings.traces.ratio), (SamplerKind::ParentBasedRatio, 0.25));
    assert_eq!(settings.traces.exporters, [Exporter::OtlpGrpc, Exporter::Console]);
    assert_eq!(settings.metrics.exporters, [Exporter::OtlpHttp]);
    assert_eq!(settings.logs.exporters, [Exporter::None]);
    assert_eq!(settings.otlp.endpoint.as_deref(), Some("http://collector:4317"));
    assert_eq!(settings.otlp.metrics.endpoint.as_deref(), Some("https://metrics/v1/metrics"));
    assert_eq!(settings.otlp.headers.0["authorization"], "Bearer x");
    assert_eq!(settings.otlp.logs.headers.as_ref().unwrap().0["c"], "d");
    assert_eq!(settings.otlp.timeout, Duration::from_secs(3));
    assert_eq!(settings.otlp.traces.timeout, Some(Duration::from_secs(1)));
    assert_eq!((settings.traces.batch.queue_size, settings.traces.batch.max_batch), (100, 10));
    assert_eq!(settings.traces.batch.delay, Duration::from_millis(50));
    assert_eq!(settings.traces.batch.export_timeout, Duration::from_millis(700));
    assert_eq!(settings.logs.batch.queue_size, 2_000);
    assert_eq!(settings.metrics.interval, Duration::from_millis(1_500));
    assert_eq!(settings.metrics.export_timeout, Duration::from_millis(500));
    assert_eq!(settings.limits.attribute_value_length, 64);
    assert_eq!((settings.limits.span_attributes, settings.limits.event_attributes), (30, 20));
    assert_eq!((settings.limits.span_events, settings.limits.span_links), (4, 5));
    assert_eq!(settings.logs.filter, "debug");
}

#[test]
fn a_protocol_alone_changes_how_and_not_where() {
    let settings = from(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap();
    assert_eq!(settings.traces.exporters, [Exporter::OtlpGrpc]);
    assert!(settings.logs.exporters.is_empty());
}

#[test]
fn all_problems_are_reported_at_once_with_name_value_and_reason() {
    let error = from(&[
        ("OTEL_SDK_DISABLED", "yes"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,broken"),
        ("OTEL_PROPAGATORS", "tracecontext,b3"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_METRICS_EXPORTER", "otlp,otlp"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization: Bearer secret"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "999999"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "many"),
        ("RUST_LOG", "info,=["),
    ])
    .unwrap_err();

    assert_eq!(
        problem_names(&error),
        [
            "OTEL_SDK_DISABLED",
            "OTEL_RESOURCE_ATTRIBUTES",
            "OTEL_PROPAGATORS",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "OTEL_TRACES_EXPORTER",
            "OTEL_TRACES_SAMPLER",
            "OTEL_BSP_SCHEDULE_DELAY",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "OTEL_SPAN_LINK_COUNT_LIMIT",
            "metrics.exporters",
            "traces.batch.max_batch",
            "otlp.endpoint",
            "logs.filter",
        ]
    );
    let text = error.to_string();
    assert!(text.contains("OTEL_TRACES_SAMPLER = \"sometimes\": not a sampler"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn with_a_problem_the_settings_stay_as_they_were() {
    let mut settings = Settings::new("before");
    let problem = settings.overlay_env(&|name| match name {
        "OTEL_SERVICE_NAME" => Some("after".to_owned()),
        "OTEL_SDK_DISABLED" => Some("perhaps".to_owned()),
        _ => None,
    });
    assert!(problem.is_err());
    assert_eq!(settings, Settings::new("before"));
}

#[test]
fn a_disabled_sdk_starts_nothing() {
    let settings = from(&[("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_SERVICE_NAME", "off")]).unwrap();
    let telemetry = waypost_telemetry::init(settings).unwrap();
    telemetry.span("a").in_scope(|| ());
    telemetry.meter().u64_counter("c").build().add(1, &[]);
    assert!(!telemetry.is_enabled());
    assert_eq!((telemetry.service_name(), telemetry.ledger().started), ("off", 0));
    assert_eq!(waypost_telemetry::metrics::render_prometheus(std::slice::from_ref(&telemetry)), "");
    let report = telemetry.shutdown_blocking(Duration::from_secs(1));
    assert!(report.complete, "{report:?}");
}

#[test]
fn settings_that_cannot_be_used_do_not_start() {
    let mut settings = TestTelemetry::settings("s");
    settings.traces.ratio = 1.5;
    settings.traces.batch.queue_size = 0;
    settings.otlp.headers.0.insert("bad name".to_owned(), "secret".to_owned());
    settings.otlp.endpoint = Some("http://user:secret@collector:4318".to_owned());
    let InitError::Settings(error) = waypost_telemetry::init(settings).unwrap_err() else {
        panic!("settings were to blame")
    };
    assert_eq!(
        problem_names(&error),
        [
            "traces.ratio",
            "traces.batch.queue_size",
            "traces.batch.max_batch",
            "otlp.endpoint",
            "otlp.headers.bad name"
        ]
    );
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn a_file_is_read_and_its_mistakes_are_named_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("telemetry.toml");
    std::fs::write(&path, "service_name = \"from-file\"\n[traces]\nratio = 0.5\n").unwrap();
    assert_eq!(Settings::from_file(&path).unwrap().service_name, "from-file");

    std::fs::write(
        &path,
        "service_name = \"a\"\n[otlp]\nheaders = { authorization = \"secret\" }\nwhat = 1\n",
    )
    .unwrap();
    let error = Settings::from_file(&path).unwrap_err().to_string();
    assert!(error.contains("telemetry.toml line 4: unknown field `what`"), "{error}");
    assert!(!error.contains("secret"), "{error}");

    let missing = Settings::from_file(folder.path().join("missing.toml")).unwrap_err().to_string();
    assert!(missing.contains("missing.toml"), "{missing}");
}
