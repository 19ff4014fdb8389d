//! What both of Jaeger's APIs can ask of a trace, as queries of the store.
//!
//! Every condition must hold for one and the same span.

use crate::{error::Error, parameters::truth, search::Search};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use waypost_trace_model::{Kind, StatusCode, Text, Value};
use waypost_trace_statistics::AttributeScope;
use waypost_trace_store::{AttributeFilter, NanoRange, Query, SpanFilter, Test};

/// Tags of Jaeger that are neither attributes nor conditions of the store.
const NOT_SEARCHED: [&str; 6] = [
    "scope.name",
    "scope.version",
    "otel.scope.name",
    "otel.scope.version",
    "otel.status_description",
    "w3c.tracestate",
];

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conditions {
    pub(crate) service: Option<String>,
    pub(crate) operation: Option<String>,
    /// When the span began.
    pub(crate) range: NanoRange,
    /// How long it took.
    pub(crate) duration: NanoRange,
    /// Keys and values, each with the parameter that it came in.
    pub(crate) tags: Vec<(&'static str, String, String)>,
    pub(crate) limit: usize,
}

impl Conditions {
    /// The queries that find these traces together. Jaeger's own words among the tags are not attributes: `error`,
    /// `span.status` (and `otel.status_code`) and `span.kind`; `resource.` before a key says where it must stand.
    pub(crate) fn search(self) -> Result<Search, Error> {
        let mut statuses = vec![StatusCode::Error, StatusCode::Ok, StatusCode::Unset];
        let mut kinds: Option<Option<Kind>> = None;
        let mut attributes: Vec<Vec<AttributeFilter>> = Vec::new();
        for (parameter, key, value) in self.tags {
            match (key.as_str(), truth(&value)) {
                ("error", Some(failed)) => statuses.retain(|status| (*status == StatusCode::Error) == failed),
                ("span.status" | "otel.status_code", _) => {
                    let wanted = StatusCode::from_name(&value.to_lowercase());
                    statuses.retain(|status| Some(*status) == wanted);
                }
                ("span.kind", _) => {
                    let wanted = Kind::from_name(&value.to_lowercase());
                    kinds = Some(wanted.filter(|kind| kinds.is_none_or(|before| before == Some(*kind))));
                }
                _ if NOT_SEARCHED.contains(&key.as_str()) => {
                    return Err(Error::parameter(parameter, format!("`{key}` cannot be searched for here")));
                }
                _ => attributes.push(alternatives(&key, &value)),
            }
        }
        let filter = SpanFilter {
            service: self.service.map(Text::from),
            operation: self.operation.map(Text::from),
            kind: kinds.flatten(),
            duration: self.duration,
            ..SpanFilter::default()
        };
        // One query asks for one status; all three are no condition.
        let statuses: Vec<Option<StatusCode>> =
            if statuses.len() == 3 { vec![None] } else { statuses.into_iter().map(Some).collect() };
        let mut queries = Vec::new();
        if kinds != Some(None) {
            for attributes in combinations(&attributes) {
                queries.extend(statuses.iter().map(|status| {
                    let filter =
                        SpanFilter { status: *status, attributes: attributes.clone(), ..filter.clone() };
                    Query { range: self.range.clone(), spans: vec![filter], ..Query::default() }
                }));
            }
        }
        Ok(Search { queries, limit: self.limit })
    }
}

/// The most ways to read all tags of a search together; with more, tags are read as they are written.
const MAX_COMBINATIONS: usize = 8;

/// The conditions that a tag may mean: its value as it is written, and, as what Jaeger shows must be found, what is shown in that
/// way there: bytes in base64, and large or small numbers with an exponent.
fn alternatives(key: &str, value: &str) -> Vec<AttributeFilter> {
    let (scope, key) = match key.strip_prefix("resource.") {
        Some(key) => (Some(AttributeScope::Resource), key),
        None => (None, key),
    };
    let mut values = vec![value.to_owned()];
    values.extend(without_exponent(value));
    values.extend(hex_of_base64(value));
    let filter =
        |value| AttributeFilter { scope, key: Text::from(key.to_owned()), test: Test::Equals(value) };
    values.into_iter().map(filter).collect()
}

/// `1e+21` as the store has it: `1000000000000000000000`.
fn without_exponent(value: &str) -> Option<String> {
    let is_number =
        value.contains(['e', 'E']) && value.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let number = value.parse().ok().filter(|number: &f64| is_number && number.is_finite())?;
    Some(Value::Double(number).display().into_owned())
}

/// `AAH/` as the store has it: `0001ff`.
fn hex_of_base64(value: &str) -> Option<String> {
    let bytes = BASE64.decode(value).ok().filter(|bytes| !bytes.is_empty())?;
    Some(Value::Bytes(bytes.into()).display().into_owned())
}

/// One list for each way to read all tags.
fn combinations(tags: &[Vec<AttributeFilter>]) -> Vec<Vec<AttributeFilter>> {
    let count: usize = tags.iter().map(Vec::len).product();
    let ways = if count > MAX_COMBINATIONS { 1 } else { usize::MAX };
    tags.iter().fold(vec![Vec::new()], |lists, tag| {
        let longer = |list: &Vec<AttributeFilter>, one: &AttributeFilter| {
            let mut list = list.clone();
            list.push(one.clone());
            list
        };
        lists.iter().flat_map(|list| tag.iter().take(ways).map(move |one| longer(list, one))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice;

    fn queries(tags: &[(&str, &str)]) -> Vec<SpanFilter> {
        let tags = tags.iter().map(|(key, value)| ("tags", (*key).to_owned(), (*value).to_owned())).collect();
        let conditions = Conditions {
            service: Some("a".to_owned()),
            operation: None,
            range: 1..=2,
            duration: 0..=u64::MAX,
            tags,
            limit: 5,
        };
        conditions.search().unwrap().queries.into_iter().flat_map(|query| query.spans).collect()
    }

    #[test]
    fn words_of_jaeger_are_conditions_on_the_span_itself() {
        let of_a = || SpanFilter { service: Some("a".into()), ..SpanFilter::default() };
        let failed = SpanFilter { status: Some(StatusCode::Error), ..of_a() };
        assert_eq!(queries(&[]), [of_a()]);
        assert_eq!(queries(&[("error", "true")]), slice::from_ref(&failed));
        assert_eq!(queries(&[("span.status", "ERROR")]), slice::from_ref(&failed));
        assert_eq!(queries(&[("otel.status_code", "ERROR"), ("error", "1")]), [failed]);
        assert_eq!(queries(&[("span.status", "ok"), ("error", "true")]), []);
        let well = |code| SpanFilter { status: Some(code), ..of_a() };
        assert_eq!(queries(&[("error", "false")]), [well(StatusCode::Ok), well(StatusCode::Unset)]);
        assert_eq!(queries(&[("span.kind", "Server")]), [SpanFilter { kind: Some(Kind::Server), ..of_a() }]);
        assert_eq!(queries(&[("span.kind", "sideways")]), []);
        assert_eq!(queries(&[("span.kind", "server"), ("span.kind", "client")]), []);
    }

    #[test]
    fn other_words_are_attributes_anywhere_or_on_the_resource() {
        let found = queries(&[("http.route", "/a"), ("resource.host.name", "h"), ("error", "timeout")]);
        let filter = |scope, key: &'static str, value: &str| AttributeFilter {
            scope,
            key: key.into(),
            test: Test::Equals(value.to_owned()),
        };
        let expected = [
            filter(None, "http.route", "/a"),
            filter(Some(AttributeScope::Resource), "host.name", "h"),
            filter(None, "error", "timeout"),
        ];
        assert_eq!(found.first().unwrap().attributes, expected);
    }

    #[test]
    fn a_value_is_found_as_it_is_and_as_jaeger_shows_it() {
        let values = |tags: &[(&str, &str)]| -> Vec<Vec<String>> {
            let text = |filter: &AttributeFilter| match &filter.test {
                Test::Equals(text) => text.clone(),
                other => panic!("{other:?}"),
            };
            queries(tags).iter().map(|filter| filter.attributes.iter().map(text).collect()).collect()
        };
        assert_eq!(values(&[("blob", "AAH/")]), [["AAH/"], ["0001ff"]]);
        assert_eq!(values(&[("n", "1e+21")]), [["1e+21"], ["1000000000000000000000"]]);
        assert_eq!(values(&[("n", "-2.5E-9")]), [["-2.5E-9"], ["-0.0000000025"]]);
        for plain in ["12", "card", "e", "nan", "1e999", ""] {
            let found = values(&[("n", plain)]);
            assert_eq!(found[0], [plain]);
            assert_eq!(
                found.len(),
                if plain == "card" { 2 } else { 1 },
                "{plain}: four letters may be bytes"
            );
        }
        let many: Vec<(&str, &str)> = ["a", "b", "c", "d"].map(|key| (key, "card")).into();
        assert_eq!(values(&many), [["card"; 4]], "too many ways: as they are written");
        assert_eq!(values(&many[..3]).len(), 8);
    }
}
