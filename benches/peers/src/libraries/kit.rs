//! The kit, through its own functions and through the OpenTelemetry API.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::opentelemetry::global::{self, BoxedTracer};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::{Outcome, Settings, Telemetry, span};

use super::{Library, sdk};
use crate::account::Account;
use crate::order::{AGENT, FAILURE, MESSAGE, Order, QUERY};

const DEADLINE: Duration = Duration::from_secs(30);

fn start() -> anyhow::Result<Telemetry> {
    let mut settings = Settings::new("shop");
    settings.overlay_env(&|name| std::env::var(name).ok())?;
    Ok(waypost_telemetry::init(settings)?)
}

pub(super) fn own_api() -> anyhow::Result<Arc<dyn Library>> {
    Ok(Arc::new(OwnApi { telemetry: start()? }))
}

pub(super) fn opentelemetry_api() -> anyhow::Result<Arc<dyn Library>> {
    let telemetry = start()?;
    telemetry.set_opentelemetry_globals();
    Ok(Arc::new(OpenTelemetryApi { telemetry, tracer: global::tracer("shop") }))
}

struct OwnApi {
    telemetry: Telemetry,
}

impl Library for OwnApi {
    fn request(&self, order: &Order) {
        let served = self
            .telemetry
            .span("POST /orders/{id}")
            .kind(SpanKind::Server)
            .attr("http.request.method", "POST")
            .attr("http.route", "/orders/{id}")
            .attr_str("url.path", &order.path)
            .attr("url.scheme", "http")
            .attr("server.address", "shop.example")
            .attr("server.port", 8080)
            .attr("user_agent.original", AGENT)
            .attr("http.response.status_code", 500)
            .run(place(order));
        // Nothing in it waits, so one poll is all.
        let _ = pin!(served).poll(&mut Context::from_waker(Waker::noop()));
    }

    fn flush(&self) {
        self.telemetry.flush_blocking(DEADLINE);
    }

    fn account(&self) -> Option<Account> {
        Some(Account::of(&self.telemetry.ledger()))
    }

    fn shutdown(&self) {
        self.telemetry.shutdown_blocking(DEADLINE);
    }
}

async fn place(order: &Order) -> Result<(), std::io::Error> {
    span("place-order")
        .attr_str("order.id", &order.id)
        .attr("order.items", order.items)
        .attr("order.express", order.is_express)
        .run(async {
            reserve(order);
            Ok(())
        })
        .await
}

fn reserve(order: &Order) {
    span("reserve-stock")
        .attr("product.id", "prod456")
        .attr("product.quantity", order.items)
        .attr("warehouse.distance", order.distance)
        .in_scope(insert);
}

fn insert() {
    let insert = span("INSERT orders")
        .kind(SpanKind::Client)
        .attr("db.system.name", "postgresql")
        .attr("db.namespace", "orders")
        .attr("db.operation.name", "INSERT")
        .attr("db.query.text", QUERY)
        .attr("server.port", 5432)
        .start();
    insert.event(
        "exception",
        vec![KeyValue::new("exception.type", FAILURE), KeyValue::new("exception.message", MESSAGE)],
    );
    insert.end(Outcome::Error(FAILURE.into()));
}

struct OpenTelemetryApi {
    telemetry: Telemetry,
    tracer: BoxedTracer,
}

impl Library for OpenTelemetryApi {
    fn request(&self, order: &Order) {
        sdk::request(&self.tracer, order);
    }

    fn flush(&self) {
        self.telemetry.flush_blocking(DEADLINE);
    }

    fn account(&self) -> Option<Account> {
        Some(Account::of(&self.telemetry.ledger()))
    }

    fn shutdown(&self) {
        self.telemetry.shutdown_blocking(DEADLINE);
    }
}
