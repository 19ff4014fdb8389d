//! Baggage: small facts that travel with a request, bounded on the way in and filtered on the way out.
//!
//! Only the keys of [`crate::config::BaggageSettings::outbound`] leave the process, whatever else the context
//! holds; so a fact meant for inside cannot reach an outside system by accident. What comes in is cut at the
//! bounds of the W3C format and of the settings. A public edge drops inbound baggage altogether.

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt, BaggageMetadata};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::base::config::BaggageSettings;

pub(crate) const HEADER: &str = "baggage";
/// Bounds of the W3C format, <https://www.w3.org/TR/baggage/#limits>.
const MAX_HEADER: usize = 8_192;
const MAX_MEMBERS: usize = 64;
/// What `baggage-octet` leaves out, and the escape itself.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b',').add(b';').add(b'\\').add(b'%');

/// The value of a key in the current baggage.
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

/// The header with the members that may leave.
pub(crate) fn header(context: &Context, rules: &BaggageSettings) -> Option<String> {
    let baggage = context.baggage();
    if baggage.is_empty() {
        return None;
    }
    let mut header = String::new();
    for key in &rules.outbound {
        let Some((value, metadata)) = baggage.get_with_metadata(key) else { continue };
        if !header.is_empty() {
            header.push(',');
        }
        header.push_str(key);
        header.push('=');
        header.extend(utf8_percent_encode(value.as_str(), ESCAPED));
        if !metadata.as_str().is_empty() {
            header.push(';');
            header.push_str(metadata.as_str());
        }
    }
    (!header.is_empty()).then_some(header)
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
        let Ok(value) = percent_decode_str(value.trim()).decode_utf8() else { continue };
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
        assert!(parse(&["no pair", "=1", "a b=2", "a=%ff"], &rules()).is_none());
    }
}
