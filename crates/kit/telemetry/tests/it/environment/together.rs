//! Variables that mean something together, and where they stand among other settings.

use waypost_telemetry::Settings;
use waypost_telemetry::config::{Exporter, SamplerKind};

use super::{look, overlaid, warnings};

#[test]
fn the_service_name_wins_over_the_resource_attribute() {
    let settings = overlaid(&[
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=loses,team=blue"),
        ("OTEL_SERVICE_NAME", "wins"),
    ]);
    assert_eq!((settings.service_name.as_str(), settings.resource_attributes.len()), ("wins", 1));
    assert_eq!(warnings(&settings), [""; 0]);
}

#[test]
fn variables_win_over_what_the_program_was_built_with() {
    let mut settings = Settings {
        service_namespace: Some("built".to_owned()),
        service_version: Some("0.1.0".to_owned()),
        ..Settings::new("built")
    };
    let lookup = |name: &str| {
        (name == "OTEL_RESOURCE_ATTRIBUTES").then(|| "service.namespace=ns1,service.version=9.9".to_owned())
    };
    settings.overlay_env(&lookup).unwrap();
    assert_eq!(settings.service_namespace.as_deref(), Some("ns1"));
    assert_eq!(settings.service_version.as_deref(), Some("9.9"));
    assert_eq!(settings.service_name, "built");
}

#[test]
fn an_argument_belongs_to_the_sampler_of_the_environment() {
    let with = |sampler: &str, arg: &str| {
        let settings = overlaid(&[("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", arg)]);
        (settings.traces.sampler, settings.traces.ratio, warnings(&settings).join("\n"))
    };
    assert_eq!(with("traceidratio", "0.25"), (SamplerKind::Ratio, 0.25, String::new()));
    let (sampler, ratio, warning) = with("parentbased_traceidratio", "lots");
    assert_eq!((sampler, ratio), (SamplerKind::ParentBasedRatio, 1.0));
    assert_eq!(warning, "OTEL_TRACES_SAMPLER_ARG=\"lots\" is not a number from 0 to 1; 1 is used");
    let (sampler, ratio, warning) = with("traceidratio", "2.5");
    assert_eq!((sampler, ratio), (SamplerKind::Ratio, 1.0));
    assert!(warning.contains("is not a number from 0 to 1"), "{warning}");
    let (sampler, _, warning) = with("ALWAYS_OFF", "0.5");
    assert_eq!(sampler, SamplerKind::AlwaysOff);
    assert!(warning.contains("takes no argument"), "{warning}");
    let (sampler, ratio, warning) = with(
        "jaeger_remote",
        "endpoint=http://h:5778/sampling,initialSamplingRate=0.5,pollingIntervalMs=500",
    );
    assert_eq!((sampler, ratio, warning.as_str()), (SamplerKind::JaegerRemote, 0.5, ""));
    let (sampler, ratio, warning) =
        with("jaeger_remote", "endpoint=h:14250,initialSamplingRate=7,pollingIntervalMs=0,other=1,lone");
    assert_eq!((sampler, ratio), (SamplerKind::JaegerRemote, 1.0));
    let unread = "endpoint=h:14250,initialSamplingRate=7,pollingIntervalMs=0,other=1,lone; 1 is used";
    assert!(warning.contains(unread), "{warning}");
    let (sampler, ratio, warning) = with("xray", "endpoint=http://h:2000");
    assert_eq!((sampler, ratio), (SamplerKind::ParentBasedAlwaysOn, 1.0));
    assert_eq!(warning.lines().count(), 2, "{warning}");
}

#[test]
fn a_signals_own_variable_wins_over_the_common_one() {
    let settings = overlaid(&[
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "carrier pigeon"),
        ("OTEL_TRACES_EXPORTER", "otlp,console"),
    ]);
    assert_eq!(settings.traces.exporters, [Exporter::OtlpGrpc, Exporter::Console]);
    assert_eq!(settings.metrics.exporters, [Exporter::OtlpGrpc]);
    assert_eq!(settings.logs.exporters, [Exporter::OtlpHttpJson]);
    let expected = "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=\"carrier pigeon\" is not one of http/protobuf, http/json, \
                    grpc; grpc is used";
    assert_eq!(warnings(&settings), [expected]);

    let counts = overlaid(&[("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "30"), ("OTEL_ATTRIBUTE_COUNT_LIMIT", "20")]);
    assert_eq!((counts.limits.span_attributes, counts.limits.event_attributes), (30, 20));
}

#[test]
fn a_protocol_alone_changes_how_and_not_where() {
    let mut settings = Settings::new("shop");
    settings.overlay_env(&|name| (name == "OTEL_EXPORTER_OTLP_PROTOCOL").then(|| "grpc".to_owned())).unwrap();
    assert_eq!(settings.traces.exporters, [Exporter::OtlpGrpc]);
    assert!(settings.logs.exporters.is_empty());
}

#[test]
fn an_address_without_a_scheme_is_kept_for_grpc_only() {
    let settings = overlaid(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
    ]);
    assert_eq!(look(&settings, "otlp.endpoint"), "unset");
    assert_eq!(look(&settings, "otlp.traces.endpoint"), "collector:4317");
    assert_eq!(look(&settings, "otlp.logs.endpoint"), "unset");
    assert_eq!(settings.warnings.len(), 1, "{:?}", settings.warnings);
    assert_eq!(settings.complaints(), []);

    let all_grpc = overlaid(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ]);
    assert_eq!(look(&all_grpc, "otlp.traces.endpoint"), "collector:4317");
    assert_eq!(warnings(&all_grpc), [""; 0]);
}

#[test]
fn a_pair_of_certificate_and_key_may_come_from_two_levels() {
    let super::Pem { certificate, key, .. } = super::pem();
    let settings = overlaid(&[
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate.as_str()),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", key.as_str()),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", key.as_str()),
    ]);
    assert_eq!(look(&settings, "otlp.client_certificate"), *certificate);
    assert_eq!(look(&settings, "otlp.traces.client_key"), *key);
    assert_eq!((warnings(&settings), settings.complaints()), (vec![], vec![]));
}

#[test]
fn what_a_layer_above_has_fixed_stays() {
    let mut settings = Settings { service_namespace: Some("fixed".to_owned()), ..Settings::new("shop") };
    let lookup = |name: &str| {
        (name == "OTEL_RESOURCE_ATTRIBUTES").then(|| "service.namespace=ns1,team=blue".to_owned())
    };
    let given = settings.overlay_env_except(&lookup, &|key| key == "service_namespace").unwrap();
    assert_eq!(settings.service_namespace.as_deref(), Some("fixed"));
    assert_eq!(settings.resource_attributes["team"], "blue");
    let given: Vec<_> = given.iter().map(|given| (given.variable, given.setting)).collect();
    assert_eq!(given, [("OTEL_RESOURCE_ATTRIBUTES", "resource_attributes")]);
}

#[test]
fn a_service_without_a_name_is_called_after_its_executable() {
    let settings = Settings::default();
    let executable = std::env::current_exe().unwrap();
    let executable = executable.file_name().unwrap().to_string_lossy();
    assert_eq!(settings.service_name, format!("unknown_service:{executable}"));
}

#[test]
fn the_standard_settings_send_all_signals() {
    let settings = Settings::standard("shop");
    for exporters in [settings.traces.exporters, settings.metrics.exporters, settings.logs.exporters] {
        assert_eq!(exporters, [Exporter::OtlpHttp]);
    }
    let default = Settings::new("shop");
    assert!(default.metrics.exporters.is_empty() && default.logs.exporters.is_empty());
}
