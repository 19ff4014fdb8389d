//! Context into and out of carriers, in the formats of the handle that the context carries.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector};

use crate::core::handle::Telemetry;

/// Writes the trace context and the baggage that may leave into a carrier.
///
/// ```
/// use std::collections::HashMap;
/// use waypost_telemetry::{propagation, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// let span = telemetry.span("call").start();
/// let mut headers = HashMap::new();
/// propagation::inject(span.context(), &mut headers);
/// assert_eq!(headers["traceparent"].len(), 55);
/// ```
pub fn inject(context: &Context, carrier: &mut impl Injector) {
    Telemetry::of(context).inject(context, carrier);
}

/// The current context with the remote parent and the baggage that a carrier holds.
pub fn extract(carrier: &impl Extractor) -> Context {
    let current = Context::current();
    Telemetry::of(&current).propagation().extract(&current, carrier)
}
