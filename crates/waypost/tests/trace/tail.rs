//! At a share of one percent every order that fails is a whole trace; hardly any of the others is one.

use std::collections::BTreeSet;

use http::StatusCode;

use crate::failures::DECLINED;
use crate::{Traced, order_of, seed_order, trace_of};

const ORDERS: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_that_fails_is_kept_whole_at_one_percent() {
    let traced = Traced::with(|shop| {
        shop.set("telemetry.traces.sampler", "parentbased_traceidratio")
            .set("telemetry.traces.ratio", 0.01)
            .set("telemetry.traces.tail.enabled", true)
            .set("telemetry.traces.tail.slow", "0s")
            .set("telemetry.traces.tail.rare_interval", "0s")
            .set("telemetry.traces.tail.max_age", "1h")
    })
    .await;
    let (mut failed, mut placed) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..ORDERS {
        let fails = number % 100 == 42;
        let body = if fails { order_of("user-declined", "prod456", 2, "99.99") } else { seed_order() };
        let answer = traced.post("/api/orders", &[], &body).await;
        assert_eq!(answer.status == StatusCode::PAYMENT_REQUIRED, fails, "{}", answer.json);
        if fails { &mut failed } else { &mut placed }.insert(trace_of(&answer));
    }
    assert_eq!(failed.len(), ORDERS / 100);
    for trace in &failed {
        traced.assert_tree(trace, DECLINED).await;
    }
    let spans = traced.collector.spans();
    let reasons = spans.iter().filter(|span| {
        failed.contains(&span.trace_id().to_string()) && span.attribute("waypost.sampling.reason").is_some()
    });
    assert!(reasons.count() >= failed.len(), "the span that was the reason says so");

    // About three of a hundred hundreds are; a machine under load fails some calls, whose retries are reasons too.
    let sent: BTreeSet<String> = spans.iter().map(|span| span.trace_id().to_string()).collect();
    let kept = placed.intersection(&sent).count();
    assert!(kept < placed.len() / 2, "{kept} of {} orders that went well were sent", placed.len());
}
