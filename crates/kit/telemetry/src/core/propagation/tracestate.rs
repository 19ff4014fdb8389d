//! `tracestate` by W3C Trace Context level 2, kept as text beside the span that it came with.
//!
//! The `TraceState` of the OpenTelemetry API follows level 1 and changes what it takes in; it refuses keys that are
//! right and passes on values that are not. So the list is read here, by the grammar of level 2. Where the API can
//! hold it, it stays in the span context; where it cannot, the text is a value of the context, bound to its trace id
//! so that it never leaves with another trace. A list that breaks the grammar is dropped whole; its `traceparent`
//! stays. At most 32 members of 513 bytes are passed on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceId, TraceState};

/// Members of a list, empty ones not counted.
const MAX_MEMBERS: usize = 32;
/// Characters of a key, and of a value.
const MAX_LENGTH: usize = 256;

/// Whether this process ever saw a list that the API could not hold: nearly none does, and then no span looks for one.
static WAS_SEEN: AtomicBool = AtomicBool::new(false);

/// What a remote parent brought along that its span context cannot hold.
#[derive(Clone, Debug)]
pub(crate) struct RawTraceState {
    trace_id: TraceId,
    text: Arc<str>,
}

impl RawTraceState {
    pub(super) fn new(trace_id: TraceId, text: Arc<str>) -> Self {
        WAS_SEEN.store(true, Ordering::Relaxed);
        Self { trace_id, text }
    }

    pub(super) fn is_of(&self, trace_id: TraceId) -> bool {
        self.trace_id == trace_id
    }
}

/// The `tracestate` of a trace that the API could not hold. `None` means that there is none, or that
/// [`SpanContext::trace_state`] has it.
#[inline]
pub(crate) fn raw_tracestate(context: &Context, trace_id: TraceId) -> Option<Arc<str>> {
    if !WAS_SEEN.load(Ordering::Relaxed) {
        return None;
    }
    let raw = context.get::<RawTraceState>().filter(|raw| raw.is_of(trace_id))?;
    Some(Arc::clone(&raw.text))
}

/// The whole `tracestate` of a span of `context`, as it is sent. What a sampler wrote into the span context stands
/// before what came in.
pub(crate) fn text_of(context: &Context, span: &SpanContext) -> Option<String> {
    let held = span.trace_state().header();
    let Some(raw) = raw_tracestate(context, span.trace_id()) else {
        return (!held.is_empty()).then_some(held);
    };
    if held.is_empty() {
        return Some(raw.to_string());
    }
    let is_new =
        |member: &&str| member.split_once('=').is_none_or(|(key, _)| span.trace_state().get(key).is_none());
    let members = held.split(',').chain(raw.split(',').filter(is_new));
    Some(members.take(MAX_MEMBERS).collect::<Vec<_>>().join(","))
}

/// The value of one member of a span's list.
pub(crate) fn member_of(context: &Context, span: &SpanContext, key: &str) -> Option<String> {
    if let Some(value) = span.trace_state().get(key) {
        return Some(value.to_owned());
    }
    let raw = raw_tracestate(context, span.trace_id())?;
    let mut members = raw.split(',').filter_map(|member| member.split_once('='));
    members.find(|(known, _)| *known == key).map(|(_, value)| value.to_owned())
}

/// The list as it is passed on, and as the API has it where that is the same.
pub(super) fn parse<'a>(headers: impl IntoIterator<Item = &'a str>) -> (TraceState, Option<Arc<str>>) {
    let Some(text) = normalized(headers) else { return (TraceState::NONE, None) };
    match text.parse::<TraceState>() {
        Ok(state) if state.header() == text => (state, None),
        Ok(_) | Err(_) => (TraceState::NONE, Some(text.into())),
    }
}

/// All headers as one list without optional whitespace and empty members; `None` if nothing is left or the grammar
/// is broken: <https://www.w3.org/TR/trace-context-2/#tracestate-header-field-values>.
fn normalized<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut list = String::new();
    let mut members = 0;
    for member in headers.into_iter().flat_map(|header| header.split(',')) {
        let member = member.trim_matches([' ', '\t']);
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        members += 1;
        if !is_key(key) || !is_value(value) || members > MAX_MEMBERS {
            return None;
        }
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(member);
    }
    (!list.is_empty()).then_some(list)
}

/// Begins with a lower-case letter or a digit.
fn is_key(key: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.len() <= MAX_LENGTH
        && key.bytes().next().is_some_and(is_alphanumeric)
        && key.bytes().all(|byte| is_alphanumeric(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@'))
}

/// Printable ASCII but the comma, which ended the member, and the equals sign. Trailing spaces are cut already.
fn is_value(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= MAX_LENGTH
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanId, TraceFlags};

    fn list(header: &str) -> Option<String> {
        normalized([header])
    }

    #[test]
    fn a_list_is_passed_on_without_optional_whitespace() {
        assert_eq!(list("foo=1 \t , \tbar= 2,, \t,baz=3").as_deref(), Some("foo=1,bar= 2,baz=3"));
        assert_eq!(normalized(["a=1", "", "b=2"]).as_deref(), Some("a=1,b=2"));
        assert_eq!(list("foo=1,foo=2").as_deref(), Some("foo=1,foo=2"));
        assert_eq!(list(" \t,"), None);
    }

    #[test]
    fn keys_follow_the_grammar_of_level_2() {
        for good in
            ["0", "a@", "foo@@bar", "t@b@c", "a_-*/", &"z".repeat(256), &format!("t@{}", "v".repeat(15))]
        {
            assert!(list(&format!("{good}=1")).is_some(), "{good}");
        }
        for bad in ["", "@foo", "FOO", "foo ", "foo.bar", "_a", "ü", &"z".repeat(257)] {
            assert_eq!(list(&format!("{bad}=1,b=2")), None, "{bad}");
        }
    }

    #[test]
    fn values_follow_the_grammar_of_level_2() {
        for good in ["~", " !\"#+-<>~", &"v".repeat(256)] {
            assert!(list(&format!("a={good}")).is_some(), "{good}");
        }
        for bad in ["", " ", "b=c", "=b", "\u{7f}", "ü", &"v".repeat(257)] {
            assert_eq!(list(&format!("a={bad},b=2")), None, "{bad}");
        }
        assert_eq!(list("no-equals-sign,b=2"), None);
    }

    #[test]
    fn one_member_too_many_drops_the_list() {
        let members = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert!(list(&members(32)).is_some());
        assert_eq!(list(&members(33)), None);
        let (state, raw) = parse([members(32).as_str(), ",,"]);
        assert_eq!((state.header(), raw), (members(32), None));
    }

    #[test]
    fn what_the_api_cannot_hold_stands_beside_it() {
        let (state, raw) = parse(["foo@@bar=1,b=2"]);
        assert_eq!((state.header().as_str(), raw.as_deref()), ("", Some("foo@@bar=1,b=2")));
    }

    #[test]
    fn a_raw_list_leaves_with_its_own_trace_only() {
        let raw = RawTraceState::new(TraceId::from(7), Arc::from("foo@@bar=1,b=2"));
        let context = Context::new().with_value(raw);
        let span = |trace_id: u128, state: &str| {
            let state = state.parse().unwrap();
            SpanContext::new(TraceId::from(trace_id), SpanId::from(1), TraceFlags::SAMPLED, false, state)
        };
        assert_eq!(text_of(&context, &span(8, "")), None);
        assert_eq!(text_of(&context, &span(7, "")).as_deref(), Some("foo@@bar=1,b=2"));
        assert_eq!(text_of(&context, &span(7, "ot=th:8,b=3")).as_deref(), Some("ot=th:8,b=3,foo@@bar=1"));
    }
}
