//! Parameters of Zipkin's API. Points in time are milliseconds, durations of spans microseconds.

use super::find::{Asked, Terms};
use crate::{error::Error, parameters::Parameters, search::MAX_TRACES};
use std::{
    collections::{BTreeMap, HashSet},
    ops::{Range, RangeInclusive},
};
use waypost_trace_model::TraceId;

const DEFAULT_LIMIT: u64 = 10;
const DEFAULT_LOOKBACK: u64 = 86_400_000;
const MILLISECOND: u64 = 1_000_000;
const MICROSECOND: u64 = 1_000;

/// The most conditions in one `annotationQuery`.
const MAX_TERMS: usize = 100;

/// What `GET /api/v2/traces` was asked.
pub(super) fn traces(parameters: &Parameters, now: u64) -> Result<Asked, Error> {
    let end = positive(parameters, "endTs")?.unwrap_or(now / MILLISECOND);
    let lookback = positive(parameters, "lookback")?.unwrap_or(DEFAULT_LOOKBACK);
    let limit = positive(parameters, "limit")?.unwrap_or(DEFAULT_LIMIT);
    let text = |name| parameters.text(name).map(str::to_owned);
    let terms = Terms {
        words: terms(parameters.text("annotationQuery").unwrap_or_default())?,
        remote: text("remoteServiceName"),
    };
    Ok(Asked {
        service: text("serviceName"),
        name: text("spanName").filter(|name| name != "all"),
        range: nanos(end.saturating_sub(lookback), MILLISECOND)..=last(end),
        duration: durations(parameters)?,
        terms,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    })
}

/// The window of `GET /api/v2/dependencies`, in nanoseconds.
pub(super) fn window(parameters: &Parameters) -> Result<Range<u64>, Error> {
    let end = positive(parameters, "endTs")?.ok_or_else(|| Error::parameter("endTs", "it is required"))?;
    let lookback = positive(parameters, "lookback")?.unwrap_or(DEFAULT_LOOKBACK);
    Ok(nanos(end.saturating_sub(lookback), MILLISECOND)..nanos(end, MILLISECOND))
}

/// A trace id of 1 to 32 hex digits.
pub(super) fn id(name: &'static str, text: &str) -> Result<TraceId, Error> {
    text.trim()
        .parse()
        .map_err(|error| Error::parameter(name, format!("`{text}` is not a trace id: {error}")))
}

/// At least two different ids with commas between them.
pub(super) fn ids(text: &str) -> Result<Vec<TraceId>, Error> {
    let mut seen = HashSet::new();
    let mut ids = Vec::new();
    for part in text.split(',') {
        let id = id("traceIds", part)?;
        if !seen.insert(id) {
            return Err(Error::parameter("traceIds", format!("`{part}` is there twice")));
        }
        ids.push(id);
    }
    match ids.len() {
        1 => Err(Error::parameter("traceIds", "ask /api/v2/trace/{traceId} for a single trace")),
        2..=MAX_TRACES => Ok(ids),
        _ => {
            Err(Error::parameter("traceIds", format!("at most {MAX_TRACES} traces can be asked for at once")))
        }
    }
}

/// `word and key=value and ...`; of a repeated key the last value counts, and a value counts more than a word.
fn terms(text: &str) -> Result<BTreeMap<String, Option<String>>, Error> {
    let mut terms = BTreeMap::new();
    for part in text.split(" and ").map(str::trim).filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some((key, value)) => {
                let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
                terms.insert(key.trim().to_owned(), value);
            }
            None => {
                terms.entry(part.to_owned()).or_insert(None);
            }
        }
    }
    if terms.len() > MAX_TERMS || terms.contains_key("") {
        return Err(Error::parameter(
            "annotationQuery",
            format!("it must be at most {MAX_TERMS} times `word` or `key=value`"),
        ));
    }
    Ok(terms)
}

fn durations(parameters: &Parameters) -> Result<Option<RangeInclusive<u64>>, Error> {
    let least = positive(parameters, "minDuration")?;
    let max = positive(parameters, "maxDuration")?;
    match (least, max) {
        (None, Some(_)) => Err(Error::parameter("maxDuration", "it is only valid with minDuration")),
        (Some(least), Some(max)) if max < least => {
            Err(Error::parameter("maxDuration", "it is less than minDuration"))
        }
        (least, max) => Ok(least.map(|least| {
            // The whole microsecond counts: durations in answers are whole ones.
            let max = max.map_or(u64::MAX, |max| nanos(max, MICROSECOND).saturating_add(MICROSECOND - 1));
            nanos(least, MICROSECOND)..=max
        })),
    }
}

/// A whole number above zero.
fn positive(parameters: &Parameters, name: &'static str) -> Result<Option<u64>, Error> {
    let Some(number) = parameters.whole(name)? else { return Ok(None) };
    match u64::try_from(number) {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => Err(Error::parameter(name, format!("`{number}` is not above zero"))),
    }
}

fn nanos(number: u64, unit: u64) -> u64 {
    number.saturating_mul(unit)
}

/// The last nanosecond that begins no later than this millisecond, to the microsecond that answers are rounded to.
fn last(millisecond: u64) -> u64 {
    nanos(millisecond, MILLISECOND).saturating_add(MICROSECOND - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_zipkins_defaults() {
        let asked = traces(&Parameters::default(), 100_000_000_000_000_999).unwrap();
        assert_eq!(asked.range, 99_913_600_000_000_000..=100_000_000_000_000_999);
        assert_eq!((asked.service, asked.name, asked.duration, asked.limit), (None, None, None, 10));
        assert_eq!(asked.terms, Terms::default());
    }

    #[test]
    fn an_annotation_query_is_words_and_tags() {
        let read = |text: &str| terms(text).unwrap().into_iter().collect::<Vec<_>>();
        let term = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
        assert_eq!(read("a=b and retried"), [term("a", Some("b")), term("retried", None)]);
        assert_eq!(read(" a = b=c  and a"), [term("a", Some("b=c"))]);
        assert_eq!(read("a and a=1 and a=2"), [term("a", Some("2"))]);
        assert_eq!(read("a="), [term("a", None)]);
        assert_eq!(read("sand and b"), [term("b", None), term("sand", None)]);
        assert_eq!(read(""), []);
        assert!(terms("=b").is_err());
    }

    #[test]
    fn durations_are_microseconds_to_the_last_nanosecond() {
        let read = |query| durations(&Parameters::parse(Some(query)));
        assert_eq!(read("minDuration=2&maxDuration=3").unwrap(), Some(2_000..=3_999));
        assert_eq!(read("minDuration=2").unwrap(), Some(2_000..=u64::MAX));
        assert_eq!(read("").unwrap(), None);
        assert!(read("maxDuration=3").is_err());
        assert!(read("minDuration=3&maxDuration=2").is_err());
        assert!(read("minDuration=0").is_err());
    }
}
