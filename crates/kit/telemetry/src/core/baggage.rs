//! Baggage: small facts that travel with a request, bounded on the way in and filtered on the way out.
//!
//! Only the keys of [`crate::config::BaggageSettings::outbound`] leave the process, whatever else the context
//! holds; so a fact meant for inside cannot reach an outside system by accident. By default that is `tenant.id` alone,
//! and the HTTP client sends no baggage at all until [asked to](crate::http::ClientLayer::baggage); the first member
//! that stays behind is named once in the log, at level debug. `outbound = ["*"]` passes every member on with its
//! properties, as W3C Baggage asks of a service between others.
//!
//! What comes in is cut at the bounds of the W3C format (64 members, 8,192 bytes) and of the settings (a value has
//! at most 256 bytes by default; [`max_value_length`](crate::config::BaggageSettings::max_value_length) `= 8192` takes
//! all). Bytes of a value that are not UTF-8 become U+FFFD. A public edge drops inbound baggage altogether.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt, BaggageMetadata};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::base::config::BaggageSettings;

pub(crate) const HEADER: &str = "baggage";
/// Bounds of the W3C format, <https://www.w3.org/TR/baggage/#limits>.
const MAX_HEADER: usize = 8_192;
const MAX_MEMBERS: usize = 64;
/// In the list of keys that may leave: all of them.
const EVERY_KEY: &str = "*";
/// What `baggage-octet` leaves out, and the escape itself.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b',').add(b';').add(b'\\').add(b'%');

/// The value of a key in the current baggage.
///
/// ```
/// use waypost_telemetry::{baggage, opentelemetry::Context};
///
/// assert_eq!(baggage::get("plan"), None);
/// let _attached = baggage::with(&Context::new(), "plan", "gold").attach();
/// assert_eq!(baggage::get("plan").as_deref(), Some("gold"));
/// ```
pub fn get(key: &str) -> Option<String> {
    Context::map_current(|context| context.baggage().get(key).map(ToString::to_string))
}

/// `context` with one more member; a key that is not an HTTP token, or one too many, changes nothing.
///
/// ```
/// use waypost_telemetry::{baggage, opentelemetry::Context};
///
/// let context = baggage::with(&Context::new(), "tenant.id", "acme");
/// let _attached = context.attach();
/// assert_eq!(baggage::get("tenant.id").as_deref(), Some("acme"));
/// ```
#[must_use]
pub fn with(context: &Context, key: impl Into<String>, value: impl Into<String>) -> Context {
    let mut baggage = copy(context.baggage());
    baggage.insert(key.into(), value.into());
    context.with_baggage(baggage)
}

/// `context` without baggage.
///
/// ```
/// use waypost_telemetry::{baggage, opentelemetry::Context};
///
/// let context = baggage::with(&Context::new(), "plan", "gold");
/// let _attached = baggage::cleared(&context).attach();
/// assert_eq!(baggage::get("plan"), None);
/// ```
#[must_use]
pub fn cleared(context: &Context) -> Context {
    if context.baggage().is_empty() { context.clone() } else { context.with_cleared_baggage() }
}

/// `Baggage` is not `Clone`.
fn copy(baggage: &Baggage) -> Baggage {
    baggage.iter().map(|(key, pair)| (key.clone(), pair.clone())).collect()
}

/// `context` with what came in, beside what it had.
pub(crate) fn attach(context: &Context, inbound: Baggage) -> Context {
    if context.baggage().is_empty() {
        return context.with_baggage(inbound);
    }
    let mut baggage = copy(context.baggage());
    for (key, (value, metadata)) in &inbound {
        baggage.insert_with_metadata(key.clone(), value.clone(), metadata.clone());
    }
    context.with_baggage(baggage)
}

/// The header with the members that may leave. One that no longer fits into the bound of the format is left out.
pub(crate) fn header(context: &Context, rules: &BaggageSettings) -> Option<String> {
    let baggage = context.baggage();
    if baggage.is_empty() {
        return None;
    }
    let mut header = String::with_capacity(64);
    if rules.outbound.iter().any(|key| key == EVERY_KEY) {
        for (key, (value, metadata)) in baggage {
            add_member(&mut header, key.as_str(), value.as_str(), metadata.as_str());
        }
    } else {
        for key in &rules.outbound {
            if let Some((value, metadata)) = baggage.get_with_metadata(key) {
                add_member(&mut header, key, value.as_str(), metadata.as_str());
            }
        }
        say_once_what_stays(baggage, rules);
    }
    (!header.is_empty()).then_some(header)
}

fn add_member(header: &mut String, key: &str, value: &str, properties: &str) {
    let before = header.len();
    if before > 0 {
        header.push(',');
    }
    header.push_str(key);
    header.push('=');
    header.extend(utf8_percent_encode(value, ESCAPED));
    if !properties.is_empty() {
        header.push(';');
        header.push_str(properties);
    }
    if header.len() > MAX_HEADER {
        header.truncate(before);
    }
}

/// Somebody else's baggage that ends here is otherwise invisible. Names the key and never the value.
fn say_once_what_stays(baggage: &Baggage, rules: &BaggageSettings) {
    static WAS_SAID: AtomicBool = AtomicBool::new(false);
    let stays = |key: &&opentelemetry::Key| rules.outbound.iter().all(|outbound| outbound != key.as_str());
    if !WAS_SAID.load(Ordering::Relaxed)
        && let Some(key) = baggage.iter().map(|(key, _)| key).find(stays)
        && !WAS_SAID.swap(true, Ordering::Relaxed)
    {
        tracing::debug!(
            target: "waypost_telemetry::baggage",
            { baggage.key = key.as_str() },
            "baggage is not passed on unless `baggage.outbound` names its key or \"*\"; said once"
        );
    }
}

/// Members of inbound headers within the bounds. Malformed and oversized members are left out one by one, headers
/// over the bound of the format altogether.
pub(crate) fn parse(headers: &[&str], rules: &BaggageSettings) -> Option<Baggage> {
    let length: usize = headers.iter().map(|header| header.len()).sum();
    if length > MAX_HEADER {
        return None;
    }
    let mut baggage = Baggage::new();
    let members = headers.iter().flat_map(|header| header.split(','));
    for member in members.take(rules.max_members.min(MAX_MEMBERS)) {
        let (pair, metadata) = member.split_once(';').unwrap_or((member, ""));
        let Some((key, value)) = pair.split_once('=') else { continue };
        let value = percent_decode_str(value.trim()).decode_utf8_lossy();
        if value.len() > rules.max_value_length {
            continue;
        }
        let metadata = BaggageMetadata::from(metadata);
        baggage.insert_with_metadata(key.trim().to_owned(), value.into_owned(), metadata);
    }
    (!baggage.is_empty()).then_some(baggage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> BaggageSettings {
        BaggageSettings { outbound: vec!["a".to_owned(), "b".to_owned()], ..BaggageSettings::default() }
    }

    #[test]
    fn only_listed_keys_leave() {
        let context = with(&Context::new(), "a", "1");
        let context = with(&context, "secret", "x");
        assert_eq!(header(&context, &rules()).as_deref(), Some("a=1"));
        assert_eq!(header(&cleared(&context), &rules()), None);
    }

    #[test]
    fn values_survive_the_way_out_and_in() {
        let text = "50% off, \"now\"; ü = x";
        let context = with(&Context::new(), "a", text);
        let sent = header(&context, &rules()).unwrap();
        assert!(sent.is_ascii());
        let read = parse(&[&sent], &rules()).unwrap();
        assert_eq!(read.get("a").map(ToString::to_string).as_deref(), Some(text));
    }

    #[test]
    fn properties_of_a_member_survive() {
        let read = parse(&["a=1;ttl=5, b = 2"], &rules()).unwrap();
        let sent = header(&attach(&Context::new(), read), &rules()).unwrap();
        assert_eq!(sent, "a=1;ttl=5,b=2");
    }

    #[test]
    fn what_comes_in_is_bounded() {
        let many: Vec<String> = (0..100).map(|n| format!("k{n}=v")).collect();
        assert_eq!(parse(&[&many.join(",")], &rules()).unwrap().len(), 64);

        let long = format!("a={},b=2", "x".repeat(257));
        let read = parse(&[&long], &rules()).unwrap();
        assert_eq!((read.len(), read.get("b").is_some()), (1, true));

        let huge = format!("a=1,b={}", "x".repeat(MAX_HEADER));
        assert!(parse(&[&huge], &rules()).is_none());
        assert!(parse(&["no pair", "=1", "a b=2"], &rules()).is_none());
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        let read = parse(&["a=x%FFy,b=%C3%28"], &rules()).unwrap();
        let value = |key| read.get(key).unwrap().to_string();
        assert_eq!((value("a").as_str(), value("b").as_str()), ("x\u{fffd}y", "\u{fffd}("));
    }

    #[test]
    fn everything_passes_when_every_key_may_leave() {
        let all = BaggageSettings { outbound: vec!["*".to_owned()], ..BaggageSettings::default() };
        let sent = "a=1;ttl=5,b=x%20y,unknown=%2C;p;q=1";
        let context = attach(&Context::new(), parse(&[sent], &all).unwrap());
        let passed = header(&context, &all).unwrap();
        let mut members: Vec<_> = passed.split(',').collect();
        members.sort_unstable();
        assert_eq!(members, sent.split(',').collect::<Vec<_>>());
    }

    #[test]
    fn a_header_stays_within_the_bound_of_the_format() {
        let context = with(&Context::new(), "a", "1");
        let context = with(&context, "b", "\u{fc}".repeat(2_000));
        assert_eq!(header(&context, &rules()).as_deref(), Some("a=1"));
    }
}
