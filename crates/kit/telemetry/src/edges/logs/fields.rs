//! The fields of `tracing` spans, kept for the events inside them.

use tracing::Subscriber;
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::base::fields::Fields;

/// The fields of one span. Both layers of this edge may write them: the same values twice are the same values.
#[derive(Debug)]
pub(super) struct SpanFields(pub(super) Fields);

/// Keeps the fields a span begins with.
pub(super) fn keep_new<S>(attributes: &Attributes<'_>, id: &Id, layer: &Context<'_, S>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    if attributes.metadata().fields().is_empty() {
        return;
    }
    let Some(span) = layer.span(id) else { return };
    if span.extensions().get::<SpanFields>().is_some() {
        return;
    }
    let mut fields = Fields::default();
    attributes.record(&mut fields);
    forget_instructions(&mut fields);
    span.extensions_mut().replace(SpanFields(fields));
}

/// Keeps the fields that are recorded later.
pub(super) fn keep_late<S>(id: &Id, values: &Record<'_>, layer: &Context<'_, S>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Some(span) = layer.span(id) else { return };
    let mut late = Fields::default();
    values.record(&mut late);
    forget_instructions(&mut late);
    let mut extensions = span.extensions_mut();
    if let Some(SpanFields(fields)) = extensions.get_mut::<SpanFields>() {
        for (name, value) in late.fields {
            fields.set(name, value);
        }
    }
}

/// `otel.name` and its like tell the bridge what to do; they are no facts.
fn forget_instructions(fields: &mut Fields) {
    fields.fields.retain(|(name, _)| !name.starts_with("otel."));
}
