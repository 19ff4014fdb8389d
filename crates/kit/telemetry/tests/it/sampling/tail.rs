//! The tail buffer: what speaks for a trace, and how processes tell one another.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use tower::{Layer as _, Service as _};
use waypost_telemetry::config::{SamplerKind, SamplingRule};
use waypost_telemetry::http::ServerLayer;
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::opentelemetry::trace::TraceContextExt as _;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{Builder, Outcome, Settings, TailGroup, TailLedger, Telemetry, propagation, span};

use super::recorded;
use crate::http_server::net::{Server, client, eventually, serve};

/// A handle with a tail buffer behind a share that takes nothing in practice.
fn tail(name: &str, change: impl FnOnce(&mut Settings)) -> TestTelemetry {
    let mut settings = TestTelemetry::settings(name);
    settings.traces.sampler = SamplerKind::ParentBasedRatio;
    settings.traces.ratio = 1e-12;
    settings.traces.tail.enabled = true;
    settings.traces.tail.rare_interval = std::time::Duration::ZERO;
    change(&mut settings);
    TestTelemetry::with(settings)
}

fn ledger(telemetry: &Telemetry) -> TailLedger {
    telemetry.tail_ledger().unwrap()
}

fn fail() {
    let failed: Result<(), std::io::Error> = Err(std::io::ErrorKind::TimedOut.into());
    let _ = span("failing").try_in_scope(|| failed);
}

#[test]
fn a_trace_with_a_failure_is_kept_whole_and_others_are_not() {
    let telemetry = tail("s", |_| ());
    let placed = |fails: bool| {
        telemetry.span("place").in_scope(|| {
            span("before").in_scope(|| ());
            if fails {
                fail();
            }
            span("after").in_scope(|| ());
        });
    };
    placed(false);
    assert_eq!(recorded(&telemetry), [""; 0]);
    placed(true);
    placed(false);
    telemetry.tree().assert_matches(
        "place INTERNAL s
           before INTERNAL s
           failing INTERNAL s ERROR waypost.sampling.reason=error
           after INTERNAL s",
    );
    let spans = telemetry.finished_spans();
    assert!(spans.iter().all(|span| span.span_context().is_sampled()));
    assert!(spans.iter().all(|span| span.span_context().trace_state().get("waypost") == Some("kept")));
    let (spans, tail) = (telemetry.ledger(), ledger(&telemetry));
    assert_eq!((spans.started, spans.ended, spans.exported(), spans.is_balanced()), (4, 4, 4, true));
    assert_eq!((tail.kept_traces, tail.waiting_spans), (1, 6));
}

#[test]
fn slow_rare_and_named_requests_are_kept() {
    let slow = tail("s", |settings| settings.traces.tail.slow = std::time::Duration::from_nanos(1));
    slow.span("slow").in_scope(|| span("inner").in_scope(|| std::hint::black_box(vec![1; 100_000]).len()));
    assert_eq!(recorded(&slow), ["inner", "slow"]);
    assert_eq!(slow.only_span("slow").attribute("waypost.sampling.reason"), Some(&"slow".into()));

    let rare = tail("s", |settings| {
        settings.traces.tail.rare_interval = std::time::Duration::from_hours(1);
    });
    for name in ["one", "one", "two", "one"] {
        rare.span(name).in_scope(|| span("inner").in_scope(|| ()));
    }
    assert_eq!(recorded(&rare), ["inner", "one", "inner", "two"]);
    // A flood of names makes nothing rare for ever.
    for number in 0..5_000 {
        rare.span(format!("name-{number}")).in_scope(|| ());
    }
    assert_eq!(ledger(&rare).kept_traces, 1_000);

    let named = tail("s", |settings| {
        settings.traces.tail.attributes = [("order.status".to_owned(), "fail*".to_owned())].into();
    });
    for status in ["completed", "failed"] {
        named.span("place").in_scope(|| span("settle").attr("order.status", status).in_scope(|| ()));
    }
    assert_eq!(recorded(&named), ["settle", "place"]);
    assert_eq!(named.only_span("settle").attribute("waypost.sampling.reason"), Some(&"attribute".into()));
}

#[test]
fn what_is_left_out_on_purpose_stays_left_out() {
    let telemetry = tail("s", |settings| {
        let rule = SamplingRule { name: Some("probe".to_owned()), ratio: 0.0, ..SamplingRule::default() };
        settings.traces.sampling.rules = vec![rule];
    });
    telemetry.span("probe").in_scope(fail);
    let unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let caller = propagation::context_from(Some(unsampled), Some("vendor=1"));
    telemetry.span("called").parent(&caller).in_scope(fail);
    assert_eq!(recorded(&telemetry), [""; 0]);
    assert_eq!(ledger(&telemetry).waiting_spans, 0);
    let undecided = propagation::context_from(Some(unsampled), Some("waypost=undecided,foo@@bar=1"));
    telemetry.span("called").parent(&undecided).in_scope(|| {
        let sent = propagation::tracestate(&Context::current()).unwrap();
        assert_eq!(sent, "waypost=undecided,foo@@bar=1");
        fail();
        span("late").in_scope(|| {
            let sent = propagation::tracestate(&Context::current()).unwrap();
            assert!(sent.starts_with("waypost=kept,"), "{sent}");
            assert!(propagation::traceparent(&Context::current()).unwrap().ends_with("-01"));
        });
    });
    assert_eq!(recorded(&telemetry), ["failing", "late", "called"]);
}

#[test]
fn at_a_share_of_one_percent_every_failure_is_kept() {
    fastrand::seed(5);
    let telemetry = tail("s", |settings| settings.traces.ratio = 0.01);
    for number in 0..20_000_i64 {
        telemetry.span("order").attr("number", number).in_scope(|| {
            span("pay").in_scope(|| ());
            if number % 100 == 7 {
                fail();
            }
        });
    }
    let spans = telemetry.finished_spans();
    let orders: Vec<_> = spans.iter().filter(|span| span.name() == "order").collect();
    let failures = spans.iter().filter(|span| span.name() == "failing").count();
    assert_eq!(failures, 200);
    let of_failures = |number: i64| number % 100 == 7;
    let numbers = orders.iter().map(|span| match span.attribute("number").unwrap() {
        waypost_telemetry::opentelemetry::Value::I64(number) => *number,
        other => panic!("{other}"),
    });
    let (failed, fine): (Vec<i64>, Vec<i64>) = numbers.partition(|number| of_failures(*number));
    assert_eq!(failed.len(), 200);
    // Five standard deviations around 198.
    assert!((128..268).contains(&fine.len()), "{}", fine.len());
    assert_eq!(spans.iter().filter(|span| span.name() == "pay").count(), orders.len());
}

#[test]
fn under_overload_the_bound_holds_and_the_newest_are_kept() {
    let bound = 256 * 1024;
    let telemetry = tail("s", |settings| settings.traces.tail.max_bytes = bound);
    let text = "x".repeat(1_000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let _attached = telemetry.context().attach();
                for _ in 0..2_000 {
                    span("order").attr("text", text.clone()).in_scope(|| span("pay").in_scope(|| ()));
                    assert!(ledger(&telemetry).waiting_bytes <= bound as u64);
                }
            });
        }
    });
    let before = ledger(&telemetry);
    assert_eq!(before.waiting_spans + before.evicted_spans + before.expired_spans, 16_000);
    assert!(before.waiting_spans > 100, "{before:?}");
    telemetry.span("order").attr("text", text).in_scope(fail);
    assert_eq!(recorded(&telemetry), ["failing", "order"]);
}

/// A service whose handler calls another one, or fails inside and answers 200.
async fn service(telemetry: &TestTelemetry, layer: ServerLayer, calls: Option<String>) -> Server {
    let handle = telemetry.handle().clone();
    let handler = move || {
        let (handle, calls) = (handle.clone(), calls.clone());
        async move {
            span("work").in_scope(|| ());
            match calls {
                Some(url) => call(&handle, &url).await,
                None => fail(),
            }
            StatusCode::OK
        }
    };
    serve(Router::new().route("/", get(handler)).route("/fine", get(async || ())).layer(layer)).await
}

async fn call(telemetry: &Telemetry, url: &str) {
    let mut calls = telemetry.http_client().layer(client());
    drop(calls.call(Request::get(url).body(Body::empty()).unwrap()).await.unwrap());
}

#[tokio::test]
async fn a_failure_further_down_is_told_to_the_callers_and_to_whom_they_call_later() {
    let (front, middle, back) = (tail("front", |_| ()), tail("middle", |_| ()), tail("back", |_| ()));
    let behind = service(&back, back.http_server(), None).await;
    let between = service(&middle, middle.http_server(), Some(behind.url("/"))).await;
    let root = front.span("root").start();
    let attached = root.context().clone();
    waypost_telemetry::with_context(attached, async {
        // Before anything failed: the middle holds this.
        call(front.handle(), &between.url("/fine")).await;
        eventually("the span that waits", || (ledger(&middle).waiting_spans == 1).then_some(())).await;
        // The failure is in the service at the back, which answers 200.
        call(front.handle(), &between.url("/")).await;
    })
    .await;
    root.end(Outcome::Ok);
    for (telemetry, expected) in [(&back, 3), (&middle, 4), (&front, 3)] {
        eventually("all spans", || (telemetry.finished_spans().len() == expected).then_some(())).await;
    }
    let mut names = recorded(&middle);
    names.sort();
    assert_eq!(names, ["GET", "GET /", "GET /fine", "work"]);
    assert_eq!(ledger(&front).waiting_spans + ledger(&middle).waiting_spans + ledger(&back).waiting_spans, 0);
}

#[tokio::test]
async fn a_trace_that_was_kept_is_kept_by_whom_it_calls_next() {
    let (front, back) = (tail("front", |_| ()), tail("back", |_| ()));
    let behind = service(&back, back.http_server(), None).await;
    let root = front.span("root").start();
    waypost_telemetry::with_context(root.context().clone(), async {
        call(front.handle(), &behind.url("/fine")).await;
        eventually("the span that waits", || (ledger(&back).waiting_spans == 1).then_some(())).await;
        fail();
        call(front.handle(), &behind.url("/fine")).await;
    })
    .await;
    root.end(Outcome::Ok);
    eventually("both", || (back.finished_spans().len() == 2).then_some(())).await;
    assert_eq!(recorded(&back), ["GET /fine", "GET /fine"]);
}

#[tokio::test]
async fn a_public_endpoint_tells_nobody_outside() {
    let telemetry = tail("s", |_| ());
    let outside = service(&telemetry, telemetry.http_server().public_endpoint(true), None).await;
    let undecided = |url: String| {
        let request = Request::get(url).header("tracestate", "waypost=undecided");
        let request =
            request.header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
        request.body(Body::empty()).unwrap()
    };
    let answer = crate::http_server::net::exchange(undecided(outside.url("/"))).await;
    assert_eq!(answer.headers().get("traceresponse"), None);
    let inside = service(&telemetry, telemetry.http_server(), None).await;
    let answer = crate::http_server::net::exchange(undecided(inside.url("/"))).await;
    let told = answer.headers()["traceresponse"].to_str().unwrap();
    assert!(told.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && told.ends_with("-01"), "{told}");
}

#[test]
fn a_dropped_future_leaves_nothing_open() {
    let telemetry = tail("s", |_| ());
    drop(telemetry.span("dropped").start());
    telemetry.span("place").in_scope(|| {
        let inner = span("inner").start();
        fail();
        drop(inner);
    });
    assert_eq!(recorded(&telemetry), ["failing", "inner", "place"]);
    assert_eq!(telemetry.ledger().open(), 0);
}

#[test]
fn handles_of_a_group_keep_a_trace_together() {
    let group = TailGroup::default();
    let handle = |name: &str| {
        let mut settings = TestTelemetry::settings(name);
        settings.traces.sampler = SamplerKind::ParentBasedRatio;
        settings.traces.ratio = 1e-12;
        settings.traces.tail.enabled = true;
        settings.traces.tail.rare_interval = std::time::Duration::ZERO;
        Builder::new(settings).tail_group(&group).init().unwrap()
    };
    let (gateway, order) = (handle("gateway"), handle("order"));
    for fails in [false, true] {
        let call = gateway.span("call").start();
        let caller = Context::new().with_remote_span_context(call.span_context());
        order.span("fine").parent(&caller).in_scope(|| ());
        assert_eq!(order.finished_spans().len(), 0, "nothing speaks for it yet");
        if fails {
            call.end(Outcome::Error("refused".into()));
        } else {
            call.end(Outcome::Ok);
        }
    }
    let names = |telemetry: &Telemetry| -> Vec<String> {
        telemetry.finished_spans().iter().map(|span| span.name().to_owned()).collect()
    };
    assert_eq!((names(&gateway), names(&order)), (vec!["call".to_owned()], vec!["fine".to_owned()]));
}
