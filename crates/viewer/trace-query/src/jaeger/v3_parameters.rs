//! Parameters of api_v3. The names in camel case are the API's; those in snake case are older and still sent.

use super::{conditions::Conditions, legacy_parameters};
use crate::{
    error::Error,
    parameters::{self, Parameters, rfc3339},
};
use std::{collections::BTreeMap, ops::Range};

const DEFAULT_DEPTH: usize = 100;

/// What `GET /api/v3/traces` and `GET /api/v3/trace-summaries` were asked.
pub(super) fn traces(parameters: &Parameters) -> Result<Conditions, Error> {
    if parameters.text("query.filter").is_some() {
        return Err(Error::parameter("query.filter", "structured filters are not supported"));
    }
    let start = time(parameters, &["query.startTimeMin", "query.start_time_min"])?;
    let end = time(parameters, &["query.startTimeMax", "query.start_time_max"])?;
    if start >= end {
        return Err(Error::parameter("query.startTimeMin", "it must be before query.startTimeMax"));
    }
    let depth = ["query.searchDepth", "query.search_depth", "query.num_traces"];
    let limit = match parameters.any_of(&depth) {
        Some((name, value)) => legacy_parameters::positive(name, parameters::whole(name, value)?)?,
        None => DEFAULT_DEPTH,
    };
    // Answers are as received whether this is asked for or not.
    parameters.truth(&["query.rawTraces", "query.raw_traces"])?;
    let tags = match parameters.text("query.attributes") {
        Some(text) => legacy_parameters::object("query.attributes", text)?,
        None => BTreeMap::new(),
    };
    let text = |names| parameters.any_of(names).map(|(_, value)| value.to_owned());
    Ok(Conditions {
        service: text(&["query.serviceName", "query.service_name"]),
        operation: text(&["query.operationName", "query.operation_name"]),
        range: start..=end,
        duration: legacy_parameters::durations(
            "query.durationMax",
            duration(parameters, &["query.durationMin", "query.duration_min"])?,
            duration(parameters, &["query.durationMax", "query.duration_max"])?,
        )?,
        tags: tags.into_iter().map(|(key, value)| ("query.attributes", key, value)).collect(),
        limit,
    })
}

/// Checks what `GET /api/v3/traces/{id}` may say; the store needs no such help.
pub(super) fn trace(parameters: &Parameters) -> Result<(), Error> {
    for names in [["startTime", "start_time"], ["endTime", "end_time"]] {
        if let Some((name, value)) = parameters.any_of(&names) {
            rfc3339(name, value)?;
        }
    }
    parameters.truth(&["rawTraces", "raw_traces"]).map(drop)
}

/// The window of `GET /api/v3/dependencies`, in nanoseconds.
pub(super) fn window(parameters: &Parameters) -> Result<Range<u64>, Error> {
    let start = time(parameters, &["startTime", "start_time"])?;
    let end = time(parameters, &["endTime", "end_time"])?;
    if start >= end {
        return Err(Error::parameter("endTime", "it must be after startTime"));
    }
    Ok(start..end)
}

fn time(parameters: &Parameters, names: &[&'static str; 2]) -> Result<u64, Error> {
    match parameters.any_of(names) {
        Some((name, value)) => rfc3339(name, value),
        None => Err(Error::parameter(names[0], "it is required")),
    }
}

fn duration(parameters: &Parameters, names: &[&'static str]) -> Result<Option<u64>, Error> {
    parameters.any_of(names).map(|(name, value)| parameters::duration(name, value)).transpose()
}
