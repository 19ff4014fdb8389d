//! What a filter means: the one definition, for spans in memory and, value by value, for columns.
//!
//! Invariant: a block answers as [`SpanCheck::holds`] would for each of its spans. The columns are searched
//! with the same [`Check`] and [`Needle`]; only the order of work differs.

use crate::query::{AttributeFilter, SpanFilter, Test};
use waypost_trace_model::{Attribute, Span, Value};
use waypost_trace_statistics::AttributeScope;

/// A filter made ready to be asked many times.
#[derive(Debug)]
pub(crate) struct SpanCheck<'a> {
    pub(crate) filter: &'a SpanFilter,
    pub(crate) attributes: Vec<AttributeCheck<'a>>,
    pub(crate) text: Option<Needle>,
    pub(crate) excluded: Vec<SpanCheck<'a>>,
}

/// One condition on an attribute, made ready.
#[derive(Debug)]
pub(crate) struct AttributeCheck<'a> {
    pub(crate) filter: &'a AttributeFilter,
    pub(crate) check: Check<'a>,
}

/// A test made ready.
#[derive(Debug)]
pub(crate) enum Check<'a> {
    Exists,
    Equals(&'a str),
    Differs(&'a str),
    Contains(Needle),
    AtLeast(f64),
    AtMost(f64),
}

impl<'a> SpanCheck<'a> {
    pub(crate) fn new(filter: &'a SpanFilter) -> SpanCheck<'a> {
        let attributes =
            filter.attributes.iter().map(|filter| AttributeCheck { filter, check: Check::new(&filter.test) });
        SpanCheck {
            filter,
            attributes: attributes.collect(),
            text: filter.text.as_deref().map(Needle::new),
            excluded: filter.excluded.iter().map(SpanCheck::new).collect(),
        }
    }

    /// Whether the span meets the filter.
    pub(crate) fn holds(&self, span: &Span) -> bool {
        let filter = self.filter;
        filter.service.as_ref().is_none_or(|service| service == span.service())
            && filter.operation.as_ref().is_none_or(|operation| *operation == span.name)
            && filter.kind.is_none_or(|kind| kind == span.kind)
            && filter.status.is_none_or(|status| status == span.status.code)
            && filter.duration.contains(&span.duration())
            && filter.is_root.is_none_or(|is_root| is_root == span.parent_span_id.is_none())
            && self.attributes.iter().all(|attribute| attribute.holds(span))
            && self.text.as_ref().is_none_or(|text| span_has_text(span, text))
            && filter.linked_trace.is_none_or(|trace| span.links.iter().any(|link| link.trace_id == trace))
            && !self.excluded.iter().any(|excluded| excluded.holds(span))
    }
}

impl AttributeCheck<'_> {
    /// Whether it looks at attributes of this scope.
    pub(crate) fn looks_at(&self, scope: AttributeScope) -> bool {
        self.filter.scope.is_none_or(|wanted| wanted == scope)
    }

    /// Whether one of the attributes meets it.
    pub(crate) fn holds_in(&self, attributes: &[Attribute]) -> bool {
        attributes
            .iter()
            .any(|attribute| attribute.key == self.filter.key && self.check.holds(&attribute.value))
    }

    fn holds(&self, span: &Span) -> bool {
        (self.looks_at(AttributeScope::Span) && self.holds_in(&span.attributes))
            || (self.looks_at(AttributeScope::Resource) && self.holds_in(&span.resource.attributes))
            || (self.looks_at(AttributeScope::Event)
                && span.events.iter().any(|e| self.holds_in(&e.attributes)))
            || (self.looks_at(AttributeScope::Link)
                && span.links.iter().any(|l| self.holds_in(&l.attributes)))
    }
}

impl<'a> Check<'a> {
    fn new(test: &'a Test) -> Check<'a> {
        match test {
            Test::Exists => Check::Exists,
            Test::Equals(text) => Check::Equals(text),
            Test::Differs(text) => Check::Differs(text),
            Test::Contains(text) => Check::Contains(Needle::new(text)),
            Test::AtLeast(number) => Check::AtLeast(*number),
            Test::AtMost(number) => Check::AtMost(*number),
        }
    }

    /// Whether the value meets it.
    pub(crate) fn holds(&self, value: &Value) -> bool {
        match self {
            Check::Exists => true,
            Check::AtLeast(least) => value.as_number().is_some_and(|number| number >= *least),
            Check::AtMost(max) => value.as_number().is_some_and(|number| number <= *max),
            _ => self.holds_text(&value.display()),
        }
    }

    /// Whether a value that is text meets it.
    pub(crate) fn holds_text(&self, text: &str) -> bool {
        let number = || text.trim().parse::<f64>().ok();
        match self {
            Check::Exists => true,
            Check::Equals(wanted) => text == *wanted,
            Check::Differs(unwanted) => text != *unwanted,
            Check::Contains(needle) => needle.is_in(text),
            Check::AtLeast(least) => number().is_some_and(|number| number >= *least),
            Check::AtMost(max) => number().is_some_and(|number| number <= *max),
        }
    }
}

fn span_has_text(span: &Span, text: &Needle) -> bool {
    text.is_in(&span.name)
        || text.is_in(&span.status.message)
        || text.is_in_attributes(&span.attributes)
        || text.is_in_attributes(&span.resource.attributes)
        || span.events.iter().any(|event| text.is_in(&event.name) || text.is_in_attributes(&event.attributes))
        || span.links.iter().any(|link| text.is_in_attributes(&link.attributes))
}

/// Text to look for, whatever case: both sides are compared character by character in lower case.
#[derive(Debug)]
pub(crate) struct Needle {
    lower: String,
}

impl Needle {
    pub(crate) fn new(text: &str) -> Needle {
        Needle { lower: lower(text) }
    }

    /// Whether the text contains it.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        if !text.is_ascii() {
            return lower(text).contains(&self.lower);
        }
        let needle = self.lower.as_bytes();
        let Some((&first, _)) = needle.split_first() else { return true };
        let starts = text.len().checked_sub(needle.len()).map_or(0, |last| last + 1);
        let upper = first.to_ascii_uppercase();
        text.as_bytes()
            .windows(needle.len())
            .take(starts)
            .any(|window| (window[0] == first || window[0] == upper) && window.eq_ignore_ascii_case(needle))
    }

    /// Whether a key or a value contains it.
    pub(crate) fn is_in_attributes(&self, attributes: &[Attribute]) -> bool {
        attributes
            .iter()
            .any(|attribute| self.is_in(&attribute.key) || self.is_in(&attribute.value.display()))
    }
}

fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_whatever_its_case_and_alphabet() {
        assert!(Needle::new("PAY").is_in("process-payment"));
        assert!(Needle::new("zürich").is_in("in ZÜRICH"));
        assert!(Needle::new("").is_in(""));
        assert!(Needle::new("\u{212a}elvin").is_in("273 KELVIN"), "the Kelvin sign is a k in lower case");
        assert!(!Needle::new("payments").is_in("payment"));
        assert!(!Needle::new("a").is_in(""));
    }

    #[test]
    fn numbers_compare_as_numbers_and_as_their_text() {
        assert!(Check::AtLeast(200.0).holds(&Value::Int(200)));
        assert!(Check::AtMost(1.5).holds(&Value::Text(" 1.25 ".into())));
        assert!(!Check::AtMost(1.5).holds(&Value::Double(f64::NAN)));
        assert!(!Check::AtLeast(0.0).holds(&Value::Bool(true)));
        assert!(Check::Equals("42").holds(&Value::Int(42)));
        assert!(Check::Equals("42").holds(&Value::Text("42".into())));
    }
}
