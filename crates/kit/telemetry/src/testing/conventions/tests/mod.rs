//! For each rule something that breaks it and something that does not.

mod lists;
mod metrics;
mod origins;
mod spans;

use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{InstrumentationScope, KeyValue, Value};

use super::{Conventions, ConventionsReport, Level, Rule};
use crate::base::finished::FinishedSpan;
use crate::testing::ReceivedSpan;

/// A span to take apart.
#[derive(Clone)]
struct Draft(ReceivedSpan);

impl Draft {
    fn new(kind: SpanKind, name: &str, attributes: &[(&'static str, Value)]) -> Self {
        let pairs = attributes.iter().map(|(key, value)| KeyValue::new(*key, value.clone()));
        Self(ReceivedSpan {
            service_name: "order-service".to_owned(),
            scope: InstrumentationScope::builder("tests").build(),
            span_context: SpanContext::NONE,
            parent_id: SpanId::INVALID,
            parent_is_remote: false,
            name: name.to_owned(),
            kind,
            status: Status::Unset,
            start: SystemTime::UNIX_EPOCH,
            end: SystemTime::UNIX_EPOCH,
            attributes: pairs.collect(),
            events: Vec::new(),
            links: Vec::new(),
        })
    }

    fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self = self.without(key);
        self.0.attributes.push(KeyValue::new(key, value));
        self
    }

    fn without(mut self, key: &str) -> Self {
        self.0.attributes.retain(|attribute| attribute.key.as_str() != key);
        self
    }

    fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.0.name);
        self
    }

    fn of_kind(mut self, kind: SpanKind) -> Self {
        self.0.kind = kind;
        self
    }

    fn failed(mut self, error_type: &'static str) -> Self {
        self.0.status = Status::error("");
        self.with("error.type", error_type)
    }

    fn status(mut self, status: Status) -> Self {
        self.0.status = status;
        self
    }

    fn event(mut self, name: &str, attributes: Vec<KeyValue>) -> Self {
        self.0.events.push((name.to_owned(), SystemTime::UNIX_EPOCH, attributes));
        self
    }

    fn report(&self) -> ConventionsReport {
        Conventions::current().begin().spans(&[FinishedSpan::from(self.0.clone())]).report()
    }

    /// That nothing is wrong with it.
    #[track_caller]
    fn is_clean(&self) {
        self.report().assert_clean();
    }

    /// That this and nothing else is wrong with it.
    #[track_caller]
    fn is(&self, level: Level, rule: Rule, name: &str) {
        only(&self.report(), level, rule, name);
    }
}

/// That a report has one finding that counts, and which.
#[track_caller]
fn only(report: &ConventionsReport, level: Level, rule: Rule, name: &str) {
    let found: Vec<_> = report
        .findings()
        .filter(|finding| finding.level() < Level::Information)
        .map(|finding| (finding.level(), finding.rule(), finding.name()))
        .collect();
    assert_eq!(found, [(level, rule, name)], "{report}");
}

fn http_server() -> Draft {
    let attributes = [
        ("http.request.method", "GET".into()),
        ("http.route", "/orders/{id}".into()),
        ("http.response.status_code", 200.into()),
        ("url.path", "/orders/1".into()),
        ("url.scheme", "http".into()),
        ("server.address", "shop".into()),
        ("server.port", 80.into()),
        ("client.address", "10.0.0.1".into()),
        ("network.peer.address", "10.0.0.2".into()),
        ("network.peer.port", 4_000.into()),
        ("network.protocol.version", "1.1".into()),
        ("user_agent.original", "tests/1".into()),
    ];
    Draft::new(SpanKind::Server, "GET /orders/{id}", &attributes)
}

fn http_client() -> Draft {
    let attributes = [
        ("http.request.method", "GET".into()),
        ("http.response.status_code", 200.into()),
        ("url.full", "http://shop/orders/1?q=1".into()),
        ("server.address", "shop".into()),
        ("server.port", 80.into()),
        ("network.peer.address", "10.0.0.2".into()),
        ("network.peer.port", 80.into()),
        ("network.protocol.version", "1.1".into()),
    ];
    Draft::new(SpanKind::Client, "GET", &attributes)
}

fn grpc(kind: SpanKind) -> Draft {
    let attributes = [
        ("rpc.system.name", "grpc".into()),
        ("rpc.method", "shop.Stock/Check".into()),
        ("rpc.response.status_code", "OK".into()),
        ("server.address", "stock".into()),
        ("server.port", 443.into()),
        ("network.peer.address", "10.0.0.2".into()),
        ("network.peer.port", 443.into()),
    ];
    Draft::new(kind, "shop.Stock/Check", &attributes)
}

fn database() -> Draft {
    let attributes = [
        ("db.system.name", "postgresql".into()),
        ("db.namespace", "shop".into()),
        ("db.query.summary", "SELECT orders".into()),
        ("db.query.text", "SELECT 1 FROM orders".into()),
        ("server.address", "db".into()),
        ("server.port", 5_432.into()),
        ("network.peer.address", "10.0.0.2".into()),
        ("network.peer.port", 5_432.into()),
    ];
    Draft::new(SpanKind::Client, "SELECT orders", &attributes)
}

fn messaging(kind: SpanKind, operation: &'static str) -> Draft {
    let attributes = [
        ("messaging.system", "nats".into()),
        ("messaging.operation.name", operation.into()),
        ("messaging.operation.type", operation.into()),
        ("messaging.destination.name", "orders".into()),
        ("messaging.client.id", "client-1".into()),
        ("server.address", "broker".into()),
        ("server.port", 4_222.into()),
    ];
    Draft::new(kind, &format!("{operation} orders"), &attributes)
}
