//! Context in the headers of records.

use std::panic::{AssertUnwindSafe, catch_unwind};

use opentelemetry::Context;
use opentelemetry::propagation::Extractor;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};

use super::super::HeaderCarrier;
use crate::core::handle::Telemetry;

/// The context that a message carries, for the handle that is current now: what its producer was doing.
///
/// ```
/// use rdkafka::message::{Header, OwnedHeaders, OwnedMessage, Timestamp};
/// use waypost_telemetry::kafka::extract;
/// use waypost_telemetry::opentelemetry::trace::TraceContextExt as _;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("mail");
/// let _attached = telemetry.context().attach();
/// let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let headers = OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(parent) });
/// let message = OwnedMessage::new(None, None, "orders".to_owned(), Timestamp::NotAvailable, 0, 0, Some(headers));
/// assert_eq!(extract(&message).span().span_context().span_id().to_string(), "00f067aa0ba902b7");
/// ```
pub fn extract(message: &impl Message) -> Context {
    of_message(&Telemetry::current(), message)
}

pub(super) fn of_message(telemetry: &Telemetry, message: &impl Message) -> Context {
    message.headers().map_or_else(|| telemetry.context(), |headers| extracted(telemetry, headers))
}

pub(super) fn extracted(telemetry: &Telemetry, headers: &impl Headers) -> Context {
    telemetry.extract(&Carrier::of(headers))
}

/// Headers with a context in them; those of the same names are replaced.
pub(super) fn injected(
    telemetry: &Telemetry,
    context: &Context,
    headers: Option<OwnedHeaders>,
) -> Option<OwnedHeaders> {
    let mut added: Vec<(String, Vec<u8>)> = Vec::new();
    telemetry.inject(context, &mut HeaderCarrier(&mut added));
    if added.is_empty() {
        return headers;
    }
    let mut headers = headers.map_or_else(
        || OwnedHeaders::new_with_capacity(added.len()),
        |headers| {
            let is_added = |key: &str| added.iter().any(|(name, _)| name.eq_ignore_ascii_case(key));
            if Carrier::of(&headers).keys().into_iter().any(is_added) {
                without(&headers, is_added)
            } else {
                headers
            }
        },
    );
    for (name, value) in &added {
        headers = headers.insert(Header { key: name, value: Some(value.as_slice()) });
    }
    Some(headers)
}

fn without(headers: &OwnedHeaders, is_left_out: impl Fn(&str) -> bool) -> OwnedHeaders {
    let kept = each(headers).filter(|header| !is_left_out(header.key));
    kept.fold(OwnedHeaders::new_with_capacity(headers.count()), |kept, header| kept.insert(header))
}

/// The headers that can be read: rdkafka panics at one whose name is not UTF-8.
fn each<H: Headers>(headers: &H) -> impl Iterator<Item = Header<'_, &[u8]>> {
    let read = |place| catch_unwind(AssertUnwindSafe(|| headers.try_get(place))).ok().flatten();
    (0..headers.count()).filter_map(read)
}

/// Headers as a propagator reads them.
struct Carrier<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Carrier<'a> {
    fn of<H: Headers>(headers: &'a H) -> Self {
        let text =
            |header: Header<'a, &'a [u8]>| Some((header.key, std::str::from_utf8(header.value?).ok()?));
        Self(each(headers).filter_map(text).collect())
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
