//! What crosses the border of a service: whose trace comes in, and what goes out.

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};

use crate::core::handle::Telemetry;
use crate::core::propagation::RemoteParent;

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
    /// The handle's context, with the caller's baggage. Below its span if that came with more than its ids.
    pub(crate) own: Context,
    /// The caller's span where it is continued and not above `own`: for most requests no context is made of it.
    pub(crate) remote: Option<SpanContext>,
    /// The caller's span where it is only linked to.
    pub(crate) link: Option<SpanContext>,
}

impl Caller {
    fn below(own: Context, sent: Option<RemoteParent>) -> Self {
        match sent {
            Some(sent) if sent.has_more() => Self { own: sent.above(&own), remote: None, link: None },
            sent => Self { own, remote: sent.map(|sent| sent.span), link: None },
        }
    }

    /// For requests without a span of their own.
    pub(crate) fn context(self) -> Context {
        match self.remote {
            Some(remote) => self.own.with_remote_span_context(remote),
            None => self.own,
        }
    }
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
        let propagation = telemetry.propagation();
        let sent = propagation.read_headers(headers);
        let asking;
        let own = match telemetry.debug_header() {
            None => own,
            Some(header) => {
                asking = header.read(own, headers, self == Self::Inside);
                &asking
            }
        };
        match self {
            Self::Inside => Caller::below(propagation.with_baggage_of(own, headers), sent),
            Self::Continue => Caller::below(own.clone(), sent),
            Self::Link => {
                let link = sent.map(|sent| link_to(&sent.span));
                Caller { own: own.clone(), remote: None, link }
            }
        }
    }
}

/// A link that gives nothing of the caller away but its ids.
fn link_to(sent: &SpanContext) -> SpanContext {
    SpanContext::new(sent.trace_id(), sent.span_id(), sent.trace_flags(), true, TraceState::NONE)
}

/// What of our context may leave with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Egress {
    pub(crate) trace_context: bool,
    pub(crate) baggage: bool,
    /// Whether the transport keeps tables of headers, as HTTP/2 does: a `traceparent` never comes again, so it must not
    /// fill them, or each request is compared with those before it.
    pub(crate) has_tables: bool,
}

impl Egress {
    pub(crate) fn inject(self, telemetry: &Telemetry, context: &Context, headers: &mut HeaderMap) {
        if self.trace_context {
            telemetry.propagation().inject_headers(context, headers, self.baggage, self.has_tables);
        }
    }
}
