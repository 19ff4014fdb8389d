//! Views: by settings in code, in a file, and in a declarative configuration.

use waypost_telemetry::Settings;
use waypost_telemetry::config::{InstrumentKind, ViewSettings};
use waypost_telemetry::metrics::{render_prometheus, sample};
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::testing::TestTelemetry;

use super::{lines, open_metrics};

fn with_views(views: Vec<ViewSettings>) -> TestTelemetry {
    let mut settings = TestTelemetry::settings("s");
    settings.metrics.views = views;
    TestTelemetry::with(settings)
}

fn view(instrument: &str) -> ViewSettings {
    ViewSettings { instrument: instrument.to_owned(), ..ViewSettings::default() }
}

fn page(telemetry: &TestTelemetry) -> String {
    render_prometheus(&[telemetry.handle().clone()])
}

#[test]
fn instruments_are_renamed_dropped_and_bucketed() {
    let telemetry = with_views(vec![
        ViewSettings {
            name: Some("renamed".to_owned()),
            description: Some("better words".to_owned()),
            buckets: Some(vec![1.0, 5.0]),
            ..view("LIBRARY.time")
        },
        ViewSettings { drop: true, ..view("library.*") },
    ]);
    telemetry.meter().f64_histogram("library.time").with_boundaries(vec![7.0]).build().record(3.0, &[]);
    telemetry.meter().u64_counter("library.noise").build().add(1, &[]);
    telemetry.meter().u64_observable_counter("library.asked").with_callback(|o| o.observe(1, &[])).build();
    telemetry.meter().u64_counter("own").build().add(1, &[]);
    let page = page(&telemetry);
    assert!(page.contains("# HELP renamed better words"), "{page}");
    assert_eq!(sample(&page, "renamed_bucket", &[("le", "1")]), Some(0.0));
    assert_eq!(sample(&page, "renamed_bucket", &[("le", "5")]), Some(1.0));
    assert!(!page.contains("library") && page.contains("own_total"), "{page}");
}

#[test]
fn attributes_that_are_not_allowed_are_nowhere() {
    let telemetry =
        with_views(vec![ViewSettings { attributes: Some(vec!["method".to_owned()]), ..view("*") }]);
    let attributes = |user: &'static str| [KeyValue::new("user", user), KeyValue::new("method", "GET")];
    let requests = telemetry.meter().u64_counter("requests").build();
    let queue = |o: &dyn waypost_telemetry::opentelemetry::metrics::AsyncInstrument<i64>| {
        o.observe(4, &[KeyValue::new("user", "secret-1")]);
        o.observe(5, &[KeyValue::new("user", "secret-2")]);
    };
    telemetry.meter().i64_observable_up_down_counter("queue").with_callback(queue).build();
    telemetry.span("place").in_scope(|| {
        requests.add(1, &attributes("secret-1"));
        requests.add(2, &attributes("secret-2"));
        requests.bind(&attributes("secret-3")).add(4);
    });
    let page = page(&telemetry);
    assert_eq!(sample(&page, "requests_total", &[("method", "GET")]), Some(7.0), "{page}");
    assert_eq!(sample(&page, "queue", &[]), Some(9.0), "what is told apart no more adds up: {page}");
    let shown = open_metrics(&telemetry);
    assert!(lines(&shown, "requests_total")[0].contains(" # {trace_id="), "{shown}");
    assert!(!page.contains("secret") && !shown.contains("secret"), "{shown}");
}

#[test]
fn one_instrument_may_have_another_limit() {
    let telemetry = with_views(vec![ViewSettings { cardinality_limit: Some(3), ..view("small") }]);
    for name in ["small", "large"] {
        let counter = telemetry.meter().u64_counter(name).build();
        (0..50).for_each(|n| counter.add(1, &[KeyValue::new("n", n)]));
    }
    let page = page(&telemetry);
    assert!(lines(&page, "small_total").len() <= 4, "{page}");
    assert_eq!(lines(&page, "large_total").len(), 50);
}

#[test]
fn kind_unit_and_scope_tell_instruments_apart() {
    let telemetry = with_views(vec![
        ViewSettings { kind: Some(InstrumentKind::Gauge), drop: true, ..view("*") },
        ViewSettings { unit: Some("By".to_owned()), drop: true, ..view("*") },
        ViewSettings { scope: "other-*".to_owned(), drop: true, ..view("*") },
    ]);
    telemetry.meter().u64_gauge("gauge").build().record(1, &[]);
    telemetry.meter().u64_counter("bytes").with_unit("By").build().add(1, &[]);
    telemetry.meter().u64_counter("kept").build().add(1, &[]);
    let page = page(&telemetry);
    assert!(
        !page.contains("gauge{") && !page.contains("bytes_total") && page.contains("kept_total"),
        "{page}"
    );
}

#[test]
fn a_file_may_hold_views() {
    let text = r#"
        [[metrics.views]]
        instrument = "http.*"
        buckets = [0.1, 1.0]

        [[metrics.views]]
        instrument = "noise"
        drop = true
    "#;
    let settings = Settings::from_toml(text).unwrap();
    assert_eq!(settings.metrics.views[0].buckets.as_deref(), Some(&[0.1, 1.0][..]));
    assert!(settings.metrics.views[1].drop);
    let wrong = text.replace("0.1, 1.0", "1.0, 1.0");
    let problem = Settings::from_toml(&wrong).and_then(|settings| settings.check()).unwrap_err().to_string();
    assert!(problem.contains("metrics.views[0].buckets"), "{problem}");
}
