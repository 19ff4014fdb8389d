//! From `tracing` events to the log records of the current handle.

use std::borrow::Cow;

use opentelemetry::KeyValue;
use opentelemetry::logs::Severity;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::event::{Scene, surrounding, with_metadata};
use super::fields::{keep_late, keep_new};
use crate::base::fields::Fields;
use crate::base::finished::FinishedLog;

/// Crates whose events exporting would cause again: the exporters' clients. The kit's own events are excluded
/// because recorded failures have a record of their own.
const NOT_EXPORTED: [&str; 8] =
    ["h2", "hyper", "hyper_util", "reqwest", "rustls", "tonic", "tower", "waypost_telemetry"];

/// A layer that hands each event to the handle of the current context, which sends it where its
/// [`LogSettings::exporters`](crate::config::LogSettings::exporters) say.
///
/// A record has the event's fields as attributes and those of the `tracing` spans around it; an inner span's field wins
/// over an outer one's, and the event's own over both. It is tied to the current span.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt as _;
/// use waypost_telemetry::logs::Records;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let subscriber = tracing_subscriber::registry().with(Records::new());
/// tracing::subscriber::with_default(subscriber, || {
///     let _context = telemetry.context().attach();
///     let _span = tracing::info_span!("place", order.id = "order-1").entered();
///     tracing::warn!(stock = 0, "sold out");
/// });
/// let record = &telemetry.finished_logs()[0];
/// assert_eq!(record.body(), "sold out");
/// assert_eq!(record.attribute("order.id"), Some(&"order-1".into()));
/// assert_eq!(record.attribute("stock"), Some(&0.into()));
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Records;

impl Records {
    /// The layer. It has no filter of its own; give it one by `with_filter`.
    pub fn new() -> Self {
        Self
    }

    fn keep<S>(metadata: &Metadata<'_>, event: &Event<'_>, layer: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if NOT_EXPORTED.iter().any(|name| is_of(metadata.target(), name)) {
            return;
        }
        let Some(scene) = Scene::of(metadata.target(), event, layer) else { return };
        if scene.suppressed || !scene.telemetry.takes_logs() {
            return;
        }
        let fields = Fields::of(event);
        let around = surrounding(event, layer).into_iter().filter(|(name, _)| !fields.has(name));
        let mut attributes: Vec<KeyValue> = around.map(|(key, value)| KeyValue::new(key, value)).collect();
        attributes.extend(fields.fields.into_iter().map(|(key, value)| KeyValue::new(key, value)));
        let service_name = scene.telemetry.shared_service_name();
        scene.telemetry.emit(FinishedLog {
            time: scene.telemetry.clock().now(),
            severity: severity(*metadata.level()),
            target: Cow::Owned(metadata.target().to_owned()),
            body: fields.message,
            attributes,
            span: scene.span,
            service_name,
        });
    }
}

impl<S> Layer<S> for Records
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, layer: Context<'_, S>) {
        keep_new(attributes, id, &layer);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, layer: Context<'_, S>) {
        keep_late(id, values, &layer);
    }

    fn on_event(&self, event: &Event<'_>, layer: Context<'_, S>) {
        with_metadata(event, |metadata| Self::keep(metadata, event, &layer));
    }
}

/// Whether a target is this crate or a module in it; `tower_http` is not of `tower`.
fn is_of(target: &str, name: &str) -> bool {
    target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warn,
        Level::INFO => Severity::Info,
        Level::DEBUG => Severity::Debug,
        _ => Severity::Trace,
    }
}
