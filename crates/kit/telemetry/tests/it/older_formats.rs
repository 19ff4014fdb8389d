//! Trace context in the formats of B3, Jaeger and X-Ray, with the headers of their specifications.

use std::collections::HashMap;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use tower::{Layer as _, Service as _};
use waypost_telemetry::config::{Propagator, SamplerKind};
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::opentelemetry::trace::{SpanContext, TraceContextExt as _};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{Outcome, baggage, propagation, span};

use crate::http_server::net::{client, eventually, exchange, serve};

fn telemetry(formats: &[Propagator]) -> TestTelemetry {
    let mut settings = TestTelemetry::settings("s");
    settings.propagators = formats.to_vec();
    TestTelemetry::with(settings)
}

fn wire(headers: &[(&str, &str)]) -> HashMap<String, String> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Trace id, span id and decision of the caller.
fn read(formats: &[Propagator], headers: &[(&str, &str)]) -> Option<String> {
    let context = telemetry(formats).extract(&wire(headers));
    let caller = context.span().span_context().clone();
    assert_eq!(caller.is_remote(), caller.is_valid());
    caller.is_valid().then(|| shown(&caller))
}

fn shown(span: &SpanContext) -> String {
    format!("{} {} {}", span.trace_id(), span.span_id(), u8::from(span.is_sampled()))
}

/// What is sent on below a caller with these headers, sorted, with the id of the own span as `SPAN`.
fn passed_on(formats: &[Propagator], headers: &[(&str, &str)]) -> Vec<String> {
    let telemetry = telemetry(formats);
    let callee = telemetry.span("callee").parent(&telemetry.extract(&wire(headers))).start();
    let attached = callee.context().clone().attach();
    let mut sent = HashMap::new();
    let own = span("call").in_scope(|| {
        telemetry.inject(&Context::current(), &mut sent);
        Context::current().span().span_context().span_id().to_string()
    });
    drop(attached);
    callee.end(Outcome::Ok);
    let mut lines: Vec<String> =
        sent.iter().map(|(name, value)| format!("{name}: {}", value.replace(&own, "SPAN"))).collect();
    lines.sort();
    lines
}

const TRACE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
const B3_SINGLE: &str = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1";

#[test]
fn b3_is_read_from_one_header_and_from_several() {
    let both = [[Propagator::B3], [Propagator::B3Multi]];
    let of = |decision: &str| Some(format!("{TRACE} e457b5a2e4d86bd1 {decision}"));
    for format in both {
        for (rest, decision) in
            [("-1", "1"), ("-0", "0"), ("-d", "1"), ("", "0"), ("-1-05e3ac9a4f6e3b90", "1"), ("-true", "1")]
        {
            assert_eq!(read(&format, &[("b3", &format!("{B3_SINGLE}{rest}"))]), of(decision), "{rest}");
        }
        let ids = [("x-b3-traceid", TRACE), ("x-b3-spanid", "e457b5a2e4d86bd1")];
        for (more, decision) in [
            (vec![("x-b3-sampled", "1"), ("x-b3-parentspanid", "05e3ac9a4f6e3b90")], "1"),
            (vec![("x-b3-sampled", "0")], "0"),
            (vec![("x-b3-sampled", "true")], "1"),
            (vec![("x-b3-flags", "1")], "1"),
            (vec![], "0"),
        ] {
            assert_eq!(read(&format, &[&ids[..], &more[..]].concat()), of(decision), "{more:?}");
        }
        // Ids of 64 bits.
        let short = read(&format, &[("b3", "64fe8b2a57d3eff7-e457b5a2e4d86bd1-1")]);
        assert_eq!(short.as_deref(), Some("000000000000000064fe8b2a57d3eff7 e457b5a2e4d86bd1 1"));
    }
}

#[test]
fn jaegers_header_is_read_with_short_ids_and_encoded() {
    for (header, caller) in [
        (format!("{TRACE}:e457b5a2e4d86bd1:0:1"), format!("{TRACE} e457b5a2e4d86bd1 1")),
        (format!("{TRACE}%3Ae457b5a2e4d86bd1%3A0%3A1"), format!("{TRACE} e457b5a2e4d86bd1 1")),
        (format!("{TRACE}:e457b5a2e4d86bd1:05e3ac9a4f6e3b90:0"), format!("{TRACE} e457b5a2e4d86bd1 0")),
        (format!("{TRACE}:e457b5a2e4d86bd1:0:03"), format!("{TRACE} e457b5a2e4d86bd1 1")),
        ("ab:c:0:1".to_owned(), format!("{:0>32} {:0>16} 1", "ab", "c")),
    ] {
        assert_eq!(read(&[Propagator::Jaeger], &[("uber-trace-id", &header)]), Some(caller), "{header}");
    }
}

#[test]
fn the_header_of_xray_is_read_in_any_order() {
    let caller = "5759e988bd862e3fe1be46a994272793 53995c3f42cd8ad8";
    for (header, decision) in [
        ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1", "1"),
        ("Sampled=0; Parent=53995c3f42cd8ad8; Root=1-5759e988-bd862e3fe1be46a994272793", "0"),
        ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=?", "0"),
        ("Self=1-2-3;Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Lineage=a:1|b:2", "0"),
    ] {
        let expected = Some(format!("{caller} {decision}"));
        assert_eq!(read(&[Propagator::XRay], &[("x-amzn-trace-id", header)]), expected, "{header}");
    }
}

#[test]
fn what_is_malformed_is_as_good_as_absent() {
    let good_id = "e457b5a2e4d86bd1";
    let zero = "0".repeat(32);
    let malformed = [
        ("b3", "0".to_owned()),
        ("b3", "d".to_owned()),
        ("b3", String::new()),
        ("b3", format!("{B3_SINGLE}-2")),
        ("b3", format!("{B3_SINGLE}-1-")),
        ("b3", format!("{B3_SINGLE}-1-05e3ac9a4f6e3b90-1")),
        ("b3", format!("{zero}-{good_id}-1")),
        ("b3", format!("{TRACE}-0000000000000000-1")),
        ("b3", format!("{}-{good_id}-1", &TRACE[1..])),
        ("b3", format!("+{}-{good_id}-1", &TRACE[1..])),
        ("x-b3-traceid", TRACE.to_owned()),
        ("uber-trace-id", format!("{TRACE}:{good_id}:0")),
        ("uber-trace-id", format!("{TRACE}:{good_id}:0:g")),
        ("uber-trace-id", format!("{TRACE}0:{good_id}:0:1")),
        ("uber-trace-id", format!("0:{good_id}:0:1")),
        ("uber-trace-id", format!("{TRACE}::0:1")),
        ("uber-trace-id", "%ff%fe".to_owned()),
        ("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1".to_owned()),
        ("x-amzn-trace-id", format!("Parent={good_id};Sampled=1")),
        ("x-amzn-trace-id", format!("Root=2-5759e988-bd862e3fe1be46a994272793;Parent={good_id}")),
        ("x-amzn-trace-id", format!("Root=1-5759e98-bd862e3fe1be46a9942727933;Parent={good_id}")),
        ("x-amzn-trace-id", format!("Root=1-5759e988-bd862e3fe1be46a994272793;Parent={good_id};Sampled=2")),
        ("x-amzn-trace-id", ";=;;".repeat(5_000)),
        ("b3", "-".repeat(20_000)),
        ("uber-trace-id", ":".repeat(20_000)),
    ];
    let all = [Propagator::B3, Propagator::B3Multi, Propagator::Jaeger, Propagator::XRay];
    for (name, header) in malformed {
        assert_eq!(read(&all, &[(name, &header)]), None, "{name}: {header:.80}");
    }
}

#[test]
fn each_format_is_written_as_it_is_specified() {
    let caller = ("b3", format!("{B3_SINGLE}-1"));
    let caller = (caller.0, caller.1.as_str());
    assert_eq!(passed_on(&[Propagator::B3], &[caller]), [format!("b3: {TRACE}-SPAN-1")]);
    assert_eq!(
        passed_on(&[Propagator::B3Multi], &[caller]),
        ["x-b3-sampled: 1".to_owned(), "x-b3-spanid: SPAN".to_owned(), format!("x-b3-traceid: {TRACE}")]
    );
    let all =
        [Propagator::B3, Propagator::Jaeger, Propagator::XRay, Propagator::TraceContext, Propagator::Baggage];
    assert_eq!(
        passed_on(&all, &[caller]),
        [
            format!("b3: {TRACE}-SPAN-1"),
            format!("traceparent: 00-{TRACE}-SPAN-01"),
            format!("uber-trace-id: {TRACE}:SPAN:0:1"),
            "x-amzn-trace-id: Root=1-80f198ee-56343ba864fe8b2a57d3eff7;Parent=SPAN;Sampled=1".to_owned(),
        ]
    );
    // What is not sampled says so.
    let caller = ("b3", format!("{B3_SINGLE}-0"));
    assert_eq!(
        passed_on(&all[..3], &[(caller.0, &caller.1)]),
        [
            format!("b3: {TRACE}-SPAN-0"),
            format!("uber-trace-id: {TRACE}:SPAN:0:0"),
            "x-amzn-trace-id: Root=1-80f198ee-56343ba864fe8b2a57d3eff7;Parent=SPAN;Sampled=0".to_owned(),
        ]
    );
}

#[test]
fn a_debug_flag_passes_from_one_format_to_the_others() {
    let all = [Propagator::B3, Propagator::Jaeger];
    let expected = [format!("b3: {TRACE}-SPAN-d"), format!("uber-trace-id: {TRACE}:SPAN:0:3")];
    assert_eq!(passed_on(&all, &[("b3", &format!("{B3_SINGLE}-d"))]), expected);
    let jaeger = format!("{TRACE}:e457b5a2e4d86bd1:0:3");
    assert_eq!(passed_on(&all, &[("uber-trace-id", &jaeger)]), expected);
    let multi = passed_on(&[Propagator::B3Multi], &[("b3", &format!("{B3_SINGLE}-d"))]);
    assert_eq!(multi[0], "x-b3-flags: 1");
}

#[test]
fn the_last_format_of_the_settings_counts() {
    use Propagator::{B3, Jaeger, TraceContext};
    let b3 = format!("{B3_SINGLE}-1");
    let jaeger = format!("{}:e457b5a2e4d86bd1:0:1", "a".repeat(32));
    let w3c = format!("00-{}-e457b5a2e4d86bd1-01", "b".repeat(32));
    let headers = [("b3", b3.as_str()), ("uber-trace-id", &jaeger), ("traceparent", &w3c)];
    let trace = |formats: &[Propagator]| read(formats, &headers).unwrap()[..4].to_owned();
    assert_eq!(trace(&[B3, Jaeger, TraceContext]), "bbbb");
    assert_eq!(trace(&[TraceContext, B3, Jaeger]), "aaaa");
    assert_eq!(trace(&[B3, TraceContext, Jaeger]), "aaaa");
    assert_eq!(trace(&[Jaeger, TraceContext, B3]), "80f1");
    // One that is not there leaves it to the one before.
    assert_eq!(read(&[B3, TraceContext, Jaeger], &headers[..1]).unwrap()[..4], *"80f1");
}

#[test]
fn a_decision_that_the_caller_left_open_is_made() {
    let recorded = |sampler: SamplerKind, consistent: bool, headers: &[(&str, &str)]| {
        let mut settings = TestTelemetry::settings("s");
        settings.propagators = vec![Propagator::B3, Propagator::XRay];
        settings.traces.sampler = sampler;
        settings.traces.sampling.consistent = consistent;
        let telemetry = TestTelemetry::with(settings);
        let context = telemetry.extract(&wire(headers));
        telemetry.span("callee").parent(&context).in_scope(|| span("inner").in_scope(|| ()));
        telemetry.finished_spans().len()
    };
    let (on, off) = (SamplerKind::ParentBasedAlwaysOn, SamplerKind::ParentBasedAlwaysOff);
    let xray = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=?";
    let no = format!("{B3_SINGLE}-0");
    for consistent in [false, true] {
        assert_eq!(recorded(on, consistent, &[("b3", B3_SINGLE)]), 2);
        assert_eq!(recorded(off, consistent, &[("b3", B3_SINGLE)]), 0);
        assert_eq!(recorded(on, consistent, &[("x-amzn-trace-id", xray)]), 2);
        assert_eq!(recorded(on, consistent, &[("b3", &no)]), 0);
    }
}

#[test]
fn jaegers_baggage_obeys_the_rules_of_baggage() {
    let mut settings = TestTelemetry::settings("s");
    settings.propagators = vec![Propagator::Jaeger];
    settings.baggage.outbound = vec!["tenant.id".to_owned(), "plan".to_owned()];
    settings.baggage.max_members = 64;
    let telemetry = TestTelemetry::with(settings);
    let caller = format!("{TRACE}:e457b5a2e4d86bd1:0:1");
    let long = "x".repeat(300);
    let mut headers = wire(&[
        ("uber-trace-id", &caller),
        ("uberctx-tenant.id", "acme"),
        ("uberctx-plan", "gold%20edge"),
        ("uberctx-secret", "s3cret"),
        ("uberctx-long", &long),
        ("uberctx-two", "a,b=c"),
    ]);
    let context = telemetry.extract(&headers);
    telemetry.span("callee").parent(&context).in_scope(|| {
        assert_eq!(baggage::get("plan").as_deref(), Some("gold edge"));
        assert_eq!((baggage::get("long"), baggage::get("two"), baggage::get("b")), (None, None, None));
    });
    assert_eq!(telemetry.only_span("callee").attribute("tenant.id"), Some(&"acme".into()));
    let mut sent = HashMap::new();
    telemetry.inject(&context, &mut sent);
    sent.remove("uber-trace-id");
    assert_eq!(sent, wire(&[("uberctx-tenant.id", "acme"), ("uberctx-plan", "gold%20edge")]));
    let mut outside = HashMap::new();
    telemetry.inject_without_baggage(&context, &mut outside);
    assert_eq!(outside.keys().collect::<Vec<_>>(), ["uber-trace-id"]);

    headers.extend((0..5_000).map(|n| (format!("uberctx-k{n}"), "v".to_owned())));
    let _attached = telemetry.extract(&headers).attach();
    let kept = (0..5_000).filter(|n| baggage::get(&format!("k{n}")).is_some()).count();
    assert!(kept <= 64, "{kept}");
}

#[tokio::test]
async fn a_trace_goes_on_over_http_in_b3() {
    let telemetry = telemetry(&[Propagator::B3Multi]);
    let app = Router::new().route("/", get(async || ())).layer(telemetry.http_server());
    let server = serve(app).await;
    let outer = telemetry.span("caller").start();
    let attached = outer.context().clone().attach();
    let mut calls = telemetry.http_client().layer(client());
    let request = Request::get(server.url("/")).body(Body::empty()).unwrap();
    let call = calls.call(request);
    drop(attached);
    drop(call.await.unwrap());
    outer.end(Outcome::Ok);
    eventually("the three spans", || (telemetry.finished_spans().len() == 3).then_some(())).await;
    telemetry.tree().assert_matches("caller INTERNAL s\n  GET CLIENT s\n    GET / SERVER s");

    // Two headers are none, and a public endpoint only links.
    telemetry.forget();
    let mut request = Request::get(server.url("/")).body(Body::empty()).unwrap();
    for _ in 0..2 {
        request.headers_mut().append("b3", format!("{B3_SINGLE}-1").parse().unwrap());
    }
    exchange(request).await;
    eventually("the span", || (telemetry.finished_spans().len() == 1).then_some(())).await;
    assert_eq!(telemetry.only_span("GET /").parent_id(), None);
}

#[tokio::test]
async fn a_public_endpoint_links_to_a_caller_in_any_format() {
    let telemetry = telemetry(&[Propagator::Jaeger]);
    let layer = telemetry.http_server().public_endpoint(true);
    let server = serve(Router::new().route("/", get(async || ())).layer(layer)).await;
    let mut request = Request::get(server.url("/")).body(Body::empty()).unwrap();
    request.headers_mut().insert("uber-trace-id", format!("{TRACE}:e457b5a2e4d86bd1:0:3").parse().unwrap());
    request.headers_mut().insert("uberctx-tenant.id", "acme".parse().unwrap());
    exchange(request).await;
    eventually("the span", || (telemetry.finished_spans().len() == 1).then_some(())).await;
    let served = telemetry.only_span("GET /");
    assert_eq!((served.parent_id(), served.attribute("tenant.id")), (None, None));
    assert_eq!(served.links()[0].span_context().trace_id().to_string(), TRACE);
    let mut sent = HashMap::new();
    telemetry.inject(&propagation::context_from(None, None), &mut sent);
    assert!(sent.is_empty());
}
