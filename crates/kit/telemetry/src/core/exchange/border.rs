//! What crosses the border of a service: whose trace comes in, and what goes out.

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};

use crate::core::handle::Telemetry;
use crate::core::propagation::{HeaderExtractor, HeaderInjector};

/// How far the trace context that a caller sends is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallerTrust {
    /// Inside the system: the caller's span is the parent, its baggage is taken over.
    Inside,
    /// At the border: a new root that links to the caller's span; baggage and tracestate are dropped.
    Link,
    /// At the border, continuing the caller's trace all the same; baggage is dropped.
    Continue,
}

/// What a request's headers say about its caller, as far as it is believed.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The handle's context, below the caller's span where that is continued.
    pub(crate) parent: Context,
    /// The caller's span where it is only linked to.
    pub(crate) link: Option<SpanContext>,
}

impl CallerTrust {
    /// At the border or not.
    pub(crate) fn public(is_public: bool) -> Self {
        if is_public { Self::Link } else { Self::Inside }
    }

    /// At the border: continue the caller's trace or link to it.
    pub(crate) fn continuing(self, continues: bool) -> Self {
        match (self, continues) {
            (Self::Inside, _) => Self::Inside,
            (_, true) => Self::Continue,
            (_, false) => Self::Link,
        }
    }

    /// Reads the caller out of the headers. This is the only place where a remote parent enters. `own` is the
    /// context of the handle.
    pub(crate) fn caller(self, telemetry: &Telemetry, own: &Context, headers: &HeaderMap) -> Caller {
        let (propagation, headers) = (telemetry.propagation(), HeaderExtractor(headers));
        match self {
            Self::Inside => Caller { parent: propagation.extract(own, &headers), link: None },
            Self::Continue => Caller { parent: propagation.extract_trace_context(own, &headers), link: None },
            Self::Link => {
                let sent = propagation.extract_trace_context(own, &headers);
                Caller { parent: own.clone(), link: link_to(sent.span().span_context()) }
            }
        }
    }
}

/// A link that gives nothing of the caller away but its ids.
fn link_to(sent: &SpanContext) -> Option<SpanContext> {
    let (ids, flags) = ((sent.trace_id(), sent.span_id()), sent.trace_flags());
    sent.is_valid().then(|| SpanContext::new(ids.0, ids.1, flags, true, TraceState::NONE))
}

/// What of our context may leave with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Egress {
    pub(crate) trace_context: bool,
    pub(crate) baggage: bool,
}

impl Egress {
    pub(crate) fn inject(self, telemetry: &Telemetry, context: &Context, headers: &mut HeaderMap) {
        match self {
            Self { trace_context: false, .. } => {}
            Self { baggage: true, .. } => telemetry.inject(context, &mut HeaderInjector(headers)),
            Self { baggage: false, .. } => {
                telemetry.inject_without_baggage(context, &mut HeaderInjector(headers));
            }
        }
    }
}
