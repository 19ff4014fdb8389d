//! What the layer does when a `tracing` span is opened, entered, left and closed.
//!
//! No lock of the registry is held while a span is started, changed or ended: what happens then may be logged, and that
//! comes back to this layer.

use std::borrow::Cow;

use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context as LayerContext;
use tracing_subscriber::registry::LookupSpan;

use super::values::{Failure, Values};
use super::{SpanLayer, entered};
use crate::base::fields::Fields;
use crate::core::bridged::{Bridged, context_of};
use crate::core::handle::Telemetry;
use crate::core::span::{SpanBuilder, SpanGuard};
use crate::core::tracer::scopes::ScopeNumber;

impl SpanLayer {
    /// The span for a `tracing` span that is being opened.
    fn start(&self, attributes: &Attributes<'_>, named_parent: Option<Context>) -> Option<SpanGuard> {
        let metadata = attributes.metadata();
        if is_own(metadata.target()) {
            return None;
        }
        let current = Context::current();
        if current.is_telemetry_suppressed() {
            return None;
        }
        let parent = named_parent.unwrap_or(current);
        let telemetry = Telemetry::found_in(&parent).or_else(|| self.telemetry.clone())?;
        if !telemetry.is_enabled() {
            return None;
        }

        let mut values = Values::default();
        attributes.record(&mut values);
        let name = values.name.take().map_or(Cow::Borrowed(metadata.name()), Cow::Owned);
        let mut builder = SpanBuilder::new(telemetry, parent, name)
            .scoped(ScopeNumber::of(metadata.target(), None))
            .attrs(std::mem::take(&mut values.attributes));
        if let Some(kind) = values.kind.take() {
            builder = builder.kind(kind);
        }
        if attributes.is_root() {
            builder = builder.root();
        }
        if self.location {
            builder =
                builder.attr("code.file.path", metadata.file()).attr("code.line.number", metadata.line());
        }
        let span = builder.start();
        values.apply_status(&span);
        Some(span)
    }

    fn add_event(event: &Event<'_>, context: &Context) {
        let metadata = event.metadata();
        let said = Fields::of(event);
        let name =
            if said.message.is_empty() { Cow::Borrowed(metadata.name()) } else { Cow::Owned(said.message) };
        let mut attributes: Vec<KeyValue> =
            said.fields.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
        attributes.push(KeyValue::new("level", metadata.level().as_str()));
        attributes.push(KeyValue::new("target", metadata.target().to_owned()));
        context.span().add_event_with_timestamp(name, Telemetry::clock_of(context).now(), attributes);
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let is_failure = self.errors_set_status && *metadata.level() == Level::ERROR;
        (is_failure || self.span_events) && !is_own(metadata.target())
    }
}

impl<S> Layer<S> for SpanLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, layer: LayerContext<'_, S>) {
        // The parent's parent, if a filter leaves the parent out.
        let named = attributes.parent().and_then(|_| layer.span(id)?.parent());
        let named = named.and_then(|span| context_of(&span));
        if let Some(started) = self.start(attributes, named)
            && let Some(span) = layer.span(id)
        {
            let replaced = span.extensions_mut().replace(Bridged(started));
            // Two of these layers in one subscriber: the first one's span ends, outside of the lock.
            drop(replaced);
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, layer: LayerContext<'_, S>) {
        let Some(guard) = own(id, &layer) else { return };
        let mut values = Values::default();
        record.record(&mut values);
        values.apply(&guard);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, layer: LayerContext<'_, S>) {
        let Some(guard) = own(id, &layer) else { return };
        let Some(followed) = layer.span(follows).and_then(|span| context_of(&span)) else { return };
        guard.link(followed.span().span_context().clone());
    }

    fn on_event(&self, event: &Event<'_>, layer: LayerContext<'_, S>) {
        if !self.wants(event.metadata()) || Context::is_current_telemetry_suppressed() {
            return;
        }
        let Some(span) = layer.event_span(event) else { return };
        if self.errors_set_status
            && *event.metadata().level() == Level::ERROR
            && let Some(guard) = own(&span.id(), &layer)
            && (!event.is_contextual() || is_current(&guard))
        {
            let mut failure = Failure::default();
            event.record(&mut failure);
            failure.apply(&guard);
        }
        if self.span_events
            && let Some(context) = event_context(event, &span)
        {
            Self::add_event(event, &context);
        }
    }

    fn on_enter(&self, id: &Id, layer: LayerContext<'_, S>) {
        if let Some(guard) = own(id, &layer) {
            entered::enter(id, guard.into_context());
        }
    }

    fn on_exit(&self, id: &Id, _layer: LayerContext<'_, S>) {
        entered::leave(id);
    }

    fn on_close(&self, id: Id, layer: LayerContext<'_, S>) {
        let Some(span) = layer.span(&id) else { return };
        let bridged = span.extensions_mut().remove::<Bridged>();
        // Ends the span: well, or as panicked if the thread unwinds.
        drop(bridged);
    }
}

/// The OpenTelemetry span of a `tracing` span, if it has one of its own, to write to.
fn own<S>(id: &Id, layer: &LayerContext<'_, S>) -> Option<SpanGuard>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let span = layer.span(id)?;
    let extensions = span.extensions();
    extensions.get::<Bridged>().map(|bridged| bridged.0.borrowed())
}

/// Whether no other span, such as one of the kit, is open inside this one.
fn is_current(guard: &SpanGuard) -> bool {
    let id = guard.span_context().span_id();
    Context::map_current(|context| context.span().span_context().span_id() == id)
}

/// Where an event belongs: to the innermost span of all, unless it names its parent.
fn event_context<'a, R: LookupSpan<'a>>(
    event: &Event<'_>,
    span: &tracing_subscriber::registry::SpanRef<'a, R>,
) -> Option<Context> {
    if event.is_contextual() { Some(Context::current()) } else { context_of(span) }
}

/// The kit's own targets, and those of the OpenTelemetry API, which may write while it holds the context.
fn is_own(target: &str) -> bool {
    target.starts_with("opentelemetry")
        || target == "waypost_telemetry"
        || target.starts_with("waypost_telemetry::")
}
