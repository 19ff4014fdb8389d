//! The page that Prometheus scrapes is one that Prometheus takes, whatever instruments, units and attributes there are.

pub(crate) mod exposition;

use std::borrow::Cow;

use proptest::prelude::*;
use waypost_telemetry::config::Detector;
use waypost_telemetry::metrics::{PrometheusPage, render_prometheus};
use waypost_telemetry::opentelemetry::metrics::Meter;
use waypost_telemetry::opentelemetry::{Array, Key, KeyValue, StringValue, Value};
use waypost_telemetry::testing::TestTelemetry;

use exposition::{Exposition, Set, read};

fn page(telemetry: &[&TestTelemetry]) -> (String, Exposition) {
    let handles: Vec<_> = telemetry.iter().map(|telemetry| telemetry.handle().clone()).collect();
    let text = render_prometheus(&handles);
    let exposition = read(&text).unwrap_or_else(|reason| panic!("{reason}\n{text}"));
    (text, exposition)
}

fn labels(pairs: &[(&str, &str)]) -> Set {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn every_series_says_its_service_and_its_scope() {
    let telemetry = TestTelemetry::new("order-service");
    telemetry.meter().u64_counter("orders.placed").build().add(2, &[KeyValue::new("kind", "gift")]);
    let (text, page) = page(&[&telemetry]);
    let samples = page.samples("orders_placed_total");
    assert_eq!(samples.len(), 1, "{text}");
    assert_eq!(samples[0].value.to_string(), "2");
    let mut shown = samples[0].labels.clone();
    let schema = shown.remove("otel_scope_schema_url");
    assert!(schema.unwrap().starts_with("https://opentelemetry.io/schemas/"));
    assert_eq!(
        shown,
        labels(&[
            ("service_name", "order-service"),
            ("kind", "gift"),
            ("otel_scope_name", "waypost-telemetry"),
            ("otel_scope_version", env!("CARGO_PKG_VERSION")),
        ])
    );
}

#[test]
fn scopes_and_the_resource_can_be_left_out() {
    let telemetry = TestTelemetry::new("s");
    telemetry.meter().u64_counter("orders.placed").build().add(1, &[]);
    let page = PrometheusPage::new().scope_labels(false).target_info(false);
    let text = page.render(&[telemetry.handle().clone()]);
    let page = read(&text).unwrap();
    assert_eq!(page.samples("orders_placed_total")[0].labels, labels(&[("service_name", "s")]));
    assert!(page.samples("target_info").is_empty());
}

#[test]
fn target_info_has_the_resource_of_each_handle_once() {
    let mut settings = TestTelemetry::settings("order-service");
    settings.service_namespace = Some("shop".to_owned());
    settings.detectors = vec![Detector::Process];
    let (orders, users) = (TestTelemetry::with(settings), TestTelemetry::new("user-service"));
    let (text, page) = page(&[&orders, &users, &orders]);
    let targets = page.samples("target_info");
    assert_eq!(targets.len(), 2, "{text}");
    for (target, telemetry) in targets.iter().zip([&orders, &users]) {
        assert_eq!(target.labels.get("service_name").map(String::as_str), Some(telemetry.service_name()));
        assert_eq!(target.labels.len(), telemetry.resource().len(), "nothing but the resource: {target:?}");
        assert_eq!(target.value.to_string(), "1");
    }
    assert_eq!(targets[0].labels.get("service_namespace").map(String::as_str), Some("shop"));
    assert!(targets[0].labels.contains_key("process_pid"));
}

#[test]
fn two_instances_of_one_service_do_not_clash() {
    let instance = |id: &str| {
        let mut settings = TestTelemetry::settings("order-service");
        settings.service_instance_id = Some(id.to_owned());
        let telemetry = TestTelemetry::with(settings);
        telemetry.meter().u64_counter("orders.placed").build().add(1, &[]);
        telemetry
    };
    let (first, second) = (instance("a"), instance("b"));
    let (_, page) = page(&[&first, &second]);
    let samples = page.samples("orders_placed_total");
    let ids: Vec<_> = samples.iter().map(|sample| sample.labels["service_instance_id"].as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
}

#[test]
fn attributes_that_become_one_label_are_joined() {
    let telemetry = TestTelemetry::new("s");
    let attributes = [
        KeyValue::new("a_b", "3"),
        KeyValue::new("a.b", "1"),
        KeyValue::new("a/b", "2"),
        KeyValue::new("service.name", "theirs"),
        KeyValue::new("otel.scope.name", "other"),
        KeyValue::new("__name__", "evil"),
        KeyValue::new("2nd", true),
        KeyValue::new("list", Value::Array(Array::String(vec![StringValue::from("x"), "\"y\"".into()]))),
    ];
    telemetry.meter().u64_counter("orders.placed").build().add(1, &attributes);
    let (text, page) = page(&[&telemetry]);
    let shown = &page.samples("orders_placed_total")[0].labels;
    for (label, value) in [
        ("a_b", "1;2;3"),
        ("service_name", "s;theirs"),
        ("otel_scope_name", "other;waypost-telemetry"),
        ("_name_", "evil"),
        ("_2nd", "true"),
    ] {
        assert_eq!(shown.get(label).map(String::as_str), Some(value), "{text}");
    }
    assert!(shown["list"].contains('y'));
}

#[test]
fn the_first_of_two_types_stays_and_a_remark_says_so() {
    let telemetry = TestTelemetry::new("s");
    let meter = telemetry.meter();
    meter.u64_gauge("jobs.count").build().record(7, &[]);
    // Its samples would be `jobs_bucket`, `jobs_sum` and `jobs_count`.
    meter.f64_histogram("jobs").build().record(1.0, &[]);
    meter.f64_up_down_counter("jobs_count").build().add(1.0, &[KeyValue::new("a", 1)]);
    meter.u64_counter("jobs/count").build().add(1, &[]);
    let (text, page) = page(&[&telemetry]);
    assert_eq!(page.samples("jobs_count").len(), 2, "{text}");
    assert_eq!(page.samples("jobs_count_total").len(), 1);
    assert!(page.samples("jobs_bucket").is_empty());
    let remarks = page.remarks.join("\n");
    assert_eq!(remarks, "left out: jobs: its name is taken by a metric of another type");
}

#[test]
fn a_series_that_would_stand_twice_stands_once() {
    let telemetry = TestTelemetry::new("s");
    let counter = telemetry.meter().u64_counter("jobs").build();
    counter.add(1, &[KeyValue::new("id", 1)]);
    counter.add(1, &[KeyValue::new("id", "1")]);
    counter.add(1, &[]);
    counter.add(1, &[KeyValue::new("id", "")]);
    telemetry.meter().u64_counter("jobs_total").with_unit("{job}").build().add(5, &[]);
    let (text, page) = page(&[&telemetry]);
    assert_eq!(page.samples("jobs_total").len(), 2, "{text}");
    assert_eq!(page.remarks.len(), 2, "{text}");
}

#[test]
fn numbers_of_any_size_are_written_out() {
    let telemetry = TestTelemetry::new("s");
    let gauge = telemetry.meter().f64_gauge("level").build();
    let values = [f64::MAX, f64::MIN, 5e-324, -0.0, 1e-300, 0.1];
    for (kind, value) in values.into_iter().enumerate() {
        gauge.record(value, &[KeyValue::new("kind", kind.to_string())]);
    }
    // What is no number is refused by the instruments already.
    gauge.record(f64::NAN, &[KeyValue::new("kind", "nan")]);
    let (_, page) = page(&[&telemetry]);
    for sample in page.samples("level") {
        let kind: usize = sample.labels["kind"].parse().unwrap();
        assert_eq!(sample.value.to_bits(), values[kind].to_bits());
    }
    assert_eq!(page.samples("level").len(), values.len());
}

#[test]
fn a_histogram_without_bounds_is_one_bucket() {
    let telemetry = TestTelemetry::new("s");
    let histogram = telemetry.meter().f64_histogram("took").with_boundaries(Vec::new()).build();
    histogram.record(2.5, &[KeyValue::new("le", "mine")]);
    let (text, page) = page(&[&telemetry]);
    assert!(text.contains("exported_le=\"mine\""), "{text}");
    assert_eq!(page.samples("took_bucket")[0].value.to_string(), "1");
    assert_eq!(page.samples("took_sum")[0].value.to_string(), "2.5");
}

#[test]
fn descriptions_cannot_break_the_page_and_the_first_is_shown() {
    let (first, second) = (TestTelemetry::new("a"), TestTelemetry::new("b"));
    for (telemetry, text) in [(&first, "one\n# TYPE x \\ \0"), (&second, "another")] {
        telemetry.meter().u64_counter("jobs").with_description(text).build().add(1, &[]);
    }
    let (_, page) = page(&[&first, &second]);
    let family = page.families.iter().find(|family| family.name == "jobs_total").unwrap();
    assert_eq!(family.help.as_deref(), Some("one\\n# TYPE x \\\\ \u{fffd}"));
    assert_eq!(family.samples.len(), 2);
}

#[test]
fn what_is_no_page_is_refused() {
    for broken in [
        "a 1\n",
        "# TYPE a gauge\n",
        "# TYPE a gauge\na 1\na 1\n",
        "# TYPE a gauge\na{b=\"1\",b=\"2\"} 1\n",
        "# TYPE a gauge\na{b=\"\\x\"} 1\n",
        "# TYPE a gauge\na{__b=\"1\"} 1\n",
        "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\na{c=\"1\"} 1\n",
        "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
        "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n",
        "# TYPE a counter\na 1\n",
        "# TYPE a gauge\na inf\n",
        "# TYPE a gauge\na 1",
    ] {
        assert!(read(broken).is_err(), "{broken}");
    }
}

/// Names that meet often: few letters, and the suffixes that mean something.
fn name() -> impl Strategy<Value = String> {
    let word = prop_oneof!["[a-c]", "[a-z]{1,3}[0-9]?", Just("total".to_owned()), Just("seconds".to_owned())];
    let end = prop_oneof![
        4 => Just(""),
        1 => Just(".count"),
        1 => Just("_sum"),
        1 => Just("/bucket"),
        1 => Just("_total"),
        1 => Just("-.total"),
        1 => Just("_ratio"),
    ];
    (prop::collection::vec(word, 1..3), "[._/-]{1,2}", end)
        .prop_map(|(words, between, end)| format!("{}{end}", words.join(&between)))
}

fn unit() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        prop::sample::select(vec![
            "s",
            "ms",
            "By",
            "1",
            "%",
            "m/s",
            "{order}",
            "{order}/min",
            "By/s",
            "1/s",
            "°C"
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z{}/%\\[\\] ]{0,6}",
    ]
}

fn attribute() -> impl Strategy<Value = KeyValue> {
    let key = prop_oneof![
        "[a-b][._-]{1,3}[a-b]",
        prop::sample::select(vec![
            "le",
            "quantile",
            "job",
            "__name__",
            "service.name",
            "service_name",
            "otel.scope.name",
            "otel_scope_version",
            "9x",
            "",
            "é",
            "error.type",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let value = prop_oneof![
        "[0-2]?".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        (0_i64..3).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
    ];
    (key, value).prop_map(|(key, value)| KeyValue::new(Key::from(key), value))
}

#[derive(Clone, Debug)]
struct Instrument {
    kind: u8,
    name: String,
    unit: String,
    help: String,
    points: Vec<(f64, Vec<KeyValue>)>,
}

fn instrument() -> impl Strategy<Value = Instrument> {
    let number = prop_oneof![0.0..100.0, any::<f64>()];
    let points = prop::collection::vec((number, prop::collection::vec(attribute(), 0..4)), 1..4);
    (0_u8..6, name(), unit(), "[ -~\n\\\\]{0,8}", points)
        .prop_map(|(kind, name, unit, help, points)| Instrument { kind, name, unit, help, points })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "any number will do")]
fn record(meter: &Meter, instrument: Instrument) {
    let Instrument { kind, name, unit, help, points } = instrument;
    let name = Cow::from(name);
    for (value, attributes) in points {
        let (name, unit, help) = (name.clone(), unit.clone(), help.clone());
        match kind {
            0 => meter
                .u64_counter(name)
                .with_unit(unit)
                .with_description(help)
                .build()
                .add(value as u64 >> 8, &attributes),
            1 => {
                meter
                    .f64_counter(name)
                    .with_unit(unit)
                    .with_description(help)
                    .build()
                    .add(value, &attributes);
            }
            2 => meter
                .i64_up_down_counter(name)
                .with_unit(unit)
                .with_description(help)
                .build()
                .add(value as i64 >> 8, &attributes),
            3 => meter
                .f64_gauge(name)
                .with_unit(unit)
                .with_description(help)
                .build()
                .record(value, &attributes),
            4 => meter
                .f64_histogram(name)
                .with_unit(unit)
                .with_description(help)
                .build()
                .record(value, &attributes),
            _ => meter
                .u64_histogram(name)
                .with_unit(unit)
                .with_description(help)
                .with_boundaries(vec![-1.0, 0.5, 1e9])
                .build()
                .record(value as u64 >> 8, &attributes),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_instruments_make_a_page_that_is_taken(
        instruments in prop::collection::vec((any::<bool>(), instrument()), 1..10),
        service in any::<String>(),
        has_scopes in any::<bool>(),
    ) {
        let handles = [TestTelemetry::new(&format!("s{service}")), TestTelemetry::new("s")];
        for (is_second, instrument) in instruments {
            record(handles[usize::from(is_second)].meter(), instrument);
        }
        let handles = handles.map(|telemetry| telemetry.handle().clone());
        let text = PrometheusPage::new().scope_labels(has_scopes).render(&handles);
        if let Err(reason) = read(&text) {
            prop_assert!(false, "{}\n{}", reason, text);
        }
    }
}
