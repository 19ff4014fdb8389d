//! What is said of failures beyond their type: groups, retries, codes, rules for texts, panics, foreign types.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use waypost_telemetry::config::{ErrorSettings, MessageRule};
use waypost_telemetry::error::{
    Classification, ERROR_CODE, ERROR_FINGERPRINT, ERROR_RETRYABLE, ErrorClass, ErrorDetails, add_classifier,
};
use waypost_telemetry::opentelemetry::Value;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{ErrorType, FinishedLog, record_error};

#[path = "../../examples/errors.rs"]
mod example;

#[derive(Debug)]
struct Declined {
    order: u32,
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order {} of \"anna@example.com\" was declined", self.order)
    }
}

impl Error for Declined {}

impl ErrorType for Declined {
    fn error_type(&self) -> Cow<'static, str> {
        "declined".into()
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Overload
    }

    fn error_code(&self) -> Option<Cow<'static, str>> {
        Some("P-42".into())
    }
}

fn with(errors: ErrorSettings) -> TestTelemetry {
    let mut settings = TestTelemetry::settings("s");
    settings.errors = errors;
    TestTelemetry::with(settings)
}

fn text(log: &FinishedLog, key: &str) -> Option<String> {
    log.attribute(key).map(|value| value.as_str().into_owned())
}

#[test]
fn a_record_says_group_retry_and_code() {
    let telemetry = TestTelemetry::new("s");
    for order in [17, 18_000] {
        telemetry.span("place").in_scope(|| record_error(&Declined { order }));
    }
    telemetry.span("read").in_scope(|| record_error(&std::io::Error::from(std::io::ErrorKind::NotFound)));
    let logs = telemetry.finished_logs();
    let groups: Vec<_> = logs.iter().map(|log| text(log, ERROR_FINGERPRINT).unwrap()).collect();
    assert_eq!(groups[0], groups[1], "values are no part of a group");
    assert_ne!(groups[0], groups[2]);
    assert!(groups[0].len() == 16 && groups[0].bytes().all(|byte| byte.is_ascii_hexdigit()), "{groups:?}");
    assert_eq!(text(&logs[0], ERROR_CODE).as_deref(), Some("P-42"));
    let retryable = |log: &FinishedLog| log.attribute(ERROR_RETRYABLE).cloned();
    assert_eq!(
        (retryable(&logs[0]), retryable(&logs[2])),
        (Some(Value::Bool(true)), Some(Value::Bool(false)))
    );

    let spans = telemetry.finished_spans();
    assert_eq!(
        spans[0].attribute(ERROR_FINGERPRINT).map(|value| value.as_str().into_owned()),
        Some(groups[0].clone())
    );
    telemetry.conventions().assert_clean();
}

#[test]
fn a_rule_for_texts_holds_everywhere() {
    for (messages, body) in
        [(MessageRule::Masked, "order ? of \"?\" was declined"), (MessageRule::TypeOnly, "declined")]
    {
        let telemetry = with(ErrorSettings { messages, span_events: true });
        let wrapped = std::io::Error::other(Declined { order: 1_234_567_891 });
        telemetry.span("place").in_scope(|| {
            record_error(&Declined { order: 1_234_567_891 });
            record_error(&wrapped);
        });
        assert_eq!(telemetry.finished_logs()[0].body(), body);
        let everything = format!("{:?}{:?}", telemetry.finished_spans(), telemetry.finished_logs());
        assert!(!everything.contains("1234567891") && !everything.contains("anna"), "{everything}");
    }
}

#[test]
fn a_failure_can_be_an_event_of_its_span() {
    let telemetry = with(ErrorSettings { span_events: true, ..ErrorSettings::default() });
    telemetry.span("place").in_scope(|| record_error(&Declined { order: 1 }));
    let span = telemetry.only_span("place");
    assert_eq!(span.events().len(), 1);
    let event = &span.events()[0];
    assert_eq!((event.name(), event.attribute("exception.type").is_some()), ("exception", true));
    assert_eq!(event.attribute(ERROR_FINGERPRINT), telemetry.finished_logs()[0].attribute(ERROR_FINGERPRINT));
    assert!(TestTelemetry::new("s").finished_spans().is_empty());
}

#[derive(Debug)]
struct Foreign(&'static str);

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Foreign {}

#[derive(Debug)]
struct Wrapping(Foreign);

impl fmt::Display for Wrapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("could not place the order")
    }
}

impl Error for Wrapping {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn errors_of_other_crates_are_classified_once_for_all() {
    add_classifier(|error: &(dyn Error + 'static)| {
        let foreign = error.downcast_ref::<Foreign>()?;
        assert_ne!(foreign.0, "panics", "a classifier that panics knows nothing");
        let busy = Classification::new("foreign_busy").class(ErrorClass::Dependency).retryable(false);
        Some(busy.code("F1").attr("foreign.word", foreign.0))
    });
    let telemetry = TestTelemetry::new("s");
    let hidden: Box<dyn Error + Send + Sync> = Box::new(Wrapping(Foreign("busy")));
    telemetry.span("place").in_scope(|| record_error(&hidden));
    telemetry.tree().assert_matches("place INTERNAL s ERROR error.type=foreign_busy foreign.word=busy");
    let log = &telemetry.finished_logs()[0];
    assert_eq!(log.body(), "could not place the order");
    assert_eq!(
        (text(log, ERROR_CODE).as_deref(), log.attribute(ERROR_RETRYABLE)),
        (Some("F1"), Some(&false.into()))
    );

    let any = anyhow::Error::new(Foreign("busy")).context("outer");
    assert_eq!(ErrorDetails::of(&any).error_type(), "foreign_busy");
    let panics: Box<dyn Error> = Box::new(Foreign("panics"));
    assert_eq!(ErrorDetails::of(&panics).error_type(), "_OTHER");
}

#[test]
fn the_example_runs() {
    example::main();
}
