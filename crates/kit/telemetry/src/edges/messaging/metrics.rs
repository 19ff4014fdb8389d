//! The metrics of messaging: how many messages, how long, how it ended.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};

use super::destination::Destination;
use crate::base::attributes::ERROR_TYPE;
use crate::base::error::ErrorType;
use crate::core::handle::Telemetry;
use crate::core::readings::{REQUEST_SECONDS, durations};

/// The instruments of one messaging system under one telemetry handle. Make it once and keep it.
///
/// ```
/// use std::time::Duration;
/// use waypost_telemetry::messaging::Metrics;
/// use waypost_telemetry::metrics::{render_prometheus, sample};
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let metrics = Metrics::new(&telemetry, "kafka").server("broker", Some(9_092));
/// metrics.sent("orders", 1, Duration::from_millis(3), None);
/// metrics.received("orders", "mail", 1, Duration::from_millis(2), None);
/// metrics.processed("orders", "mail", Duration::from_millis(9), None);
/// let page = render_prometheus(&[telemetry.handle().clone()]);
/// assert_eq!(sample(&page, "messaging_client_sent_messages_total", &[]), Some(1.0));
/// ```
#[derive(Clone, Debug)]
pub struct Metrics {
    system: &'static str,
    operation: Histogram<f64>,
    process: Histogram<f64>,
    sent: Counter<u64>,
    consumed: Counter<u64>,
    server: Vec<KeyValue>,
}

impl Metrics {
    /// The instruments for `system`, a value of `messaging.system`.
    pub fn new(telemetry: &Telemetry, system: &'static str) -> Self {
        let meter = telemetry.meter();
        let duration = |name, description| durations(meter, name, description, &REQUEST_SECONDS);
        let counter = |name: &'static str, description: &'static str| {
            meter.u64_counter(name).with_description(description).with_unit("{message}").build()
        };
        Self {
            system,
            operation: duration(
                "messaging.client.operation.duration",
                "Duration of messaging operation initiated by a producer or consumer client.",
            ),
            process: duration("messaging.process.duration", "Duration of processing operation."),
            sent: counter(
                "messaging.client.sent.messages",
                "Number of messages producer attempted to send to the broker.",
            ),
            consumed: counter(
                "messaging.client.consumed.messages",
                "Number of messages that were delivered to the application.",
            ),
            server: Vec::new(),
        }
    }

    /// The broker, as the program was told to reach it: `server.address` and `server.port` of every series.
    #[must_use]
    pub fn server(self, address: impl Into<String>, port: Option<u16>) -> Self {
        let mut server = vec![KeyValue::new("server.address", address.into())];
        server.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
        Self { server, ..self }
    }

    /// Messages were handed to the broker, or could not be.
    pub fn sent<'a>(
        &self,
        destination: impl Into<Destination<'a>>,
        messages: u64,
        elapsed: Duration,
        failure: Option<&dyn ErrorType>,
    ) {
        self.sent_by("send", destination.into(), messages, elapsed, failure);
    }

    /// As [`sent`](Self::sent), by an operation that the system calls otherwise.
    pub(super) fn sent_by(
        &self,
        operation: &'static str,
        destination: Destination<'_>,
        messages: u64,
        elapsed: Duration,
        failure: Option<&dyn ErrorType>,
    ) {
        let labels = self.labels(operation, destination, None, failure);
        self.sent.add(messages, &labels);
        self.record_operation("send", labels, elapsed);
    }

    /// Messages were asked for and came, or did not.
    pub fn received<'a>(
        &self,
        destination: impl Into<Destination<'a>>,
        group: &str,
        messages: u64,
        elapsed: Duration,
        failure: Option<&dyn ErrorType>,
    ) {
        let labels = self.labels("receive", destination.into(), Some(group), failure);
        self.consumed.add(messages, &labels);
        self.record_operation("receive", labels, elapsed);
    }

    /// Messages came to the program that nobody can say how long they were asked for: counted, not timed.
    ///
    /// ```
    /// # use waypost_telemetry::{messaging::Metrics, testing::TestTelemetry};
    /// let telemetry = TestTelemetry::new("mail");
    /// Metrics::new(&telemetry, "kafka").delivered("orders", "mail", 1);
    /// ```
    pub fn delivered<'a>(&self, destination: impl Into<Destination<'a>>, group: &str, messages: u64) {
        self.consumed.add(messages, &self.labels("receive", destination.into(), Some(group), None));
    }

    /// A broker was told what became of messages, or could not be. `operation` is what the system calls that.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use waypost_telemetry::{messaging::Metrics, testing::TestTelemetry};
    /// let telemetry = TestTelemetry::new("mail");
    /// Metrics::new(&telemetry, "kafka").settled("commit", "orders", "mail", Duration::from_millis(2), None);
    /// ```
    pub fn settled<'a>(
        &self,
        operation: &'static str,
        destination: impl Into<Destination<'a>>,
        group: &str,
        elapsed: Duration,
        failure: Option<&dyn ErrorType>,
    ) {
        let labels = self.labels(operation, destination.into(), Some(group), failure);
        self.record_operation("settle", labels, elapsed);
    }

    /// A message was processed, or could not be.
    pub fn processed<'a>(
        &self,
        destination: impl Into<Destination<'a>>,
        group: &str,
        elapsed: Duration,
        failure: Option<&dyn ErrorType>,
    ) {
        let labels = self.labels("process", destination.into(), Some(group), failure);
        self.process.record(elapsed.as_secs_f64(), &labels);
    }

    /// The conventions want the type of the operation on this one metric only.
    fn record_operation(&self, kind: &'static str, mut labels: Vec<KeyValue>, elapsed: Duration) {
        labels.push(KeyValue::new("messaging.operation.type", kind));
        self.operation.record(elapsed.as_secs_f64(), &labels);
    }

    fn labels(
        &self,
        operation: &'static str,
        destination: Destination<'_>,
        group: Option<&str>,
        failure: Option<&dyn ErrorType>,
    ) -> Vec<KeyValue> {
        let mut labels = Vec::with_capacity(8);
        labels.extend(self.server.iter().cloned());
        labels.push(KeyValue::new("messaging.system", self.system));
        labels.push(KeyValue::new("messaging.operation.name", operation));
        // The template stands in the place of a name that is one of many.
        match (destination.template, destination.name) {
            (Some(template), _) => {
                labels.push(KeyValue::new("messaging.destination.template", template.to_owned()));
            }
            (None, Some(name)) => labels.push(KeyValue::new("messaging.destination.name", name.to_owned())),
            (None, None) => {}
        }
        if let Some(group) = group.filter(|group| !group.is_empty()) {
            labels.push(KeyValue::new("messaging.consumer.group.name", group.to_owned()));
        }
        if let Some(failure) = failure {
            labels.push(KeyValue::new(ERROR_TYPE, failure.error_type()));
        }
        labels
    }
}
