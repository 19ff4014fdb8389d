//! `GET /traces/{id}/columns`: some fields of every span of a trace, for rows that tell more than names and times.

use super::{Api, Path, groups, parameters::Parameters};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use waypost_trace_model::{SpanId, Text};
use waypost_trace_store::{Field, TraceStore};

/// Fields in one answer.
const MAX_COLUMNS: usize = 16;

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct TraceColumns {
    /// Spans that have one of the values, by start.
    spans: Vec<SpanColumns>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct SpanColumns {
    #[cfg_attr(test, ts(type = "SpanId"))]
    span_id: SpanId,
    /// In the order of the columns that were asked for.
    #[cfg_attr(test, ts(type = "Array<string | null>"))]
    values: Vec<Option<Text>>,
}

pub(super) async fn columns(
    State(api): State<Api>,
    path: Path,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let trace = path.trace()?;
    let names = parameters.repeated("column", MAX_COLUMNS)?;
    if names.is_empty() {
        return Err(Problem::parameter("column", "must be given"));
    }
    let fields = names.iter().map(|name| groups::field("column", name)).collect::<Result<Vec<Field>, _>>()?;
    parameters.finish()?;
    let read = move |store: &dyn TraceStore| {
        let found = store.traces(&[trace])?.pop();
        let found = found.ok_or_else(|| Problem::not_found(format!("no span of trace {trace} is kept")))?;
        let spans = found.spans.iter().filter_map(|span| {
            let values = fields.iter().map(|field| field.value(span).map(|text| Text::from(&*text)));
            let values: Vec<Option<Text>> = values.collect();
            let has_any = values.iter().any(Option::is_some);
            has_any.then_some(SpanColumns { span_id: span.span_id, values })
        });
        Ok(TraceColumns { spans: spans.collect() })
    };
    api.reads.answer(read).await
}
