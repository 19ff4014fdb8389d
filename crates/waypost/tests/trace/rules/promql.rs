//! What an expression of PromQL asks for: its selectors, and the labels that it groups by.

use std::collections::BTreeSet;

/// Words that are followed by names of labels.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words that are neither metrics nor functions.
const OPERATORS: [&str; 6] = ["and", "or", "unless", "offset", "bool", "atan2"];

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Such as `up{job="waypost"}`, in one line.
    pub(crate) selectors: BTreeSet<String>,
    pub(crate) labels: BTreeSet<String>,
}

pub(crate) fn asked(expression: &str) -> Asked {
    let mut asked = Asked::default();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_alphabetic() || matches!(first, '_' | ':') {
            let word = front(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
            rest = rest[word.len()..].trim_start();
            let next = front(rest, |c| c.is_ascii_alphabetic());
            if GROUPING.contains(&word) {
                let list = enclosed(rest);
                asked.labels.extend(list.split([',', '(', ')']).map(|label| label.trim().to_owned()));
                rest = &rest[list.len()..];
            } else if !OPERATORS.contains(&word) && !rest.starts_with('(') && !GROUPING.contains(&next) {
                let matchers = if rest.starts_with('{') { enclosed(rest) } else { "" };
                asked.selectors.insert(format!("{word}{}", matchers.split_whitespace().collect::<String>()));
                rest = &rest[matchers.len()..];
            }
        } else if first == '[' {
            rest = &rest[enclosed(rest).len()..];
        } else if first.is_ascii_digit() {
            rest = &rest[front(rest, |c| c.is_ascii_alphanumeric() || c == '.').len()..];
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    asked.labels.remove("");
    asked
}

fn front(text: &str, is_of_it: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !is_of_it(c)).unwrap_or(text.len())]
}

/// From a bracket to the one that closes it, strings left alone.
fn enclosed(text: &str) -> &str {
    let mut is_text = false;
    for (place, c) in text.char_indices() {
        match c {
            '"' => is_text = !is_text,
            ')' | ']' | '}' if !is_text => return &text[..=place],
            _ => {}
        }
    }
    panic!("a bracket is not closed in {text}");
}

#[test]
fn selectors_and_labels_are_told_from_functions_and_words() {
    let is = |expression: &str, selectors: &[&str], labels: &[&str]| {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        assert_eq!(asked(expression), Asked { selectors: texts(selectors), labels: texts(labels) });
    };
    is("up{job=\"a b\"} == 0", &["up{job=\"ab\"}"], &[]);
    is(
        "sum by (x, y) (rate(a_total{b=~\"5..\", c!=\"\"}[5m])) / (b:c:rate5m > 0) or vector(0)",
        &["a_total{b=~\"5..\",c!=\"\"}", "b:c:rate5m"],
        &["x", "y"],
    );
    is("predict_linear(a[1h], 4 * 3600) unless b offset 5m and 0.5 * sum(c)", &["a", "b", "c"], &[]);
    is("max by(x)(a{b=\"}\"}) == 2", &["a{b=\"}\"}"], &["x"]);
}
