//! Each variable for itself.

use std::collections::BTreeSet;

use super::specification::known;
use super::{look, overlaid, warnings};

/// A file that is neither a certificate nor a key.
const OTHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

struct Case {
    variable: String,
    value: String,
    /// Setting and what it is afterwards.
    settings: Vec<(String, String)>,
    /// What is said, whole, without name and value; empty for nothing.
    warning: String,
}

#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn add(&mut self, variable: &str, value: &str, settings: &[(&str, &str)], warning: &str) {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (variable, value, warning) = (variable.to_owned(), value.to_owned(), warning.to_owned());
        self.0.push(Case { variable, value, settings, warning });
    }

    /// A value that is taken.
    fn takes(&mut self, variable: &str, key: &str, value: &str, setting: &str) {
        self.add(variable, value, &[(key, setting)], "");
    }

    /// A value that is not, and what stays.
    fn refuses(&mut self, variable: &str, key: &str, value: &str, setting: &str, warning: &str) {
        self.add(variable, value, &[(key, setting)], warning);
    }

    fn milliseconds(&mut self, variable: &str, key: &str, default: (&str, &str), takes: &str) {
        self.takes(variable, key, "2500", "2s 500ms");
        for wrong in ["-1", "5s", "1.5", "2147483648"] {
            self.refuses(variable, key, wrong, default.0, &format!("is not {takes}; {} is used", default.1));
        }
    }

    fn count(&mut self, variable: &str, key: &str, default: (&str, &str), min: u32) {
        self.takes(variable, key, "20", "20");
        self.takes(variable, key, " 20 ", "20");
        let warning = format!("is not a whole number from {min} to 2147483647; {} is used", default.1);
        for wrong in ["-1", "many", "99999999999999999999"] {
            self.refuses(variable, key, wrong, default.0, &warning);
        }
        match min {
            0 => self.takes(variable, key, "0", "0"),
            _ => self.refuses(variable, key, "0", default.0, &warning),
        }
    }
}

#[test]
fn every_variable_amounts_to_what_the_specification_says() {
    let mut cases = Cases::default();
    general(&mut cases);
    sampler_and_batches(&mut cases);
    limits(&mut cases);
    otlp(&mut cases);
    ignored(&mut cases);

    for Case { variable, value, settings, warning } in &cases.0 {
        let overlaid = overlaid(&[(variable, value)]);
        for (key, expected) in settings {
            assert_eq!(look(&overlaid, key), *expected, "{key} with {variable}={value}");
        }
        let secret = variable.ends_with("HEADERS") || value.contains('@');
        let shown = if secret { "***" } else { value.trim() };
        let expected: Vec<String> = Some(format!("{variable}={shown:?} {warning}"))
            .filter(|_| !warning.is_empty())
            .into_iter()
            .collect();
        assert_eq!(warnings(&overlaid), expected, "{variable}={value}");
        assert_eq!(overlaid.complaints(), [], "{variable}={value}");
    }
    let mut tried: BTreeSet<String> = cases.0.into_iter().map(|case| case.variable).collect();
    // Where it is read, it is in `declarative`.
    tried.insert("OTEL_CONFIG_FILE".to_owned());
    assert_eq!(tried, known());
}

#[test]
fn an_empty_variable_is_as_good_as_absent() {
    for name in known() {
        assert_eq!(overlaid(&[(&name, " ")]), overlaid(&[]), "{name}");
    }
}

fn general(cases: &mut Cases) {
    let boolean = "is neither true nor false; false is used";
    cases.takes("OTEL_SDK_DISABLED", "enabled", "TRUE", "false");
    cases.takes("OTEL_SDK_DISABLED", "enabled", "False", "true");
    for odd in ["1", "yes", "truee"] {
        cases.refuses("OTEL_SDK_DISABLED", "enabled", odd, "true", boolean);
    }

    let resource = "OTEL_RESOURCE_ATTRIBUTES";
    cases.takes(
        resource,
        "resource_attributes",
        "team%2Cname=a%2Cb, zone = a%20b ",
        "{ \"team,name\" = \"a,b\", zone = \"a b\" }",
    );
    cases.takes(resource, "service_namespace", "service.namespace=ns1", "ns1");
    cases.takes(resource, "service_version", "service.version=9.9", "9.9");
    cases.takes(resource, "service_instance_id", "service.instance.id=7", "7");
    cases.takes(resource, "environment", "deployment.environment.name=test", "test");
    cases.takes(resource, "service_name", "service.name=named", "named");
    for wrong in ["ok=1,broken", "ok=1,=2", "ok=%zz", "ok=100%", "ok=%ff"] {
        let reason = "cannot be read as a list of key=value, percent-encoded; nothing of it is used";
        cases.refuses(resource, "resource_attributes", wrong, "{}", reason);
    }

    cases.takes("OTEL_SERVICE_NAME", "service_name", "order service", "order service");

    let propagators = "OTEL_PROPAGATORS";
    cases.takes(propagators, "propagators", "TraceContext, tracecontext", "[\"tracecontext\"]");
    cases.takes(propagators, "propagators", "none", "[]");
    let both = "[\"tracecontext\", \"baggage\"]";
    let others = "[\"b3\", \"b3multi\", \"jaeger\", \"xray\"]";
    cases.takes(propagators, "propagators", "b3,B3multi,jaeger,xray", others);
    let unknown = "asks for ottrace,what, which is not had here; tracecontext,baggage is used";
    cases.refuses(propagators, "propagators", "tracecontext,baggage,ottrace,what", both, unknown);
    let unknown = "asks for ottrace, which is not had here; tracecontext,baggage is used";
    cases.refuses(propagators, "propagators", "ottrace", both, unknown);

    cases.takes(
        "OTEL_TRACES_EXPORTER",
        "traces.exporters",
        "zipkin,otlp_file",
        "[\"zipkin\", \"otlp_file\"]",
    );
    cases.takes("OTEL_LOGS_EXPORTER", "logs.exporters", "otlp_file", "[\"otlp_file\"]");
    cases.milliseconds(
        "OTEL_EXPORTER_ZIPKIN_TIMEOUT",
        "zipkin.timeout",
        ("10s", "10000"),
        "a whole number of milliseconds, 0 for no limit",
    );
    let zipkin = "OTEL_EXPORTER_ZIPKIN_ENDPOINT";
    cases.takes(zipkin, "zipkin.endpoint", "http://z:9411/api/v2/spans", "http://z:9411/api/v2/spans");
    let wrong = "is not an address that begins with http:// or https://, without credentials; \
                 http://localhost:9411/api/v2/spans is used";
    cases.refuses(zipkin, "zipkin.endpoint", "z:9411", "http://localhost:9411/api/v2/spans", wrong);

    for (signal, key) in
        [("TRACES", "traces.exporters"), ("METRICS", "metrics.exporters"), ("LOGS", "logs.exporters")]
    {
        let variable = format!("OTEL_{signal}_EXPORTER");
        cases.takes(&variable, key, "OTLP,console,otlp", "[\"otlp_http\", \"console\"]");
        cases.takes(&variable, key, "none", "[]");
        let jaeger = "asks for jaeger, which is not had here; otlp is used";
        cases.refuses(&variable, key, "jaeger", "[\"otlp_http\"]", jaeger);
        let jaeger = "asks for jaeger, which is not had here; console is used";
        cases.refuses(&variable, key, "jaeger,console", "[\"console\"]", jaeger);
    }
    cases.takes("OTEL_METRICS_EXPORTER", "metrics.exporters", "prometheus", "[]");
    cases.takes("RUST_LOG", "logs.filter", "warn,shop=debug", "warn,shop=debug");
    let filter = "is not a filter such as info,my_crate=debug; info is used";
    cases.refuses("RUST_LOG", "logs.filter", "info,=[", "info", filter);
}

fn sampler_and_batches(cases: &mut Cases) {
    let sampler = "OTEL_TRACES_SAMPLER";
    cases.takes(sampler, "traces.sampler", "Always_On", "always_on");
    cases.takes(sampler, "traces.sampler", "parentbased_traceidratio", "parentbased_traceidratio");
    cases.takes(sampler, "traces.sampler", "parentbased_jaeger_remote", "parentbased_jaeger_remote");
    for unknown in ["xray", "sometimes"] {
        let reason = "is not one of always_on, always_off, traceidratio, with the feature `jaeger-remote` jaeger_remote, \
                      and their parentbased_ forms; parentbased_always_on is used";
        cases.refuses(sampler, "traces.sampler", unknown, "parentbased_always_on", reason);
    }
    let reason = "is ignored without OTEL_TRACES_SAMPLER; 1 is used";
    cases.refuses("OTEL_TRACES_SAMPLER_ARG", "traces.ratio", "0.5", "1.0", reason);

    for (prefix, batch) in [("OTEL_BSP", "traces.batch"), ("OTEL_BLRP", "logs.batch")] {
        let (delay, timeout) = (format!("{prefix}_SCHEDULE_DELAY"), format!("{prefix}_EXPORT_TIMEOUT"));
        let (queue, size) = (format!("{prefix}_MAX_QUEUE_SIZE"), format!("{prefix}_MAX_EXPORT_BATCH_SIZE"));
        let key = |name: &str| format!("{batch}.{name}");
        cases.milliseconds(&delay, &key("delay"), ("1s", "1000"), "a whole number of milliseconds");
        cases.takes(&delay, &key("delay"), "0", "0s");
        let takes = "a whole number of milliseconds, 0 for no limit";
        cases.milliseconds(&timeout, &key("export_timeout"), ("30s", "30000"), takes);
        cases.takes(&timeout, &key("export_timeout"), "0", "0s");
        cases.count(&queue, &key("queue_size"), ("16384", "16384"), 1);
        cases.count(&size, &key("max_batch"), ("1024", "1024"), 1);
        cases.takes(&queue, &key("max_batch"), "512", "512");
        let reason = "is more than the queue holds; 16384 is used";
        cases.refuses(&size, &key("max_batch"), "20000", "16384", reason);
    }
    let interval = "OTEL_METRIC_EXPORT_INTERVAL";
    let takes = "a whole number of milliseconds from 1";
    cases.milliseconds(interval, "metrics.interval", ("1m", "60000"), takes);
    cases.refuses(interval, "metrics.interval", "0", "1m", &format!("is not {takes}; 60000 is used"));
    let takes = "a whole number of milliseconds, 0 for no limit";
    cases.milliseconds("OTEL_METRIC_EXPORT_TIMEOUT", "metrics.export_timeout", ("30s", "30000"), takes);
    cases.takes("OTEL_METRIC_EXPORT_TIMEOUT", "metrics.export_timeout", "0", "0s");
    let temporality = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    cases.takes(temporality, "metrics.temporality", "Delta", "delta");
    cases.takes(temporality, "metrics.temporality", "lowmemory", "low_memory");
    let reason = "is not one of cumulative, delta, lowmemory; cumulative is used";
    cases.refuses(temporality, "metrics.temporality", "low_memory", "cumulative", reason);
    let exemplars = "OTEL_METRICS_EXEMPLAR_FILTER";
    cases.takes(exemplars, "metrics.exemplars", "Always_Off", "always_off");
    cases.takes(exemplars, "metrics.exemplars", "always_on", "always_on");
    let reason = "is not one of always_on, always_off, trace_based; trace_based is used";
    cases.refuses(exemplars, "metrics.exemplars", "with_sampled_trace", "trace_based", reason);
}

fn limits(cases: &mut Cases) {
    let length = ("4096", "4096");
    cases.count("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "limits.attribute_value_length", length, 0);
    let unset = ("unset", "the default");
    let key = "limits.span_attribute_value_length";
    cases.count("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", key, unset, 0);
    let key = "limits.log_attribute_value_length";
    cases.count("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", key, unset, 0);
    for (variable, key) in [
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "limits.span_attributes"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "limits.event_attributes"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "limits.link_attributes"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "limits.log_attributes"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "limits.span_attributes"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "limits.span_events"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "limits.span_links"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "limits.event_attributes"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "limits.link_attributes"),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "limits.log_attributes"),
    ] {
        cases.count(variable, key, ("128", "128"), 0);
    }
}

fn otlp(cases: &mut Cases) {
    for (infix, section, exporters) in [
        ("", "otlp", "logs.exporters"),
        ("TRACES_", "otlp.traces", "traces.exporters"),
        ("METRICS_", "otlp.metrics", "metrics.exporters"),
        ("LOGS_", "otlp.logs", "logs.exporters"),
    ] {
        let variable = |name: &str| format!("OTEL_EXPORTER_OTLP_{infix}{name}");
        let key = |name: &str| format!("{section}.{name}");
        let is_common = infix.is_empty();
        let unset = |common: &str| if is_common { common.to_owned() } else { "unset".to_owned() };
        let used = |common: &str| if is_common { common.to_owned() } else { "the default".to_owned() };

        cases.takes(&variable("PROTOCOL"), exporters, "GRPC", "[\"otlp_grpc\"]");
        cases.takes(&variable("PROTOCOL"), exporters, "http/json", "[\"otlp_http_json\"]");
        let reason = "is not one of http/protobuf, http/json, grpc; http/protobuf is used";
        cases.refuses(&variable("PROTOCOL"), exporters, "thrift", "[\"otlp_http\"]", reason);

        let endpoint = variable("ENDPOINT");
        cases.takes(&endpoint, &key("endpoint"), "https://h/my?token=abc", "https://h/my?token=abc");
        for wrong in ["/v1/traces", "ftp://h", "http://u:p@h"] {
            let reason =
                "is not an address such as http://collector:4318 without credentials; the default is used";
            cases.refuses(&endpoint, &key("endpoint"), wrong, "unset", reason);
        }
        let reason = "needs http:// or https:// in front for OTLP over HTTP; the default is used";
        cases.refuses(&endpoint, &key("endpoint"), "collector:4318", "unset", reason);

        let headers = variable("HEADERS");
        let read = "{\"authorization\": \"Bearer x\", \"x-a\": \"b,c\"}";
        cases.takes(&headers, &key("headers"), "Authorization=Bearer%20x, x-a = b%2Cc", read);
        for wrong in ["authorization: Bearer x", "bad name=x", "a=%0A"] {
            let nothing = used("nothing");
            let reason = format!("is not a list of name=value, separated by commas; {nothing} is used");
            cases.refuses(&headers, &key("headers"), wrong, &unset("{}"), &reason);
        }

        let takes = "a whole number of milliseconds, 0 for no limit";
        let default = (unset("10s"), used("10000"));
        cases.milliseconds(&variable("TIMEOUT"), &key("timeout"), (&default.0, &default.1), takes);
        cases.takes(&variable("TIMEOUT"), &key("timeout"), "0", "0s");

        cases.takes(&variable("COMPRESSION"), &key("compression"), "GZip", "gzip");
        cases.takes(&variable("COMPRESSION"), &key("compression"), "none", "none");
        let reason = format!("is not one of gzip, none; {} is used", used("none"));
        cases.refuses(&variable("COMPRESSION"), &key("compression"), "zstd", &unset("none"), &reason);

        let pem = super::pem();
        cases.takes(&variable("CERTIFICATE"), &key("certificate"), &pem.certificate, &pem.certificate);
        let no_certificates = "is not a file of certificates in PEM form; the default is used";
        let no_key = "is not a file of a private key in PEM form; the default is used";
        for wrong in ["/no/such", OTHER, pem.key.as_str()] {
            cases.refuses(&variable("CERTIFICATE"), &key("certificate"), wrong, "unset", no_certificates);
        }
        for (name, setting, right, not_it) in [
            ("CLIENT_CERTIFICATE", "client_certificate", &pem.certificate, no_certificates),
            ("CLIENT_KEY", "client_key", &pem.key, no_key),
        ] {
            cases.refuses(&variable(name), &key(setting), "/no/such", "unset", not_it);
            cases.refuses(&variable(name), &key(setting), OTHER, "unset", not_it);
            let reason = "is of no use: certificate and key belong together; no client certificate is used";
            cases.refuses(&variable(name), &key(setting), right, "unset", reason);
        }

        cases.takes(&variable("INSECURE"), &key("insecure"), "True", "true");
        let reason = "is neither true nor false; false is used";
        cases.refuses(&variable("INSECURE"), &key("insecure"), "1", "false", reason);
    }
}

/// Whatever they say.
fn ignored(cases: &mut Cases) {
    if cfg!(not(feature = "config-file")) {
        let warning = "is not read: the feature `config-file` is not built in; every other variable is used";
        cases.add("OTEL_CONFIG_FILE", "/etc/otel.yaml", &[], warning);
    }
    let no_port = "is not read: the program serves the Prometheus page at an address of its own";
    for (variable, warning) in [
        (
            "OTEL_LOG_LEVEL",
            "is not read: messages of telemetry are events of `tracing`, so RUST_LOG filters them",
        ),
        (
            "OTEL_ENTITIES",
            "is not read: entities are in development; OTEL_RESOURCE_ATTRIBUTES takes their attributes",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "is not read: histograms have explicit buckets, those of the semantic conventions",
        ),
        (
            "OTEL_EXPORTER_OTLP_SPAN_INSECURE",
            "is not read: it is obsolete; OTEL_EXPORTER_OTLP_TRACES_INSECURE is read",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRIC_INSECURE",
            "is not read: it is obsolete; OTEL_EXPORTER_OTLP_METRICS_INSECURE is read",
        ),
        ("OTEL_EXPORTER_ZIPKIN_PROTOCOL", "is not read: spans go to Zipkin as JSON"),
        ("OTEL_EXPORTER_PROMETHEUS_HOST", no_port),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", no_port),
        ("OTEL_EXPERIMENTAL_CONFIG_FILE", "is not read: it is deprecated; OTEL_CONFIG_FILE is read"),
    ] {
        cases.add(variable, "1", &[], warning);
    }
}
