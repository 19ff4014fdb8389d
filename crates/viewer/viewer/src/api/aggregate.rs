//! `GET /aggregate`: what the traces of a search have in common: where their time goes, what a faster service would change,
//! their trees laid over one another, calls by edge, and findings.

use super::{Api, parameters::Parameters, search, values::Decimal};
use crate::{analysed::Analysed, problem::Problem, sample};
use axum::{extract::State, response::Response};
use serde::Serialize;
use waypost_trace_analysis::{
    Aggregate, Category, Common, Edge, FindingKind, FlameNode, Place, Recurring, Sample, WhatIf, quantile,
};
use waypost_trace_model::{Text, TraceId};
use waypost_trace_store::{Query, TraceStore};

/// Spans that are read for one answer; further traces of the sample are left out.
const MAX_SPANS: usize = 200_000;

/// Spans of one trace whose attributes are read.
const MAX_DETAILED: usize = 4_000;

/// Lines of each list.
const MAX_LINES: usize = 200;

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct CommonOfTraces {
    /// Traces that were looked at.
    traces: usize,
    /// Traces that meet the filters.
    matching: usize,
    /// Whether more may meet them.
    is_partial: bool,
    scanned_to: Option<Decimal>,
    /// Whether each trace is looked at from the span on that meets the filters.
    from_match: bool,
    /// Of the roots, in nanoseconds.
    total: u64,
    p50: u64,
    p95: u64,
    places: Vec<PlaceLine>,
    what_if: Vec<WhatIfLine>,
    flame: Vec<FlameLine>,
    /// Spans that are not in `flame`, as there are too many different paths.
    flame_left_out: u64,
    edges: Vec<EdgeLine>,
    findings: Vec<RecurringLine>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct PlaceLine {
    #[cfg_attr(test, ts(type = "string"))]
    service: Text,
    #[cfg_attr(test, ts(type = "string"))]
    operation: Text,
    #[cfg_attr(test, ts(type = "Category"))]
    category: Category,
    /// Nanoseconds of all roots.
    time: u64,
    traces: usize,
    p50: u64,
    p95: u64,
    #[cfg_attr(test, ts(type = "TraceId"))]
    worst: TraceId,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct WhatIfLine {
    #[cfg_attr(test, ts(type = "string"))]
    service: Text,
    saved: u64,
    p50: u64,
    p95: u64,
    traces: usize,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct FlameLine {
    /// Place of its parent in the list.
    parent: Option<u32>,
    #[cfg_attr(test, ts(type = "string"))]
    service: Text,
    #[cfg_attr(test, ts(type = "string"))]
    operation: Text,
    spans: u64,
    errors: u64,
    traces: u64,
    time: u64,
    self_time: u64,
    on_path: u64,
    self_on_path: u64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct EdgeLine {
    #[cfg_attr(test, ts(type = "string"))]
    from: Text,
    #[cfg_attr(test, ts(type = "string"))]
    to: Text,
    is_service: bool,
    traces: usize,
    calls: u64,
    p50: u64,
    p95: u64,
    max: u64,
    #[cfg_attr(test, ts(type = "TraceId"))]
    worst: TraceId,
    /// What the worst trace asked most often, without values.
    call: String,
    alike: u64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct RecurringLine {
    #[cfg_attr(test, ts(type = "FindingKind"))]
    kind: FindingKind,
    #[cfg_attr(test, ts(type = "string"))]
    service: Text,
    place: String,
    traces: usize,
    spans: u64,
    saves: u64,
    p50: u64,
    sentence: String,
    #[cfg_attr(test, ts(type = "Array<TraceId>"))]
    examples: Vec<TraceId>,
    /// Which instance most of the traces with it passed through, with counts.
    instance: Option<String>,
}

pub(super) async fn aggregate(
    State(api): State<Api>,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let size = parameters.count("traces", 100, 1..=500)?;
    let from_match = parameters.choice("from_match", &[("true", true), ("false", false)])?.unwrap_or(false);
    let query = search::filters(&mut parameters)?;
    parameters.finish()?;
    api.reads.answer(move |store| read(store, &query, size, from_match)).await
}

fn read(
    store: &dyn TraceStore,
    query: &Query,
    size: usize,
    from_match: bool,
) -> Result<CommonOfTraces, Problem> {
    let chosen = sample::sample(store, query.clone(), size)?;
    let filter = query.spans.first().filter(|_| from_match);
    let mut aggregate = Aggregate::default();
    let (mut traces, mut spans) = (0, 0);
    for id in &chosen.traces {
        // A trace that was dropped meanwhile is left out.
        let Some(trace) = Analysed::read_from(store, *id, MAX_DETAILED, filter)? else { continue };
        let Analysed { skeleton, tree, facts, .. } = &trace;
        if traces > 0 && spans + skeleton.nodes.len() > MAX_SPANS {
            continue;
        }
        spans += skeleton.nodes.len();
        traces += 1;
        aggregate.add(&Sample { id: *id, nodes: &skeleton.nodes, tree, facts });
    }
    let common = aggregate.finish();
    Ok(CommonOfTraces {
        traces,
        matching: chosen.matching,
        is_partial: chosen.is_partial,
        scanned_to: chosen.scanned_to.map(Decimal),
        from_match,
        ..CommonOfTraces::from(common)
    })
}

impl From<Common> for CommonOfTraces {
    fn from(common: Common) -> CommonOfTraces {
        CommonOfTraces {
            traces: 0,
            matching: 0,
            is_partial: false,
            scanned_to: None,
            from_match: false,
            total: common.durations.iter().fold(0, |sum, duration| sum.saturating_add(*duration)),
            p50: quantile(&common.durations, 50),
            p95: quantile(&common.durations, 95),
            places: common.places.into_iter().take(MAX_LINES).map(PlaceLine::from).collect(),
            what_if: common.what_if.into_iter().take(MAX_LINES).map(WhatIfLine::from).collect(),
            flame: common.flame.nodes.into_iter().map(FlameLine::from).collect(),
            flame_left_out: common.flame.left_out,
            edges: common.edges.into_iter().take(MAX_LINES).map(EdgeLine::from).collect(),
            findings: common.findings.into_iter().take(MAX_LINES).map(RecurringLine::from).collect(),
        }
    }
}

impl From<Place> for PlaceLine {
    fn from(place: Place) -> PlaceLine {
        let Place { service, operation, category, time, traces, p50, p95, worst } = place;
        PlaceLine { service, operation, category, time, traces, p50, p95, worst }
    }
}

impl From<WhatIf> for WhatIfLine {
    fn from(what_if: WhatIf) -> WhatIfLine {
        let WhatIf { service, saved, p50, p95, traces } = what_if;
        WhatIfLine { service, saved, p50, p95, traces }
    }
}

impl From<FlameNode> for FlameLine {
    fn from(node: FlameNode) -> FlameLine {
        let FlameNode { parent, service, operation, spans, errors, traces, .. } = node;
        let FlameNode { time, self_time, on_path, self_on_path, .. } = node;
        FlameLine {
            parent,
            service,
            operation,
            spans,
            errors,
            traces,
            time,
            self_time,
            on_path,
            self_on_path,
        }
    }
}

impl From<Edge> for EdgeLine {
    fn from(edge: Edge) -> EdgeLine {
        let Edge { from, to, is_service, traces, calls, p50, p95, max, worst, call, alike } = edge;
        EdgeLine { from, to, is_service, traces, calls, p50, p95, max, worst, call, alike }
    }
}

impl From<Recurring> for RecurringLine {
    fn from(finding: Recurring) -> RecurringLine {
        let Recurring { kind, service, place, traces, spans, saves, p50, sentence, examples, instance } =
            finding;
        let instance = instance.map(|worst| worst.sentence("traces have it"));
        RecurringLine { kind, service, place, traces, spans, saves, p50, sentence, examples, instance }
    }
}
