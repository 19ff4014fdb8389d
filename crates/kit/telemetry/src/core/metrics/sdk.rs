//! What the kit says about itself, under the names of the OpenTelemetry conventions for SDKs.
//!
//! All of it is read from the ledger when somebody asks. A receiver is an exporter with a batching processor before
//! it; receivers of one protocol are told apart by `otel.component.name`. Memory is neither: it sends nothing, so what
//! it makes room for is no loss, and it does not appear.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};

use crate::base::ledger::{DropReason, ExporterLedger, Ledger, ParentOrigin, SamplingResult};
use crate::core::handle::{Telemetry, WeakTelemetry};
use crate::core::readings::{Names, PushCounts, Signal};

pub(super) fn observe(telemetry: &Telemetry) {
    observe_spans(telemetry);
    for signal in [Signal::Spans, Signal::Logs] {
        observe_processors(telemetry, signal);
        observe_exporters(telemetry, signal);
    }
    observe_pushes(telemetry);
}

fn observe_spans(telemetry: &Telemetry) {
    let meter = telemetry.meter();
    counter(meter, "otel.sdk.span.started", "{span}", "Spans that were started, recorded or not", {
        let telemetry = telemetry.weak();
        move |counter| {
            for (sampling, parent, count) in started(&ledger(&telemetry)) {
                let attributes = [
                    KeyValue::new("otel.span.sampling_result", sampling.as_str()),
                    KeyValue::new("otel.span.parent.origin", parent.as_str()),
                ];
                counter.observe(count, &attributes);
            }
        }
    });
    level(meter, "otel.sdk.span.live", "{span}", "Recorded spans that were started and have not ended", {
        let telemetry = telemetry.weak();
        move |level| {
            let recorded = SamplingResult::RecordAndSample.as_str();
            let attributes = [KeyValue::new("otel.span.sampling_result", recorded)];
            level.observe(signed(ledger(&telemetry).open()), &attributes);
        }
    });
    counter(meter, "otel.sdk.log.created", "{log_record}", "Log records that were taken", {
        let telemetry = telemetry.weak();
        move |counter| {
            // Each exporter gets every record, so one of them tells how many there were.
            let taken =
                |exporter: &ExporterLedger| exporter.exported + exporter.pending + exporter.dropped_total();
            if let Some(created) = ledgers(&telemetry, Signal::Logs).iter().map(taken).max() {
                counter.observe(created, &[]);
            }
        }
    });
}

/// Spans by the sampler's decision and the place of their parent; the kinds that occurred.
fn started(ledger: &Ledger) -> impl Iterator<Item = (SamplingResult, ParentOrigin, u64)> {
    let starts = ledger.starts;
    let kinds = SamplingResult::ALL
        .into_iter()
        .flat_map(|sampling| ParentOrigin::ALL.into_iter().map(move |parent| (sampling, parent)));
    kinds
        .map(move |(sampling, parent)| (sampling, parent, starts.of(sampling, parent)))
        .filter(|(_, _, count)| *count > 0)
}

fn observe_processors(telemetry: &Telemetry, signal: Signal) {
    let (meter, noun, unit) = (telemetry.meter(), signal.noun(), signal.unit());
    let name = |what: &str| format!("otel.sdk.processor.{noun}.{what}");
    level(meter, name("queue.size"), unit, "Waiting, not yet being sent", {
        let telemetry = telemetry.weak();
        move |level| {
            for (attributes, exporter) in processors(&telemetry, signal) {
                level.observe(signed(exporter.pending.saturating_sub(exporter.inflight)), &attributes);
            }
        }
    });
    level(meter, name("queue.capacity"), unit, "How many may wait or be sent at one moment", {
        let telemetry = telemetry.weak();
        move |level| {
            for (attributes, exporter) in processors(&telemetry, signal) {
                level.observe(signed(exporter.capacity), &attributes);
            }
        }
    });
    let description = "Handed to the exporter, or dropped before it with an error.type";
    counter(meter, name("processed"), unit, description, {
        let (telemetry, never_less) = (telemetry.weak(), NeverLess::default());
        move |counter| {
            for (attributes, exporter) in processors(&telemetry, signal) {
                let failed: u64 = AT_EXPORT.iter().map(|reason| exporter.dropped_for(*reason)).sum();
                let handed = exporter.exported + exporter.inflight + failed;
                counter.observe(never_less.than_before(&attributes, handed), &attributes);
                observe_drops(counter, &exporter, &BEFORE_EXPORT, &attributes);
            }
        }
    });
}

fn observe_exporters(telemetry: &Telemetry, signal: Signal) {
    let (meter, noun, unit) = (telemetry.meter(), signal.noun(), signal.unit());
    let name = |what: &str| format!("otel.sdk.exporter.{noun}.{what}");
    level(meter, name("inflight"), unit, "Being sent", {
        let telemetry = telemetry.weak();
        move |level| {
            for (attributes, exporter) in exporters(&telemetry, signal) {
                level.observe(signed(exporter.inflight), &attributes);
            }
        }
    });
    counter(meter, name("exported"), unit, "Whose export has ended, well or with an error.type", {
        let telemetry = telemetry.weak();
        move |counter| {
            for (attributes, exporter) in exporters(&telemetry, signal) {
                counter.observe(exporter.exported, &attributes);
                observe_drops(counter, &exporter, &AT_EXPORT, &attributes);
            }
        }
    });
}

/// Exporters of metrics count data points themselves: their ledger counts whole readings.
fn observe_pushes(telemetry: &Telemetry) {
    let (meter, noun, unit) = (telemetry.meter(), Signal::Metrics.noun(), Signal::Metrics.unit());
    level(meter, format!("otel.sdk.exporter.{noun}.inflight"), unit, "Being sent", {
        let telemetry = telemetry.weak();
        move |level| {
            for (attributes, counts) in pushed(&telemetry) {
                level.observe(signed(counts.inflight()), &attributes);
            }
        }
    });
    let description = "Whose export has ended, well or with an error.type";
    counter(meter, format!("otel.sdk.exporter.{noun}.exported"), unit, description, {
        let telemetry = telemetry.weak();
        move |counter| {
            for (attributes, counts) in pushed(&telemetry) {
                counter.observe(counts.exported(), &attributes);
                for (reason, count) in counts.dropped() {
                    observe_drop(counter, count, reason, &attributes);
                }
            }
        }
    });
}

/// Reasons for which an item never reaches its exporter. Memory's is not among them.
const BEFORE_EXPORT: [DropReason; 2] = [DropReason::QueueFull, DropReason::AfterShutdown];
/// Reasons for which an export fails. What still waits when the deadline of a shutdown comes is counted here too.
const AT_EXPORT: [DropReason; 3] =
    [DropReason::ExportFailed, DropReason::Rejected, DropReason::ShutdownDeadline];

fn observe_drops(
    counter: &dyn AsyncInstrument<u64>,
    exporter: &ExporterLedger,
    reasons: &[DropReason],
    attributes: &[KeyValue],
) {
    for reason in reasons {
        observe_drop(counter, exporter.dropped_for(*reason), *reason, attributes);
    }
}

fn observe_drop(counter: &dyn AsyncInstrument<u64>, count: u64, reason: DropReason, attributes: &[KeyValue]) {
    if count > 0 {
        let mut attributes = attributes.to_vec();
        attributes.push(KeyValue::new("error.type", reason.as_str()));
        counter.observe(count, &attributes);
    }
}

/// Callbacks live as long as the provider, so they must not keep the handle alive.
fn ledger(telemetry: &WeakTelemetry) -> Ledger {
    telemetry.upgrade().map(|telemetry| telemetry.ledger()).unwrap_or_default()
}

fn ledgers(telemetry: &WeakTelemetry, signal: Signal) -> Vec<ExporterLedger> {
    let Some(telemetry) = telemetry.upgrade() else { return Vec::new() };
    match signal {
        Signal::Spans => telemetry.ledger().exporters,
        Signal::Logs => telemetry.exports().log_ledger().exporters,
        Signal::Metrics => telemetry.exports().metric_ledger().exporters,
    }
}

/// The exporters of a signal, each with its attributes.
fn exporters(telemetry: &WeakTelemetry, signal: Signal) -> Vec<(Vec<KeyValue>, ExporterLedger)> {
    let mut names = Names::new(signal);
    let named = ledgers(telemetry, signal).into_iter().filter_map(|exporter| {
        Some((names.exporter(exporter.exporter, exporter.server.as_ref())?, exporter))
    });
    named.collect()
}

/// The same, for what stands before each exporter.
fn processors(telemetry: &WeakTelemetry, signal: Signal) -> Vec<(Vec<KeyValue>, ExporterLedger)> {
    let mut names = Names::new(signal);
    let exporters = exporters(telemetry, signal).into_iter();
    exporters.map(|(_, exporter)| (names.processor(), exporter)).collect()
}

fn pushed(telemetry: &WeakTelemetry) -> Vec<(Vec<KeyValue>, Arc<PushCounts>)> {
    telemetry.upgrade().map(|telemetry| telemetry.metrics().pushed()).unwrap_or_default()
}

/// A sum of counters that are not read at one moment may fall for an instant; a counter must not.
#[derive(Debug, Default)]
struct NeverLess(Mutex<HashMap<String, u64>>);

impl NeverLess {
    fn than_before(&self, attributes: &[KeyValue], value: u64) -> u64 {
        let name: String = attributes.iter().map(|attribute| attribute.value.as_str()).collect();
        let mut before = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let highest = before.entry(name).or_default();
        *highest = value.max(*highest);
        *highest
    }
}

fn counter(
    meter: &Meter,
    name: impl Into<Cow<'static, str>>,
    unit: &'static str,
    description: &'static str,
    observe: impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static,
) {
    let counter = meter.u64_observable_counter(name).with_unit(unit).with_description(description);
    counter.with_callback(observe).build();
}

fn level(
    meter: &Meter,
    name: impl Into<Cow<'static, str>>,
    unit: &'static str,
    description: &'static str,
    observe: impl Fn(&dyn AsyncInstrument<i64>) + Send + Sync + 'static,
) {
    let level = meter.i64_observable_up_down_counter(name).with_unit(unit).with_description(description);
    level.with_callback(observe).build();
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
