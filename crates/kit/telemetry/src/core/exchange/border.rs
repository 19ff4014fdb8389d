//! What crosses the border of a service: whose trace comes in, and what goes out.

use std::sync::Arc;

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};

use crate::base::slots::Slots;
use crate::core::handle::Telemetry;
use crate::core::propagation::{Propagation, RemoteParent, Sent, SentHeaders};

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

/// Bytes of baggage that is kept; callers write what they like.
const MAX_KEPT_BAGGAGE: usize = 128;

/// The context of a server's handle, made once, and the same with what callers send as baggage: most send one of few.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    context: Context,
    with_baggage: Arc<Slots<Box<[u8]>, Context>>,
}

impl Own {
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        Self { context: telemetry.context(), with_baggage: Arc::default() }
    }

    fn with_baggage_of(&self, propagation: &Propagation, sent: &SentHeaders<'_>) -> Context {
        let read = || propagation.with_baggage_of(&self.context, sent.all());
        let sent = match propagation.sent_baggage(sent) {
            Sent::None => return self.context.clone(),
            Sent::One(sent) => sent.as_bytes(),
            Sent::Several => return read(),
        };
        if sent.len() > MAX_KEPT_BAGGAGE {
            return read();
        }
        if let Some(known) = self.with_baggage.find_with(&sent, |known| **known == *sent) {
            return known.clone();
        }
        let context = read();
        self.with_baggage.keep(sent.into(), context.clone());
        context
    }
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
    pub(crate) fn caller(self, telemetry: &Telemetry, own: &Own, headers: &HeaderMap) -> Caller {
        let propagation = telemetry.propagation();
        let found = SentHeaders::of(headers);
        let sent = propagation.read_headers(&found);
        let is_inside = self == Self::Inside;
        let own = if is_inside { own.with_baggage_of(propagation, &found) } else { own.context.clone() };
        let own = match telemetry.debug_header() {
            None => own,
            Some(header) => header.read(own, headers, is_inside),
        };
        match self {
            Self::Inside | Self::Continue => Caller::below(own, sent),
            Self::Link => Caller { own, remote: None, link: sent.map(|sent| link_to(&sent.span)) },
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

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use opentelemetry::baggage::BaggageExt as _;

    use super::*;
    use crate::base::config::{BaggageSettings, Propagator};

    #[test]
    fn baggage_that_comes_again_is_read_once() {
        let own = Own::new(&Telemetry::disabled());
        let propagation = Propagation::new(&[Propagator::Baggage], &BaggageSettings::default());
        let tenant = |sent: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in sent {
                let value = HeaderValue::from_str(value).unwrap();
                headers.append(HeaderName::from_static("baggage"), value);
            }
            let context = own.with_baggage_of(&propagation, &SentHeaders::of(&headers));
            assert!(context.get::<Telemetry>().is_some());
            context.baggage().get("tenant.id").map(ToString::to_string)
        };
        let is_kept = |sent: &str| {
            let sent = sent.as_bytes();
            own.with_baggage.find_with(&sent, |known| **known == *sent).is_some()
        };
        for _ in 0..2 {
            assert_eq!(tenant(&["tenant.id=acme"]).as_deref(), Some("acme"));
            assert_eq!(tenant(&["tenant.id=globex"]).as_deref(), Some("globex"));
            assert_eq!(tenant(&["plan=gold", "tenant.id=acme"]).as_deref(), Some("acme"));
            assert_eq!(tenant(&["no pair"]), None);
            assert_eq!(tenant(&[]), None);
        }
        let long = format!("tenant.id=acme,note={}", "x".repeat(MAX_KEPT_BAGGAGE));
        assert_eq!(tenant(&[&long]).as_deref(), Some("acme"));
        assert!(is_kept("tenant.id=acme") && is_kept("tenant.id=globex"));
        assert!(!is_kept("plan=gold") && !is_kept(&long));
    }
}
