//! From `tracing` events to the log records of the current handle.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::logs::Severity;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::event::{Said, Scene};
use crate::base::finished::FinishedLog;

/// Targets whose events exporting would cause again: the exporters' clients, and the API itself. The kit's own
/// events are excluded because recorded failures have a record of their own.
const NOT_EXPORTED: [&str; 8] =
    ["h2", "hyper", "reqwest", "rustls", "tonic", "tower", "opentelemetry", "waypost_telemetry"];

#[derive(Debug)]
pub(super) struct Bridge;

impl<S: Subscriber> Layer<S> for Bridge {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        if NOT_EXPORTED.iter().any(|target| metadata.target().starts_with(target)) {
            return;
        }
        let Some(scene) = Scene::of(metadata) else { return };
        if scene.suppressed || !scene.telemetry.takes_logs() {
            return;
        }
        let said = Said::by(event);
        let attributes = said.fields.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
        let service_name = scene.telemetry.shared_service_name();
        scene.telemetry.emit(FinishedLog {
            time: SystemTime::now(),
            severity: severity(*metadata.level()),
            target: Cow::Owned(metadata.target().to_owned()),
            body: said.message,
            attributes,
            span: scene.span,
            service_name,
        });
    }
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
