//! HTTP headers and gRPC metadata as carriers of context.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector};

/// A repeated header counts even where one of its values cannot be read: what stands for that one is no format's
/// value, so that it is refused and not overlooked.
fn text_of<E>(value: Result<&str, E>) -> &str {
    value.unwrap_or("\u{fffd}")
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
        let values: Vec<_> = self.0.get_all(key).iter().map(|value| text_of(value.to_str())).collect();
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
        let values: Vec<_> = self.0.get_all(key).iter().map(|value| text_of(value.to_str())).collect();
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
