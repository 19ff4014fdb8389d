//! HTTP headers and gRPC metadata as carriers of context.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector};

/// A repeated header counts even where one of its values cannot be read: what stands for that one is no format's
/// value, so that it is refused and not overlooked.
fn readable<E>(value: Result<&str, E>) -> &str {
    value.unwrap_or("\u{fffd}")
}

pub(super) fn text_of(value: &HeaderValue) -> &str {
    readable(value.to_str())
}

/// Writes context into HTTP headers or gRPC metadata (`metadata.as_mut()` is a header map).
///
/// ```
/// use http::HeaderMap;
/// use waypost_telemetry::propagation::{HeaderExtractor, HeaderInjector};
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let span = telemetry.span("call").start();
/// let mut headers = HeaderMap::new();
/// telemetry.inject(span.context(), &mut HeaderInjector(&mut headers));
/// assert!(headers.contains_key("traceparent"));
/// telemetry.span("serve").parent(&telemetry.extract(&HeaderExtractor(&headers))).in_scope(|| ());
/// assert_eq!(telemetry.only_span("serve").parent_id(), Some(span.span_context().span_id()));
/// ```
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
///
/// ```
/// use waypost_telemetry::opentelemetry::trace::TraceContextExt as _;
/// use waypost_telemetry::propagation::HeaderExtractor;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let headers = http::HeaderMap::from_iter([(http::HeaderName::from_static("traceparent"), traceparent.parse()?)]);
/// let context = telemetry.extract(&HeaderExtractor(&headers));
/// assert!(context.span().span_context().is_remote());
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
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
        let values: Vec<_> = self.0.get_all(key).iter().map(|value| readable(value.to_str())).collect();
        (!values.is_empty()).then_some(values)
    }
}

#[cfg(feature = "_tonic")]
/// Writes context into gRPC metadata.
///
/// ```
/// use tonic::metadata::MetadataMap;
/// use waypost_telemetry::propagation::{MetadataExtractor, MetadataInjector};
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let span = telemetry.span("call").start();
/// let mut metadata = MetadataMap::new();
/// telemetry.inject(span.context(), &mut MetadataInjector(&mut metadata));
/// assert!(metadata.contains_key("traceparent"));
/// telemetry.span("serve").parent(&telemetry.extract(&MetadataExtractor(&metadata))).in_scope(|| ());
/// assert_eq!(telemetry.only_span("serve").parent_id(), Some(span.span_context().span_id()));
/// ```
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
///
/// ```
/// use waypost_telemetry::opentelemetry::trace::TraceContextExt as _;
/// use waypost_telemetry::propagation::MetadataExtractor;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let request = tonic::Request::new(());
/// let context = TestTelemetry::new("order-service").extract(&MetadataExtractor(request.metadata()));
/// assert!(!context.span().span_context().is_valid(), "nobody sent a trace along");
/// ```
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
        let values: Vec<_> = self.0.get_all(key).iter().map(|value| readable(value.to_str())).collect();
        (!values.is_empty()).then_some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_cannot_be_read_is_not_overlooked() {
        let mut headers = HeaderMap::new();
        headers.append("traceparent", HeaderValue::from_static("a"));
        headers.append("traceparent", HeaderValue::from_bytes(&[0xff]).unwrap());
        let carrier = HeaderExtractor(&headers);
        assert_eq!(carrier.get_all("traceparent").unwrap(), ["a", "\u{fffd}"]);
    }
}
