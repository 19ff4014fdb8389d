//! fastrace with its reporter to OpenTelemetry's exporters. Every attribute is text; kind and status are properties.

use std::borrow::Cow;
use std::sync::Arc;

use fastrace::collector::{Config, SpanContext};
use fastrace::local::LocalSpan;
use fastrace::{Event, Span};
use fastrace_opentelemetry::{OpenTelemetryReporter, SPAN_KIND, SPAN_STATUS_CODE};
use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::Resource;
use tokio::runtime::Runtime;

use super::{Library, Transport, is_sampled, sdk};
use crate::order::{AGENT, FAILURE, MESSAGE, Order, QUERY};

pub(super) fn open(transport: Transport) -> anyhow::Result<Arc<dyn Library>> {
    let (exporter, runtime) = sdk::exporter(transport)?;
    let scope = InstrumentationScope::builder("shop").build();
    let mut reporter = OpenTelemetryReporter::new(exporter, Cow::Owned(Resource::builder().build()), scope);
    if let Some(runtime) = &runtime {
        let runtime = runtime.handle().clone();
        reporter = reporter.with_block_on(move |export| runtime.block_on(export));
    }
    fastrace::set_reporter(reporter, Config::default());
    Ok(Arc::new(Fastrace { _runtime: runtime, is_sampled: is_sampled()? }))
}

struct Fastrace {
    _runtime: Option<Runtime>,
    is_sampled: bool,
}

impl Library for Fastrace {
    fn request(&self, order: &Order) {
        let server = Span::root("POST /orders/{id}", SpanContext::random().sampled(self.is_sampled))
            .with_properties(|| {
                [
                    (SPAN_KIND, Cow::Borrowed("server")),
                    ("http.request.method", Cow::Borrowed("POST")),
                    ("http.route", Cow::Borrowed("/orders/{id}")),
                    ("url.path", Cow::Owned(order.path.clone())),
                    ("url.scheme", Cow::Borrowed("http")),
                    ("server.address", Cow::Borrowed("shop.example")),
                    ("server.port", Cow::Borrowed("8080")),
                    ("user_agent.original", Cow::Borrowed(AGENT)),
                    ("http.response.status_code", Cow::Borrowed("500")),
                ]
            });
        let _served = server.set_local_parent();
        let _placed = LocalSpan::enter_with_local_parent("place-order").with_properties(|| {
            [
                ("order.id", Cow::Owned(order.id.clone())),
                ("order.items", Cow::Owned(order.items.to_string())),
                ("order.express", Cow::Borrowed(if order.is_express { "true" } else { "false" })),
            ]
        });
        let _reserved = LocalSpan::enter_with_local_parent("reserve-stock").with_properties(|| {
            [
                ("product.id", Cow::Borrowed("prod456")),
                ("product.quantity", Cow::Owned(order.items.to_string())),
                ("warehouse.distance", Cow::Owned(order.distance.to_string())),
            ]
        });
        let _insert = LocalSpan::enter_with_local_parent("INSERT orders").with_properties(|| {
            [
                (SPAN_KIND, "client"),
                ("db.system.name", "postgresql"),
                ("db.namespace", "orders"),
                ("db.operation.name", "INSERT"),
                ("db.query.text", QUERY),
                ("server.port", "5432"),
            ]
        });
        LocalSpan::add_event(
            Event::new("exception")
                .with_properties(|| [("exception.type", FAILURE), ("exception.message", MESSAGE)]),
        );
        LocalSpan::add_properties(|| [("error.type", FAILURE), (SPAN_STATUS_CODE, "error")]);
    }

    fn flush(&self) {
        fastrace::flush();
    }

    fn shutdown(&self) {
        fastrace::flush();
    }
}
