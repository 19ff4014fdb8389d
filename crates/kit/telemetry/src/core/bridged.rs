//! The OpenTelemetry span of a `tracing` span, kept beside it in the subscriber's registry.
//!
//! Here and not in an edge because two of them meet in it: the bridge makes it, the log layers look for it.

use opentelemetry::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::core::span::SpanGuard;

/// Ends its span when the registry forgets the `tracing` span.
#[derive(Debug)]
pub(crate) struct Bridged(pub(crate) SpanGuard);

/// The context of the nearest bridged span, from `span` outwards.
pub(crate) fn context_of<'a, R: LookupSpan<'a>>(span: &SpanRef<'a, R>) -> Option<Context> {
    span.scope()
        .find_map(|span| span.extensions().get::<Bridged>().map(|bridged| bridged.0.context().clone()))
}
