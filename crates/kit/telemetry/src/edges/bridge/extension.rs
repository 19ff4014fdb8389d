//! What a `tracing::Span` can do beside `tracing` once it is bridged.

use opentelemetry::trace::SpanContext;
use opentelemetry::{Context, Key};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

use crate::base::value::IntoValue;
use crate::core::bridged::{Bridged, context_of};
use crate::core::span::SpanGuard;

/// OpenTelemetry's side of a `tracing::Span`. Does nothing to a span that is not recorded.
///
/// Works where the subscriber stands on `tracing_subscriber`'s `Registry`.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt as _;
/// use waypost_telemetry::bridge::{SpanExt as _, SpanLayer};
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let subscriber = tracing_subscriber::registry().with(SpanLayer::new().telemetry(&telemetry));
/// tracing::subscriber::with_default(subscriber, || {
///     let span = tracing::info_span!("call");
///     span.set_attribute("peer.number", 7);
///     let mut headers = std::collections::HashMap::new();
///     waypost_telemetry::propagation::inject(&span.context(), &mut headers);
///     assert!(headers.contains_key("traceparent"));
/// });
/// telemetry.tree().assert_matches("call INTERNAL order-service peer.number=7");
/// ```
pub trait SpanExt {
    /// The context with this span as its span: to inject, or to run other work in. If the span is not recorded that of
    /// the nearest one around it, else the current one.
    fn context(&self) -> Context;

    /// Sets an attribute whose key is no field of the span.
    fn set_attribute<M>(&self, key: impl Into<Key>, value: impl IntoValue<M>);

    /// Adds a link; an invalid one is left out.
    fn add_link(&self, span: SpanContext);
}

impl SpanExt for tracing::Span {
    fn context(&self) -> Context {
        let context = self.with_subscriber(|(id, subscriber)| {
            let registry = subscriber.downcast_ref::<Registry>()?;
            registry.span(id).and_then(|span| context_of(&span))
        });
        context.flatten().unwrap_or_else(Context::current)
    }

    fn set_attribute<M>(&self, key: impl Into<Key>, value: impl IntoValue<M>) {
        if let Some(span) = own(self) {
            span.set(key, value);
        }
    }

    fn add_link(&self, span: SpanContext) {
        if let Some(own) = own(self) {
            own.link(span);
        }
    }
}

fn own(span: &tracing::Span) -> Option<SpanGuard> {
    let own = span.with_subscriber(|(id, subscriber)| {
        let registry = subscriber.downcast_ref::<Registry>()?;
        let span = registry.span(id)?;
        let extensions = span.extensions();
        extensions.get::<Bridged>().map(|bridged| bridged.0.borrowed())
    });
    own.flatten()
}
