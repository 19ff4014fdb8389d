//! Context in the headers of messages.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use opentelemetry::Context;
use opentelemetry::propagation::Extractor;

use super::super::HeaderCarrier;
use crate::core::handle::Telemetry;

/// The context that a message carries, for the handle that is current now: what its publisher was doing.
///
/// ```
/// use lapin::BasicProperties;
/// use lapin::types::{AMQPValue, FieldTable};
/// use waypost_telemetry::opentelemetry::trace::TraceContextExt as _;
/// use waypost_telemetry::rabbitmq::extract;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("mail");
/// let _attached = telemetry.context().attach();
/// let mut headers = FieldTable::default();
/// let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// headers.insert("traceparent".into(), AMQPValue::LongString(parent.into()));
/// let properties = BasicProperties::default().with_headers(headers);
/// assert_eq!(extract(&properties).span().span_context().span_id().to_string(), "00f067aa0ba902b7");
/// ```
pub fn extract(properties: &BasicProperties) -> Context {
    extracted(&Telemetry::current(), properties)
}

pub(super) fn extracted(telemetry: &Telemetry, properties: &BasicProperties) -> Context {
    let headers = properties.headers().as_ref();
    headers.map_or_else(|| telemetry.context(), |headers| telemetry.extract(&Carrier::of(headers)))
}

/// Properties with a context in their headers; headers of the same names are replaced, whatever their case.
pub(super) fn injected(
    telemetry: &Telemetry,
    context: &Context,
    properties: BasicProperties,
) -> BasicProperties {
    let mut added: Vec<(String, Vec<u8>)> = Vec::new();
    telemetry.inject(context, &mut HeaderCarrier(&mut added));
    if added.is_empty() {
        return properties;
    }
    let mut headers = FieldTable::default();
    let is_added =
        |name: &ShortString| added.iter().any(|(added, _)| added.eq_ignore_ascii_case(name.as_str()));
    for (name, value) in properties.headers().iter().flatten().filter(|(name, _)| !is_added(name)) {
        headers.insert(name.clone(), value.clone());
    }
    for (name, value) in added {
        if let Ok(name) = ShortString::try_new(name) {
            headers.insert(name, AMQPValue::LongString(value.into()));
        }
    }
    properties.with_headers(headers)
}

/// Headers as a propagator reads them.
struct Carrier<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Carrier<'a> {
    fn of(headers: &'a FieldTable) -> Self {
        let text = |(name, value): (&'a ShortString, &'a AMQPValue)| match value {
            AMQPValue::LongString(value) => {
                Some((name.as_str(), std::str::from_utf8(value.as_bytes()).ok()?))
            }
            AMQPValue::ShortString(value) => Some((name.as_str(), value.as_str())),
            AMQPValue::ByteArray(value) => Some((name.as_str(), std::str::from_utf8(value.as_slice()).ok()?)),
            _ => None,
        };
        Self(headers.into_iter().filter_map(text).collect())
    }
}

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| *value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| *name).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let found = self.0.iter().filter(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| *value);
        Some(found.collect()).filter(|found: &Vec<_>| !found.is_empty())
    }
}
