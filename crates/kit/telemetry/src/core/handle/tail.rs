//! What a handle's tail buffer keeps, and how the processes on both sides of a call tell one another.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::SpanContext;

use super::Telemetry;
use crate::base::ledger::TailLedger;
use crate::core::propagation::read_traceparent;

/// In the head of a response: the span that served the request.
static TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

impl Telemetry {
    /// The account of the tail buffer; `None` if `traces.tail` is off.
    pub fn tail_ledger(&self) -> Option<TailLedger> {
        self.shared.exports.spans().tail_ledger()
    }

    /// Tells a caller inside the system that the trace is kept here, if that is so and the caller did not know when it called.
    pub(crate) fn tell_caller(&self, span: impl FnOnce() -> SpanContext, headers: &mut HeaderMap) {
        if !self.shared.exports.spans().has_tail() {
            return;
        }
        let span = span();
        if !span.is_sampled() && self.shared.exports.spans().keeps(span.trace_id()) {
            let named = format!("00-{}-{}-01", span.trace_id(), span.span_id());
            if let Ok(value) = HeaderValue::try_from(named) {
                headers.insert(&TRACERESPONSE, value);
            }
        }
    }

    /// Keeps the trace of a call if the callee says that it keeps it.
    pub(crate) fn hear_callee(&self, span: impl FnOnce() -> SpanContext, headers: &HeaderMap) {
        if !self.shared.exports.spans().has_tail() {
            return;
        }
        let Some(said) = headers.get(&TRACERESPONSE) else { return };
        let span = span();
        let said = said.to_str().ok().and_then(read_traceparent);
        let is_kept =
            said.is_some_and(|(trace_id, _, flags)| trace_id == span.trace_id() && flags.is_sampled());
        if is_kept && !span.is_sampled() {
            self.shared.exports.spans().keep_as_told(span.trace_id());
        }
    }
}
