//! Context in the headers of messages.

use async_nats::header::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::Extractor;

use super::super::HeaderCarrier;
use crate::core::handle::Telemetry;

/// The context that a message carries, for the handle that is current now: what its publisher was doing.
///
/// ```
/// use async_nats::HeaderMap;
/// use waypost_telemetry::nats::extract;
/// use waypost_telemetry::opentelemetry::trace::TraceContextExt as _;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("mail");
/// let _attached = telemetry.context().attach();
/// let mut headers = HeaderMap::new();
/// headers.insert("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
/// assert_eq!(extract(Some(&headers)).span().span_context().span_id().to_string(), "00f067aa0ba902b7");
/// ```
pub fn extract(headers: Option<&HeaderMap>) -> Context {
    extracted(&Telemetry::current(), headers)
}

pub(super) fn extracted(telemetry: &Telemetry, headers: Option<&HeaderMap>) -> Context {
    headers.map_or_else(|| telemetry.context(), |headers| telemetry.extract(&Carrier(headers)))
}

/// Headers with a context in them; those of the same names are replaced, whatever their case.
pub(super) fn injected(
    telemetry: &Telemetry,
    context: &Context,
    headers: Option<HeaderMap>,
) -> Option<HeaderMap> {
    let mut added: Vec<(String, Vec<u8>)> = Vec::new();
    telemetry.inject(context, &mut HeaderCarrier(&mut added));
    if added.is_empty() {
        return headers;
    }
    let mut headers = headers.unwrap_or_default();
    let is_added = |name: &HeaderName| {
        let name: &str = name.as_ref();
        added.iter().any(|(added, _)| added.eq_ignore_ascii_case(name))
    };
    if headers.iter().any(|(name, _)| is_added(name)) {
        let mut kept = HeaderMap::new();
        for (name, values) in headers.iter().filter(|(name, _)| !is_added(name)) {
            for value in values {
                kept.append(name.clone(), value.clone());
            }
        }
        headers = kept;
    }
    for (name, value) in added {
        let text = String::from_utf8(value).ok();
        let value = text.and_then(|text| text.parse::<HeaderValue>().ok());
        if let (Ok(name), Some(value)) = (HeaderName::try_from(name), value) {
            headers.insert(name, value);
        }
    }
    Some(headers)
}

/// Headers as a propagator reads them.
struct Carrier<'a>(&'a HeaderMap);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.values(key).next()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_ref()).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        Some(self.values(key).collect()).filter(|found: &Vec<_>| !found.is_empty())
    }
}

impl Carrier<'_> {
    fn values<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        let of_name = self.0.iter().filter(move |(name, _)| {
            let name: &str = name.as_ref();
            name.eq_ignore_ascii_case(key)
        });
        of_name.flat_map(|(_, values)| values.iter().map(HeaderValue::as_str))
    }
}
