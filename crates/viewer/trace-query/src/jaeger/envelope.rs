//! The object around every answer of Jaeger's JSON, errors included.

use crate::{
    answer::{Written, bytes, json, with_status},
    error::Error,
    reads::Reads,
    trace_id,
};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use waypost_trace_model::TraceId;

/// `{"data","total","limit","offset","errors"}`; limit and offset are always 0.
#[derive(Debug, Serialize)]
struct Envelope<T> {
    data: T,
    total: usize,
    limit: usize,
    offset: usize,
    /// Null when there are none.
    errors: Option<Vec<Problem>>,
}

/// What is wrong, or missing from the data.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Problem {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    msg: String,
    #[serde(rename = "traceID", skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

impl Problem {
    /// Something that is missing from the data.
    pub(crate) fn note(text: String) -> Problem {
        Problem { msg: text, ..Problem::default() }
    }

    /// A trace that was asked for by its id.
    pub(crate) fn not_found(id: TraceId) -> Problem {
        Problem { msg: Error::TraceNotFound.to_string(), trace_id: Some(trace_id::short(id)), code: None }
    }
}

/// An answer whose total is given, as Jaeger gives it for names.
pub(crate) fn counted(data: &[impl Serialize]) -> Result<Written, Error> {
    envelope(data, data.len(), Vec::new())
}

/// An answer whose total is 0, as Jaeger has it for everything that is not a list of names.
pub(crate) fn uncounted(data: impl Serialize, problems: Vec<Problem>) -> Result<Written, Error> {
    envelope(data, 0, problems)
}

/// An answer of traces that are already written.
pub(crate) fn written(traces: &[Vec<u8>], problems: Vec<Problem>) -> Result<Written, Error> {
    let list = Written::list("[", traces, "]", Vec::new());
    let text = String::from_utf8(list.body).map_err(|_| Error::Failed)?;
    let data = RawValue::from_string(text).map_err(|_| Error::Failed)?;
    envelope(data, 0, problems)
}

fn envelope(data: impl Serialize, total: usize, problems: Vec<Problem>) -> Result<Written, Error> {
    let errors = Some(problems).filter(|problems| !problems.is_empty());
    Written::new(&Envelope { data, total, limit: 0, offset: 0, errors }, Vec::new())
}

/// What a handler returns: an answer, or an error in Jaeger's form.
#[derive(Debug)]
pub(crate) struct Reply(pub(crate) Result<Written, Error>);

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self.0 {
            Ok(written) => written.into_response(),
            Err(error) => refused(&error),
        }
    }
}

/// Bytes of an answer that is indented when it is asked for.
const MAX_INDENTED: usize = 4 << 20;

/// The same, indented, if it is for a person to read: a large answer stays as it is, for the time and memory it would
/// take. Takes a turn of its own.
pub(crate) async fn pretty(reads: &Reads, written: Written) -> Result<Written, Error> {
    if written.body.len() > MAX_INDENTED {
        return Ok(written);
    }
    reads.ask(move |_| indented(&written)).await
}

fn indented(written: &Written) -> Result<Written, Error> {
    let value: Value = serde_json::from_slice(&written.body).map_err(|_| Error::Failed)?;
    let body = serde_json::to_vec_pretty(&value).map_err(|_| Error::Failed)?;
    Ok(Written { body, notes: Vec::new() })
}

fn refused(error: &Error) -> Response {
    let problem = Problem { code: Some(error.status().as_u16()), msg: error.to_string(), trace_id: None };
    let envelope = Envelope { data: (), total: 0, limit: 0, offset: 0, errors: Some(vec![problem]) };
    with_status(error, json(error.status(), bytes(&envelope).unwrap_or_default()))
}
