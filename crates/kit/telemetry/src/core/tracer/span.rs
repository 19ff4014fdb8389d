//! A span of the kit's tracer.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{SpanBuilder, SpanContext, SpanKind, Status};
use opentelemetry::{Context, KeyValue};

use super::record::Record;
use super::spare;
use super::{Start, Tracer};
use crate::core::export::{EndedSpan, header_of, nanoseconds};

/// A span: recorded, or only ids to pass on. Ends when it is dropped, unless it has ended before.
#[derive(Debug)]
pub(crate) struct Span {
    context: SpanContext,
    /// `None` if it is not recorded or has ended.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    tracer: Tracer,
    record: Box<Record>,
    /// For processors and exporters of the program.
    #[cfg(feature = "sdk")]
    foreign: Option<super::foreign::ForeignSpan>,
}

impl Span {
    pub(super) fn unrecorded(context: SpanContext) -> Self {
        Self { context, open: None }
    }

    pub(super) fn recorded(tracer: Tracer, mut builder: SpanBuilder, start: Start, parent: &Context) -> Self {
        let started = builder.start_time.unwrap_or_else(|| tracer.0.shared.clock.now());
        #[cfg(feature = "sdk")]
        let (mut foreign, set_by_processors) = match &tracer.0.foreign {
            None => (None, Vec::new()),
            Some(foreign) => {
                let (span, set) = super::foreign::ForeignSpan::start(
                    foreign,
                    builder.clone().with_start_time(started),
                    &start,
                    parent,
                );
                (Some(span), set)
            }
        };
        let limits = &tracer.0.shared.limits;
        let mut record = Record::take();
        record.name = builder.name;
        record.kind = builder.span_kind.unwrap_or(SpanKind::Internal);
        record.start = nanoseconds(started);
        let context = start.context.clone();
        let attributes = builder.attributes.take().unwrap_or_default();
        for attribute in &attributes {
            record.set(attribute.key.as_str(), &attribute.value, limits);
        }
        spare::give_back(attributes);
        record.decided(start, parent, limits);
        tracer.0.shared.baggage_attributes(parent, |key, value| {
            record.set_text(key.as_str(), value.as_str(), limits);
            #[cfg(feature = "sdk")]
            if let Some(foreign) = &mut foreign {
                foreign.set(KeyValue::new(key.clone(), value.clone()));
            }
        });
        #[cfg(feature = "sdk")]
        for attribute in &set_by_processors {
            record.set(attribute.key.as_str(), &attribute.value, limits);
        }
        if let Some(links) = &builder.links {
            record.add_links(links, limits);
        }
        for event in builder.events.iter().flatten() {
            record.add_event(&event.name, nanoseconds(event.timestamp), &event.attributes, limits);
        }
        let open = Open {
            tracer,
            record,
            #[cfg(feature = "sdk")]
            foreign,
        };
        Self { context, open: Some(open) }
    }

    /// A span of the kit's own functions, which nobody else watches. It was [decided](Record::decided) that it is recorded.
    pub(super) fn drafted(
        tracer: Tracer,
        name: Cow<'static, str>,
        kind: SpanKind,
        started: SystemTime,
        mut record: Box<Record>,
        parent: &Context,
    ) -> Self {
        let limits = &tracer.0.shared.limits;
        record.name = name;
        record.kind = kind;
        record.start = nanoseconds(started);
        tracer.0.shared.baggage_attributes(parent, |key, value| {
            record.set_text(key.as_str(), value.as_str(), limits);
        });
        if !record.drafted_links.is_empty() {
            for link in std::mem::take(&mut record.drafted_links) {
                record.add_link(&link.span_context, &link.attributes, limits);
            }
        }
        let context = std::mem::replace(&mut record.context, SpanContext::NONE);
        let open = Open {
            tracer,
            record,
            #[cfg(feature = "sdk")]
            foreign: None,
        };
        Self { context, open: Some(open) }
    }

    fn end_at(&mut self, time: SystemTime) {
        let Some(open) = self.open.take() else { return };
        #[cfg(feature = "sdk")]
        if let Some(foreign) = open.foreign {
            foreign.end(time);
        }
        let (tracer, record) = (open.tracer, open.record);
        let from_api;
        let trace_state: &str = if let Some(raw) = &record.trace_state {
            raw
        } else {
            from_api = header_of(self.context.trace_state());
            &from_api
        };
        tracer.0.shared.pipeline.ended(&EndedSpan {
            scope: &tracer.0.scope,
            context: &self.context,
            trace_state,
            parent_id: record.parent_id,
            parent_is_remote: record.parent_is_remote,
            name: &record.name,
            kind: &record.kind,
            start: record.start,
            // A clock that was set back must not make a span end before it began.
            end: nanoseconds(time).max(record.start),
            attributes: &record.attributes,
            dropped_attributes: record.dropped_attributes,
            events: &record.events,
            dropped_events: record.dropped_events,
            links: &record.links,
            dropped_links: record.dropped_links,
            status: &record.status,
        });
        Record::give_back(record);
    }
}

impl opentelemetry::trace::Span for Span {
    fn add_event<T>(&mut self, name: T, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        if let Some(open) = &self.open {
            let now = open.tracer.0.shared.clock.now();
            self.add_event_with_timestamp(name, now, attributes);
        }
    }

    fn add_event_with_timestamp<T>(&mut self, name: T, timestamp: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        if let Some(open) = &mut self.open {
            let name = name.into();
            let limits = &open.tracer.0.shared.limits;
            open.record.add_event(&name, nanoseconds(timestamp), &attributes, limits);
            #[cfg(feature = "sdk")]
            if let Some(foreign) = &mut open.foreign {
                foreign.event(name.into_owned(), timestamp, attributes);
            }
        }
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.open.is_some()
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        if let Some(open) = &mut self.open {
            let limits = &open.tracer.0.shared.limits;
            open.record.set(attribute.key.as_str(), &attribute.value, limits);
            #[cfg(feature = "sdk")]
            if let Some(foreign) = &mut open.foreign {
                foreign.set(attribute);
            }
        }
    }

    fn set_status(&mut self, status: Status) {
        if let Some(open) = &mut self.open {
            #[cfg(feature = "sdk")]
            if let Some(foreign) = &mut open.foreign {
                foreign.status(status.clone());
            }
            open.record.set_status(status);
        }
    }

    fn update_name<T>(&mut self, new_name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        if let Some(open) = &mut self.open {
            open.record.name = new_name.into();
            #[cfg(feature = "sdk")]
            if let Some(foreign) = &mut open.foreign {
                foreign.rename(open.record.name.to_string());
            }
        }
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        if let Some(open) = &mut self.open {
            open.record.add_link(&span_context, &attributes, &open.tracer.0.shared.limits);
            #[cfg(feature = "sdk")]
            if let Some(foreign) = &mut open.foreign {
                foreign.link(span_context, attributes);
            }
        }
    }

    fn end(&mut self) {
        if let Some(open) = &self.open {
            let now = open.tracer.0.shared.clock.now();
            self.end_at(now);
        }
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        self.end_at(timestamp);
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            let now = open.tracer.0.shared.clock.now();
            self.end_at(now);
        }
    }
}
