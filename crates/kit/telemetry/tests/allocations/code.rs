//! Spans of own code, and those of `tracing`.

use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt as _;
use waypost_telemetry::{bridge, in_context, span};

use super::{Bench, assert_adds_at_most};

#[test]
fn a_span_of_own_code() {
    let bench = Bench::new();
    let traced = bench.least(async || {
        bench
            .telemetry
            .span("place-order")
            .attr("order.items", 3)
            .attr("order.channel", "web")
            .in_scope(|| ());
    });
    assert_adds_at_most(A_SPAN, 0, traced);
}

#[test]
fn a_child_of_a_span() {
    let bench = Bench::new();
    let parent = bench.telemetry.span("place-order").start();
    let _attached = parent.context().clone().attach();
    let traced = bench.least(async || span("price").attr("order.items", 3).in_scope(|| ()));
    assert_adds_at_most(A_CHILD, 0, traced);
}

#[test]
fn a_span_of_tracing() {
    let bench = Bench::new();
    let call = async || tracing::info_span!("price", order.items = 3).in_scope(|| ());
    let bare = tracing::subscriber::with_default(Registry::default(), || bench.least(call));
    let bridged = Registry::default().with(bridge::layer());
    let call = async || tracing::info_span!("price", order.items = 3).in_scope(|| ());
    let traced = in_context(bench.telemetry.context(), || {
        tracing::subscriber::with_default(bridged, || bench.least(call))
    })();
    assert_adds_at_most(A_TRACING_SPAN, bare, traced);
}

const A_SPAN: u64 = 5;
const A_CHILD: u64 = 2;
const A_TRACING_SPAN: u64 = 4;
