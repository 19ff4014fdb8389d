//! Trace context and baggage in the headers of a message.

use opentelemetry::propagation::{Extractor, Injector};

/// The headers of a message as brokers have them: names in any case, values in bytes, possibly repeated.
///
/// Around `&mut Vec` it takes a context in, replacing an earlier value of the same name; around `&Vec` or a slice it
/// gives one out. Values that are not UTF-8 are passed over.
///
/// ```
/// use waypost_telemetry::messaging::HeaderCarrier;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let span = telemetry.span("send").start();
/// let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
/// telemetry.inject(span.context(), &mut HeaderCarrier(&mut headers));
/// assert_eq!(headers[0].0, "traceparent");
/// ```
#[derive(Debug)]
pub struct HeaderCarrier<H>(pub H);

impl Injector for HeaderCarrier<&mut Vec<(String, Vec<u8>)>> {
    fn set(&mut self, key: &str, value: String) {
        self.0.retain(|(name, _)| !name.eq_ignore_ascii_case(key));
        self.0.push((key.to_owned(), value.into_bytes()));
    }

    fn reserve(&mut self, additional: usize) {
        self.0.reserve(additional);
    }
}

impl Extractor for HeaderCarrier<&[(String, Vec<u8>)]> {
    fn get(&self, key: &str) -> Option<&str> {
        values(self.0, key).next()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        Some(values(self.0, key).collect()).filter(|found: &Vec<_>| !found.is_empty())
    }
}

impl Extractor for HeaderCarrier<&Vec<(String, Vec<u8>)>> {
    fn get(&self, key: &str) -> Option<&str> {
        values(self.0, key).next()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        Some(values(self.0, key).collect()).filter(|found: &Vec<_>| !found.is_empty())
    }
}

fn values<'a>(headers: &'a [(String, Vec<u8>)], key: &str) -> impl Iterator<Item = &'a str> {
    headers
        .iter()
        .filter(move |(name, _)| name.eq_ignore_ascii_case(key))
        .filter_map(|(_, value)| std::str::from_utf8(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_replaced_whatever_its_case_and_others_stay() {
        let mut headers = vec![("Traceparent".to_owned(), b"old".to_vec()), ("kind".to_owned(), vec![0xff])];
        HeaderCarrier(&mut headers).set("traceparent", "new".to_owned());
        assert_eq!(headers.len(), 2);
        assert_eq!(HeaderCarrier(&headers).get("TRACEPARENT"), Some("new"));
        assert_eq!(HeaderCarrier(headers.as_slice()).get("kind"), None);
    }
}
