//! The test kit tests itself: what matches, what does not, and how it says so.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use waypost_telemetry::opentelemetry::trace::{SpanContext, SpanKind};
use waypost_telemetry::testing::{SpanTree, TestTelemetry, checks, wait_for, wait_for_trace, wait_for_tree};
use waypost_telemetry::{Outcome, event, span, spawn};

/// `GET /orders` with two lookups, the second of which failed.
fn telemetry() -> TestTelemetry {
    let telemetry = TestTelemetry::new("api");
    telemetry.span("GET /orders").kind(SpanKind::Server).attr("http.response.status_code", 500).in_scope(
        || {
            span("find").attr("n", 1).in_scope(|| event("hit", Vec::new()));
            let second = span("find").attr("n", 2).start();
            second.end(Outcome::Error("timeout".into()));
            span("render").in_scope(|| ());
        },
    );
    telemetry
}

const EXPECTED: &str = "
    GET /orders SERVER api http.response.status_code=500
      render INTERNAL api
      find INTERNAL api ERROR {n=2 error.type=*}
      find INTERNAL api n=1
";

#[test]
fn siblings_match_in_any_order() {
    telemetry().tree().assert_matches(EXPECTED);
}

#[test]
fn the_order_of_siblings_counts_where_it_is_asked_for() {
    let tree = telemetry().tree();
    tree.assert_matches_in_order(
        "GET /* SERVER *
           find INTERNAL api n=1
           find INTERNAL api ERROR
           render INTERNAL api",
    );
    let out_of_order = catch_unwind(|| tree.assert_matches_in_order(EXPECTED));
    let message = *out_of_order.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("another order"), "{message}");
}

#[test]
fn dots_allow_others_beside_the_named() {
    let tree = telemetry().tree();
    tree.assert_matches("GET /orders SERVER api\n  find INTERNAL api ERROR\n  ...");
    assert!(tree.difference("GET /orders SERVER api\n  find INTERNAL api ERROR").is_some());
}

#[test]
fn a_difference_shows_what_is_missing_unexpected_and_different() {
    let expected = "
        GET /orders SERVER api http.response.status_code=200
          find INTERNAL api n=1
          find INTERNAL api n=2
          store CLIENT api
            insert CLIENT db";
    let difference = telemetry().tree().difference(expected).unwrap();
    assert_eq!(
        difference,
        "the spans are not as expected (- missing, + not expected, ~ differs)
~ GET /orders SERVER api http.response.status_code=500
~ ^ http.response.status_code: expected 200, got 500
    find INTERNAL api n=1
~   find INTERNAL api ERROR n=2 error.type=timeout
~   ^ status: expected nothing, got ERROR
-   store CLIENT api
-     insert CLIENT db
+   render INTERNAL api
"
    );
}

#[test]
fn links_are_compared_by_the_name_of_their_target() {
    let telemetry = TestTelemetry::new("s");
    let target = telemetry.span("target").start();
    let ids = target.span_context();
    target.end(Outcome::Ok);
    let stranger = waypost_telemetry::propagation::context_from(
        Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        None,
    );
    let stranger =
        waypost_telemetry::opentelemetry::trace::TraceContextExt::span(&stranger).span_context().clone();
    telemetry.span("a").link(ids).link(stranger).link(SpanContext::empty_context()).in_scope(|| ());

    let spans = telemetry.finished_spans();
    let tree = SpanTree::of(&spans, &telemetry.only_span("a").trace_id().to_string());
    tree.assert_matches("a INTERNAL s -> target -> *");
    assert_eq!(tree.render(), "a INTERNAL s -> target -> *\n");
    let difference = tree.difference("a INTERNAL s -> elsewhere").unwrap();
    assert!(difference.contains("link: expected elsewhere, got \"target, *\""), "{difference}");
}

#[test]
fn checks_find_orphans_and_open_spans() {
    let telemetry = TestTelemetry::new("s");
    let parent = telemetry.span("parent").start();
    span("one").parent(parent.context()).in_scope(|| ());
    span("two").parent(parent.context()).in_scope(|| ());
    let problems = checks::problems(&telemetry.finished_spans());
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("does not hang together"), "{problems:?}");
    let unsound = catch_unwind(AssertUnwindSafe(|| checks::assert_sound(&[&telemetry])));
    let message = *unsound.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("1 spans never ended"), "{message}");
    parent.end(Outcome::Ok);
    checks::assert_sound(&[&telemetry]);
}

#[tokio::test]
async fn waiting_ends_when_the_spans_are_there() {
    let telemetry = TestTelemetry::new("s");
    let root = telemetry.span("root").start();
    let trace = root.span_context().trace_id().to_string();
    let context = root.context().clone();
    let late = spawn(async move {
        span("late").parent(&context).in_scope(|| ());
        root.end(Outcome::Ok);
    });
    let tree = wait_for_trace(&[&telemetry], &trace, Duration::from_secs(20)).await.unwrap();
    tree.assert_matches("root INTERNAL s\n  late INTERNAL s");
    wait_for_tree(&[&telemetry], &trace, "root INTERNAL s\n  late INTERNAL s", Duration::from_secs(20)).await;
    late.await.unwrap();
}

#[tokio::test]
async fn waiting_in_vain_shows_what_came() {
    let telemetry = TestTelemetry::new("s");
    telemetry.span("only this").in_scope(|| ());
    let vain =
        wait_for(&[&telemetry], Duration::from_millis(20), |spans| spans.len() == 2).await.unwrap_err();
    assert!(vain.to_string().contains("only this INTERNAL s"), "{vain}");
}
