//! Reads the query string strictly: what is unknown, repeated or not readable is refused by name.
//!
//! A misspelt `limit` that is silently ignored looks like a bug of ours to the one who misspelt it. Absent and empty
//! are the same, as a form sends its empty fields too.

use super::units;
use crate::problem::Problem;
use percent_encoding::percent_decode_str;
use std::{collections::BTreeMap, ops::RangeInclusive};
use waypost_trace_store::NanoRange;

/// The parameters of a request, to be taken one by one and then finished.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    values: BTreeMap<String, Vec<String>>,
    /// Those that were asked for: the ones that the endpoint knows.
    known: Vec<&'static str>,
    /// Now, in nanoseconds since 1970, for times that are ages.
    now: u64,
}

impl Parameters {
    pub(crate) fn of(query: &str, now: u64) -> Result<Parameters, Problem> {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        if percent_decode_str(query).decode_utf8().is_err() {
            return Err(Problem::parameter("query", "is not UTF-8"));
        }
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            values.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Ok(Parameters { values, known: Vec::new(), now })
    }

    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Every value of a parameter that may be repeated, at most `max`.
    pub(crate) fn repeated(&mut self, name: &'static str, max: usize) -> Result<Vec<String>, Problem> {
        self.known.push(name);
        let mut values = self.values.remove(name).unwrap_or_default();
        values.retain(|value| !value.is_empty());
        if values.len() > max {
            return Err(Problem::parameter(name, format!("may be given at most {max} times")));
        }
        Ok(values)
    }

    /// The text of a parameter.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        self.known.push(name);
        match self.values.remove(name) {
            Some(values) if values.len() > 1 => Err(Problem::parameter(name, "is given more than once")),
            values => Ok(values.into_iter().flatten().next().filter(|value| !value.is_empty())),
        }
    }

    /// The text of a parameter that must be there.
    pub(crate) fn required(&mut self, name: &'static str) -> Result<String, Problem> {
        self.text(name)?.ok_or_else(|| Problem::parameter(name, "must be given"))
    }

    /// One of several names.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let chosen = choices.iter().find(|(choice, _)| *choice == text).map(|(_, value)| *value);
        let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
        let refused = || Problem::parameter(name, format!("must be one of: {}", names.join(", ")));
        chosen.map(Some).ok_or_else(refused)
    }

    /// A number within bounds.
    pub(crate) fn count(
        &mut self,
        name: &'static str,
        default: usize,
        bounds: RangeInclusive<usize>,
    ) -> Result<usize, Problem> {
        let Some(text) = self.text(name)? else { return Ok(default) };
        let (least, max) = (bounds.start(), bounds.end());
        let refused = || Problem::parameter(name, format!("must be a whole number from {least} to {max}"));
        text.parse().ok().filter(|count| bounds.contains(count)).ok_or_else(refused)
    }

    /// Two durations, both ends included.
    pub(crate) fn durations(&mut self, least: &'static str, max: &'static str) -> Result<NanoRange, Problem> {
        let mut read = |name| -> Result<Option<u64>, Problem> {
            let Some(text) = self.text(name)? else { return Ok(None) };
            units::duration(&text).map(Some).map_err(|reason| Problem::parameter(name, reason))
        };
        let (from, to) = (read(least)?.unwrap_or(0), read(max)?.unwrap_or(u64::MAX));
        if from > to {
            return Err(Problem::parameter(least, format!("is more than `{max}`")));
        }
        Ok(from..=to)
    }

    /// `from` and `to`, as far as they are given.
    pub(crate) fn times(&mut self) -> Result<(Option<u64>, Option<u64>), Problem> {
        let now = self.now;
        let mut read = |name| -> Result<Option<u64>, Problem> {
            let Some(text) = self.text(name)? else { return Ok(None) };
            units::time(&text, now).map(Some).map_err(|reason| Problem::parameter(name, reason))
        };
        let (from, to) = (read("from")?, read("to")?);
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            return Err(Problem::parameter("from", "is later than `to`"));
        }
        Ok((from, to))
    }

    /// Refuses the request when a parameter is left that nobody asked for.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        let Some(first) = self.values.keys().next() else { return Ok(()) };
        let unknown: Vec<String> = self.values.keys().map(|name| format!("`{name}`")).collect();
        let (unknown, known) = (unknown.join(", "), self.known.join(", "));
        let reason = if self.known.is_empty() {
            format!("is not known: this endpoint takes no parameters (unknown: {unknown})")
        } else {
            format!("is not a parameter of this endpoint (unknown: {unknown}; known: {known})")
        };
        Err(Problem::parameter(first, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Parameters {
        Parameters::of(query, 1_000_000_000_000).unwrap()
    }

    #[test]
    fn empty_is_absent_and_escapes_are_read() {
        let mut parameters = of("service=&operation=POST+%2Fapi%3Dx&limit=7");
        assert_eq!(parameters.text("service"), Ok(None));
        assert_eq!(parameters.text("operation"), Ok(Some("POST /api=x".to_owned())));
        assert_eq!(parameters.count("limit", 20, 1..=200), Ok(7));
        assert_eq!(parameters.finish(), Ok(()));
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_refused() {
        let mut parameters = of("min_duration=2ms&max_duration=1ms&from=5m&to=10m");
        let refused = parameters.durations("min_duration", "max_duration");
        assert_eq!(refused, Err(Problem::parameter("min_duration", "is more than `max_duration`")));
        assert_eq!(parameters.times(), Err(Problem::parameter("from", "is later than `to`")));
    }

    #[test]
    fn what_nobody_asked_for_is_named_beside_what_is_known() {
        let mut parameters = of("lmit=5&zone=a&limit=1");
        parameters.count("limit", 20, 1..=200).unwrap();
        let reason = "is not a parameter of this endpoint (unknown: `lmit`, `zone`; known: limit)";
        assert_eq!(parameters.finish(), Err(Problem::parameter("lmit", reason)));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        assert!(Parameters::of("service=%ff", 0).is_err());
    }
}
