//! `OTEL_CONFIG_FILE`: what of a declarative configuration is read, named, or refused.

use std::collections::BTreeMap;
use std::time::Duration;

use waypost_telemetry::config::{
    Compression, Detector, ExemplarFilter, Exporter, InstrumentKind, Propagator, SamplerKind, Temporality,
    ViewSettings,
};
use waypost_telemetry::{Settings, SettingsError};

use super::warnings;
use crate::receiver::{HttpReceiver, Manner, PATIENCE};

/// Settings of a program with a file, under variables.
fn with_file(text: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("otel.yaml");
    std::fs::write(&path, text).unwrap();
    let mut variables: BTreeMap<&str, String> =
        variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    variables.insert("OTEL_CONFIG_FILE", path.display().to_string());
    let mut settings = Settings::standard("shop");
    settings.overlay_env(&|name| variables.get(name).cloned())?;
    Ok(settings)
}

fn problems(text: &str) -> String {
    let error = with_file(text, &[]).unwrap_err();
    error
        .iter()
        .map(|problem| problem.to_string().replace(&file_of(problem), "F"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn file_of(problem: &waypost_telemetry::config::Problem) -> String {
    match &problem.origin {
        waypost_telemetry::config::Origin::File { name, .. } => name.clone(),
        other => panic!("{other:?} is no file"),
    }
}

#[test]
fn all_that_the_kit_has_is_read() {
    let text = include_str!("whole.yaml");
    let settings = with_file(text, &[("COUNT", "20")]).unwrap();

    assert_eq!(warnings(&settings), [""; 0]);
    assert_eq!(
        (settings.service_name.as_str(), settings.service_version.as_deref()),
        ("from-file", Some("9.9"))
    );
    let attributes: Vec<_> =
        settings.resource_attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(attributes, [("quoted", "null"), ("shards", "4"), ("team", "blue")]);
    assert_eq!(settings.detectors, [Detector::Process, Detector::Host, Detector::Os]);
    assert_eq!(settings.propagators, [Propagator::TraceContext, Propagator::Baggage]);
    assert_eq!(settings.traces.exporters, [Exporter::OtlpGrpc, Exporter::Console]);
    assert_eq!((settings.traces.sampler, settings.traces.ratio), (SamplerKind::ParentBasedRatio, 0.25));
    let batch = &settings.traces.batch;
    assert_eq!((batch.delay, batch.export_timeout), (Duration::ZERO, Duration::ZERO));
    assert_eq!((batch.queue_size, batch.max_batch), (2_048, 512));
    let traces = &settings.otlp.traces;
    assert_eq!((traces.endpoint.as_deref(), traces.insecure), (Some("collector:4317"), Some(true)));
    assert_eq!((traces.compression, traces.timeout), (Some(Compression::Gzip), Some(Duration::from_secs(3))));
    let headers = &traces.headers.as_ref().unwrap().0;
    assert_eq!((headers["api-key"].as_str(), headers["other"].as_str()), ("1234", "x"));
    assert_eq!(settings.metrics.exporters, [Exporter::OtlpHttpJson]);
    assert_eq!(settings.metrics.interval, Duration::from_millis(1_500));
    assert_eq!(settings.metrics.export_timeout, Duration::from_millis(500));
    assert_eq!((settings.metrics.temporality, settings.metrics.cardinality_limit), (Temporality::Delta, 300));
    assert_eq!(settings.otlp.metrics.endpoint.as_deref(), Some("https://metrics/v1/metrics?a=b"));
    assert_eq!(settings.otlp.max_request_bytes, 1_000);
    assert_eq!(settings.logs.exporters, [Exporter::OtlpHttp]);
    assert_eq!((settings.logs.batch.queue_size, settings.otlp.logs.endpoint.as_deref()), (16_384, None));
    assert_eq!(settings.metrics.exemplars, ExemplarFilter::AlwaysOn);
    let view = ViewSettings {
        instrument: "http.*".to_owned(),
        scope: "hyper-*".to_owned(),
        kind: Some(InstrumentKind::Histogram),
        unit: Some("s".to_owned()),
        name: Some("web".to_owned()),
        description: Some("d".to_owned()),
        drop: false,
        buckets: Some(vec![0.5, 1.0, 10.0]),
        attributes: Some(vec!["http.route".to_owned()]),
        cardinality_limit: Some(7),
    };
    let dropped = ViewSettings { instrument: "noise".to_owned(), drop: true, ..ViewSettings::default() };
    assert_eq!(settings.metrics.views, [view, dropped]);
    let limits = &settings.limits;
    assert_eq!((limits.attribute_value_length, limits.span_attribute_value_length), (100, Some(50)));
    assert_eq!((limits.span_attributes, limits.span_events, limits.log_attributes), (20, 7, 9));
    assert_eq!(settings.complaints(), []);
}

#[test]
fn what_the_file_leaves_out_sends_nothing() {
    let settings = with_file("file_format: \"1.1\"\n", &[]).unwrap();
    assert!(settings.traces.exporters.is_empty() && settings.metrics.exporters.is_empty());
    assert!(settings.logs.exporters.is_empty() && settings.propagators.is_empty());
    assert_eq!((settings.service_name.as_str(), settings.enabled), ("shop", true));
}

#[test]
fn other_variables_are_ignored_but_where_the_file_names_them() {
    let text = "file_format: \"1.0\"\ndisabled: ${OTEL_SDK_DISABLED:-false}\n";
    let variables = [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_SERVICE_NAME", "ignored"),
        ("OTEL_PROPAGATORS", "b3"),
        ("RUST_LOG", "debug"),
    ];
    let settings = with_file(text, &variables).unwrap();
    assert_eq!((settings.service_name.as_str(), settings.enabled), ("shop", false));
    assert_eq!((settings.logs.filter.as_str(), warnings(&settings)), ("debug", vec![]));
}

#[test]
fn what_is_not_had_is_named_in_one_warning() {
    let text = r#"
file_format: "1.0"
log_level: debug
propagator:
  composite:
    - tracecontext:
    - b3:
    - ottrace:
tracer_provider:
  processors:
    - batch:
        exporter:
          otlp_http:
            endpoint: http://one:4318/v1/traces
    - batch:
        exporter:
          otlp_http:
            endpoint: http://two:4318/v1/traces
    - batch:
        exporter:
          zipkin:
            endpoint: http://zipkin:9411
  sampler:
    jaeger_remote/development:
      endpoint: http://h
meter_provider:
  views:
    - selector:
        instrument_name: noise
      stream:
        aggregation:
          last_value:
        attribute_keys:
          excluded: [user]
instrumentation/development:
  general:
    stability_opt_in_list:
"#;
    let settings = with_file(text, &[]).unwrap();
    let said = warnings(&settings);
    assert_eq!(said.len(), 1, "{said:?}");
    let expected = "asks for what is not had here: log_level, propagator.composite.ottrace, \
                    tracer_provider.processors[2].batch.exporter.zipkin, \
                    tracer_provider.sampler.jaeger_remote/development, \
                    meter_provider.views[0].stream.attribute_keys.excluded, \
                    meter_provider.views[0].stream.aggregation.last_value";
    assert!(said[0].starts_with("OTEL_CONFIG_FILE=") && said[0].ends_with(expected), "{}", said[0]);
    assert_eq!(settings.otlp.traces.endpoint.as_deref(), Some("http://one:4318/v1/traces"));
    assert_eq!(settings.otlp.additional[0].endpoint, "http://two:4318/v1/traces");
    assert_eq!(settings.traces.sampler, SamplerKind::ParentBasedAlwaysOn);
}

#[test]
fn a_value_that_does_not_fit_is_an_error_with_its_line() {
    let text = r#"
tracer_provider:
  processors:
    - batch:
        schedule_delay: soon
        max_queue_size: "2048"
        exporter:
          otlp_http:
            endpoint: collector:4318
            tls:
              key_file: /key.pem
disabled: maybe
"#;
    let expected = "\
F:2: file_format: is missing
F:5: tracer_provider.processors[0].batch.schedule_delay: is not a whole number from 0 to 2147483647
F:6: tracer_provider.processors[0].batch.max_queue_size: is not a whole number from 1 to 2147483647
F:9: tracer_provider.processors[0].batch.exporter.otlp_http.endpoint: is not an address such as \
http://collector:4318 without credentials
F:11: tracer_provider.processors[0].batch.exporter.otlp_http.tls: needs key_file and cert_file, or neither
F:12: disabled: is not true or false";
    assert_eq!(problems(text), expected);
    assert!(problems("file_format: \"2.0\"").contains("is not a version 1"));
}

#[test]
fn what_is_no_yaml_is_refused_and_changes_nothing() {
    assert!(problems("a: [1, 2").contains("not YAML"));
    assert!(problems("a: ${1X}").contains("is not a reference"));
    assert!(problems("a: 1\na: 2").contains("is there twice"));
    // Whoever notices first: the parser has a limit of its own.
    let deep = problems(&"[".repeat(10_000));
    assert!(deep.contains("too deep") || deep.contains("not YAML"), "{deep}");
    let nested = (0..70).fold(String::new(), |text, level| text + &" ".repeat(level) + "a:\n");
    assert!(problems(&nested).contains("too deep"));
    let rounds: String = (1..30).fold("a0: &a0 [x, x]\n".to_owned(), |text, round| {
        let last = round - 1;
        text + &format!("a{round}: &a{round} [*a{last}, *a{last}, *a{last}]\n")
    });
    assert!(problems(&rounds).contains("too large"));

    let mut settings = Settings::new("shop");
    let before = settings.clone();
    let lookup = |name: &str| (name == "OTEL_CONFIG_FILE").then(|| "/no/such.yaml".to_owned());
    let error = settings.overlay_env(&lookup).unwrap_err().to_string();
    assert!(error.contains("/no/such.yaml"), "{error}");
    assert_eq!(settings, before);
}

#[test]
fn every_otlp_exporter_of_a_signal_is_sent_to() {
    let [first, second, third] = ["a", "b", "c"].map(|_| HttpReceiver::start(Manner::Takes));
    let text = format!(
        r#"
file_format: "1.0"
tracer_provider:
  processors:
    - batch:
        exporter:
          otlp_http:
            endpoint: {0}/v1/traces
    - batch:
        schedule_delay: 100
        max_queue_size: 10
        exporter:
          otlp_http:
            endpoint: {1}/some/where
            encoding: json
            headers_list: api-key=1234
meter_provider:
  readers:
    - periodic:
        interval: 100
        exporter:
          otlp_http:
            endpoint: {0}/v1/metrics
            temporality_preference: delta
    - periodic:
        exporter:
          otlp_http:
            endpoint: {2}/v1/metrics
"#,
        first.endpoint(),
        second.endpoint(),
        third.endpoint(),
    );
    let settings = with_file(&text, &[]).unwrap();
    let said = warnings(&settings);
    assert!(said.len() == 1 && said[0].ends_with("processors[1].batch.max_queue_size"), "{said:?}");
    let telemetry = waypost_telemetry::init(settings).unwrap();
    telemetry.span("a").in_scope(|| ());
    telemetry.meter().u64_counter("orders").build().add(1, &[]);
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert_eq!((report.traces.exported(), report.traces.dropped()), (2, 0), "{report:?}");
    assert_eq!(report.metrics.exporters.len(), 2);

    let spans = second.next();
    assert_eq!((spans.path.as_str(), spans.header("api-key")), ("/some/where", Some("1234")));
    let mut paths: Vec<_> = first.taken().into_iter().map(|posted| posted.path).collect();
    paths.sort();
    paths.dedup();
    assert_eq!(paths, ["/v1/metrics", "/v1/traces"]);
    assert_eq!(third.next().path, "/v1/metrics");
}

#[test]
fn a_list_of_texts_is_an_attribute_of_the_resource() {
    let text = r#"
file_format: "1.0"
resource:
  attributes:
    - name: teams
      value: [blue, green]
      type: string_array
    - name: floors
      value: [1, 2]
      type: int_array
"#;
    let settings = with_file(text, &[]).unwrap();
    let said = warnings(&settings);
    assert!(said.len() == 1 && said[0].ends_with("resource.attributes[1].value"), "{said:?}");
    let telemetry = waypost_telemetry::init(settings).unwrap();
    let teams = telemetry.resource().iter().find(|attribute| attribute.key.as_str() == "teams").unwrap();
    assert_eq!(teams.value.to_string(), r#"["blue","green"]"#);
}
