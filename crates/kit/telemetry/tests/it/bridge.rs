//! Spans of the `tracing` crate in the trace: parents in both directions, whatever threads and futures do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context as TaskContext, Poll, Waker};

use tracing::instrument::WithSubscriber as _;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument as _, debug_span, info_span, instrument};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use waypost_telemetry::bridge::{self, SpanExt as _, SpanLayer};
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::testing::{SpanTree, TestTelemetry, checks};
use waypost_telemetry::{Outcome, Telemetry, propagation, span, trace_id, with_context};

fn bridged<T>(f: impl FnOnce() -> T) -> T {
    tracing::subscriber::with_default(tracing_subscriber::registry().with(bridge::layer()), f)
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut TaskContext::from_waker(Waker::noop()))
}

#[instrument]
async fn library_call(key: u64) {
    tokio::task::yield_now().await;
    span("kit inside").observe(async {}).await;
}

#[tokio::test]
async fn parents_are_right_in_both_directions() {
    let telemetry = TestTelemetry::new("s");
    let work = telemetry.span("request").observe(async {
        library_call(7).await;
        info_span!("outer").in_scope(|| info_span!("inner").in_scope(|| span("kit").in_scope(|| ())));
    });
    work.with_subscriber(tracing_subscriber::registry().with(bridge::layer())).await;
    telemetry.tree().assert_matches_in_order(
        "request INTERNAL s
           library_call INTERNAL s key=7
             kit inside INTERNAL s
           outer INTERNAL s
             inner INTERNAL s
               kit INTERNAL s",
    );
    checks::assert_sound(&[&telemetry]);
}

#[test]
fn two_futures_that_take_turns_keep_their_spans_apart() {
    let telemetry = TestTelemetry::new("s");
    bridged(|| {
        telemetry.span("both").in_scope(|| {
            let mut first = pin!(library_call(1));
            let mut second = pin!(library_call(2));
            assert!(poll_once(first.as_mut()).is_pending());
            assert!(poll_once(second.as_mut()).is_pending());
            assert!(poll_once(first.as_mut()).is_ready());
            assert!(poll_once(second.as_mut()).is_ready());
        });
        assert!(trace_id().is_none());
    });
    telemetry.tree().assert_matches(
        "both INTERNAL s
           library_call INTERNAL s key=1
             kit inside INTERNAL s
           library_call INTERNAL s key=2
             kit inside INTERNAL s",
    );
}

#[test]
fn a_span_can_be_entered_on_several_threads_at_once() {
    let telemetry = TestTelemetry::new("s");
    bridged(|| {
        let shared = telemetry.span("request").in_scope(|| info_span!("shared"));
        std::thread::scope(|threads| {
            for n in 0..4 {
                let (shared, dispatch) = (shared.clone(), tracing::dispatcher::get_default(Clone::clone));
                threads.spawn(move || {
                    tracing::dispatcher::with_default(&dispatch, || {
                        shared.in_scope(|| span("work").attr("n", n).in_scope(|| ()));
                        assert!(trace_id().is_none());
                    });
                });
            }
        });
        drop(shared);
    });
    telemetry.tree().assert_matches(
        "request INTERNAL s
           shared INTERNAL s
             work INTERNAL s n=0
             work INTERNAL s n=1
             work INTERNAL s n=2
             work INTERNAL s n=3",
    );
}

#[test]
fn a_span_ends_with_its_last_clone() {
    let telemetry = TestTelemetry::new("s");
    bridged(|| {
        let span = telemetry.span("request").in_scope(|| info_span!("kept"));
        let clone = span.clone();
        drop(span);
        assert_eq!(telemetry.ledger().open(), 1);
        drop(clone);
        assert_eq!(telemetry.ledger().open(), 0);
    });
    telemetry.tree().assert_matches("request INTERNAL s\n  kept INTERNAL s");
}

#[test]
fn spans_may_be_left_in_another_order_than_entered() {
    let telemetry = TestTelemetry::new("s");
    bridged(|| {
        let _context = telemetry.context().attach();
        let first = info_span!("first").entered();
        let second = info_span!("second").entered();
        drop(first.exit());
        span("inside second").in_scope(|| ());
        drop(second.exit());
        assert!(trace_id().is_none());
    });
    telemetry.tree().assert_matches(
        "first INTERNAL s
           second INTERNAL s
             inside second INTERNAL s",
    );
}

#[test]
fn a_dropped_future_is_dropped_inside_its_span() {
    struct Notes;
    impl Drop for Notes {
        fn drop(&mut self) {
            span("clean up").in_scope(|| ());
        }
    }
    let telemetry = TestTelemetry::new("s");
    bridged(|| {
        let _context = telemetry.context().attach();
        let waiting = async {
            let _notes = Notes;
            std::future::pending::<()>().await;
        };
        let mut waiting = Box::pin(waiting.instrument(info_span!("wait")));
        assert!(poll_once(waiting.as_mut()).is_pending());
        drop(waiting);
        assert!(trace_id().is_none());
    });
    telemetry.tree().assert_matches("wait INTERNAL s\n  clean up INTERNAL s");
}

#[test]
fn a_panic_ends_the_span_as_panicked() {
    let telemetry = TestTelemetry::new("s");
    bridged(|| {
        let _context = telemetry.context().attach();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _span = info_span!("boom").entered();
            panic!("a test panics")
        }));
        assert!(panicked.is_err());
        assert!(trace_id().is_none());
    });
    telemetry.tree().assert_matches("boom INTERNAL s ERROR error.type=panic waypost.outcome=panic");
}

#[test]
fn explicit_parents_roots_and_follows_from_are_kept() {
    let telemetry = TestTelemetry::new("s");
    bridged(|| {
        let _context = telemetry.context().attach();
        let parent = info_span!("parent");
        let _elsewhere = info_span!("elsewhere").entered();
        let child = info_span!(parent: &parent, "child");
        info_span!(parent: None, "root").in_scope(|| assert_eq!(Telemetry::current().service_name(), "s"));
        info_span!("follower").follows_from(&child);
    });
    let spans = telemetry.finished_spans();
    let parent = telemetry.only_span("parent");
    SpanTree::of(&spans, &parent.trace_id().to_string())
        .assert_matches("parent INTERNAL s\n  child INTERNAL s");
    let elsewhere = telemetry.only_span("elsewhere");
    SpanTree::of(&spans, &elsewhere.trace_id().to_string())
        .assert_matches("elsewhere INTERNAL s\n  follower INTERNAL s -> child");
    assert_eq!(telemetry.only_span("root").parent_id(), None);
}

#[test]
fn spans_below_the_level_are_as_if_they_were_not_there() {
    let telemetry = TestTelemetry::new("s");
    let tree = |max_level: LevelFilter| {
        telemetry.forget();
        // Another layer wants them all: what no layer wants is not there for `tracing` either.
        let all = waypost_telemetry::logs::Records::new();
        tracing::subscriber::with_default(
            tracing_subscriber::registry().with(all).with(SpanLayer::new().with_filter(max_level)),
            || {
                let _context = telemetry.context().attach();
                let quiet = info_span!("outer").in_scope(|| debug_span!("quiet"));
                quiet.in_scope(|| ());
                info_span!(parent: &quiet, "inner").in_scope(|| ());
            },
        );
        telemetry.tree()
    };
    tree(LevelFilter::INFO).assert_matches("outer INTERNAL s\n  inner INTERNAL s");
    tree(LevelFilter::DEBUG).assert_matches("outer INTERNAL s\n  quiet INTERNAL s\n    inner INTERNAL s");
}

#[test]
fn a_filter_of_the_layer_leaves_other_layers_alone() {
    let telemetry = TestTelemetry::new("s");
    let only = tracing_subscriber::filter::Targets::new().with_target("mine", LevelFilter::INFO);
    let subscriber = tracing_subscriber::registry()
        .with(waypost_telemetry::logs::Records::new())
        .with(SpanLayer::new().with_filter(only));
    tracing::subscriber::with_default(subscriber, || {
        let _context = telemetry.context().attach();
        let _other = info_span!(target: "other", "other", k = 1).entered();
        let _mine = info_span!(target: "mine", "mine").entered();
        tracing::info!("said");
    });
    telemetry.tree().assert_matches("mine INTERNAL s");
    assert_eq!(telemetry.finished_logs()[0].attribute("k"), Some(&1.into()));
    assert_eq!(telemetry.finished_logs()[0].span_context().span_id(), telemetry.only_span("mine").span_id());
}

#[test]
fn nothing_is_recorded_where_telemetry_is_suppressed_or_absent() {
    let telemetry = TestTelemetry::new("s");
    bridged(|| {
        info_span!("no handle").in_scope(|| ());
        let _context = telemetry.context().attach();
        {
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            info_span!("exporter's").in_scope(|| info_span!("call").in_scope(|| ()));
        }
        assert_eq!(telemetry.ledger().started, 0);
        info_span!("mine").in_scope(|| ());
    });
    telemetry.tree().assert_matches("mine INTERNAL s");
}

#[test]
fn an_unsampled_trace_stays_unsampled_inside() {
    let mut settings = TestTelemetry::settings("s");
    settings.traces.sampler = waypost_telemetry::config::SamplerKind::AlwaysOff;
    let telemetry = TestTelemetry::with(settings);
    bridged(|| {
        let _context = telemetry.context().attach();
        info_span!("outer").in_scope(|| {
            let outer = trace_id();
            assert!(outer.is_some());
            span("kit").in_scope(|| assert_eq!(trace_id(), outer));
        });
    });
    assert!(telemetry.finished_spans().is_empty());
}

#[tokio::test]
async fn the_context_of_a_span_can_be_handed_on() {
    let telemetry = TestTelemetry::new("s");
    let subscriber = tracing_subscriber::registry().with(SpanLayer::new().telemetry(&telemetry));
    let dispatch = tracing::Dispatch::new(subscriber);
    let call = tracing::dispatcher::with_default(&dispatch, || info_span!("call"));
    call.set_attribute("late", 5_u32);
    let linked = telemetry.span("linked").root().start();
    call.add_link(linked.span_context());
    linked.end(Outcome::Ok);
    let header = propagation::traceparent(&call.context()).unwrap();
    with_context(call.context(), span("other side").observe(async {})).await;
    tracing::dispatcher::with_default(&dispatch, || drop(call));

    let span = telemetry.only_span("call");
    assert!(header.contains(&span.span_id().to_string()));
    let spans = telemetry.finished_spans();
    SpanTree::of(&spans, &span.trace_id().to_string())
        .assert_matches("call INTERNAL s late=5 -> linked\n  other side INTERNAL s");
}

#[test]
fn the_kit_records_what_runs_in_a_subscriber_of_somebody_else() {
    let telemetry = TestTelemetry::new("s");
    let subscriber = tracing_subscriber::fmt().with_writer(std::io::sink).finish().with(SpanLayer::new());
    tracing::subscriber::with_default(subscriber, || {
        telemetry.span("kit").in_scope(|| info_span!("theirs").in_scope(|| ()));
    });
    telemetry.tree().assert_matches("kit INTERNAL s\n  theirs INTERNAL s");
}

#[test]
fn a_span_of_tracing_has_the_scope_of_its_target() {
    let telemetry = TestTelemetry::new("s");
    bridged(|| {
        telemetry.span("around").in_scope(|| {
            info_span!("of this module").in_scope(|| ());
            info_span!(target: "sqlx::query", "of a library").in_scope(|| span("of the kit").in_scope(|| ()));
        });
    });
    assert_eq!(telemetry.only_span("of this module").scope(), module_path!());
    assert_eq!(telemetry.only_span("of a library").scope(), "sqlx::query");
    assert_eq!(telemetry.only_span("of the kit").scope(), "waypost-telemetry");
    telemetry.tree().assert_matches(
        "around INTERNAL s
           of this module INTERNAL s
           of a library INTERNAL s
             of the kit INTERNAL s",
    );
}
