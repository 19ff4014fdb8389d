//! A flood of requests, recorded by rules, and how many they were by what is left of them.
//!
//! `cargo run -p waypost-telemetry --features testing --example sampling`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::sampling::{self, SpanPattern, adjusted_count};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{Builder, span};

fn main() -> Result<(), waypost_telemetry::InitError> {
    let orders = SpanPattern::new().kind(SpanKind::Server).route("/orders");
    let roots = sampling::rules(sampling::ratio(0.5))
        .rule(SpanPattern::new().route("/health*"), sampling::always_off())
        .rule(orders, sampling::ratio(0.01));
    // A handle in memory, so that the spans can be counted; a service has one with exporters.
    let telemetry = Builder::new(TestTelemetry::settings("order-service"))
        .composable_sampler(sampling::parent_based(roots))
        .init()?;

    for (route, requests) in [("/health/live", 20_000), ("/orders", 20_000), ("/carts", 2_000)] {
        for _ in 0..requests {
            let server = telemetry.span(format!("GET {route}")).kind(SpanKind::Server);
            server.attr("http.route", route).in_scope(|| span("work").in_scope(|| ()));
        }
        let spans = telemetry.finished_spans();
        let of_route = spans.iter().filter(|span| span.attribute("http.route") == Some(&route.into()));
        let counts: Vec<f64> = of_route.filter_map(|span| adjusted_count(span.span_context())).collect();
        println!(
            "{route}: {requests} requests, {} recorded, which stand for {:.0}",
            counts.len(),
            counts.iter().sum::<f64>()
        );
    }
    Ok(())
}
