//! Exporters and processors under the names that the conventions for SDKs have for them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::clock::{HandleClock, Timer};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;

/// What an exporter sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Spans,
    Logs,
    Metrics,
}

impl Signal {
    /// As it stands in names of metrics.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Spans => "span",
            Self::Logs => "log",
            Self::Metrics => "metric_data_point",
        }
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Spans => "{span}",
            Self::Logs => "{log_record}",
            Self::Metrics => "{data_point}",
        }
    }

    /// The `otel.component.type` of what queues items for an exporter.
    fn processor(self) -> &'static str {
        match self {
            Self::Spans => "batching_span_processor",
            Self::Logs => "batching_log_processor",
            Self::Metrics => "periodic_metric_reader",
        }
    }

    /// The `otel.component.type` of an exporter of the ledger. None for memory: it sends nothing, so what it makes
    /// room for is no loss.
    fn exporter(self, exporter: &str) -> Option<&'static str> {
        Some(match (exporter.trim_start_matches("additional_"), self) {
            ("otlp_http", Self::Spans) => "otlp_http_span_exporter",
            ("otlp_http", Self::Logs) => "otlp_http_log_exporter",
            ("otlp_http", Self::Metrics) => "otlp_http_metric_exporter",
            ("otlp_http_json", Self::Spans) => "otlp_http_json_span_exporter",
            ("otlp_http_json", Self::Logs) => "otlp_http_json_log_exporter",
            ("otlp_http_json", Self::Metrics) => "otlp_http_json_metric_exporter",
            ("otlp_grpc", Self::Spans) => "otlp_grpc_span_exporter",
            ("otlp_grpc", Self::Logs) => "otlp_grpc_log_exporter",
            ("otlp_grpc", Self::Metrics) => "otlp_grpc_metric_exporter",
            ("zipkin", Self::Spans) => "zipkin_http_span_exporter",
            // The conventions have no word for these.
            ("otlp_file", Self::Spans) => "otlp_file_span_exporter",
            ("otlp_file", Self::Logs) => "otlp_file_log_exporter",
            ("otlp_file", Self::Metrics) => "otlp_file_metric_exporter",
            ("console", Self::Spans) => "console_span_exporter",
            ("console", Self::Logs) => "console_log_exporter",
            ("console", Self::Metrics) => "console_metric_exporter",
            _ => return None,
        })
    }
}

/// Gives the components of one signal their names, in the order of the ledger: `<type>/<number>`.
#[derive(Debug)]
pub(crate) struct Names {
    signal: Signal,
    given: BTreeMap<&'static str, usize>,
}

impl Names {
    pub(crate) fn new(signal: Signal) -> Self {
        Self { signal, given: BTreeMap::new() }
    }

    /// The attributes of the next exporter; `None` for one that sends nothing.
    pub(crate) fn exporter(
        &mut self,
        exporter: &str,
        server: Option<&(String, u16)>,
    ) -> Option<Vec<KeyValue>> {
        let mut attributes = self.named(self.signal.exporter(exporter)?);
        if let Some((address, port)) = server {
            attributes.push(KeyValue::new("server.address", address.clone()));
            attributes.push(KeyValue::new("server.port", i64::from(*port)));
        }
        Some(attributes)
    }

    /// The attributes of the next processor.
    pub(crate) fn processor(&mut self) -> Vec<KeyValue> {
        self.named(self.signal.processor())
    }

    fn named(&mut self, kind: &'static str) -> Vec<KeyValue> {
        let number = self.given.entry(kind).or_default();
        let name = format!("{kind}/{number}");
        *number += 1;
        vec![KeyValue::new("otel.component.type", kind), KeyValue::new("otel.component.name", name)]
    }
}

/// Measures the exports of one exporter: `otel.sdk.exporter.operation.duration`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations {
    pub(super) duration: Option<Histogram<f64>>,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) clock: HandleClock,
}

impl Operations {
    /// Begins to measure an export.
    pub(crate) fn timer(&self) -> Timer {
        self.clock.timer()
    }

    /// An export has ended, retries and their pauses included.
    pub(crate) fn ended(&self, took: Duration, error: Option<&'static str>) {
        let Some(duration) = &self.duration else { return };
        match error {
            None => duration.record(took.as_secs_f64(), &self.attributes),
            Some(error) => {
                let mut attributes = self.attributes.clone();
                attributes.push(KeyValue::new("error.type", error));
                duration.record(took.as_secs_f64(), &attributes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_of_one_protocol_are_told_apart() {
        let mut names = Names::new(Signal::Spans);
        let mut named = |exporter| {
            let attributes = names.exporter(exporter, Some(&("collector".to_owned(), 4318)));
            attributes.map(|attributes| {
                attributes.iter().map(|pair| pair.value.as_str().into_owned()).collect::<Vec<_>>().join(" ")
            })
        };
        assert_eq!(
            named("otlp_http").as_deref(),
            Some("otlp_http_span_exporter otlp_http_span_exporter/0 collector 4318")
        );
        assert_eq!(
            named("additional_otlp_http").as_deref(),
            Some("otlp_http_span_exporter otlp_http_span_exporter/1 collector 4318")
        );
        assert_eq!(
            named("otlp_grpc").as_deref(),
            Some("otlp_grpc_span_exporter otlp_grpc_span_exporter/0 collector 4318")
        );
        assert_eq!(named("memory"), None);
    }
}
