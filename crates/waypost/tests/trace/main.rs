//! One order, one trace: the whole shop over real sockets, its spans as a collector gets them.
//!
//! Each test starts the binary on free ports with a collector of its own, places orders over HTTP, and compares the
//! whole tree of spans.
#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod collector_faults;
mod conventions;
mod edges;
mod failures;
mod fronts;
mod jaeger;
mod load;
mod observability;
mod rules;
mod sockets;
mod statements;
mod success;
mod tail;

use std::time::Duration;

use serde_json::Value;
use waypost_telemetry::FinishedSpan;
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::{SpanTree, checks};
use waypost_testkit::{Answer, Behaviour, Collector, Shop, ShopBuilder, until};

/// The body of seed 002's curl for a user.
pub(crate) fn order_of(user: &str, product: &str, quantity: u32, amount: &str) -> String {
    format!(r#"{{"user_id":"{user}","product_id":"{product}","quantity":{quantity},"amount":{amount}}}"#)
}

/// The order of the seed.
pub(crate) fn seed_order() -> String {
    order_of("user123", "prod456", 2, "99.99")
}

/// A shop and the collector it exports to.
pub(crate) struct Traced {
    pub(crate) shop: Shop,
    pub(crate) collector: Collector,
}

impl Traced {
    pub(crate) async fn start() -> Traced {
        Traced::with(|shop| shop).await
    }

    pub(crate) async fn with(change: impl FnOnce(ShopBuilder) -> ShopBuilder) -> Traced {
        let collector = Collector::start(Behaviour::Takes).unwrap();
        let shop =
            change(Shop::of(env!("CARGO_BIN_EXE_waypost")).export_to(&collector)).start().await.unwrap();
        Traced { shop, collector }
    }

    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.shop.client("gateway").post(path, headers, body).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.shop.client("gateway").get(path).await.unwrap()
    }

    /// Waits until a trace has a span of this name, no span without its parent, and of every call between roles both sides;
    /// others without children may still be missing. What it gives is right by the conventions.
    pub(crate) async fn trace_with(&self, trace_id: &str, last: &str) -> Vec<FinishedSpan> {
        until(&format!("a whole trace with `{last}`"), async || {
            let spans = self.collector.trace(trace_id);
            spans.iter().any(|span| span.name() == last)
                && checks::problems(&spans).is_empty()
                && spans.iter().all(|span| is_answered(span, &spans))
        })
        .await;
        let spans = self.collector.trace(trace_id);
        conventions::assert_spans_are_right(&spans);
        spans
    }

    /// Waits for a root span of this name and gives the id of its trace.
    pub(crate) async fn trace_named(&self, name: &str) -> String {
        self.other_trace_named(name, "").await
    }

    /// The same, of another trace than the one named.
    pub(crate) async fn other_trace_named(&self, name: &str, not: &str) -> String {
        let mut found = None;
        until(&format!("a trace of `{name}`"), async || {
            let spans = self.collector.spans();
            found = spans
                .iter()
                .filter(|span| span.name() == name && span.parent_id().is_none())
                .map(|span| span.trace_id().to_string())
                .find(|trace| trace != not);
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// Waits until a trace is the expected tree, of spans that are right by the conventions.
    pub(crate) async fn assert_tree(&self, trace_id: &str, expected: &str) {
        let waiting = async {
            while SpanTree::of(&self.collector.trace(trace_id), trace_id).difference(expected).is_some() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(20), waiting).await.is_err() {
            SpanTree::of(&self.collector.trace(trace_id), trace_id).assert_matches(expected);
        }
        conventions::assert_spans_are_right(&self.collector.trace(trace_id));
    }
}

/// The trace id that an answer names.
pub(crate) fn trace_of(answer: &Answer) -> String {
    match &answer.json["trace_id"] {
        Value::String(id) => id.clone(),
        other => panic!("no trace id but {other} in {}", answer.json),
    }
}

/// Whether a call between roles has its other side, which another role sends at its own time.
fn is_answered(span: &FinishedSpan, trace: &[FinishedSpan]) -> bool {
    let is_call = span.kind() == SpanKind::Client && span.name().starts_with("waypost.");
    !is_call || trace.iter().any(|other| other.parent_id() == Some(span.span_id()))
}
