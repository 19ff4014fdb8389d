//! Spans: what must be there, kinds, names, status.

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status};

use super::{Draft, database, grpc, http_client, http_server, messaging};
use crate::testing::conventions::Level::{Improvement, Violation};
use crate::testing::conventions::Rule;

#[test]
fn complete_spans_of_each_group_are_clean() {
    http_server().is_clean();
    http_client().is_clean();
    grpc(SpanKind::Client).is_clean();
    grpc(SpanKind::Server).is_clean();
    database().is_clean();
    for (kind, operation) in [
        (SpanKind::Producer, "create"),
        (SpanKind::Producer, "send"),
        (SpanKind::Client, "send"),
        (SpanKind::Client, "receive"),
        (SpanKind::Consumer, "process"),
        (SpanKind::Client, "settle"),
    ] {
        messaging(kind, operation).is_clean();
    }
    Draft::new(SpanKind::Internal, "price-order", &[]).is_clean();
}

#[test]
fn a_required_attribute_is_missed_by_group() {
    http_server().without("url.scheme").is(Violation, Rule::MissingRequired, "url.scheme");
    http_client().without("url.full").is(Violation, Rule::MissingRequired, "url.full");
    grpc(SpanKind::Client).without("server.address").without("server.port").is(
        Violation,
        Rule::MissingRequired,
        "server.address",
    );
    // A server may know no address of its own.
    grpc(SpanKind::Server).without("server.address").without("server.port").is_clean();
    let span = messaging(SpanKind::Client, "receive").without("messaging.operation.name");
    span.is(Violation, Rule::MissingRequired, "messaging.operation.name");
}

#[test]
fn a_system_of_its_own_group_is_held_to_that() {
    let redis = database().with("db.system.name", "redis");
    redis.is(Violation, Rule::MissingRequired, "db.operation.name");
    database().with("db.system.name", "duckdb").is_clean();
}

#[test]
fn a_recommended_attribute_is_missed() {
    let span = grpc(SpanKind::Client).without("network.peer.address").without("network.peer.port");
    span.is(Improvement, Rule::MissingRecommended, "network.peer.address");
    http_server().without("user_agent.original").is(
        Improvement,
        Rule::MissingRecommended,
        "user_agent.original",
    );
}

#[test]
fn nobody_is_missed_where_nobody_was_reached() {
    let lost = http_client().without("network.peer.address").without("network.peer.port");
    lost.is(Improvement, Rule::MissingRecommended, "network.peer.address");
    lost.without("http.response.status_code").failed("connection_refused").is_clean();
}

#[test]
fn a_condition_that_holds_is_known() {
    let other = http_server().with("http.request.method", "_OTHER").named("HTTP /orders/{id}");
    other.is(Violation, Rule::MissingRequired, "http.request.method_original");
    other.with("http.request.method_original", "BREW").is_clean();
    grpc(SpanKind::Server).without("network.peer.port").is(
        Improvement,
        Rule::MissingRecommended,
        "network.peer.port",
    );
    grpc(SpanKind::Client).with("server.address", "/run/stock.sock").without("server.port").is_clean();
}

#[test]
fn a_kind_that_the_group_does_not_have_is_refused() {
    http_server().of_kind(SpanKind::Internal).is(Violation, Rule::SpanKind, "GET /orders/{id}");
    grpc(SpanKind::Producer).is(Violation, Rule::SpanKind, "shop.Stock/Check");
    messaging(SpanKind::Server, "process").is(Violation, Rule::SpanKind, "process orders");
    messaging(SpanKind::Consumer, "settle").is(Violation, Rule::SpanKind, "settle orders");
    database().of_kind(SpanKind::Server).is(Violation, Rule::SpanKind, "SELECT orders");
    database().of_kind(SpanKind::Internal).is_clean();
}

#[test]
fn an_http_span_is_named_by_method_and_template() {
    http_server().named("GET /orders/1").is_clean();
    http_server().named("/orders/{id}").is(Improvement, Rule::SpanName, "/orders/{id}");
    http_server().named("GET").is(Improvement, Rule::SpanName, "GET");
    http_server().without("http.route").named("GET").is_clean();
    http_server().without("http.route").named("GET /orders/1").is(Violation, Rule::SpanName, "GET /orders/1");
    http_client().named("GET /orders/1").is(Violation, Rule::SpanName, "GET /orders/1");
    http_client().named("GET orders").is_clean();
}

#[test]
fn an_rpc_span_is_named_by_its_method() {
    grpc(SpanKind::Client).named("Check").is(Improvement, Rule::SpanName, "Check");
    let other = grpc(SpanKind::Server).with("rpc.method", "_OTHER").with("rpc.method_original", "a.B/C");
    other.clone().named("grpc").is_clean();
    other.named("a.B/C").is(Improvement, Rule::SpanName, "a.B/C");
}

#[test]
fn a_database_span_is_named_by_its_summary_or_target() {
    database().named("place-order").is(Improvement, Rule::SpanName, "place-order");
    let bare = database().without("db.query.summary");
    bare.clone().named("shop").is_clean();
    bare.clone().named("db:5432").is_clean();
    bare.clone().named("postgresql").is(Improvement, Rule::SpanName, "postgresql");
    bare.with("db.operation.name", "COMMIT").named("COMMIT shop").is_clean();
}

#[test]
fn a_messaging_span_is_named_by_operation_and_destination() {
    let send = messaging(SpanKind::Producer, "send");
    send.clone().named("orders send").is(Improvement, Rule::SpanName, "orders send");
    send.clone()
        .with("messaging.destination.template", "{tenant}-orders")
        .named("send {tenant}-orders")
        .is_clean();
    let passing = send.with("messaging.destination.temporary", true);
    passing.is(Improvement, Rule::SpanName, "send orders");
    passing.named("send broker:4222").is_clean();
}

#[test]
fn ok_is_not_set_by_instrumentation() {
    http_server().status(Status::Ok).is(Violation, Rule::Status, "GET /orders/{id}");
    Draft::new(SpanKind::Internal, "price-order", &[]).status(Status::Ok).is_clean();
}

#[test]
fn an_http_status_is_an_error_of_one_side() {
    http_server().with("http.response.status_code", 404).is_clean();
    let refused = http_server().with("http.response.status_code", 404).failed("404");
    refused.is(Violation, Rule::Status, "GET /orders/{id}");
    http_server().with("http.response.status_code", 503).is(Improvement, Rule::Status, "GET /orders/{id}");
    let failed = http_server().with("http.response.status_code", 503).failed("503");
    failed.is_clean();
    failed.status(Status::error("unavailable")).is(Improvement, Rule::Status, "GET /orders/{id}");
    http_client().with("http.response.status_code", 404).is(Improvement, Rule::Status, "GET");
    http_client().with("http.response.status_code", 404).failed("404").is_clean();
}

#[test]
fn a_grpc_code_is_an_error_of_one_side() {
    for (code, is_error_of_server) in [("NOT_FOUND", false), ("INTERNAL", true), ("DATA_LOSS", true)] {
        let server = grpc(SpanKind::Server).with("rpc.response.status_code", code);
        let client = grpc(SpanKind::Client).with("rpc.response.status_code", code);
        client.is(Improvement, Rule::Status, "shop.Stock/Check");
        client.failed(code).is_clean();
        let (right, wrong) = if is_error_of_server {
            (server.clone().failed(code), server)
        } else {
            (server.clone(), server.failed(code))
        };
        right.is_clean();
        wrong.is(Improvement, Rule::Status, "shop.Stock/Check");
    }
}

#[test]
fn error_type_is_there_exactly_with_an_error() {
    database().failed("23505").is_clean();
    database().status(Status::error("x")).is(Violation, Rule::ErrorType, "SELECT orders");
    database().with("error.type", "23505").is(Violation, Rule::ErrorType, "SELECT orders");
}

#[test]
fn an_exception_has_a_type_or_a_message() {
    let work = || Draft::new(SpanKind::Internal, "price-order", &[]);
    work().event("exception", vec![KeyValue::new("exception.message", "no")]).is_clean();
    let report = work().event("exception", vec![KeyValue::new("exception.stacktrace", "at 1")]).report();
    let missing: Vec<_> = report.findings().filter(|finding| finding.level() == Violation).collect();
    assert_eq!(missing.len(), 2, "{report}");
    assert!(missing.iter().all(|finding| finding.rule() == Rule::MissingRequired), "{report}");
}

#[test]
fn an_event_that_was_given_up_is_found() {
    let span = grpc(SpanKind::Client).event("rpc.message", Vec::new());
    assert!(
        span.report()
            .findings()
            .any(|finding| finding.rule() == Rule::Deprecated && finding.name() == "rpc.message")
    );
}
