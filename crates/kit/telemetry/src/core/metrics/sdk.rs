//! What the kit says about itself, under the names of the OpenTelemetry conventions for SDKs.

use opentelemetry::{KeyValue, Value};

use crate::base::ledger::{DropReason, ExporterLedger};
use crate::core::handle::Telemetry;

pub(super) fn observe(telemetry: &Telemetry) {
    let meter = telemetry.meter();
    // Callbacks live as long as the provider, so they must not keep the handle alive.
    let spans = telemetry.weak();
    meter
        .u64_observable_counter("otel.sdk.span.started")
        .with_unit("{span}")
        .with_description("Recorded spans that were started")
        .with_callback(move |observer| {
            if let Some(telemetry) = spans.upgrade() {
                observer.observe(telemetry.ledger().started, &[]);
            }
        })
        .build();

    let live = telemetry.weak();
    meter
        .i64_observable_up_down_counter("otel.sdk.span.live")
        .with_unit("{span}")
        .with_description("Recorded spans that were started and have not ended")
        .with_callback(move |observer| {
            if let Some(telemetry) = live.upgrade() {
                observer.observe(telemetry.ledger().open().try_into().unwrap_or(i64::MAX), &[]);
            }
        })
        .build();

    let exported = telemetry.weak();
    meter
        .u64_observable_counter("otel.sdk.exporter.span.exported")
        .with_unit("{span}")
        .with_description("Spans for which the export has finished, well or with an error.type")
        .with_callback(move |observer| {
            for exporter in exported.upgrade().iter().flat_map(|telemetry| telemetry.ledger().exporters) {
                observer.observe(exporter.exported, &[component(&exporter)]);
                for reason in [DropReason::ExportFailed, DropReason::Rejected, DropReason::ShutdownDeadline] {
                    observe_drop(&exporter, reason, |count, attributes| observer.observe(count, attributes));
                }
            }
        })
        .build();

    let processed = telemetry.weak();
    meter
        .u64_observable_counter("otel.sdk.processor.span.processed")
        .with_unit("{span}")
        .with_description("Spans that were taken for export, or dropped before it with an error.type")
        .with_callback(move |observer| {
            let ledger = processed.upgrade().map(|telemetry| telemetry.ledger()).unwrap_or_default();
            for exporter in &ledger.exporters {
                let refused: u64 = BEFORE_EXPORT.iter().map(|reason| exporter.dropped_for(*reason)).sum();
                observer.observe(ledger.ended.saturating_sub(refused), &[component(exporter)]);
                for reason in BEFORE_EXPORT {
                    observe_drop(exporter, reason, |count, attributes| observer.observe(count, attributes));
                }
            }
        })
        .build();

    let queued = telemetry.weak();
    meter
        .i64_observable_up_down_counter("otel.sdk.processor.span.queue.size")
        .with_unit("{span}")
        .with_description("Spans that wait or are being sent")
        .with_callback(move |observer| {
            for exporter in queued.upgrade().iter().flat_map(|telemetry| telemetry.ledger().exporters) {
                let pending = exporter.pending.try_into().unwrap_or(i64::MAX);
                observer.observe(pending, &[component(&exporter)]);
            }
        })
        .build();
}

/// Reasons for which a span never reaches its exporter.
const BEFORE_EXPORT: [DropReason; 3] =
    [DropReason::QueueFull, DropReason::AfterShutdown, DropReason::Overwritten];

fn observe_drop(exporter: &ExporterLedger, reason: DropReason, observe: impl FnOnce(u64, &[KeyValue])) {
    let count = exporter.dropped_for(reason);
    if count > 0 {
        observe(count, &[component(exporter), KeyValue::new("error.type", reason.as_str())]);
    }
}

fn component(exporter: &ExporterLedger) -> KeyValue {
    KeyValue::new("otel.component.type", Value::from(exporter.exporter))
}
