//! `GET /search/series`: the spans that meet a search's filters over time, in the form of `/series`.
//!
//! Here spans are looked through, and count when they began, not when they arrived: what the list of the search shows is
//! what is drawn above it.

use super::{
    Api, figures,
    parameters::Parameters,
    search,
    series::{Series, StepLine, Timing, deployments_of, duration},
    values::Decimal,
};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use waypost_trace_statistics::{MAX_STEPS, Step, Subject};
use waypost_trace_store::{Columns, Fields, Survey, TraceStore};

const SECOND: u64 = 1_000_000_000;
/// Steps of a window when no width is given: at most so many.
const USUAL_STEPS: u64 = 60;
/// Widths that read well, in seconds.
const WIDTHS: [u64; 16] =
    [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 604_800];

pub(super) async fn series(State(api): State<Api>, mut parameters: Parameters) -> Result<Response, Problem> {
    let now = parameters.now();
    let window = figures::window(&mut parameters.clone())?;
    let window = window.start..window.end.saturating_add(1);
    let length = window.end - window.start;
    let width = duration(&mut parameters, "step")?.unwrap_or_else(|| usual_width(length));
    if width == 0 {
        return Err(Problem::parameter("step", "must be more than 0"));
    }
    let target = duration(&mut parameters, "apdex")?.unwrap_or(super::series::DEFAULT_TARGET);
    let mut query = search::filters(&mut parameters)?;
    parameters.finish()?;
    query.range = window.start..=window.end - 1;
    let start = window.start / width * width;
    let count = (window.end - start).div_ceil(width);
    if count > MAX_STEPS {
        return Err(Problem::parameter(
            "step",
            format!("makes {count} steps of this time, of at most {MAX_STEPS}"),
        ));
    }
    let service = query.spans.first().and_then(|filter| filter.service.clone());
    let survey = Survey { query, marked: None, fields: Fields::Of(Vec::new()) };
    let read = move |store: &dyn TraceStore| {
        let mut steps: Vec<Step> = (0..count).map(|place| Step::empty(start + place * width)).collect();
        let surveyed = store.survey(&survey, &mut |columns| add(&mut steps, start, width, columns))?;
        let timing = Timing { width, now, since: Some(0), target };
        let whole = start..start.saturating_add(width.saturating_mul(count));
        let deployments =
            service.map(|service| deployments_of(store.statistics(), &Subject::Service(service), &whole));
        Ok(Series {
            from: Decimal(whole.start),
            to: Decimal(whole.end),
            step: width,
            since: None,
            apdex_target: target,
            steps: steps.iter().map(|step| StepLine::new(step, &timing)).collect(),
            deployments: deployments.unwrap_or_default(),
            scanned_to: surveyed.scanned_to.map(Decimal),
        })
    };
    api.reads.answer(read).await
}

fn usual_width(length: u64) -> u64 {
    let wide = WIDTHS.iter().map(|width| width * SECOND).find(|width| length / width <= USUAL_STEPS);
    // A window of years: equal parts of it.
    wide.unwrap_or_else(|| (length / USUAL_STEPS).max(1))
}

fn add(steps: &mut [Step], start: u64, width: u64, columns: &Columns) {
    let calls = columns.starts.iter().zip(&columns.durations).zip(&columns.failed).zip(&columns.traces);
    for (((began, duration), failed), trace) in calls {
        let place = began.checked_sub(start).map(|after| after / width);
        let step = place.and_then(|place| usize::try_from(place).ok()).and_then(|place| steps.get_mut(place));
        if let Some(step) = step {
            step.record(*began, *trace, *duration, *failed);
        }
    }
}
