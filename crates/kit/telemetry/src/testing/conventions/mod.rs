//! Is what was recorded right by the OpenTelemetry semantic conventions?
//!
//! For tests of anybody who emits telemetry. [`Conventions`] holds a table made from the conventions' own model
//! ([`crate::attributes::SCHEMA_URL`] says the version) and the kit's own names; [`Conventions::with_registry`] adds those
//! of a program. Every span, metric, log record and resource is checked against it: names, types, values, what is
//! required, kinds and names of spans, status, units, instruments, buckets. [`ConventionsReport::assert_clean`] fails on
//! what the conventions forbid or advise against; what is meant to differ is an exception with a reason, and an exception
//! that nothing needs is a finding too.
//!
//! What is left out: whether a value is true, and conditions that only the program knows; those are
//! [`Level::Information`]. Attributes that the conventions do not mention for a signal are allowed on it.
//!
//! ```
//! use waypost_telemetry::testing::TestTelemetry;
//! use waypost_telemetry::testing::conventions::{Conventions, Rule};
//!
//! let telemetry = TestTelemetry::new("order-service");
//! telemetry.span("place-order").in_scope(|| waypost_telemetry::set("order.id", "order-1"));
//!
//! // Nothing declares `order.id` yet.
//! let report = telemetry.conventions();
//! let rules: Vec<_> = report.findings().map(|finding| finding.rule()).collect();
//! assert!(rules.contains(&Rule::UndeclaredAttribute), "{report}");
//!
//! let registry = "
//! groups:
//!   - id: registry.order
//!     type: attribute_group
//!     brief: Attributes of orders.
//!     attributes:
//!       - id: order.id
//!         type: string
//!         brief: The order a span works on.
//!         stability: stable
//! ";
//! let conventions = Conventions::current().with_registry(registry)?;
//! conventions.begin().spans(&telemetry.finished_spans()).report().assert_clean();
//! # Ok::<(), waypost_telemetry::testing::conventions::RegistryError>(())
//! ```

mod attribute;
mod log;
mod metric;
mod names;
mod registry;
mod report;
mod resource;
mod span;
mod status;
mod table;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{ResourceMetrics, ScopeMetrics};

use crate::base::finished::{FinishedLog, FinishedSpan};
use crate::core::handle::Telemetry;
use crate::testing::received::ReceivedMetric;
pub use registry::RegistryError;
pub use report::{ConventionsReport, Finding, Level, Rule, Signal};
use report::{Exception, Findings};
use table::Table;

/// The conventions that telemetry is checked against, with the exceptions that are meant.
#[derive(Clone, Debug)]
pub struct Conventions {
    table: Arc<Table>,
    exceptions: Vec<Exception>,
}

impl Conventions {
    /// The OpenTelemetry conventions of the version that the kit speaks, and the kit's own names.
    ///
    /// # Panics
    ///
    /// Never: the table is part of the crate and tested.
    pub fn current() -> Self {
        Self { table: Table::current(), exceptions: Vec::new() }
    }

    /// `https://opentelemetry.io/schemas/` and the version of the conventions.
    pub fn schema_url(&self) -> &str {
        &self.table.schema_url
    }

    /// Adds a registry: the text of a YAML file in Weaver's form with `groups` of attributes, metrics or events.
    ///
    /// A name that the registry declares counts as declared even in a namespace of the conventions.
    ///
    /// # Errors
    ///
    /// If the text is not of this form or declares nothing.
    pub fn with_registry(self, yaml: &str) -> Result<Self, RegistryError> {
        self.with_texts(&[yaml.to_owned()])
    }

    /// As [`Self::with_registry`], with every YAML file of a folder and of the folders in it.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or is not of this form, or all together declare nothing.
    pub fn with_registry_folder(self, folder: impl AsRef<Path>) -> Result<Self, RegistryError> {
        self.with_texts(&registry::read_folder(folder.as_ref())?)
    }

    fn with_texts(mut self, texts: &[String]) -> Result<Self, RegistryError> {
        registry::add(Arc::make_mut(&mut self.table), texts)?;
        Ok(self)
    }

    /// A deviation that is meant. The pattern is the [`Finding::name`], or [`Finding::place`] and name with `/` between;
    /// `*` stands for any text. Informations need no exception.
    #[must_use]
    pub fn exception(mut self, pattern: &str, reason: &str) -> Self {
        let (pattern, reason) = (pattern.to_owned(), reason.to_owned());
        self.exceptions.push(Exception { rule: None, pattern, reason });
        self
    }

    /// As [`Self::exception`], for one rule only.
    #[must_use]
    pub fn exception_to(mut self, rule: Rule, pattern: &str, reason: &str) -> Self {
        let (pattern, reason) = (pattern.to_owned(), reason.to_owned());
        self.exceptions.push(Exception { rule: Some(rule), pattern, reason });
        self
    }

    /// Checks what handles recorded: finished spans and log records in memory, metrics, resource.
    pub fn check(&self, handles: &[&Telemetry]) -> ConventionsReport {
        let mut check = self.begin();
        for handle in handles {
            check = check.telemetry(handle);
        }
        check.report()
    }

    /// Begins a check of anything, whoever recorded it.
    ///
    /// ```
    /// use waypost_telemetry::testing::TestTelemetry;
    /// use waypost_telemetry::testing::conventions::Conventions;
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// telemetry.span("price-order").in_scope(|| ());
    /// let conventions = Conventions::current();
    /// conventions.begin().spans(&telemetry.finished_spans()).report().assert_clean();
    /// ```
    pub fn begin(&self) -> Check<'_> {
        Check { conventions: self, findings: Findings::default(), seen: [0; 4] }
    }
}

/// A check that is being made; [`Self::report`] ends it.
#[derive(Debug)]
#[must_use = "a check tells by its report"]
pub struct Check<'a> {
    conventions: &'a Conventions,
    findings: Findings,
    /// Spans, points of metrics, log records, resources.
    seen: [usize; 4],
}

impl Check<'_> {
    /// Checks spans and their events.
    pub fn spans(mut self, spans: &[FinishedSpan]) -> Self {
        for span in spans {
            span::check(&self.conventions.table, span, &mut self.findings);
        }
        self.seen[0] += spans.len();
        self
    }

    /// Checks log records.
    pub fn logs(mut self, logs: &[FinishedLog]) -> Self {
        for log in logs {
            log::check(&self.conventions.table, log, &mut self.findings);
        }
        self.seen[2] += logs.len();
        self
    }

    /// Checks a reading of metrics. Its resource is not checked.
    pub fn metrics(mut self, reading: &ResourceMetrics) -> Self {
        for metric in reading.scope_metrics().flat_map(ScopeMetrics::metrics) {
            self.seen[1] += metric::check(&self.conventions.table, &metric::seen(metric), &mut self.findings);
        }
        self
    }

    /// Checks metrics that came from elsewhere, over OTLP for instance.
    pub fn received_metrics(mut self, metrics: &[ReceivedMetric]) -> Self {
        for metric in metrics {
            self.seen[1] += metric::check(&self.conventions.table, metric, &mut self.findings);
        }
        self
    }

    /// Checks the attributes of a resource.
    pub fn resource(mut self, attributes: &[KeyValue]) -> Self {
        resource::check(&self.conventions.table, attributes, &mut self.findings);
        self.seen[3] += 1;
        self
    }

    /// Checks all that a handle recorded.
    pub fn telemetry(self, telemetry: &Telemetry) -> Self {
        let check = self.spans(&telemetry.finished_spans()).logs(&telemetry.finished_logs());
        let check = check.resource(telemetry.resource());
        match telemetry.metrics().read() {
            Some(reading) => check.metrics(&reading),
            None => check,
        }
    }

    /// The findings, with the exceptions taken out.
    pub fn report(self) -> ConventionsReport {
        let [spans, points, logs, resources] = self.seen;
        let seen = format!("{spans} spans, {points} points, {logs} log records, {resources} resources");
        ConventionsReport::new(self.findings, &self.conventions.exceptions, seen)
    }
}
