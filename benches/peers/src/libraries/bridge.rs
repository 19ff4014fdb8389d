//! Spans of `tracing`, through tracing-opentelemetry to OpenTelemetry's own SDK; and the four spans as `tracing`
//! writes them.

use std::sync::Arc;

use opentelemetry::trace::TracerProvider as _;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::sdk::Provider;
use super::{Library, Transport};
use crate::order::{AGENT, FAILURE, MESSAGE, Order, QUERY};

/// What the bridge adds to the attributes of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fields {
    /// Source location, thread, target and times, as it does unless told otherwise.
    Default,
    /// Nothing: only what the span was given.
    Own,
}

pub(super) fn open(transport: Transport, fields: Fields) -> anyhow::Result<Arc<dyn Library>> {
    let provider = Provider::start(transport)?;
    let mut layer = tracing_opentelemetry::layer().with_tracer(provider.tracers.tracer("shop"));
    if fields == Fields::Own {
        layer = layer
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_level(false);
    }
    tracing_subscriber::registry().with(LevelFilter::INFO).with(layer).try_init()?;
    Ok(Arc::new(Bridge { provider }))
}

struct Bridge {
    provider: Provider,
}

impl Library for Bridge {
    fn request(&self, order: &Order) {
        request(order);
    }

    fn flush(&self) {
        self.provider.flush();
    }

    fn shutdown(&self) {
        self.provider.shutdown();
    }
}

/// The four spans of an order.
pub(super) fn request(order: &Order) {
    let server = tracing::info_span!(
        "POST /orders/{id}",
        otel.kind = "server",
        http.request.method = "POST",
        http.route = "/orders/{id}",
        url.path = order.path.as_str(),
        url.scheme = "http",
        server.address = "shop.example",
        server.port = 8080_i64,
        user_agent.original = AGENT,
        http.response.status_code = 500_i64,
    );
    let _served = server.enter();
    let place = tracing::info_span!(
        "place-order",
        order.id = order.id.as_str(),
        order.items = order.items,
        order.express = order.is_express,
    );
    let _placed = place.enter();
    let reserve = tracing::info_span!(
        "reserve-stock",
        product.id = "prod456",
        product.quantity = order.items,
        warehouse.distance = order.distance,
    );
    let _reserved = reserve.enter();
    let insert = tracing::info_span!(
        "INSERT orders",
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "postgresql",
        db.namespace = "orders",
        db.operation.name = "INSERT",
        db.query.text = QUERY,
        server.port = 5432_i64,
        "error.type" = Empty,
    );
    insert.in_scope(|| {
        tracing::info!({ "exception.type" = FAILURE, "exception.message" = MESSAGE }, "exception");
    });
    insert.record("error.type", FAILURE);
    insert.record("otel.status_code", "ERROR");
}
