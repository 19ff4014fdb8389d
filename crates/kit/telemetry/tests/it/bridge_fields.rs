//! What `tracing` spans and events say, as the trace shows it.

use std::fmt;

use tracing::field::Empty;
use tracing::{error, info, info_span, instrument};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use waypost_telemetry::bridge::SpanLayer;
use waypost_telemetry::opentelemetry::Value;
use waypost_telemetry::opentelemetry::trace::Status;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{FinishedEvent, FinishedLog, record_error, span};

fn with_layer(layer: impl Layer<Registry> + Send + Sync, f: impl FnOnce()) -> TestTelemetry {
    let telemetry = TestTelemetry::new("s");
    let subscriber = tracing_subscriber::registry().with(layer).with(waypost_telemetry::logs::Records::new());
    tracing::subscriber::with_default(subscriber, || {
        let _context = telemetry.context().attach();
        f();
    });
    telemetry
}

fn bridged(f: impl FnOnce()) -> TestTelemetry {
    with_layer(SpanLayer::new(), f)
}

#[test]
fn fields_become_attributes_with_their_types() {
    struct Shown;
    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("shown")
        }
    }
    let telemetry = bridged(|| {
        info_span!(
            "a",
            text = "t",
            whole = -7,
            natural = 7_u64,
            large = u64::MAX,
            real = 0.5,
            truth = true,
            display = %Shown,
            debug = ?Some(1),
            order.id = "order-1",
            never = Empty,
        )
        .in_scope(|| ());
    });
    let span = telemetry.only_span("a");
    let expected: [(&str, Value); 9] = [
        ("text", "t".into()),
        ("whole", (-7).into()),
        ("natural", 7.into()),
        ("large", u64::MAX.to_string().into()),
        ("real", 0.5.into()),
        ("truth", true.into()),
        ("display", "shown".into()),
        ("debug", "Some(1)".into()),
        ("order.id", "order-1".into()),
    ];
    for (key, value) in expected {
        assert_eq!(span.attribute(key), Some(&value), "{key}");
    }
    assert_eq!(span.attributes().len(), 9);
}

#[test]
fn fields_that_are_recorded_late_are_there() {
    let telemetry = bridged(|| {
        let span = info_span!("a", order.id = Empty, n = 1, otel.name = Empty);
        span.in_scope(|| span.record("order.id", "order-1"));
        span.record("n", 2);
        span.record("otel.name", "renamed");
    });
    telemetry.tree().assert_matches("renamed INTERNAL s order.id=order-1 n=2");
    assert_eq!(telemetry.only_span("renamed").attributes().len(), 2);
}

#[test]
fn otel_fields_say_name_kind_and_status() {
    let telemetry = bridged(|| {
        let route = "/orders/{id}";
        let client = waypost_telemetry::opentelemetry::trace::SpanKind::Client;
        let server = info_span!(
            "r",
            otel.name = format!("GET {route}"),
            otel.kind = "Server",
            otel.status_code = "OK"
        );
        let _server = server.entered();
        let call = info_span!(
            "c",
            otel.kind = ?client,
            otel.status_code = "error",
            otel.status_description = "no answer"
        );
        call.in_scope(|| ());
    });
    telemetry.tree().assert_matches("GET /orders/{id} SERVER s OK\n  c CLIENT s ERROR");
    assert_eq!(telemetry.only_span("c").status(), &Status::error("no answer"));
    assert!(telemetry.only_span("c").attributes().is_empty());
}

#[test]
fn an_error_in_a_field_sets_status_and_error_type() {
    let telemetry = bridged(|| {
        let failed = std::io::Error::from(std::io::ErrorKind::TimedOut);
        let span = info_span!("a", error = Empty);
        span.record("error", &failed as &(dyn std::error::Error + 'static));
    });
    telemetry.tree().assert_matches("a INTERNAL s ERROR error.type=timed_out");
}

#[instrument(err)]
fn fails() -> Result<(), std::io::Error> {
    Err(std::io::Error::other("no disk"))
}

#[test]
fn an_error_event_sets_the_status_unless_told_otherwise() {
    let telemetry = bridged(|| {
        fails().unwrap_err();
    });
    telemetry.tree().assert_matches("fails INTERNAL s ERROR error.type=_OTHER");
    assert_eq!(telemetry.only_span("fails").status(), &Status::error("no disk"));

    let telemetry = with_layer(SpanLayer::new().errors_set_status(false), || {
        fails().unwrap_err();
    });
    telemetry.tree().assert_matches("fails INTERNAL s");
    assert_eq!(telemetry.only_span("fails").status(), &Status::Unset);
}

#[test]
fn an_error_event_in_a_kit_span_leaves_the_outer_span_alone() {
    let telemetry = bridged(|| {
        let _outer = info_span!("outer").entered();
        span("kit").in_scope(|| {
            record_error(&std::io::Error::other("handled"));
            error!("said about the kit's span");
        });
    });
    telemetry.tree().assert_matches("outer INTERNAL s\n  kit INTERNAL s ERROR error.type=other");
    assert_eq!(telemetry.only_span("outer").status(), &Status::Unset);
    assert_eq!(telemetry.finished_logs().len(), 2);
}

#[test]
fn events_are_log_records_of_their_span() {
    let telemetry = bridged(|| {
        info_span!("a").in_scope(|| info!(n = 1, "said"));
        let other = info_span!("b");
        info!(parent: &other, "elsewhere");
        info!(parent: None, "nowhere");
    });
    let logs = telemetry.finished_logs();
    let bodies: Vec<_> = logs.iter().map(FinishedLog::body).collect();
    assert_eq!(bodies, ["said", "elsewhere", "nowhere"]);
    assert_eq!(logs[0].span_context().span_id(), telemetry.only_span("a").span_id());
    assert_eq!(logs[1].span_context().span_id(), telemetry.only_span("b").span_id());
    assert!(!logs[2].span_context().is_valid());
    assert!(telemetry.only_span("a").events().is_empty());
}

#[test]
fn events_can_be_span_events() {
    let telemetry = with_layer(SpanLayer::new().span_events(true).with_filter(LevelFilter::INFO), || {
        info_span!("a").in_scope(|| {
            info!(n = 1, "said");
            tracing::debug!("too quiet");
            error!(error = "away", "failed");
        });
    });
    let span = telemetry.only_span("a");
    let names: Vec<_> = span.events().iter().map(FinishedEvent::name).collect();
    assert_eq!(names, ["said", "failed"]);
    assert_eq!(span.events()[0].attribute("n"), Some(&1.into()));
    assert_eq!(span.events()[0].attribute("level"), Some(&"INFO".into()));
    assert_eq!(span.status(), &Status::error("away"));
}

#[test]
fn a_span_says_where_it_stands_if_asked() {
    let telemetry = with_layer(SpanLayer::new().location(true), || info_span!("a").in_scope(|| ()));
    let span = telemetry.only_span("a");
    assert!(span.attribute("code.file.path").unwrap().as_str().ends_with("bridge_fields.rs"));
    assert!(matches!(span.attribute("code.line.number"), Some(Value::I64(_))));
}
