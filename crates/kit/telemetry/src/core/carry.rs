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
///
/// ```
/// use std::collections::HashMap;
/// use waypost_telemetry::{in_context, propagation, span, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let headers = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
///
/// let caller = in_context(telemetry.context(), || propagation::extract(&headers))();
/// span("answer").parent(&caller).in_scope(|| ());
/// assert_eq!(telemetry.only_span("answer").trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
/// ```
pub fn extract(carrier: &impl Extractor) -> Context {
    let current = Context::current();
    Telemetry::of(&current).propagation().extract(&current, carrier)
}
