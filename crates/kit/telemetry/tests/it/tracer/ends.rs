//! A span ends once, wherever that happens, and is not changed after it.

use std::cell::RefCell;

use waypost_telemetry::opentelemetry::trace::{Span as _, Status, TraceContextExt as _, Tracer as _};
use waypost_telemetry::opentelemetry::{Context, KeyValue};
use waypost_telemetry::{ParentOrigin, SamplingResult, record_error};

use super::{Traced, remote, texts};

#[test]
fn after_its_end_a_span_stays_as_it_was() {
    let traced = Traced::new();
    let mut span = traced.tracer.start("a");
    assert!(span.is_recording());
    span.set_attribute(KeyValue::new("before", true));
    span.end();
    assert!(!span.is_recording());
    span.set_attribute(KeyValue::new("after", true));
    span.add_event("after", vec![]);
    span.add_link(remote(1, ""), vec![]);
    span.update_name("after");
    span.set_status(Status::error("after"));
    span.end();
    drop(span);

    let wire = traced.only();
    assert_eq!((wire.name.as_str(), texts(&wire.attributes)), ("a", vec!["before=true".to_owned()]));
    assert_eq!((wire.events.len(), wire.links.len(), wire.status.unwrap().code), (0, 0, 0));
    assert_eq!(traced.telemetry.ledger().ended, 1);
}

#[test]
fn a_span_that_is_dropped_has_ended() {
    let traced = Traced::new();
    drop(traced.tracer.start("dropped"));
    let context = Context::new().with_span(traced.tracer.start("in a context"));
    let clone = context.clone();
    drop(context);
    assert_eq!(traced.telemetry.ledger().ended, 1);
    drop(clone);
    let names: Vec<_> = traced.sent().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["dropped", "in a context"]);
}

#[tokio::test]
async fn a_failure_recorded_twice_keeps_its_text() {
    let traced = Traced::new();
    let run = traced.telemetry.span("a").run(async {
        let failure = std::io::Error::from(std::io::ErrorKind::TimedOut);
        record_error(&failure);
        Err::<(), _>(failure)
    });
    assert!(run.await.is_err());
    let status = traced.only().status.unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "timed out"));
}

#[test]
fn a_span_may_end_on_another_thread() {
    let traced = Traced::new();
    let mut span = traced.tracer.start("a");
    let ended = std::thread::spawn(move || {
        span.set_attribute(KeyValue::new("thread", "other"));
        span.end();
    });
    ended.join().unwrap();
    assert_eq!(texts(&traced.only().attributes), ["thread=other"]);
}

#[test]
fn nothing_is_recorded_where_telemetry_is_suppressed() {
    let traced = Traced::new();
    let suppressed = Context::enter_telemetry_suppressed_scope();
    let mut span = traced.tracer.start("a");
    assert!(!span.is_recording() && !span.span_context().is_valid());
    span.end();
    traced.telemetry.span("own").in_scope(|| ());
    drop(suppressed);
    let starts = traced.telemetry.ledger().starts;
    for sampling in SamplingResult::ALL {
        assert_eq!(starts.of(sampling, ParentOrigin::None), 0);
    }
    assert!(traced.sent().is_empty());
}

thread_local! {
    /// Dropped with its thread.
    static HELD: RefCell<Vec<Context>> = const { RefCell::new(Vec::new()) };
}

#[test]
fn spans_that_end_with_their_thread_are_counted() {
    let traced = Traced::new();
    for is_held_first in [true, false] {
        std::thread::scope(|scope| {
            let ended = scope.spawn(|| {
                // Thread-locals end in an order that depends on which was used first.
                if is_held_first {
                    HELD.with_borrow_mut(Vec::clear);
                }
                traced.tracer.start("warm").end();
                let outer = Context::new().with_span(traced.tracer.start("outer"));
                let inner = outer.with_span(traced.tracer.start_with_context("inner", &outer));
                HELD.with_borrow_mut(|held| held.extend([outer, inner]));
            });
            ended.join().unwrap();
        });
    }
    let mut names: Vec<_> = traced.sent().into_iter().map(|span| span.name).collect();
    names.sort();
    assert_eq!(names, ["inner", "inner", "outer", "outer", "warm", "warm"]);
}
