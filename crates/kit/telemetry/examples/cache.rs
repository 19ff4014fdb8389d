//! A small cache of prices: the span of each load, and what is counted.
//!
//! `cargo run -p waypost-telemetry --features moka,testing --example cache`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use moka::future::Cache;
use waypost_telemetry::metrics::render_prometheus;
use waypost_telemetry::testing::{SpanTree, TestTelemetry};
use waypost_telemetry::{span, with_context};

#[tokio::main]
async fn main() -> Result<(), Arc<std::io::Error>> {
    // A handle in memory, so that the spans can be shown; a service has one of `waypost_telemetry::init`.
    let telemetry = TestTelemetry::new("price-service");
    let cache = telemetry.cache("prices").load_spans(true);
    let prices = cache.moka(cache.listening(Cache::builder().max_capacity(1_000)).build());

    for product in ["prod456", "prod456", "prod789"] {
        let load = async { Ok::<i64, std::io::Error>(4_995) };
        let asked = span("request").observe(prices.try_get_with(product.to_owned(), load));
        println!("{product}: {}", with_context(telemetry.context(), asked).await?);
    }
    for trace in SpanTree::all(&telemetry.finished_spans()) {
        println!("\n{}", trace.render_with(&["cache.name"]));
    }
    let page = render_prometheus(&[telemetry.handle().clone()]);
    page.lines().filter(|line| line.starts_with("waypost_cache_lookups")).for_each(|line| println!("{line}"));
    Ok(())
}
