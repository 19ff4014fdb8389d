//! What both of Jaeger's APIs can ask of a trace, as queries of the store.
//!
//! Every condition must hold for one and the same span.

use crate::{error::Error, parameters::truth, search::Search};
use waypost_trace_model::{Kind, StatusCode, Text};
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
        let mut attributes = Vec::new();
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
                _ => attributes.push(attribute(&key, value)),
            }
        }
        let filter = SpanFilter {
            service: self.service.map(Text::from),
            operation: self.operation.map(Text::from),
            kind: kinds.flatten(),
            duration: self.duration,
            attributes,
            ..SpanFilter::default()
        };
        // One query asks for one status; all three are no condition.
        let statuses: Vec<Option<StatusCode>> =
            if statuses.len() == 3 { vec![None] } else { statuses.into_iter().map(Some).collect() };
        let query = |status| {
            let spans = vec![SpanFilter { status, ..filter.clone() }];
            Query { range: self.range.clone(), spans, ..Query::default() }
        };
        let queries =
            if kinds == Some(None) { Vec::new() } else { statuses.into_iter().map(query).collect() };
        Ok(Search { queries, limit: self.limit })
    }
}

fn attribute(key: &str, value: String) -> AttributeFilter {
    let (scope, key) = match key.strip_prefix("resource.") {
        Some(key) => (Some(AttributeScope::Resource), key),
        None => (None, key),
    };
    AttributeFilter { scope, key: Text::from(key), test: Test::Equals(value) }
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
}
