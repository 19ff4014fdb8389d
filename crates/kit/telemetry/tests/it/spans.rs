//! Spans around own code: one end each, with the right outcome, whatever becomes of the code.

use std::convert::Infallible;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context as TaskContext, Poll, Waker};

use waypost_telemetry::opentelemetry::trace::{SpanKind, TraceContextExt};
use waypost_telemetry::opentelemetry::{Context, KeyValue};
use waypost_telemetry::testing::{SpanTree, TestTelemetry, checks};
use waypost_telemetry::{Outcome, Telemetry, event, set, span, spawn, trace_id, with_context};

/// Polls once; for futures that are dropped or panic.
fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut TaskContext::from_waker(Waker::noop()))
}

/// Sets an attribute on the current span when it is dropped.
struct SetsOnDrop;

impl Drop for SetsOnDrop {
    fn drop(&mut self) {
        set("dropped.inside", true);
    }
}

#[tokio::test]
async fn a_result_decides_outcome_and_error_type() {
    let telemetry = TestTelemetry::new("s");
    with_context(telemetry.context(), async {
        let fine: Result<_, Infallible> = span("fine").run(async { Ok(1) }).await;
        assert_eq!(fine, Ok(1));
        let failed = span("failed").run(async { Err::<(), _>(std::io::Error::other("no disk")) }).await;
        assert!(failed.is_err());
        assert_eq!(span("watched").observe(async { 7 }).await, 7);
    })
    .await;

    let spans = telemetry.finished_spans();
    let rendered: Vec<_> = SpanTree::all(&spans).iter().map(SpanTree::render).collect();
    for line in ["fine INTERNAL s\n", "failed INTERNAL s ERROR error.type=other\n", "watched INTERNAL s\n"] {
        assert!(rendered.iter().any(|tree| tree == line), "{line} is not in {rendered:?}");
    }
    checks::assert_sound(&[&telemetry]);
}

#[test]
fn a_dropped_future_leaves_one_cancelled_span() {
    let telemetry = TestTelemetry::new("s");
    {
        let future = telemetry.span("wait").observe(async {
            let _inside = SetsOnDrop;
            pending::<()>().await;
        });
        let mut future = pin!(future);
        assert!(poll_once(future.as_mut()).is_pending());
        assert_eq!(telemetry.ledger().open(), 1);
    }
    telemetry.tree().assert_matches("wait INTERNAL s waypost.outcome=cancelled dropped.inside=true");
    assert!(telemetry.only_span("wait").attribute("error.type").is_none());
    checks::assert_sound(&[&telemetry]);
}

#[test]
fn a_future_that_was_never_polled_leaves_no_span() {
    let telemetry = TestTelemetry::new("s");
    drop(telemetry.span("never").observe(ready(())));
    assert_eq!(telemetry.ledger().started, 0);
}

#[test]
fn a_panicking_future_leaves_one_span_with_the_panic() {
    let telemetry = TestTelemetry::new("s");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let future = telemetry.span("boom").observe(async { panic!("a test panics") });
        let _: Poll<()> = poll_once(pin!(future));
    }));
    assert!(panicked.is_err());
    telemetry.tree().assert_matches("boom INTERNAL s ERROR error.type=panic waypost.outcome=panic");
    assert!(!Context::current().has_active_span());
}

#[tokio::test]
async fn a_task_that_panics_is_recorded_though_the_runtime_catches_it() {
    let telemetry = TestTelemetry::new("s");
    let attached = telemetry.context().attach();
    let task = spawn(span("boom").observe(async {
        tokio::task::yield_now().await;
        panic!("a test panics")
    }));
    drop(attached);
    let joined: Result<(), _> = task.await;
    assert!(joined.unwrap_err().is_panic());
    telemetry.tree().assert_matches("boom INTERNAL s ERROR error.type=panic waypost.outcome=panic");
}

#[test]
fn a_panic_in_a_scope_ends_its_span() {
    let telemetry = TestTelemetry::new("s");
    let panicked =
        catch_unwind(AssertUnwindSafe(|| telemetry.span("boom").in_scope(|| panic!("a test panics"))));
    assert!(panicked.is_err());
    telemetry.tree().assert_matches("boom INTERNAL s ERROR error.type=panic waypost.outcome=panic");
}

#[tokio::test]
async fn a_spawned_task_keeps_handle_and_parent() {
    let telemetry = TestTelemetry::new("s");
    let work = telemetry.span("request").kind(SpanKind::Server).observe(async {
        spawn(async {
            assert_eq!(Telemetry::current().service_name(), "s");
            span("in the background").observe(ready(())).await;
        })
        .await
    });
    work.await.unwrap();
    telemetry.tree().assert_matches("request SERVER s\n  in the background INTERNAL s");
}

#[tokio::test]
async fn a_task_that_outlives_its_parent_does_not_hold_it_open() {
    let telemetry = TestTelemetry::new("s");
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let task =
        telemetry.span("request").in_scope(|| spawn(span("late").observe(async { released.await.unwrap() })));
    assert_eq!(telemetry.only_span("request").name(), "request");
    release.send(()).unwrap();
    task.await.unwrap();
    telemetry.tree().assert_matches("request INTERNAL s\n  late INTERNAL s");
}

#[tokio::test]
async fn the_context_is_not_left_on_the_thread_between_polls() {
    let telemetry = TestTelemetry::new("s");
    let mut polls = 0;
    let work = telemetry.span("work").observe(poll_fn(|_| {
        polls += 1;
        assert!(trace_id().is_some());
        if polls < 3 { Poll::Pending } else { Poll::Ready(()) }
    }));
    let mut work = pin!(work);
    while poll_once(work.as_mut()).is_pending() {
        assert!(trace_id().is_none());
    }
    assert!(trace_id().is_none());
    assert_eq!(telemetry.finished_spans().len(), 1);
}

#[test]
fn a_guard_ends_its_span_once() {
    let telemetry = TestTelemetry::new("s");
    let guard = telemetry.span("a").start();
    guard.rename("b");
    guard.event("seen", vec![KeyValue::new("n", 1)]);
    guard.end(Outcome::Error("refused".into()));
    drop(telemetry.span("dropped").start());
    drop(telemetry.span("given-up").start().cancelled_on_drop());

    let renamed = telemetry.only_span("b");
    assert!(renamed.is_error());
    assert_eq!(renamed.attribute("error.type").unwrap().as_str(), "refused");
    assert_eq!(renamed.events()[0].attribute("n").unwrap().as_str(), "1");
    assert_eq!(telemetry.only_span("dropped").attribute("waypost.outcome"), None);
    let given_up = telemetry.only_span("given-up");
    assert_eq!(given_up.attribute("waypost.outcome").unwrap().as_str(), "cancelled");
    assert_eq!(telemetry.ledger().ended, 3);
}

#[test]
fn a_root_starts_a_new_trace_and_may_link_to_the_old_one() {
    let telemetry = TestTelemetry::new("s");
    let outer = telemetry.span("outer").start();
    let attached = outer.context().clone().attach();
    span("fresh").root().link(outer.span_context()).in_scope(|| event("inside", Vec::new()));
    drop(attached);
    outer.end(Outcome::Ok);

    let spans = telemetry.finished_spans();
    let fresh = telemetry.only_span("fresh");
    assert_eq!(fresh.parent_id(), None);
    assert_eq!(fresh.events().len(), 1);
    let tree = SpanTree::of(&spans, &fresh.trace_id().to_string());
    tree.assert_matches("fresh INTERNAL s -> outer");
    assert_ne!(fresh.trace_id(), telemetry.only_span("outer").trace_id());
}

#[test]
fn a_key_that_is_set_again_is_exported_once_with_the_later_value() {
    let telemetry = TestTelemetry::new("s");
    telemetry.span("a").attr("k", 1).attr("other", "x").in_scope(|| {
        set("k", 2);
        (0..1_000).for_each(|n| set("often", n));
        set("last", true);
    });
    let span = telemetry.only_span("a");
    assert_eq!(span.attribute("k").unwrap().as_str(), "2");
    assert_eq!(span.attributes().iter().filter(|attribute| attribute.key.as_str() == "k").count(), 1);
    checks::assert_sound(&[&telemetry]);
}

#[test]
fn long_values_and_many_attributes_are_cut() {
    let mut settings = TestTelemetry::settings("s");
    settings.limits.attribute_value_length = 5;
    settings.limits.span_attributes = 3;
    let telemetry = TestTelemetry::with(settings);
    telemetry.span("a").in_scope(|| {
        set("long", "äöüäöüäöü");
        for n in 0..4 {
            set(format!("k{n}"), n);
        }
        event("e", vec![KeyValue::new("long", "123456789")]);
    });
    let span = telemetry.only_span("a");
    assert_eq!(span.attribute("long").unwrap().as_str(), "äöüäö");
    assert_eq!((span.attributes().len(), span.dropped_attributes()), (3, 2));
    assert_eq!(span.events()[0].attribute("long").unwrap().as_str(), "12345");
}

#[tokio::test]
async fn a_disabled_handle_records_nothing_and_passes_ids_on() {
    let mut settings = TestTelemetry::settings("off");
    settings.enabled = false;
    let off = TestTelemetry::with(settings);
    let caller = TestTelemetry::new("caller");
    let outer = caller.span("outer").start();
    let parent = outer.context().clone();
    off.span("inner")
        .parent(&parent)
        .attr("k", 1)
        .observe(async {
            set("must.not.land", true);
        })
        .await;
    let remote = waypost_telemetry::propagation::traceparent(&parent);
    let context = waypost_telemetry::propagation::context_from(remote.as_deref(), None);
    let guard = off.span("passes").parent(&context).start();
    assert_eq!(waypost_telemetry::propagation::traceparent(guard.context()), remote);
    drop(guard);
    outer.end(Outcome::Ok);

    assert!(!off.is_enabled());
    assert_eq!(off.ledger().started, 0);
    assert_eq!(Telemetry::disabled().ledger().started, 0);
}
