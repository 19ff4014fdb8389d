//! What is set on a span before it starts.

use std::borrow::Cow;

use opentelemetry::trace::{Link, SpanBuilder, SpanContext, SpanKind, TraceContextExt as _};
use opentelemetry::{Context, Key, KeyValue, Value};

use super::record::Record;
use super::{Tracer, spare};

/// Small, because a builder is moved with every attribute.
#[derive(Debug)]
pub(crate) enum Draft {
    /// Nothing is kept: the handle is disabled, or its sampler takes no span whatever stands above it.
    Nothing,
    /// It was decided that the span is left out; its ids stand in the context already.
    Left,
    /// Encoded as it comes in, for a sampler of the settings, which looks at none of it.
    Record(Box<Record>),
    /// The same, and it was decided that the span is recorded.
    Decided(Box<Record>),
    /// As the API has it: for samplers and processors of the program, and while the handle is not known.
    Listed(Box<Listed>),
}

#[derive(Debug, Default)]
pub(crate) struct Listed {
    attributes: Vec<KeyValue>,
    links: Vec<Link>,
}

impl Listed {
    #[cold]
    fn set(&mut self, key: Key, value: Value) {
        if self.attributes.capacity() == 0 {
            self.attributes = spare::take();
        }
        self.attributes.push(KeyValue::new(key, value));
    }
}

impl Draft {
    /// For a handle that is known; `None` if it is disabled.
    #[inline]
    pub(crate) fn of(tracer: Option<&Tracer>) -> Self {
        match tracer {
            None => Self::Nothing,
            Some(tracer) if tracer.is_watched() => Self::listed(),
            Some(tracer) if tracer.0.shared.sampler.takes_none() => Self::Nothing,
            Some(_) => Self::Record(Record::take()),
        }
    }

    /// For a handle that will be known later.
    pub(crate) fn listed() -> Self {
        Self::Listed(Box::default())
    }

    #[inline]
    pub(crate) fn keeps_nothing(&self) -> bool {
        matches!(self, Self::Nothing | Self::Left)
    }

    /// `tracer` is the one that the draft was made for.
    #[expect(clippy::inline_always, reason = "as for `SpanBuilder::attr`")]
    #[inline(always)]
    pub(crate) fn set(&mut self, tracer: Option<&Tracer>, key: Key, value: Value) {
        match (self, tracer) {
            (Self::Record(record) | Self::Decided(record), Some(tracer)) => {
                let (key, limits) = (key.as_str(), &tracer.0.shared.limits);
                match value {
                    Value::String(text) => record.set_text(key, text.as_str(), limits),
                    Value::I64(number) => record.set_number(key, number, limits),
                    other => record.set_other(key, &other, limits),
                }
            }
            (Self::Listed(listed), _) => listed.set(key, value),
            (Self::Nothing | Self::Left | Self::Record(_) | Self::Decided(_), _) => {}
        }
    }

    /// As [`set`](Self::set), for a text that is copied only if it has to be.
    #[inline]
    pub(crate) fn set_text(&mut self, tracer: Option<&Tracer>, key: &'static str, text: &str) {
        match (self, tracer) {
            (Self::Record(record) | Self::Decided(record), Some(tracer)) => {
                record.set_text(key, text, &tracer.0.shared.limits);
            }
            (Self::Nothing | Self::Left, _) => {}
            (draft, _) => draft.keep_text(key, text),
        }
    }

    /// Not within [`set_text`](Self::set_text), which is then small enough to become part of what calls it.
    #[inline(never)]
    fn keep_text(&mut self, key: &'static str, text: &str) {
        if let Self::Listed(listed) = self {
            listed.set(Key::from_static_str(key), text.to_owned().into());
        }
    }

    pub(crate) fn link(&mut self, span: SpanContext) {
        let link = Link::with_context(span);
        match self {
            Self::Nothing | Self::Left => {}
            Self::Record(record) | Self::Decided(record) => record.drafted_links.push(link),
            Self::Listed(listed) => listed.links.push(link),
        }
    }

    /// The same for the tracer of another handle.
    pub(crate) fn moved_to(self, tracer: Option<&Tracer>) -> Self {
        let mut draft = Self::of(tracer);
        let Listed { attributes, links } = self.into_listed();
        for KeyValue { key, value, .. } in attributes {
            draft.set(tracer, key, value);
        }
        for link in links {
            draft.link(link.span_context);
        }
        draft
    }

    /// For the API's own way to make a span.
    pub(super) fn into_api(self, name: Cow<'static, str>, kind: SpanKind) -> SpanBuilder {
        let Listed { attributes, links } = self.into_listed();
        SpanBuilder {
            span_kind: Some(kind),
            name,
            attributes: Some(attributes),
            links: Some(links),
            ..SpanBuilder::default()
        }
    }

    fn into_listed(self) -> Listed {
        match self {
            Self::Nothing | Self::Left => Listed::default(),
            Self::Listed(listed) => *listed,
            Self::Record(mut record) | Self::Decided(mut record) => {
                let links = std::mem::take(&mut record.drafted_links);
                let listed = Listed { attributes: record.read_attributes(), links };
                Record::give_back(record);
                listed
            }
        }
    }

    /// The span is left out: `parent` has its ids from here on.
    #[inline]
    pub(super) fn left(self, parent: &mut Context, ids: SpanContext) -> Self {
        self.give_back();
        // One allocation: nothing can be set on it.
        *parent = parent.with_remote_span_context(ids);
        Self::Left
    }

    #[inline]
    fn give_back(self) {
        match self {
            Self::Nothing | Self::Left => {}
            Self::Record(record) | Self::Decided(record) => Record::give_back(record),
            Self::Listed(listed) => spare::give_back(listed.attributes),
        }
    }
}
