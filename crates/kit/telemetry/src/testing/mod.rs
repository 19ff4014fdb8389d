//! Testing what code records.
//!
//! [`TestTelemetry`] is a handle of its own that keeps everything in memory and touches no global, so tests run
//! side by side. [`SpanTree`] compares the spans of a trace with a tree written as text and says in the same text
//! what differs. [`Metrics`] and [`assert_logs`] are for the other signals, [`normalized`] for snapshots. With the cargo feature
//! `testing-collector` the module `collector` is a collector over real sockets. [`checks`] holds the rules that every trace obeys, [`conventions`] those of the OpenTelemetry semantic
//! conventions.

pub mod checks;
#[cfg(feature = "testing-collector")]
pub mod collector;
pub mod conventions;
mod expected;
mod logged;
mod matching;
mod measured;
mod normalized;
mod received;
mod reproducible;
mod tree;
mod wait;

use std::ops::Deref;

use crate::base::config::{Exporter, MetricSettings, SamplerKind, Settings};
use crate::base::finished::FinishedSpan;
use crate::core::handle::Telemetry;
use crate::core::init::Builder;
use conventions::{Conventions, ConventionsReport};
pub use logged::assert_logs;
pub use measured::{Metric, MetricPoint, Metrics};
pub use normalized::normalized;
pub use received::{Instrument, ReceivedLog, ReceivedMetric, ReceivedSpan};
pub use reproducible::{Clock, IdGenerator, ManualClock, SeededIds};
pub use tree::SpanTree;
pub use wait::{TimedOut, wait_for, wait_for_trace, wait_for_tree};

/// A handle for one test: every span and log record in memory at once, nothing global, nothing sent.
///
/// ```
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("place-order").in_scope(|| waypost_telemetry::set("order.id", "order-1"));
/// telemetry.tree().assert_matches("place-order INTERNAL order-service order.id=order-1");
/// ```
#[derive(Clone, Debug)]
pub struct TestTelemetry {
    telemetry: Telemetry,
}

impl TestTelemetry {
    /// Records every trace.
    ///
    /// # Panics
    ///
    /// If telemetry cannot start, which memory exporters do not cause.
    pub fn new(service_name: &str) -> Self {
        Self::with(Self::settings(service_name))
    }

    /// The settings of [`Self::new`], to change before [`Self::with`].
    pub fn settings(service_name: &str) -> Settings {
        let mut settings = Settings::new(service_name);
        settings.detectors.clear();
        settings.traces.exporters = vec![Exporter::Memory];
        settings.traces.sampler = SamplerKind::ParentBasedAlwaysOn;
        settings.logs.exporters = vec![Exporter::Memory];
        settings.metrics = MetricSettings { process: false, ..MetricSettings::default() };
        settings
    }

    /// A test handle with settings of its own.
    ///
    /// ```
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let mut settings = TestTelemetry::settings("order-service");
    /// settings.environment = Some("test".to_owned());
    /// let telemetry = TestTelemetry::with(settings);
    /// assert!(telemetry.resource().iter().any(|attribute| attribute.value == "test".into()));
    /// ```
    ///
    /// # Panics
    ///
    /// If the settings cannot be used.
    pub fn with(settings: Settings) -> Self {
        Self::build(Builder::new(settings))
    }

    /// A test handle with parts that settings cannot name: a clock and ids of its own, so that what is recorded is the same in
    /// every run, byte for byte.
    ///
    /// ```
    /// use waypost_telemetry::Builder;
    /// use waypost_telemetry::testing::{ManualClock, SeededIds, TestTelemetry};
    ///
    /// let run = || {
    ///     let builder = Builder::new(TestTelemetry::settings("order-service"));
    ///     let telemetry = TestTelemetry::build(builder.clock(ManualClock::new()).id_generator(SeededIds::new(7)));
    ///     telemetry.span("place").in_scope(|| ());
    ///     format!("{:?}", telemetry.finished_spans())
    /// };
    /// assert_eq!(run(), run());
    /// ```
    ///
    /// # Panics
    ///
    /// If the settings cannot be used.
    pub fn build(builder: Builder) -> Self {
        match builder.init() {
            Ok(telemetry) => Self { telemetry },
            Err(error) => panic!("test telemetry cannot start: {error}"),
        }
    }

    /// The handle itself.
    pub fn handle(&self) -> &Telemetry {
        &self.telemetry
    }

    /// The finished spans as one tree.
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// telemetry.span("place").in_scope(|| ());
    /// telemetry.tree().assert_matches("place INTERNAL order-service");
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no span, or spans of several traces.
    pub fn tree(&self) -> SpanTree {
        SpanTree::only(&self.finished_spans())
    }

    /// The one finished span with this name.
    ///
    /// ```
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// telemetry.span("place-order").attr("order.items", 3).in_scope(|| ());
    /// let span = telemetry.only_span("place-order");
    /// assert_eq!(span.attribute("order.items"), Some(&3.into()));
    /// assert!(!span.is_error());
    /// ```
    ///
    /// # Panics
    ///
    /// If there is none or more than one.
    pub fn only_span(&self, name: &str) -> FinishedSpan {
        let spans = self.finished_spans();
        let mut named = spans.iter().filter(|span| span.name() == name);
        let (Some(span), None) = (named.next(), named.next()) else {
            let names: Vec<_> = spans.iter().map(FinishedSpan::name).collect();
            panic!("expected one span named {name:?} among {names:?}");
        };
        span.clone()
    }

    /// Checks all that was recorded so far against the OpenTelemetry conventions and the kit's own names. With other names
    /// or with exceptions: [`Conventions::check`].
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// telemetry.span("place").in_scope(|| ());
    /// telemetry.conventions().assert_clean();
    /// ```
    pub fn conventions(&self) -> ConventionsReport {
        Conventions::current().check(&[self])
    }

    /// A reading of its metrics.
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// telemetry.meter().u64_counter("orders").build().add(3, &[]);
    /// assert_eq!(telemetry.measured().point("orders", &[]).value(), 3.0);
    /// ```
    pub fn measured(&self) -> Metrics {
        let metrics = self.telemetry.metrics();
        let encoded = metrics.read().map(|reading| {
            crate::core::export::metrics_request(&reading, &metrics.exemplars(), metrics.times())
        });
        encoded.map(|request| Metrics::decode(&request)).unwrap_or_default()
    }

    /// Forgets what was recorded so far.
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// telemetry.span("set-up").in_scope(|| ());
    /// telemetry.forget();
    /// assert!(telemetry.finished_spans().is_empty());
    /// ```
    pub fn forget(&self) {
        self.telemetry.forget_finished();
    }
}

impl Deref for TestTelemetry {
    type Target = Telemetry;

    fn deref(&self) -> &Telemetry {
        &self.telemetry
    }
}
