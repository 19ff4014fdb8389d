//! `GET /metrics`: counters of all spans that were received, as Prometheus scrapes them.
//!
//! Span metrics and a service graph, under the names that Tempo's metrics generator has given them, so that dashboards and
//! Grafana's service graph read them. Whoever accepts `application/openmetrics-text` gets OpenMetrics 1.0, where buckets and
//! failed calls carry the id of a trace as an exemplar; everybody else the text format 0.0.4, which has none.
//!
//! Invariants:
//! - A counter never goes back, not by a restart either: the totals are kept with the statistics.
//! - The number of lines is bounded: [`MAX_OPERATIONS`], [`MAX_EDGES`].

use crate::{error::Error, reads::Reads};
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, header};
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};
use waypost_trace_model::{Kind, TraceId};
use waypost_trace_statistics::{EdgeTotals, OperationTotals, Peer, PeerKind, Totals};

/// Operations with lines of their own; the others count under `(other)` of their service and kind.
const MAX_OPERATIONS: usize = 1_000;
/// Edges; the others are left out.
const MAX_EDGES: usize = 1_000;

/// Upper bounds of the buckets, as they are written and in nanoseconds.
const BOUNDS: [(&str, u64); 13] = [
    ("0.001", 1_000_000),
    ("0.0025", 2_500_000),
    ("0.005", 5_000_000),
    ("0.01", 10_000_000),
    ("0.025", 25_000_000),
    ("0.05", 50_000_000),
    ("0.1", 100_000_000),
    ("0.25", 250_000_000),
    ("0.5", 500_000_000),
    ("1.0", 1_000_000_000),
    ("2.5", 2_500_000_000),
    ("5.0", 5_000_000_000),
    ("10.0", 10_000_000_000),
];

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A number that is no span's, for the same document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The name of its family; samples of one family stand together.
    pub family: &'static str,
    /// Whether it only grows, which adds `_total` to its name.
    pub is_counter: bool,
    /// What the family counts.
    pub help: &'static str,
    /// Names and values of its labels, at least one.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: u64,
}

/// Where the samples come from.
pub(crate) type Samples = Arc<dyn Fn() -> Vec<Sample> + Send + Sync>;

pub(crate) fn router(reads: Reads, samples: Samples) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state((reads, samples))
}

async fn metrics(State((reads, samples)): State<(Reads, Samples)>, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let is_open = accepted.into_iter().any(|value| value.contains("application/openmetrics-text"));
    let written = reads.ask(move |store| {
        let bounds = BOUNDS.map(|(_, nanoseconds)| nanoseconds);
        let statistics = store.statistics();
        let operations = statistics.operation_totals(&bounds, MAX_OPERATIONS);
        let edges = statistics.edge_totals(&bounds, MAX_EDGES);
        Ok(Text { written: String::new(), is_open }.all(&operations, edges, &samples()))
    });
    let content_type = if is_open { OPEN_METRICS } else { TEXT };
    match written.await {
        Ok(text) => ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")], text)
            .into_response(),
        Err(error) => refused(&error),
    }
}

fn refused(error: &Error) -> Response {
    let text = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    crate::answer::with_status(error, (text, error.to_string()).into_response())
}

/// A document while it is written.
struct Text {
    written: String,
    is_open: bool,
}

/// Labels as they stand between the braces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Labels(String);

impl Labels {
    fn new(labels: &[(&str, &str)]) -> Labels {
        let mut text = String::new();
        for (name, value) in labels {
            let comma = if text.is_empty() { "" } else { "," };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            _ = write!(text, "{comma}{name}=\"{value}\"");
        }
        Labels(text)
    }

    fn and(&self, name: &str, value: &str) -> Labels {
        Labels(format!("{},{name}=\"{value}\"", self.0))
    }
}

impl Text {
    fn all(mut self, operations: &[OperationTotals], edges: Vec<EdgeTotals>, samples: &[Sample]) -> String {
        let operations: Vec<(Labels, &Totals)> =
            operations.iter().map(|operation| (of_operation(operation), &operation.totals)).collect();
        self.family("traces_spanmetrics_calls", "counter", "Spans, by whether they failed.");
        for (labels, totals) in &operations {
            let went_well = totals.calls.saturating_sub(totals.errors);
            self.count(
                "traces_spanmetrics_calls_total",
                &labels.and("status_code", "STATUS_CODE_UNSET"),
                went_well,
                None,
            );
            if totals.errors > 0 {
                let failed = labels.and("status_code", "STATUS_CODE_ERROR");
                self.count("traces_spanmetrics_calls_total", &failed, totals.errors, totals.failed);
            }
        }
        self.family("traces_spanmetrics_latency", "histogram", "Durations of spans in seconds, within 2 %.");
        for (labels, totals) in &operations {
            self.histogram("traces_spanmetrics_latency", labels, totals);
        }

        let edges = summed(edges);
        self.family(
            "traces_service_graph_request",
            "counter",
            "Calls between two services, or a service and what it calls.",
        );
        for (labels, totals) in &edges {
            self.count("traces_service_graph_request_total", labels, totals.calls, None);
        }
        self.family("traces_service_graph_request_failed", "counter", "Of these, calls that failed.");
        for (labels, totals) in &edges {
            self.count("traces_service_graph_request_failed_total", labels, totals.errors, totals.failed);
        }
        let help = "Durations of calls in seconds, within 2 %, as the caller measured them where it did.";
        self.family("traces_service_graph_request_server_seconds", "histogram", help);
        for (labels, totals) in &edges {
            self.histogram("traces_service_graph_request_server_seconds", labels, totals);
        }
        self.samples(samples);
        if self.is_open {
            self.written.push_str("# EOF\n");
        }
        self.written
    }

    fn samples(&mut self, samples: &[Sample]) {
        let mut before = "";
        for Sample { family, is_counter, help, labels, value } in samples {
            if *family != before {
                self.family(family, if *is_counter { "counter" } else { "gauge" }, help);
                before = family;
            }
            let labels: Vec<(&str, &str)> =
                labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let suffix = if *is_counter { "_total" } else { "" };
            self.count(&format!("{family}{suffix}"), &Labels::new(&labels), *value, None);
        }
    }

    /// The head of a family. The older format names a counter as its line.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let suffix = if kind == "counter" && !self.is_open { "_total" } else { "" };
        _ = writeln!(self.written, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}");
    }

    fn count(&mut self, name: &str, labels: &Labels, count: u64, example: Option<TraceId>) {
        _ = write!(self.written, "{name}{{{}}} {count}", labels.0);
        self.exemplar(example.filter(|_| count > 0).map(|trace| (trace, 1.0)));
    }

    fn histogram(&mut self, name: &str, labels: &Labels, totals: &Totals) {
        let slowest = totals.slowest.map(|(trace, took)| (trace, seconds(took)));
        let place =
            totals.slowest.map(|(_, took)| BOUNDS.iter().take_while(|(_, bound)| *bound < took).count());
        let buckets = BOUNDS.iter().map(|(text, _)| *text).chain(["+Inf"]);
        let counts = totals.up_to.iter().copied().chain([totals.calls]);
        for ((bound, count), number) in buckets.zip(counts).zip(0..) {
            _ = write!(self.written, "{name}_bucket{{{}}} {count}", labels.and("le", bound).0);
            self.exemplar(slowest.filter(|_| place == Some(number) && count > 0));
        }
        _ = writeln!(self.written, "{name}_sum{{{}}} {}", labels.0, seconds(totals.duration));
        _ = writeln!(self.written, "{name}_count{{{}}} {}", labels.0, totals.calls);
    }

    /// Ends a line, with the trace to look at where the format has a place for it.
    fn exemplar(&mut self, example: Option<(TraceId, f64)>) {
        match example.filter(|_| self.is_open) {
            Some((trace, value)) => _ = writeln!(self.written, " # {{trace_id=\"{trace}\"}} {value:?}"),
            None => self.written.push('\n'),
        }
    }
}

fn of_operation(operation: &OperationTotals) -> Labels {
    let kind = match operation.kind {
        Kind::Unspecified => "SPAN_KIND_UNSPECIFIED",
        Kind::Internal => "SPAN_KIND_INTERNAL",
        Kind::Server => "SPAN_KIND_SERVER",
        Kind::Client => "SPAN_KIND_CLIENT",
        Kind::Producer => "SPAN_KIND_PRODUCER",
        Kind::Consumer => "SPAN_KIND_CONSUMER",
    };
    Labels::new(&[("service", &operation.service), ("span_name", &operation.name), ("span_kind", kind)])
}

/// By labels: points of the map of two kinds may have one name.
fn summed(edges: Vec<EdgeTotals>) -> BTreeMap<Labels, Totals> {
    let mut sums: BTreeMap<Labels, Totals> = BTreeMap::new();
    for EdgeTotals { from, to, totals } in edges {
        let labels =
            [("client", &*from.name), ("server", &*to.name), ("connection_type", connection(&from, &to))];
        sums.entry(Labels::new(&labels)).or_default().merge(&totals);
    }
    sums
}

fn connection(from: &Peer, to: &Peer) -> &'static str {
    let kinds = [from.kind, to.kind];
    if kinds.contains(&PeerKind::Messaging) {
        "messaging_system"
    } else if kinds.contains(&PeerKind::Database) || kinds.contains(&PeerKind::Cache) {
        "database"
    } else if kinds == [PeerKind::Service, PeerKind::Service] {
        ""
    } else {
        "virtual_node"
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds are read with a few digits")]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
