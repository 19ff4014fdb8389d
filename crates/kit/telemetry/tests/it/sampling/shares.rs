//! Consistent probability: the threshold in `ot=th`, against the randomness of the trace.

use std::collections::{HashMap, HashSet};

use waypost_telemetry::opentelemetry::trace::{SpanContext, TraceContextExt as _};
use waypost_telemetry::sampling::{self, adjusted_count};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{Builder, Outcome, propagation, span};

use super::{caller, sampling as with};

const RATIO: &str = "sampler = \"parentbased_traceidratio\"\n[traces.sampling]\nconsistent = true\n";

#[test]
fn shares_are_kept_and_counts_add_up_at_fixed_seeds() {
    for (seed, ratio) in [(1, 0.5), (2, 0.1), (3, 0.01), (4, 1.0)] {
        fastrand::seed(seed);
        let telemetry = with(&format!("ratio = {ratio:?}\n{RATIO}"));
        let traces = 50_000;
        for _ in 0..traces {
            telemetry.span("root").in_scope(|| ());
        }
        let spans = telemetry.finished_spans();
        // Five standard deviations of a binomial count, which a right sampler leaves once in a million seeds.
        let (expected, n) = (f64::from(traces) * ratio, f64::from(traces));
        let allowed = 5.0 * (n * ratio * (1.0 - ratio)).sqrt();
        let taken = f64::from(u32::try_from(spans.len()).unwrap());
        assert!((taken - expected).abs() <= allowed, "{taken} of {traces} at {ratio}");
        let counted: f64 = spans.iter().map(|span| adjusted_count(span.span_context()).unwrap()).sum();
        assert!((counted - n).abs() <= allowed / ratio + n * 1e-3, "{counted} at {ratio}");
    }
}

#[test]
fn a_smaller_share_takes_part_of_what_a_larger_one_takes() {
    fastrand::seed(11);
    let large = with(&format!("ratio = 0.5\n{RATIO}"));
    // Decides anew in the middle of the trace, as a service that sampled less would.
    let small = with("sampler = \"traceidratio\"\nratio = 0.125\n[traces.sampling]\nconsistent = true");
    for _ in 0..4_000 {
        let root = large.span("root").start();
        let mut headers = HashMap::new();
        large.inject(root.context(), &mut headers);
        small.span("callee").parent(&small.extract(&headers)).in_scope(|| ());
        root.end(Outcome::Ok);
    }
    let traces = |telemetry: &TestTelemetry| {
        telemetry
            .finished_spans()
            .iter()
            .map(waypost_telemetry::FinishedSpan::trace_id)
            .collect::<HashSet<_>>()
    };
    let (of_large, of_small) = (traces(&large), traces(&small));
    assert!(of_small.is_subset(&of_large));
    assert!((400..600).contains(&of_small.len()), "{}", of_small.len());
    let of_callee = small.finished_spans()[0].span_context().clone();
    assert_eq!(adjusted_count(&of_callee), Some(8.0));
}

#[test]
fn an_explicit_randomness_decides_in_place_of_the_trace_id() {
    let telemetry = with("sampler = \"traceidratio\"\nratio = 0.5\n[traces.sampling]\nconsistent = true");
    // The last 56 bits of the caller's id are above the half.
    for (state, is_taken, sent) in [
        ("ot=rv:80000000000000;x:y,vendor=1", true, "ot=th:8;rv:80000000000000;x:y,vendor=1"),
        ("ot=rv:7fffffffffffff", false, "ot=rv:7fffffffffffff"),
        ("ot=th:0;rv:7fffffffffffff", false, "ot=rv:7fffffffffffff"),
        ("vendor=1", true, "ot=th:8,vendor=1"),
        // What is no randomness is none.
        ("ot=rv:7", true, "ot=th:8;rv:7"),
    ] {
        let context = telemetry.extract(&caller("03", state));
        let span = telemetry.span("callee").parent(&context).start();
        assert_eq!(span.span_context().is_sampled(), is_taken, "{state}");
        assert_eq!(propagation::tracestate(span.context()).as_deref(), Some(sent), "{state}");
        span.end(Outcome::Ok);
    }
}

#[test]
fn below_a_sampled_parent_its_threshold_goes_on() {
    let telemetry = with(&format!("ratio = 1.0\n{RATIO}"));
    let count = |flags: &str, state: &str| {
        let context = telemetry.extract(&caller(flags, state));
        let outer = telemetry.span("outer").parent(&context).start();
        let attached = outer.context().clone().attach();
        let inner = span("inner").in_scope(|| {
            adjusted_count(waypost_telemetry::opentelemetry::Context::current().span().span_context())
        });
        drop(attached);
        assert_eq!(adjusted_count(&outer.span_context()), inner);
        (outer.span_context().is_sampled(), inner)
    };
    // The randomness of this caller's trace is 0xce929d0e0e4736.
    assert_eq!(count("03", "ot=th:c"), (true, Some(4.0)));
    // The flag counts; a threshold that contradicts it says nothing.
    assert_eq!(count("03", "ot=th:f"), (true, None));
    assert_eq!(count("03", "vendor=1"), (true, None));
    assert_eq!(count("02", "ot=th:c"), (false, None));
}

#[test]
fn a_list_that_the_api_cannot_hold_keeps_its_other_members() {
    let telemetry = with("sampler = \"traceidratio\"\n[traces.sampling]\nconsistent = true");
    let context = telemetry.extract(&caller("03", "foo@@bar=1,ot=th:c"));
    let span = telemetry.span("callee").parent(&context).start();
    assert_eq!(propagation::tracestate(span.context()).as_deref(), Some("ot=th:0,foo@@bar=1"));
}

#[test]
fn a_sampler_of_the_program_sees_the_span_and_adds_to_it() {
    #[derive(Debug)]
    struct Checkout;
    impl sampling::ComposableSampler for Checkout {
        fn intent(&self, span: &sampling::SpanStart<'_>) -> sampling::Intent {
            assert_eq!(span.parent().map(SpanContext::is_sampled), None);
            let is_large = span.attribute("order.items").is_some_and(|items| *items == 9.into());
            if span.name() == "checkout" && is_large {
                sampling::Intent::always().attribute("sampling.rule", "large")
            } else {
                sampling::Intent::never()
            }
        }
    }
    let builder = Builder::new(TestTelemetry::settings("s"));
    let telemetry = builder.composable_sampler(sampling::parent_based(Checkout)).init().unwrap();
    for (name, items) in [("checkout", 9), ("checkout", 1), ("show", 9)] {
        telemetry.span(name).attr("order.items", items).in_scope(|| span("inner").in_scope(|| ()));
    }
    let spans = telemetry.finished_spans();
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[1].attribute("sampling.rule"), Some(&"large".into()));
    assert_eq!(spans[0].attribute("sampling.rule"), None);
    assert!(!telemetry.change_sampling(waypost_telemetry::config::SamplerKind::AlwaysOff, 0.0));
}
