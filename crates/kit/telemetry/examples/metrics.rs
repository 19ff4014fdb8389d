//! A service's metrics in one struct: recorded, documented, and scraped with exemplars.
//!
//! `cargo run -p waypost-telemetry --features testing --example metrics`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use waypost_telemetry::Telemetry;
use waypost_telemetry::metrics::declared::{Attribute, Counter, Declaration, Histogram};
use waypost_telemetry::metrics::{PrometheusPage, REQUEST_SECONDS};
use waypost_telemetry::testing::TestTelemetry;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Channel {
    Web,
    Shop,
}

impl Attribute for Channel {
    const KEY: &'static str = "example.channel";
    const DESCRIPTION: &'static str = "Where an order came from.";
    const VALUES: &'static [(Self, &'static str)] = &[(Self::Web, "web"), (Self::Shop, "shop")];
}

#[derive(Debug)]
struct OrderMetrics {
    placed: Counter<(Channel,)>,
    duration: Histogram<(Channel,)>,
}

impl OrderMetrics {
    fn declare(metrics: &mut Declaration) -> Self {
        Self {
            placed: metrics.counter("example.orders.placed", "{order}", "Orders that were placed."),
            duration: metrics.histogram(
                "example.orders.duration",
                "s",
                "Time to place an order.",
                &REQUEST_SECONDS,
            ),
        }
    }
}

/// The page that documents them; in a service a test compares it with a file.
pub(crate) fn documentation() -> String {
    let mut declaration = Declaration::new(&Telemetry::disabled());
    OrderMetrics::declare(&mut declaration);
    declaration.markdown()
}

pub(crate) fn main() {
    // A handle in memory; a service has one of `waypost_telemetry::init`.
    let telemetry = TestTelemetry::new("order-service");
    let metrics = OrderMetrics::declare(&mut Declaration::new(&telemetry));
    for (channel, seconds) in [(Channel::Web, 0.04), (Channel::Web, 1.7), (Channel::Shop, 0.2)] {
        telemetry.span("place-order").in_scope(|| {
            metrics.placed.add(1, (channel,));
            metrics.duration.record(seconds, (channel,));
        });
    }
    println!("{}", documentation());
    let page = PrometheusPage::new().open_metrics(true).scope_labels(false);
    let page = page.render(&[telemetry.handle().clone()]);
    page.lines().filter(|line| line.starts_with("example_")).for_each(|line| println!("{line}"));
}
