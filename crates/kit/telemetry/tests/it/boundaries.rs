//! What crosses a process border: trace context, tenant, baggage, sampling.

use std::collections::HashMap;

use waypost_telemetry::config::{Propagator, SamplerKind};
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::tenant::{self, TenantId};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{Outcome, baggage, propagation, span};

fn wire(headers: &[(&str, &str)]) -> HashMap<String, String> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn the_tenant_is_on_every_span_and_travels_on() {
    let telemetry = TestTelemetry::new("s");
    let context = tenant::with_tenant(&telemetry.context(), &TenantId::new("acme").unwrap());
    let outer = telemetry.span("outer").parent(&context).start();
    let attached = outer.context().clone().attach();
    span("inner").in_scope(|| assert_eq!(tenant::current().unwrap().as_str(), "acme"));
    drop(attached);

    let mut headers = HashMap::new();
    telemetry.inject(outer.context(), &mut headers);
    assert_eq!(headers["baggage"], "tenant.id=acme");
    outer.end(Outcome::Ok);
    telemetry.tree().assert_matches("outer INTERNAL s tenant.id=acme\n  inner INTERNAL s tenant.id=acme");
}

#[test]
fn a_malformed_tenant_from_the_wire_becomes_no_attribute() {
    let telemetry = TestTelemetry::new("s");
    let long = "x".repeat(65);
    for hostile in ["a%20b", "%22%3Cscript%3E", "a%0Ab", "", long.as_str()] {
        let context = telemetry.extract(&wire(&[("baggage", &format!("tenant.id={hostile}"))]));
        telemetry.span("a").parent(&context).in_scope(|| assert_eq!(tenant::current(), None, "{hostile}"));
    }
    assert!(telemetry.finished_spans().iter().all(|span| span.attribute("tenant.id").is_none()));
}

#[test]
fn only_listed_baggage_leaves_and_only_listed_baggage_is_recorded() {
    let mut settings = TestTelemetry::settings("s");
    settings.baggage.span_attributes.push("plan".to_owned());
    let telemetry = TestTelemetry::with(settings);
    let context = baggage::with(&telemetry.context(), "plan", "gold");
    let context = baggage::with(&context, "secret", "x");
    let context = baggage::with(&context, "tenant.id", "acme");
    telemetry.span("a").parent(&context).in_scope(|| ());

    telemetry.tree().assert_matches("a INTERNAL s plan=gold tenant.id=acme");
    assert!(telemetry.only_span("a").attribute("secret").is_none());
    let mut headers = HashMap::new();
    telemetry.inject(&context, &mut headers);
    assert_eq!(headers, wire(&[("baggage", "tenant.id=acme")]));
    let mut outside = HashMap::new();
    telemetry.inject_without_baggage(&context, &mut outside);
    assert!(outside.is_empty());
}

#[test]
fn a_flood_of_baggage_is_cut() {
    let telemetry = TestTelemetry::new("s");
    let flood: Vec<String> = (0..500).map(|n| format!("k{n}=v")).collect();
    let context = telemetry.extract(&wire(&[("baggage", &flood.join(","))]));
    let _attached = context.attach();
    assert_eq!(baggage::get("k63").as_deref(), Some("v"));
    assert_eq!(baggage::get("k64"), None);
}

#[test]
fn a_remote_parent_is_continued_with_its_state() {
    let telemetry = TestTelemetry::new("s");
    let context = telemetry.extract(&wire(&[("traceparent", CALLER), ("tracestate", "vendor=1")]));
    let child = telemetry.span("a").parent(&context).start();
    let sent = propagation::traceparent(child.context()).unwrap();
    assert!(sent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && sent.ends_with("-01"), "{sent}");
    assert_ne!(sent, CALLER);
    assert_eq!(propagation::tracestate(child.context()).as_deref(), Some("vendor=1"));
    child.end(Outcome::Ok);
    let span = telemetry.only_span("a");
    assert_eq!(span.parent_id().unwrap().to_string(), "00f067aa0ba902b7");
    assert!(span.parent_is_remote());
}

#[test]
fn stored_headers_bring_their_parent_back() {
    let telemetry = TestTelemetry::new("s");
    let _attached = telemetry.context().attach();
    let stored = propagation::context_from(Some(CALLER), Some("vendor=1"));
    span("later").parent(&stored).in_scope(|| ());
    let later = telemetry.only_span("later");
    assert_eq!(later.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");

    let broken = propagation::context_from(Some("what"), None);
    assert_eq!(propagation::traceparent(&broken), None);
    assert_eq!(propagation::traceparent(&Context::new()), None);
}

#[test]
fn without_propagators_nothing_enters_or_leaves() {
    let mut settings = TestTelemetry::settings("s");
    settings.propagators = vec![];
    let closed = TestTelemetry::with(settings.clone());
    let context = closed.extract(&wire(&[("traceparent", CALLER), ("baggage", "tenant.id=acme")]));
    assert_eq!(propagation::traceparent(&context), None);
    assert_eq!(tenant::of(&context), None);

    settings.propagators = vec![Propagator::TraceContext];
    let half = TestTelemetry::with(settings);
    let context = tenant::with_tenant(&half.context(), &TenantId::new("acme").unwrap());
    let guard = half.span("a").parent(&context).start();
    let mut headers = HashMap::new();
    half.inject(guard.context(), &mut headers);
    assert_eq!(headers.keys().collect::<Vec<_>>(), ["traceparent"]);
    guard.end(Outcome::Ok);
}

#[test]
fn a_parent_decides_for_its_children_and_a_root_for_itself() {
    let mut settings = TestTelemetry::settings("s");
    settings.traces.sampler = SamplerKind::ParentBasedAlwaysOff;
    let telemetry = TestTelemetry::with(settings);
    let sampled = telemetry.extract(&wire(&[("traceparent", CALLER)]));
    telemetry.span("followed").parent(&sampled).in_scope(|| ());
    telemetry.span("root").in_scope(|| {
        let unsampled = propagation::traceparent(&Context::current()).unwrap();
        // Not sampled; the id is random all the same.
        assert!(unsampled.ends_with("-02"), "{unsampled}");
        span("child").in_scope(|| ());
    });
    telemetry.span("fresh").parent(&sampled).root().in_scope(|| ());
    assert_eq!(telemetry.finished_spans().len(), 1);
    assert_eq!(telemetry.only_span("followed").trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(telemetry.ledger().started, 1);
}

#[test]
fn a_ratio_keeps_traces_whole() {
    let mut settings = TestTelemetry::settings("s");
    settings.traces.sampler = SamplerKind::ParentBasedRatio;
    settings.traces.ratio = 0.5;
    let telemetry = TestTelemetry::with(settings);
    for _ in 0..1_000 {
        telemetry.span("root").in_scope(|| span("child").in_scope(|| ()));
    }
    let spans = telemetry.finished_spans();
    let count = |name| spans.iter().filter(|span| span.name() == name).count();
    assert_eq!(count("root"), count("child"));
    assert!((350..650).contains(&count("root")), "{}", count("root"));
}
