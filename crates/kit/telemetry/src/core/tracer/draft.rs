//! What is set on a span before it starts.

use std::borrow::Cow;

use opentelemetry::trace::{Link, SpanBuilder, SpanContext, SpanKind};
use opentelemetry::{Key, KeyValue, Value};

use super::record::Record;
use super::{Tracer, spare};

/// Small, because a builder is moved with every attribute.
#[derive(Debug)]
pub(crate) enum Draft {
    /// Nothing is kept: the handle is disabled, or its sampler takes no span whatever stands above it.
    Nothing,
    /// Encoded as it comes in, for a sampler of the settings, which looks at none of it.
    Record(Box<Record>),
    /// As the API has it: for samplers and processors of the program, and while the handle is not known.
    Listed(Box<Listed>),
}

#[derive(Debug, Default)]
pub(crate) struct Listed {
    attributes: Vec<KeyValue>,
    links: Vec<Link>,
}

impl Draft {
    /// For a handle that is known; `None` if it is disabled.
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

    pub(crate) fn keeps_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// `tracer` is the one that the draft was made for.
    pub(crate) fn set(&mut self, tracer: Option<&Tracer>, key: Key, value: Value) {
        match (self, tracer) {
            (Self::Record(record), Some(tracer)) => {
                record.set(key.as_str(), &value, &tracer.0.shared.limits);
            }
            (Self::Listed(listed), _) => {
                if listed.attributes.capacity() == 0 {
                    listed.attributes = spare::take();
                }
                listed.attributes.push(KeyValue::new(key, value));
            }
            (Self::Nothing | Self::Record(_), _) => {}
        }
    }

    pub(crate) fn link(&mut self, span: SpanContext) {
        let link = Link::with_context(span);
        match self {
            Self::Nothing => {}
            Self::Record(record) => record.drafted_links.push(link),
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
            Self::Nothing => Listed::default(),
            Self::Listed(listed) => *listed,
            Self::Record(mut record) => {
                let links = std::mem::take(&mut record.drafted_links);
                let listed = Listed { attributes: record.read_attributes(), links };
                Record::give_back(record);
                listed
            }
        }
    }

    /// The span is not made.
    pub(super) fn give_back(self) {
        match self {
            Self::Nothing => {}
            Self::Record(record) => Record::give_back(record),
            Self::Listed(listed) => spare::give_back(listed.attributes),
        }
    }
}
