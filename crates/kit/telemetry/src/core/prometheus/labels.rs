//! The labels of one series, as they stand between the braces.
//!
//! Different keys may become one label; their values are then joined by `;` in the order of the keys, because a label
//! that stands twice makes Prometheus refuse the whole page. A label without a value is the same as no label to
//! Prometheus and is left out.

use opentelemetry::KeyValue;

use super::names::label_name;

/// Labels that are put together.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels {
    /// Label, key it was made from, value.
    all: Vec<(String, String, String)>,
}

impl Labels {
    pub(super) fn add(&mut self, key: &str, value: impl Into<String>) {
        self.all.push((label_name(key), key.to_owned(), value.into()));
    }

    pub(super) fn with<'a>(&self, attributes: impl Iterator<Item = &'a KeyValue>) -> Self {
        let mut labels = self.clone();
        for attribute in attributes {
            labels.add(attribute.key.as_str(), attribute.value.as_str());
        }
        labels
    }

    /// As [`Self::with`], for histograms: `le` is theirs, so an attribute of that name is called `exported_le`, as
    /// Prometheus itself does with labels that clash.
    pub(super) fn with_all_but_le<'a>(&self, attributes: impl Iterator<Item = &'a KeyValue>) -> Self {
        let mut labels = self.with(attributes);
        for (label, _, _) in &mut labels.all {
            if label == "le" {
                "exported_le".clone_into(label);
            }
        }
        labels
    }

    /// `a="1",b="2"`, by name.
    pub(super) fn render(mut self) -> String {
        self.all.sort();
        let mut rendered = String::new();
        for same in self.all.chunk_by(|(left, _, _), (right, _, _)| left == right) {
            let values: Vec<&str> = same.iter().map(|(_, _, value)| value.as_str()).collect();
            let value = values.join(";");
            if let [(label, _, _), ..] = same
                && !value.is_empty()
            {
                if !rendered.is_empty() {
                    rendered.push(',');
                }
                rendered.push_str(label);
                rendered.push_str("=\"");
                push_escaped(&mut rendered, &value);
                rendered.push('"');
            }
        }
        rendered
    }
}

/// Within quotes. Some readers of text end at the character 0.
fn push_escaped(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            '\0' => out.push(char::REPLACEMENT_CHARACTER),
            letter => out.push(letter),
        }
    }
}

pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_escaped(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(pairs: &[(&'static str, &'static str)]) -> String {
        let attributes: Vec<KeyValue> =
            pairs.iter().map(|(key, value)| KeyValue::new(*key, *value)).collect();
        Labels::default().with_all_but_le(attributes.iter()).render()
    }

    #[test]
    fn keys_that_become_one_label_share_it_in_their_order() {
        assert_eq!(rendered(&[("a_b", "2"), ("c", "3"), ("a.b", "1")]), r#"a_b="1;2",c="3""#);
    }

    #[test]
    fn what_an_attribute_holds_cannot_break_the_line() {
        assert_eq!(rendered(&[("a b", "x\"} 1\n# EOF\\\0")]), "a_b=\"x\\\"} 1\\n# EOF\\\\\u{fffd}\"");
    }

    #[test]
    fn labels_that_belong_to_prometheus_are_left_to_it() {
        assert_eq!(rendered(&[("le", "1"), ("__name__", "x")]), r#"_name_="x",exported_le="1""#);
    }

    #[test]
    fn a_label_without_a_value_is_no_label() {
        assert_eq!(rendered(&[("a", ""), ("b", "1")]), r#"b="1""#);
    }
}
