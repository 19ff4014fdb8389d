//! Labels of the duration metric that a handler knows.

use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::{Key, KeyValue, Value};

/// Labels a handler adds to the duration metric of its request: an extension of the request.
///
/// Only keys allowed by [`ServerLayer::metric_labels`](crate::http::ServerLayer::metric_labels) are kept, each once; the last value counts.
///
/// ```
/// use axum::{Extension, Router, routing::get};
/// use waypost_telemetry::{Telemetry, http::MetricLabels};
///
/// async fn show(Extension(labels): Extension<MetricLabels>) {
///     labels.set("customer.tier", "gold");
/// }
///
/// # let telemetry = Telemetry::disabled();
/// let app: Router =
///     Router::new().route("/", get(show)).layer(telemetry.http_server().metric_labels(["customer.tier"]));
/// ```
#[derive(Clone, Debug)]
pub struct MetricLabels {
    allowed: Arc<[Key]>,
    set: Arc<Mutex<Vec<KeyValue>>>,
}

impl MetricLabels {
    pub(super) fn of(allowed: &Arc<[Key]>) -> Self {
        Self { allowed: Arc::clone(allowed), set: Arc::default() }
    }

    /// Sets a label; a key that the layer does not allow is ignored. The values must be few.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if !self.allowed.iter().any(|allowed| allowed.as_str() == key) {
            return;
        }
        let label = KeyValue::new(key, value);
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        match set.iter_mut().find(|known| known.key == label.key) {
            Some(known) => *known = label,
            None => set.push(label),
        }
    }

    pub(super) fn take(self) -> Vec<KeyValue> {
        std::mem::take(&mut *self.set.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
