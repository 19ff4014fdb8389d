//! Where a `tracing` event happened: under which handle, in which span, inside which `tracing` spans.

use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry::{Context, Value};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::Context as LayerContext;
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::fields::SpanFields;
use crate::base::fields::Fields;
use crate::core::bridged;
use crate::core::handle::Telemetry;

/// The context of the moment an event is written in.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) telemetry: Telemetry,
    pub(super) span: SpanContext,
    pub(super) suppressed: bool,
}

impl Scene {
    /// `None` for events of the OpenTelemetry API itself: it may write them while it holds the context.
    ///
    /// The span is that of the current context, unless the event names a `tracing` span as its parent.
    pub(super) fn of<S>(target: &str, event: &Event<'_>, layer: &LayerContext<'_, S>) -> Option<Self>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if target.starts_with("opentelemetry") {
            return None;
        }
        let named =
            event.parent().and_then(|parent| layer.span(parent)).and_then(|span| bridged::context_of(&span));
        let mut scene = match named {
            Some(context) => Self::in_context(&context),
            None => Context::map_current(Self::in_context),
        };
        if event.is_root() {
            scene.span = SpanContext::empty_context();
        }
        Some(scene)
    }

    fn in_context(context: &Context) -> Self {
        Self {
            telemetry: Telemetry::of(context),
            span: context.span().span_context().clone(),
            suppressed: context.is_telemetry_suppressed(),
        }
    }

    /// The name of the service, unless there is none to name.
    pub(super) fn service_name(&self) -> Option<&str> {
        self.telemetry.is_named().then(|| self.telemetry.service_name())
    }
}

/// The fields of the `tracing` spans around an event, outermost first; an inner span's value wins.
pub(super) fn surrounding<S>(event: &Event<'_>, layer: &LayerContext<'_, S>) -> Vec<(&'static str, Value)>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let mut all = Fields::default();
    for span in layer.event_scope(event).into_iter().flat_map(Scope::from_root) {
        if let Some(SpanFields(fields)) = span.extensions().get::<SpanFields>() {
            for (name, value) in &fields.fields {
                all.set(name, value.clone());
            }
        }
    }
    all.fields
}

/// Calls `f` with where an event comes from: for one of the `log` crate where that one was written.
pub(super) fn with_metadata<T>(event: &Event<'_>, f: impl FnOnce(&Metadata<'_>) -> T) -> T {
    #[cfg(feature = "log")]
    if let Some(metadata) = tracing_log::NormalizeEvent::normalized_metadata(event) {
        return f(&metadata);
    }
    f(event.metadata())
}

pub(super) fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        _ => "TRACE",
    }
}
