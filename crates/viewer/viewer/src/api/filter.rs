//! Span filters as parameters: of the query itself, and of each `with`.
//!
//! A condition on an attribute is `[scope:]key`, `key=value`, `key!=value`, `key~part`, or `key` with `>=`, `<=`, `>` or
//! `<` and a number. A key that contains one of `= ! ~ > <`, or begins like a scope, stands in double quotes, in which
//! `\"` and `\\` are a quote and a backslash. Everything after the operator is the value, as it is.

use super::parameters::Parameters;
use crate::problem::Problem;
use waypost_trace_model::{Kind, StatusCode, Text};
use waypost_trace_statistics::AttributeScope;
use waypost_trace_store::{AttributeFilter, SpanFilter, Test};

/// Conditions on attributes in one filter.
const MAX_CONDITIONS: usize = 16;

/// Filters on other spans of the trace.
const MAX_OTHERS: usize = 8;

/// Filters that a span must not meet.
const MAX_EXCLUDED: usize = 16;

pub(super) const SCOPES: [(&str, AttributeScope); 4] = [
    ("span", AttributeScope::Span),
    ("resource", AttributeScope::Resource),
    ("event", AttributeScope::Event),
    ("link", AttributeScope::Link),
];

pub(super) const KINDS: [(&str, Kind); 6] = [
    ("internal", Kind::Internal),
    ("server", Kind::Server),
    ("client", Kind::Client),
    ("producer", Kind::Producer),
    ("consumer", Kind::Consumer),
    ("unspecified", Kind::Unspecified),
];

pub(super) const STATUSES: [(&str, StatusCode); 3] =
    [("error", StatusCode::Error), ("ok", StatusCode::Ok), ("unset", StatusCode::Unset)];

/// Takes the parameters of one span filter.
pub(super) fn span(parameters: &mut Parameters) -> Result<SpanFilter, Problem> {
    let filter = conditions(parameters)?;
    let queries = parameters.repeated("not", MAX_EXCLUDED)?;
    let excluded = queries.iter().map(|query| excluded(parameters, query)).collect::<Result<_, _>>()?;
    Ok(SpanFilter { excluded, ..filter })
}

/// What a span must not meet: conditions that do not hold for every span.
fn excluded(parameters: &Parameters, query: &str) -> Result<SpanFilter, Problem> {
    let filter = within(parameters, "not", query, conditions)?;
    if filter == SpanFilter::default() {
        return Err(Problem::parameter("not", "has no condition"));
    }
    Ok(filter)
}

/// A filter that is written as a query string in a parameter.
pub(super) fn within(
    parameters: &Parameters,
    name: &'static str,
    query: &str,
    read: fn(&mut Parameters) -> Result<SpanFilter, Problem>,
) -> Result<SpanFilter, Problem> {
    let mut inner = Parameters::of(query, parameters.now())?;
    let filter = read(&mut inner).and_then(|filter| inner.finish().map(|()| filter));
    filter.map_err(|problem| problem.within(name))
}

fn conditions(parameters: &mut Parameters) -> Result<SpanFilter, Problem> {
    let name = |text: Option<String>| text.map(Text::from);
    Ok(SpanFilter {
        service: name(parameters.text("service")?),
        operation: name(parameters.text("operation")?),
        kind: parameters.choice("kind", &KINDS)?,
        status: parameters.choice("status", &STATUSES)?,
        duration: parameters.durations("min_duration", "max_duration")?,
        is_root: parameters.choice("root", &[("true", true), ("false", false)])?,
        attributes: attributes(parameters)?,
        text: parameters.text("text")?,
        ..SpanFilter::default()
    })
}

/// Takes the filters on other spans of the same trace, each a query string of its own.
pub(super) fn others(parameters: &mut Parameters) -> Result<Vec<SpanFilter>, Problem> {
    let queries = parameters.repeated("with", MAX_OTHERS)?;
    queries.iter().map(|query| within(parameters, "with", query, span)).collect()
}

fn attributes(parameters: &mut Parameters) -> Result<Vec<AttributeFilter>, Problem> {
    let conditions = parameters.repeated("attr", MAX_CONDITIONS)?;
    let refused = |reason| Problem::parameter("attr", reason);
    conditions.iter().map(|text| condition(text).map_err(refused)).collect()
}

/// Reads one condition on an attribute.
fn condition(text: &str) -> Result<AttributeFilter, String> {
    let (scope, rest) = scope(text);
    let (key, rest) = key(rest)?;
    if key.is_empty() {
        return Err(format!("has no key in `{text}`"));
    }
    Ok(AttributeFilter { scope, key: Text::from(key), test: test(rest)? })
}

fn scope(text: &str) -> (Option<AttributeScope>, &str) {
    let prefixed = SCOPES.iter().find_map(|(name, scope)| {
        let rest = text.strip_prefix(name)?.strip_prefix(':')?;
        Some((Some(*scope), rest))
    });
    prefixed.unwrap_or((None, text))
}

/// The key, and what stands after it.
fn key(text: &str) -> Result<(String, &str), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(['=', '!', '~', '>', '<']).unwrap_or(text.len());
        let (key, rest) = text.split_at(end);
        return Ok((key.to_owned(), rest));
    };
    let mut key = String::new();
    let mut letters = quoted.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Ok((key, quoted.get(place + 1..).unwrap_or_default())),
            '\\' => match letters.next() {
                Some((_, escaped @ ('"' | '\\'))) => key.push(escaped),
                _ => return Err("may escape only `\"` and `\\` within quotes".to_owned()),
            },
            letter => key.push(letter),
        }
    }
    Err(format!("has a quote that does not end in `{text}`"))
}

fn test(text: &str) -> Result<Test, String> {
    if text.is_empty() {
        return Ok(Test::Exists);
    }
    let after = |operator| text.strip_prefix(operator);
    if let Some(value) = after("=") {
        return Ok(Test::Equals(value.to_owned()));
    }
    if let Some(value) = after("!=") {
        return Ok(Test::Differs(value.to_owned()));
    }
    if let Some(part) = after("~") {
        return Ok(Test::Contains(part.to_owned()));
    }
    if let Some(number) = after(">=") {
        return finite(number).map(Test::AtLeast);
    }
    if let Some(number) = after("<=") {
        return finite(number).map(Test::AtMost);
    }
    // Values are compared as doubles, so that the next one is the least that is more.
    if let Some(number) = after(">") {
        return finite(number).map(|number| Test::AtLeast(number.next_up()));
    }
    if let Some(number) = after("<") {
        return finite(number).map(|number| Test::AtMost(number.next_down()));
    }
    Err(format!("has `{text}` after the key; write =, !=, ~, >=, <=, > or < and a value"))
}

fn finite(text: &str) -> Result<f64, String> {
    let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| format!("compares with `{text}`, which is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As a person, or the page, writes it.
    fn written(filter: &AttributeFilter) -> String {
        let name = |scope| SCOPES.iter().find(|(_, known)| *known == scope).unwrap().0;
        let prefix = filter.scope.map(|scope| format!("{}:", name(scope))).unwrap_or_default();
        let is_plain = !filter.key.contains(['=', '!', '~', '>', '<'])
            && !filter.key.starts_with('"')
            && (filter.scope.is_some() || scope(&filter.key).0.is_none());
        let key = if is_plain {
            filter.key.to_string()
        } else {
            format!("\"{}\"", filter.key.replace('\\', "\\\\").replace('"', "\\\""))
        };
        let test = match &filter.test {
            Test::Exists => String::new(),
            Test::Equals(value) => format!("={value}"),
            Test::Differs(value) => format!("!={value}"),
            Test::Contains(part) => format!("~{part}"),
            Test::AtLeast(number) => format!(">={number}"),
            Test::AtMost(number) => format!("<={number}"),
        };
        format!("{prefix}{key}{test}")
    }

    fn filters() -> impl Strategy<Value = AttributeFilter> {
        let scope = proptest::option::of(proptest::sample::select(SCOPES.map(|(_, scope)| scope).to_vec()));
        let key = prop_oneof![
            "[a-z.:]{1,12}",
            "(span|event|link|resource):[a-z]{0,4}",
            ".{1,8}",
            "[\"\\\\=!~<>]{1,6}"
        ];
        let number = any::<f64>().prop_filter("a number", |number| number.is_finite());
        let test = prop_oneof![
            Just(Test::Exists),
            ".{0,12}".prop_map(Test::Equals),
            ".{0,12}".prop_map(Test::Differs),
            ".{0,12}".prop_map(Test::Contains),
            number.clone().prop_map(Test::AtLeast),
            number.prop_map(Test::AtMost),
        ];
        (scope, key, test).prop_map(|(scope, key, test)| AttributeFilter { scope, key: key.into(), test })
    }

    proptest! {
        #[test]
        fn a_condition_that_is_written_is_read_as_the_same(filter in filters()) {
            let text = written(&filter);
            prop_assert_eq!(condition(&text), Ok(filter), "{}", text);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            if let Ok(filter) = condition(&text) {
                prop_assert_eq!(condition(&written(&filter)), Ok(filter));
            }
        }
    }

    #[test]
    fn conditions_read_as_the_documentation_says() {
        let of = |text: &str| condition(text).unwrap();
        let filter = |scope, key: &'static str, test| AttributeFilter { scope, key: key.into(), test };
        assert_eq!(of("order.id"), filter(None, "order.id", Test::Exists));
        assert_eq!(
            of("span:http.route=/a=b"),
            filter(Some(AttributeScope::Span), "http.route", Test::Equals("/a=b".into()))
        );
        assert_eq!(of("a!=b"), filter(None, "a", Test::Differs("b".into())));
        assert_eq!(
            of("event:exception.message~time"),
            filter(Some(AttributeScope::Event), "exception.message", Test::Contains("time".into()))
        );
        assert_eq!(of("n>=1.5"), filter(None, "n", Test::AtLeast(1.5)));
        assert_eq!(of("n<=-2"), filter(None, "n", Test::AtMost(-2.0)));
        assert_eq!(of("n>499"), filter(None, "n", Test::AtLeast(499.000_000_000_000_06)));
        assert_eq!(of("n<0"), filter(None, "n", Test::AtMost(-f64::from_bits(1))));
        assert_eq!(of("\"a=\\\"b\"="), filter(None, "a=\"b", Test::Equals(String::new())));
        assert_eq!(of("\"link:x\""), filter(None, "link:x", Test::Exists));
        assert_eq!(of("scope:x"), filter(None, "scope:x", Test::Exists));
    }

    #[test]
    fn what_is_no_condition_says_why() {
        for (text, part) in [
            ("=a", "no key"),
            ("span:", "no key"),
            ("a>", "not a number"),
            ("a<b", "not a number"),
            ("a!b", "after the key"),
            ("\"a", "does not end"),
            ("\"a\\n\"", "escape"),
            ("\"a\"b", "after the key"),
            ("a>=much", "not a number"),
            ("a<=inf", "not a number"),
        ] {
            let reason = condition(text).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }
}
