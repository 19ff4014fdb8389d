//! `GET /series`: rate, errors, latencies and Apdex of a service, an operation or an edge of the map, over time.
//!
//! The figures are those that are kept on intake, by time of arrival: nothing is searched. A step counts whole even when
//! the window begins or ends within it. The last step is usually not over, and says so; its rate, and that of the step in
//! which the first span ever came, is divided by the time in which something could come.

use super::{
    Api, figures, figures::ExampleIds, filter::KINDS, parameters::Parameters, units, values::Decimal,
};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use std::ops::Range;
use waypost_trace_model::{Kind, Text};
use waypost_trace_statistics::{
    LatencyCount, Peer, PeerKind, Statistics, Step, Steps, Subject, latency_bound,
};

/// The Apdex target when none is given, in nanoseconds.
pub(super) const DEFAULT_TARGET: u64 = 500_000_000;
/// How far back figures are kept, in nanoseconds: an earlier beginning says no more.
const KEPT: u64 = 8 * 24 * 3600 * SECOND;
const SECOND: u64 = 1_000_000_000;

/// Figures in steps; of `/search/series` too.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "FiguresOverTime"))]
pub(super) struct Series {
    pub(super) from: Decimal,
    pub(super) to: Decimal,
    pub(super) step: u64,
    pub(super) since: Option<Decimal>,
    pub(super) apdex_target: u64,
    pub(super) steps: Vec<StepLine>,
    pub(super) deployments: Vec<DeploymentLine>,
    /// Where spans are looked through: set when the store stopped early.
    pub(super) scanned_to: Option<Decimal>,
}

/// What the figures of a step need beside its calls.
pub(super) struct Timing {
    /// Of a step, in nanoseconds.
    pub(super) width: u64,
    pub(super) now: u64,
    /// Since when calls could come.
    pub(super) since: Option<u64>,
    /// Of Apdex, in nanoseconds.
    pub(super) target: u64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "FigureStep"))]
pub(super) struct StepLine {
    start: Decimal,
    is_over: bool,
    calls: u64,
    errors: u64,
    /// Calls a second; `None` before the first span ever came.
    rate: Option<f64>,
    p50: Option<u64>,
    p95: Option<u64>,
    p99: Option<u64>,
    apdex: Option<f64>,
    examples: ExampleIds,
    latencies: Vec<LatencyLine>,
}

/// Latencies from `from` up to, not including, `to`.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "LatencyCount"))]
pub(super) struct LatencyLine {
    from: u64,
    to: u64,
    calls: u64,
    errors: u64,
}

/// The first span of a version of a service.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "DeploymentOf"))]
pub(super) struct DeploymentLine {
    #[cfg_attr(test, ts(type = "string"))]
    service: Text,
    #[cfg_attr(test, ts(type = "string"))]
    version: Text,
    /// The version before it; `None` for the first that is known.
    #[cfg_attr(test, ts(type = "string | null"))]
    before: Option<Text>,
    at: Decimal,
}

/// What was asked.
struct Asked {
    subject: Subject,
    steps: Steps,
    target: u64,
    now: u64,
}

pub(super) async fn series(State(api): State<Api>, mut parameters: Parameters) -> Result<Response, Problem> {
    let asked = asked(&mut parameters)?;
    parameters.finish()?;
    let read = move |store: &dyn waypost_trace_store::TraceStore| answer(store.statistics(), &asked);
    api.reads.answer(read).await
}

fn asked(parameters: &mut Parameters) -> Result<Asked, Problem> {
    let subject = subject(parameters)?;
    let now = parameters.now();
    let window = figures::window(parameters)?;
    if window.start > now {
        return Err(Problem::parameter("from", "lies in the future"));
    }
    let window = window.start.max(now.saturating_sub(KEPT))..window.end.min(now).saturating_add(1);
    let width = duration(parameters, "step")?;
    let steps = Steps::new(&window, width, now).map_err(|reason| Problem::parameter("step", reason))?;
    let target = duration(parameters, "apdex")?.unwrap_or(DEFAULT_TARGET);
    Ok(Asked { subject, steps, target, now })
}

fn subject(parameters: &mut Parameters) -> Result<Subject, Problem> {
    let service = parameters.text("service")?.map(Text::from);
    let operation = parameters.text("operation")?.map(Text::from);
    let kind = parameters.choice("kind", &KINDS)?;
    let ends = (parameters.text("edge_from")?, parameters.text("edge_to")?);
    match (service, ends) {
        (Some(service), (None, None)) => Ok(of_service(service, operation, kind)),
        (Some(_), _) => Err(Problem::parameter("service", "cannot be given together with an edge")),
        (None, (Some(from), Some(to))) if operation.is_none() && kind.is_none() => {
            Ok(Subject::Edge { from: peer("edge_from", &from)?, to: peer("edge_to", &to)? })
        }
        (None, (Some(_), None)) => Err(Problem::parameter("edge_to", "must be given with `edge_from`")),
        (None, (None, Some(_))) => Err(Problem::parameter("edge_from", "must be given with `edge_to`")),
        (None, _) => Err(Problem::parameter("service", "must be given, or `edge_from` and `edge_to`")),
    }
}

fn of_service(service: Text, name: Option<Text>, kind: Option<Kind>) -> Subject {
    if name.is_none() && kind.is_none() {
        Subject::Service(service)
    } else {
        Subject::Operations { service, name, kinds: kind.into_iter().collect() }
    }
}

/// A point of the map by its id, such as `service:order-service`.
fn peer(parameter: &'static str, id: &str) -> Result<Peer, Problem> {
    let (kind, name) = id.split_once(':').unwrap_or((id, ""));
    let refused = || {
        let kinds = PeerKind::ALL.map(PeerKind::name).join(", ");
        Problem::parameter(
            parameter,
            format!("must be the id of a node of the map: one of {kinds}, a colon and its name"),
        )
    };
    Ok(Peer { kind: PeerKind::from_name(kind).ok_or_else(refused)?, name: Text::from(name) })
}

pub(super) fn duration(parameters: &mut Parameters, name: &'static str) -> Result<Option<u64>, Problem> {
    let Some(text) = parameters.text(name)? else { return Ok(None) };
    units::duration(&text).map(Some).map_err(|reason| Problem::parameter(name, reason))
}

fn answer(statistics: &Statistics, asked: &Asked) -> Result<Series, Problem> {
    let Asked { subject, steps, target, now } = asked;
    let found = statistics.series(subject, steps);
    let found = found.ok_or_else(|| Problem::not_found(unknown(subject)))?;
    let since = statistics.first_arrival();
    let timing = Timing { width: steps.width(), now: *now, since, target: *target };
    let window = steps.window();
    Ok(Series {
        from: Decimal(window.start),
        to: Decimal(window.end),
        step: steps.width(),
        since: since.map(Decimal),
        apdex_target: *target,
        steps: found.iter().map(|step| StepLine::new(step, &timing)).collect(),
        deployments: deployments_of(statistics, subject, &window),
        scanned_to: None,
    })
}

impl StepLine {
    pub(super) fn new(step: &Step, timing: &Timing) -> StepLine {
        let end = step.start.saturating_add(timing.width);
        let red = step.red();
        let latency = |value: u64| (red.calls > 0).then_some(value);
        StepLine {
            start: Decimal(step.start),
            is_over: end <= timing.now,
            calls: red.calls,
            errors: red.errors,
            rate: rate(red.calls, &(step.start..end), timing.since, timing.now),
            p50: latency(red.p50),
            p95: latency(red.p95),
            p99: latency(red.p99),
            apdex: step.apdex(timing.target),
            examples: red.examples.into(),
            latencies: step.latencies().iter().map(counted).collect(),
        }
    }
}

/// Calls a second over the part of the step in which something could come, but at least over a second.
fn rate(calls: u64, step: &Range<u64>, since: Option<u64>, now: u64) -> Option<f64> {
    let (start, end) = (step.start.max(since?), step.end.min(now.saturating_add(1)));
    let time = end.checked_sub(start).filter(|time| *time > 0)?.max(SECOND);
    #[expect(clippy::cast_precision_loss, reason = "a rate is read with a few digits")]
    let rate = calls as f64 / (time as f64 / 1e9);
    Some(rate)
}

fn counted(count: &LatencyCount) -> LatencyLine {
    let (from, to) = (latency_bound(count.range), latency_bound(count.range.saturating_add(1)));
    LatencyLine { from, to, calls: count.calls, errors: count.errors }
}

/// The first spans of versions of a subject's services within a window.
pub(super) fn deployments_of(
    statistics: &Statistics,
    subject: &Subject,
    window: &Range<u64>,
) -> Vec<DeploymentLine> {
    let services: Vec<&Text> = match subject {
        Subject::Service(service) | Subject::Operations { service, .. } => vec![service],
        Subject::Edge { from, to } => {
            let ends = [from, to].into_iter().filter(|end| end.kind == PeerKind::Service);
            ends.map(|end| &end.name).collect()
        }
    };
    let of_service = |service: &Text| {
        let known = statistics.deployments(service);
        let before = std::iter::once(None).chain(known.iter().map(|one| Some(one.version.clone())));
        let lines = known.iter().zip(before).map(|(one, before)| DeploymentLine {
            service: service.clone(),
            version: one.version.clone(),
            before,
            at: Decimal(one.first),
        });
        lines.filter(|line| window.contains(&line.at.0)).collect::<Vec<_>>()
    };
    let mut lines: Vec<DeploymentLine> = services.into_iter().flat_map(of_service).collect();
    lines.sort_by_key(|line| line.at.0);
    lines
}

fn unknown(subject: &Subject) -> String {
    match subject {
        Subject::Service(service) => format!("no service of the name `{service}` sent spans"),
        Subject::Operations { service, name, .. } => {
            let name = name.as_deref().unwrap_or("any name");
            format!("no span of the name `{name}` and this kind came from a service of the name `{service}`")
        }
        Subject::Edge { from, to } => format!("no call from `{}` to `{}` is known", from.name, to.name),
    }
}
