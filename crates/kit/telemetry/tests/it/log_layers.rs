//! The log layers in subscribers of other people, fields of spans in lines and records, the `log` crate, panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use serde_json::Value;
use tracing::field::Empty;
use tracing::{debug_span, info_span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use waypost_telemetry::FinishedLog;
use waypost_telemetry::config::{LogFormat, LogSettings};
use waypost_telemetry::logs::{self, Lines, Records};
use waypost_telemetry::opentelemetry::logs::Severity;
use waypost_telemetry::testing::TestTelemetry;

use crate::log_lines::{Output, json, lines_of};

#[test]
fn fields_of_the_spans_around_are_in_records_and_lines() {
    let telemetry = TestTelemetry::new("s");
    let text = lines_of(&json(), || {
        let _context = telemetry.context().attach();
        let outer = info_span!(
            "outer",
            order.id = "order-1",
            step = 1,
            user = "outer",
            late = Empty,
            otel.name = "x"
        );
        outer.record("late", true);
        let _outer = outer.entered();
        let _inner = info_span!("inner", step = 2, user = "inner").entered();
        tracing::info!(user = "event", "said");
    });
    let line: Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!((&line["span.order.id"], &line["span.step"]), (&"order-1".into(), &2.into()));
    assert_eq!((&line["span.user"], &line["user"]), (&"inner".into(), &"event".into()));
    assert_eq!((&line["span.late"], &line["span.otel.name"]), (&true.into(), &Value::Null));

    let log = &telemetry.finished_logs()[0];
    let keys: Vec<_> = log.attributes().iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(keys, ["order.id", "step", "late", "user"]);
    assert_eq!(log.attribute("step"), Some(&2.into()));
    assert_eq!(log.attribute("user"), Some(&"event".into()));
}

#[test]
fn a_pretty_line_has_the_fields_of_spans_after_its_own() {
    let text = lines_of(&LogSettings::default(), || {
        info_span!("a", order = 7).in_scope(|| tracing::info!(n = 1, "said"));
    });
    assert!(text.ends_with("said n=1 span.order=7\n"), "{text}");
}

#[test]
fn the_layers_fit_into_a_subscriber_of_somebody_else() {
    let telemetry = TestTelemetry::new("s");
    let (ours, theirs) = (Output::default(), Output::default());
    let subscriber = tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_ansi(false).with_writer(theirs.clone()))
        .with(Lines::new(LogFormat::Json, ours.clone()).with_filter(LevelFilter::WARN))
        .with(Records::new().with_filter(LevelFilter::ERROR));
    tracing::subscriber::with_default(subscriber, || {
        let _context = telemetry.context().attach();
        debug_span!("quiet", hidden = 1).in_scope(|| tracing::error!("failed"));
        tracing::warn!("odd");
        tracing::info!("usual");
    });
    assert_eq!((ours.text().lines().count(), theirs.text().lines().count()), (2, 3));
    let [log] = &telemetry.finished_logs()[..] else { panic!("one record was expected") };
    assert_eq!(log.body(), "failed");
    assert!(log.attribute("hidden").is_none(), "a span that the filter leaves out lends no fields");
}

#[test]
fn the_whole_layer_and_the_subscriber_take_further_layers() {
    let telemetry = TestTelemetry::new("s");
    let settings = LogSettings { filter: "error".to_owned(), ..json() };
    let (further, lines) = (Output::default(), Output::default());
    let whole = tracing_subscriber::registry()
        .with(logs::layer(&settings).unwrap())
        .with(tracing_subscriber::fmt::layer().with_writer(further.clone()));
    tracing::subscriber::with_default(whole, || tracing::info!("not for the kit"));
    let kits = logs::subscriber(&settings, lines.clone())
        .unwrap()
        .with(tracing_subscriber::fmt::layer().with_writer(further.clone()));
    tracing::subscriber::with_default(kits, || {
        let _context = telemetry.context().attach();
        tracing::info!("not for the kit");
        tracing::error!("for both");
    });
    assert_eq!((further.text().lines().count(), lines.text().lines().count()), (3, 1));
    assert_eq!(telemetry.finished_logs().len(), 1);
}

#[test]
fn only_whole_names_of_crates_are_quiet_and_not_exported() {
    let telemetry = TestTelemetry::new("s");
    let debug = LogSettings { filter: "debug".to_owned(), ..json() };
    let text = lines_of(&debug, || {
        let _context = telemetry.context().attach();
        tracing::debug!(target: "tower_http::trace", "request");
        tracing::debug!(target: "tonic_web_tools", "call");
        tracing::debug!(target: "tower::buffer", "poll");
        tracing::warn!(target: "hyper::client", "slow");
    });
    assert!(text.contains("request") && text.contains("call") && text.contains("slow"), "{text}");
    assert!(!text.contains("poll"), "{text}");
    let logs = telemetry.finished_logs();
    let bodies: Vec<_> = logs.iter().map(FinishedLog::body).collect();
    assert_eq!(bodies, ["request", "call"]);

    let named = LogSettings { filter: "info,hyper=debug,tower::buffer=trace".to_owned(), ..json() };
    let text = lines_of(&named, || {
        tracing::debug!(target: "hyper::client", "connect");
        tracing::trace!(target: "tower::buffer", "poll");
        tracing::info!(target: "h2::codec", "frame");
    });
    assert!(text.contains("connect") && text.contains("poll") && !text.contains("frame"), "{text}");
}

#[test]
fn events_of_the_log_crate_are_lines_and_records() {
    let telemetry = TestTelemetry::new("s");
    logs::take_log_crate();
    log::set_max_level(log::LevelFilter::Info);
    let text = lines_of(&json(), || {
        let _context = telemetry.context().attach();
        telemetry.span("work").in_scope(|| log::warn!(target: "rdkafka::client", "broker {} is away", 1));
        log::info!(target: "tower::old", "quiet");
    });
    let line: Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!((&line["level"], &line["target"]), (&"WARN".into(), &"rdkafka::client".into()));
    assert_eq!((&line["message"], &line["log.line"]), (&"broker 1 is away".into(), &Value::Null));
    let [log] = &telemetry.finished_logs()[..] else { panic!("one record was expected") };
    assert_eq!(
        (log.body(), log.target(), log.severity()),
        ("broker 1 is away", "rdkafka::client", Severity::Warn)
    );
    assert_eq!(log.span_context().span_id(), telemetry.only_span("work").span_id());
    assert!(log.attributes().is_empty(), "{log:?}");
}

#[test]
fn a_panic_is_one_line_and_one_record_and_the_hook_before_it_runs() {
    static BEFORE: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let tests = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        BEFORE.lock().unwrap().push(panic.payload_as_str().unwrap_or_default().to_owned());
        tests(panic);
    }));
    logs::install_panic_hook();
    logs::install_panic_hook();

    let telemetry = TestTelemetry::new("s");
    let text = lines_of(&json(), || {
        let scope = || telemetry.span("boom").in_scope(|| panic!("no tea in {}", "pot"));
        assert!(catch_unwind(AssertUnwindSafe(scope)).is_err());
    });
    let span = telemetry.only_span("boom");
    let line: Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!((&line["message"], &line["error.type"]), (&"no tea in pot".into(), &"panic".into()));
    assert_eq!(line["trace_id"], span.trace_id().to_string());
    let [log] = &telemetry.finished_logs()[..] else { panic!("one record was expected") };
    assert_eq!(log.attribute("exception.message"), Some(&"no tea in pot".into()));
    assert!(log.attribute("code.file.path").unwrap().as_str().ends_with("log_layers.rs"));
    assert_eq!(log.span_context().span_id(), span.span_id());
    telemetry.tree().assert_matches("boom INTERNAL s ERROR error.type=panic waypost.outcome=panic");
    assert!(BEFORE.lock().unwrap().iter().any(|text| text == "no tea in pot"));
}
