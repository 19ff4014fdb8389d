//! Parameters of Jaeger's JSON API. Times are whole numbers: microseconds when traces are asked for, milliseconds when
//! figures are.

use super::conditions::Conditions;
use crate::{
    error::Error,
    parameters::{self, Parameters},
    search::MAX_TRACES,
    trace_id,
};
use std::{
    collections::BTreeMap,
    ops::{Range, RangeInclusive},
};
use waypost_trace_model::TraceId;

const DEFAULT_LIMIT: usize = 100;
const DEFAULT_LOOKBACK: u64 = 2 * 24 * 3_600 * 1_000_000_000;
const DEFAULT_DEPENDENCY_LOOKBACK: u64 = 24 * 3_600 * 1_000_000_000;
const MICROSECOND: u64 = 1_000;
pub(super) const MILLISECOND: u64 = 1_000_000;

/// What `GET /api/traces` was asked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) conditions: Conditions,
    /// When there are any, these traces are wanted, and the conditions do not matter.
    pub(super) ids: Vec<TraceId>,
    pub(super) is_raw: bool,
}

pub(super) fn traces(parameters: &Parameters, now: u64) -> Result<Asked, Error> {
    let end = match parameters.whole("end")? {
        // The whole microsecond counts: times in answers are rounded down to one.
        Some(end) => nanos(end, MICROSECOND).saturating_add(MICROSECOND - 1),
        None => now,
    };
    let start = match parameters.whole("start")? {
        Some(start) => nanos(start, MICROSECOND),
        None => now.saturating_sub(DEFAULT_LOOKBACK),
    };
    let least =
        parameters.text("minDuration").map(|value| parameters::duration("minDuration", value)).transpose()?;
    let max =
        parameters.text("maxDuration").map(|value| parameters::duration("maxDuration", value)).transpose()?;
    let ids = parameters
        .all("traceID")
        .map(|text| trace_id::hex_or_base64("traceID", text))
        .collect::<Result<Vec<_>, _>>()?;
    if ids.len() > MAX_TRACES {
        return Err(Error::parameter(
            "traceID",
            format!("at most {MAX_TRACES} traces can be asked for at once"),
        ));
    }
    let conditions = Conditions {
        service: parameters.text("service").map(str::to_owned),
        operation: parameters.text("operation").map(str::to_owned),
        range: start..=end,
        duration: durations("maxDuration", least, max)?,
        tags: tags(parameters)?,
        limit: parameters.whole("limit")?.map_or(Ok(DEFAULT_LIMIT), |limit| positive("limit", limit))?,
    };
    Ok(Asked { conditions, ids, is_raw: parameters.truth(&["raw"])? })
}

/// `raw` of `GET /api/traces/{id}`. `start` and `end` tell some stores where to look; this one needs no such help, and
/// Grafana sends milliseconds where Jaeger reads microseconds, so they are checked and not used.
pub(super) fn trace(parameters: &Parameters) -> Result<bool, Error> {
    parameters.whole("start")?;
    parameters.whole("end")?;
    parameters.truth(&["raw"])
}

/// The window of `GET /api/dependencies`, in nanoseconds.
pub(super) fn window(parameters: &Parameters, now: u64) -> Result<Range<u64>, Error> {
    let end = parameters.whole("endTs")?.map_or(now, |end| nanos(end, MILLISECOND));
    let lookback = match parameters.whole("lookback")? {
        Some(lookback) if lookback < 0 => return Err(Error::parameter("lookback", "it is negative")),
        Some(lookback) => nanos(lookback, MILLISECOND),
        None => DEFAULT_DEPENDENCY_LOOKBACK,
    };
    Ok(end.saturating_sub(lookback)..end)
}

/// A range of durations; a longest of 0 is none.
pub(super) fn durations(
    name: &'static str,
    least: Option<u64>,
    max: Option<u64>,
) -> Result<RangeInclusive<u64>, Error> {
    let least = least.unwrap_or(0);
    match max.filter(|max| *max > 0) {
        Some(max) if max < least => {
            Err(Error::parameter(name, "it is less than the shortest duration asked for"))
        }
        max => Ok(least..=max.unwrap_or(u64::MAX)),
    }
}

/// How many traces are wanted.
pub(super) fn positive(name: &'static str, number: i64) -> Result<usize, Error> {
    let wanted = usize::try_from(number).ok().filter(|wanted| *wanted > 0);
    wanted.ok_or_else(|| Error::parameter(name, format!("`{number}` is not a number of traces")))
}

/// Keys and values in a JSON object of strings.
pub(super) fn object(name: &'static str, text: &str) -> Result<BTreeMap<String, String>, Error> {
    serde_json::from_str(text)
        .map_err(|error| Error::parameter(name, format!("it is not a JSON object of strings: {error}")))
}

/// `tag=key:value` and `tags={"key":"value"}`, any number of each; of a repeated key the last counts.
fn tags(parameters: &Parameters) -> Result<Vec<(&'static str, String, String)>, Error> {
    let mut tags = BTreeMap::new();
    for text in parameters.all("tag") {
        let (key, value) = text
            .split_once(':')
            .ok_or_else(|| Error::parameter("tag", format!("`{text}` is not of the form key:value")))?;
        tags.insert(key.to_owned(), ("tag", value.to_owned()));
    }
    for text in parameters.all("tags").filter(|text| !text.is_empty()) {
        tags.extend(object("tags", text)?.into_iter().map(|(key, value)| (key, ("tags", value))));
    }
    Ok(tags.into_iter().map(|(key, (name, value))| (name, key, value)).collect())
}

/// Nanoseconds; what is before 1970 counts as 1970.
pub(super) fn nanos(number: i64, unit: u64) -> u64 {
    u64::try_from(number).unwrap_or(0).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000_000_000_000_000;

    fn asked(query: &str) -> Asked {
        traces(&Parameters::parse(Some(query)), NOW).unwrap()
    }

    #[test]
    fn what_is_not_said_has_jaegers_defaults() {
        let asked = asked("service=&lookback=1h");
        let expected = Conditions {
            service: None,
            operation: None,
            range: NOW - 172_800_000_000_000..=NOW,
            duration: 0..=u64::MAX,
            tags: Vec::new(),
            limit: 100,
        };
        assert_eq!((asked.conditions, asked.ids, asked.is_raw), (expected, Vec::new(), false));
        let none = Parameters::default();
        assert_eq!(window(&none, NOW).unwrap(), NOW - 86_400_000_000_000..NOW);
    }

    #[test]
    fn units_are_those_of_each_call() {
        let asked = asked("start=5&end=7&minDuration=1.5ms&maxDuration=2s&raw=1");
        assert_eq!(asked.conditions.range, 5_000..=7_999);
        assert_eq!(asked.conditions.duration, 1_500_000..=2_000_000_000);
        assert!(asked.is_raw);
        let parameters = Parameters::parse(Some("endTs=3000&lookback=1000"));
        assert_eq!(window(&parameters, NOW).unwrap(), 2_000_000_000..3_000_000_000);
    }

    #[test]
    fn tags_come_in_two_forms_and_keep_their_colons() {
        let asked = asked(r#"tag=a:b:c&tag=k:1&tags={"k":"2","x":""}"#);
        let tag = |name, key: &str, value: &str| (name, key.to_owned(), value.to_owned());
        assert_eq!(
            asked.conditions.tags,
            [tag("tag", "a", "b:c"), tag("tags", "k", "2"), tag("tags", "x", "")]
        );
    }
}
