//! OpenTelemetry's own SDK and exporters with their batch processor, and code against the OpenTelemetry API.

use std::sync::Arc;

use anyhow::Context as _;
use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Runtime;

use super::{Library, Transport};
use crate::order::{AGENT, FAILURE, MESSAGE, Order, QUERY};

pub(super) fn open(transport: Transport) -> anyhow::Result<Arc<dyn Library>> {
    let provider = Provider::start(transport)?;
    global::set_tracer_provider(provider.tracers.clone());
    Ok(Arc::new(Sdk { provider, tracer: global::tracer("shop") }))
}

struct Sdk {
    provider: Provider,
    tracer: BoxedTracer,
}

impl Library for Sdk {
    fn request(&self, order: &Order) {
        request(&self.tracer, order);
    }

    fn flush(&self) {
        self.provider.flush();
    }

    fn shutdown(&self) {
        self.provider.shutdown();
    }
}

/// A tracer provider with a batch processor, and what it needs to send.
pub(crate) struct Provider {
    pub(crate) tracers: SdkTracerProvider,
    _runtime: Option<Runtime>,
}

impl Provider {
    pub(crate) fn start(transport: Transport) -> anyhow::Result<Self> {
        let (exporter, runtime) = exporter(transport)?;
        let tracers = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
        Ok(Self { tracers, _runtime: runtime })
    }

    pub(super) fn flush(&self) {
        // What it loses shows in the receiver's count.
        let _ = self.tracers.force_flush();
    }

    pub(crate) fn shutdown(&self) {
        let _ = self.tracers.shutdown();
    }
}

/// An exporter set up by the variables, with the runtime that the one for gRPC needs.
pub(super) fn exporter(transport: Transport) -> anyhow::Result<(SpanExporter, Option<Runtime>)> {
    if transport != Transport::Grpc {
        // Any crate of the program may have asked reqwest for a rustls without a provider, and the exporter's client
        // panics without one. Fails only if there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exporter = SpanExporter::builder().with_http().build().context("the HTTP exporter")?;
        return Ok((exporter, None));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let entered = runtime.enter();
    let exporter = SpanExporter::builder().with_tonic().build().context("the gRPC exporter")?;
    drop(entered);
    Ok((exporter, Some(runtime)))
}

/// The four spans of an order.
pub(super) fn request(tracer: &BoxedTracer, order: &Order) {
    let server = tracer
        .span_builder("POST /orders/{id}")
        .with_kind(SpanKind::Server)
        .with_attributes([
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("http.route", "/orders/{id}"),
            KeyValue::new("url.path", order.path.clone()),
            KeyValue::new("url.scheme", "http"),
            KeyValue::new("server.address", "shop.example"),
            KeyValue::new("server.port", 8080),
            KeyValue::new("user_agent.original", AGENT),
            KeyValue::new("http.response.status_code", 500),
        ])
        .start(tracer);
    let _served = Context::current_with_span(server).attach();
    let place = tracer
        .span_builder("place-order")
        .with_attributes([
            KeyValue::new("order.id", order.id.clone()),
            KeyValue::new("order.items", order.items),
            KeyValue::new("order.express", order.is_express),
        ])
        .start(tracer);
    let _placed = Context::current_with_span(place).attach();
    let reserve = tracer
        .span_builder("reserve-stock")
        .with_attributes([
            KeyValue::new("product.id", "prod456"),
            KeyValue::new("product.quantity", order.items),
            KeyValue::new("warehouse.distance", order.distance),
        ])
        .start(tracer);
    let _reserved = Context::current_with_span(reserve).attach();
    let mut insert = tracer
        .span_builder("INSERT orders")
        .with_kind(SpanKind::Client)
        .with_attributes([
            KeyValue::new("db.system.name", "postgresql"),
            KeyValue::new("db.namespace", "orders"),
            KeyValue::new("db.operation.name", "INSERT"),
            KeyValue::new("db.query.text", QUERY),
            KeyValue::new("server.port", 5432),
        ])
        .start(tracer);
    insert.add_event(
        "exception",
        vec![KeyValue::new("exception.type", FAILURE), KeyValue::new("exception.message", MESSAGE)],
    );
    insert.set_attribute(KeyValue::new("error.type", FAILURE));
    insert.set_status(Status::error(""));
    insert.end();
}
