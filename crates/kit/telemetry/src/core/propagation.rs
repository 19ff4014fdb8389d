//! Context across process borders: W3C `traceparent`, `tracestate` and `baggage`.
//!
//! For layers and for code that has a carrier of its own. The formats are those of the handle
//! ([`crate::config::Propagator`]). A header that breaks the format is as good as absent; nothing an outsider
//! sends can fail a request. The sampled and random flags pass, unknown flags are cleared. Own code and not the
//! SDK's propagator, because that accepts malformed headers and writes an empty `tracestate`.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};

use crate::base::config::{BaggageSettings, Propagator};
use crate::core::baggage;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
/// Sampled and random: the flags that W3C Trace Context level 2 defines.
const KNOWN_FLAGS: u8 = 0b11;

/// `traceparent` of the span of `context`, to store it beside data.
pub fn traceparent(context: &Context) -> Option<String> {
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| format_traceparent(span))
}

/// `tracestate` of the span of `context`, if it has one.
pub fn tracestate(context: &Context) -> Option<String> {
    Some(context.span().span_context().trace_state().header()).filter(|header| !header.is_empty())
}

/// The current context with a remote parent out of stored headers; without one if they are malformed.
pub fn context_from(traceparent: Option<&str>, tracestate: Option<&str>) -> Context {
    let context = Context::current();
    match traceparent.and_then(|header| parse_traceparent(header, tracestate)) {
        Some(span) => context.with_remote_span_context(span),
        None => context.with_remote_span_context(SpanContext::empty_context()),
    }
}

/// The formats of one handle.
#[derive(Clone, Debug)]
pub(crate) struct Propagation {
    trace_context: bool,
    baggage: Option<BaggageSettings>,
}

impl Propagation {
    pub(crate) fn new(formats: &[Propagator], baggage: &BaggageSettings) -> Self {
        Self {
            trace_context: formats.contains(&Propagator::TraceContext),
            baggage: formats.contains(&Propagator::Baggage).then(|| baggage.clone()),
        }
    }

    pub(crate) fn inject(&self, context: &Context, carrier: &mut dyn Injector) {
        self.inject_trace_context(context, carrier);
        if let Some(rules) = &self.baggage
            && let Some(header) = baggage::header(context, rules)
        {
            carrier.set(baggage::HEADER, header);
        }
    }

    pub(crate) fn inject_trace_context(&self, context: &Context, carrier: &mut dyn Injector) {
        if !self.trace_context {
            return;
        }
        let span = context.span();
        let span = span.span_context();
        if span.is_valid() {
            carrier.set(TRACEPARENT, format_traceparent(span));
            let state = span.trace_state().header();
            if !state.is_empty() {
                carrier.set(TRACESTATE, state);
            }
        }
    }

    pub(crate) fn extract(&self, base: &Context, carrier: &dyn Extractor) -> Context {
        let mut context = base.clone();
        if self.trace_context
            && let Some(traceparent) = carrier.get(TRACEPARENT)
        {
            let state = carrier.get_all(TRACESTATE).map(|headers| headers.join(","));
            if let Some(span) = parse_traceparent(traceparent, state.as_deref()) {
                context = context.with_remote_span_context(span);
            }
        }
        if let Some(rules) = &self.baggage
            && let Some(headers) = carrier.get_all(baggage::HEADER)
            && let Some(baggage) = baggage::parse(&headers, rules)
        {
            context = baggage::attach(&context, baggage);
        }
        context
    }
}

fn format_traceparent(span: &SpanContext) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    fn push(text: &mut String, bytes: &[u8]) {
        for byte in bytes {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
        }
    }
    let mut text = String::with_capacity(55);
    text.push_str("00-");
    push(&mut text, &span.trace_id().to_bytes());
    text.push('-');
    push(&mut text, &span.span_id().to_bytes());
    text.push('-');
    push(&mut text, &[span.trace_flags().to_u8() & KNOWN_FLAGS]);
    text
}

/// <https://www.w3.org/TR/trace-context-2/#traceparent-header>: a newer version may append fields.
fn parse_traceparent(header: &str, tracestate: Option<&str>) -> Option<SpanContext> {
    let header = header.trim_matches([' ', '\t']);
    let (version, rest) = header.split_at_checked(2)?;
    let version = u8::try_from(hex(version)?).ok()?;
    let fields = rest.strip_prefix('-')?;
    if version == u8::MAX || (version == 0 && fields.len() != 52) {
        return None;
    }
    let (trace_id, rest) = fields.split_at_checked(32)?;
    let (span_id, rest) = rest.strip_prefix('-')?.split_at_checked(16)?;
    let (flags, rest) = rest.strip_prefix('-')?.split_at_checked(2)?;
    if !rest.is_empty() && !rest.starts_with('-') {
        return None;
    }
    let state = tracestate.and_then(|header| header.parse::<TraceState>().ok()).unwrap_or_default();
    let span = SpanContext::new(
        TraceId::from(hex(trace_id)?),
        SpanId::from(u64::try_from(hex(span_id)?).ok()?),
        TraceFlags::new(u8::try_from(hex(flags)?).ok()? & KNOWN_FLAGS),
        true,
        state,
    );
    span.is_valid().then_some(span)
}

/// Lower-case hex digits only: `from_str_radix` alone would take upper case and a sign.
fn hex(text: &str) -> Option<u128> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Writes context into HTTP headers or gRPC metadata (`metadata.as_mut()` is a header map).
#[derive(Debug)]
pub struct HeaderInjector<'a>(pub &'a mut HeaderMap);

impl Injector for HeaderInjector<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(key.as_bytes()), HeaderValue::try_from(value))
        {
            self.0.insert(name, value);
        }
    }
}

/// Reads context out of HTTP headers or gRPC metadata (`metadata.as_ref()` is a header map).
#[derive(Debug)]
pub struct HeaderExtractor<'a>(pub &'a HeaderMap);

impl Extractor for HeaderExtractor<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let values: Vec<_> = self.0.get_all(key).iter().filter_map(|value| value.to_str().ok()).collect();
        (!values.is_empty()).then_some(values)
    }
}

#[cfg(feature = "_tonic")]
/// Writes context into gRPC metadata.
#[derive(Debug)]
pub struct MetadataInjector<'a>(pub &'a mut tonic::metadata::MetadataMap);

#[cfg(feature = "_tonic")]
impl Injector for MetadataInjector<'_> {
    fn set(&mut self, key: &str, value: String) {
        use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
        if let (Ok(key), Ok(value)) =
            (AsciiMetadataKey::from_bytes(key.as_bytes()), AsciiMetadataValue::try_from(value))
        {
            self.0.insert(key, value);
        }
    }
}

#[cfg(feature = "_tonic")]
/// Reads context out of gRPC metadata.
#[derive(Debug)]
pub struct MetadataExtractor<'a>(pub &'a tonic::metadata::MetadataMap);

#[cfg(feature = "_tonic")]
impl Extractor for MetadataExtractor<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0
            .keys()
            .map(|key| match key {
                tonic::metadata::KeyRef::Ascii(key) => key.as_str(),
                tonic::metadata::KeyRef::Binary(key) => key.as_str(),
            })
            .collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let values: Vec<_> = self.0.get_all(key).iter().filter_map(|value| value.to_str().ok()).collect();
        (!values.is_empty()).then_some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_written_is_read_back() {
        let span = parse_traceparent(GOOD, Some("vendor=a,other=b")).unwrap();
        assert!(span.is_remote() && span.is_sampled());
        assert_eq!(span.trace_state().header(), "vendor=a,other=b");
        assert_eq!(format_traceparent(&span), GOOD);
    }

    #[test]
    fn the_random_flag_passes_and_unknown_flags_do_not() {
        let span = parse_traceparent(&GOOD.replace("-01", "-ff"), None).unwrap();
        assert!(format_traceparent(&span).ends_with("-03"));
    }

    #[test]
    fn a_newer_version_may_append_fields() {
        let newer = GOOD.replacen("00", "cc", 1);
        assert!(parse_traceparent(&newer, None).is_some());
        assert!(parse_traceparent(&format!("{newer}-what"), None).is_some());
        assert!(parse_traceparent(&format!("{newer}.what"), None).is_none());
    }

    #[test]
    fn malformed_headers_are_as_good_as_absent() {
        let malformed = [
            String::new(),
            "00".to_owned(),
            format!("{GOOD}-00"),
            GOOD.replacen("00", "ff", 1),
            GOOD.replacen("00", "0", 1),
            GOOD.to_uppercase(),
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000000"),
            GOOD.replace("00f067aa0ba902b7", "0000000000000000"),
            GOOD.replace("00f067aa0ba902b7", "+0f067aa0ba902b7"),
            GOOD.replace("-01", "-1"),
            GOOD.replace('-', "_"),
            "00-ééééééééééééééééé".to_owned(),
        ];
        for header in malformed {
            assert!(parse_traceparent(&header, None).is_none(), "{header}");
        }
    }
}
