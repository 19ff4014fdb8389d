//! Fixed spans for the tests of this module: an order that went well and one without stock.

use super::{Kind, Span};

pub(super) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(super) const BEGIN: u64 = 1_760_000_000_000_000_000;
const MILLISECOND: u64 = 1_000_000;

/// A span from `from` to `to` milliseconds; its id is `id`, which is also how children name it.
fn span(id: &str, parent: &str, name: &str, kind: Kind, service: &str, from: u64, to: u64) -> Span {
    Span {
        trace_id: TRACE.to_owned(),
        id: id.to_owned(),
        parent_id: (!parent.is_empty()).then(|| parent.to_owned()),
        links: Vec::new(),
        name: name.to_owned(),
        kind,
        service: service.to_owned(),
        start: BEGIN + from * MILLISECOND,
        end: BEGIN + to * MILLISECOND,
        has_failed: false,
        attributes: Vec::new(),
    }
}

fn step(name: &str, parent: &str, from: u64, to: u64) -> Span {
    span(name, parent, name, Kind::Internal, "order-service", from, to)
}

fn with(mut span: Span, key: &str, value: &str) -> Span {
    span.attributes.push((key.to_owned(), value.to_owned()));
    span
}

/// A completed order, its spans in the order of their ends as an exporter sees them.
pub(super) fn completed() -> Vec<Span> {
    let gateway = "api-gateway";
    let authorize = "waypost.payment.v1.PaymentService/Authorize";
    let mut spans = vec![
        span("root", "", "POST /api/orders", Kind::Server, gateway, 0, 90),
        with(span("user", "root", "check-user", Kind::Internal, gateway, 1, 4), "user.id", "user123"),
        with(step("create-order", "root", 6, 86), "order.id", "order-1234"),
        step("validate-order", "create-order", 7, 9),
        step("save-order", "create-order", 10, 14),
        step("check-inventory", "create-order", 15, 20),
        step("process-payment", "create-order", 16, 46),
        span("call", "process-payment", authorize, Kind::Client, "order-service", 17, 45),
        span("answer", "call", authorize, Kind::Server, "payment-service", 18, 44),
        span("authorize", "answer", "authorize-payment", Kind::Internal, "payment-service", 20, 40),
        span("charge", "authorize", "POST /v1/charges", Kind::Client, "payment-service", 21, 40),
        span("charged", "charge", "POST /v1/charges", Kind::Server, "payment-provider", 22, 40),
        step("confirm-order", "create-order", 47, 49),
        step("capture-payment", "create-order", 50, 60),
        step("commit-stock", "create-order", 61, 64),
        span("send", "create-order", "send order-events", Kind::Producer, "order-service", 70, 72),
        span("process", "send", "process order-events", Kind::Consumer, "notification-service", 73, 79),
    ];
    spans.reverse();
    spans
}

/// An order that failed at `check-inventory` beside an authorisation that was given up again.
pub(super) fn out_of_stock() -> Vec<Span> {
    let refused = |span| with(span, "error.type", "out_of_stock");
    vec![
        refused(span("root", "", "POST /api/orders", Kind::Server, "api-gateway", 0, 25)),
        refused(step("create-order", "root", 2, 22)),
        refused(step("check-inventory", "create-order", 5, 10)),
        step("void-payment", "create-order", 12, 15),
    ]
}
