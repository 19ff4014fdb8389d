//! Bounds and order in a span that has ended: no key twice, no endless value.
//!
//! The SDK appends attributes, so a key set twice would be exported twice; here the later value wins and takes
//! the place of the earlier one. Work is done only on spans that need it: spans have few attributes, and
//! comparing keys of different lengths costs next to nothing.

use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SpanData;

use crate::base::config::Limits;
use crate::base::finished::FinishedLog;

/// The SDK keeps this many times the limit, so that repeated keys do not use it up before they are removed.
pub(crate) const HEADROOM: u32 = 4;

/// Above this many attributes a map finds repeated keys faster than comparing pairs.
const PAIRWISE: usize = 32;

pub(crate) fn tidy_span(span: &mut SpanData, limits: &Limits) {
    span.dropped_attributes_count +=
        tidy(&mut span.attributes, limits.span_attributes as usize, limits.attribute_value_length);
    for event in &mut span.events.events {
        event.dropped_attributes_count +=
            tidy(&mut event.attributes, limits.event_attributes as usize, limits.attribute_value_length);
    }
    for link in &mut span.links.links {
        link.dropped_attributes_count +=
            tidy(&mut link.attributes, limits.link_attributes as usize, limits.attribute_value_length);
    }
}

pub(crate) fn tidy_log(record: &mut FinishedLog, limits: &Limits) {
    tidy(&mut record.attributes, limits.event_attributes as usize, limits.attribute_value_length);
    if let Some(end) = end_of(&record.body, limits.attribute_value_length) {
        record.body.truncate(end);
    }
}

/// Gives how many attributes were over `max`.
fn tidy(attributes: &mut Vec<KeyValue>, max: usize, max_length: usize) -> u32 {
    keep_last_of_each_key(attributes);
    let over = attributes.len().saturating_sub(max);
    attributes.truncate(max);
    // A stack trace is bounded where it is made, see `core::record`.
    for attribute in
        attributes.iter_mut().filter(|attribute| attribute.key.as_str() != "exception.stacktrace")
    {
        shorten(&mut attribute.value, max_length);
    }
    u32::try_from(over).unwrap_or(u32::MAX)
}

fn keep_last_of_each_key(attributes: &mut Vec<KeyValue>) {
    if attributes.len() > PAIRWISE {
        let mut seen = std::collections::HashMap::with_capacity(attributes.len());
        let mut kept: Vec<KeyValue> = Vec::with_capacity(attributes.len());
        for attribute in attributes.drain(..) {
            if let Some(&place) = seen.get(&attribute.key) {
                kept[place] = attribute;
                continue;
            }
            seen.insert(attribute.key.clone(), kept.len());
            kept.push(attribute);
        }
        *attributes = kept;
        return;
    }
    let mut index = 1;
    while index < attributes.len() {
        let key = &attributes[index].key;
        match attributes[..index].iter().position(|earlier| earlier.key == *key) {
            Some(earlier) => attributes[earlier] = attributes.remove(index),
            None => index += 1,
        }
    }
}

fn shorten(value: &mut Value, max: usize) {
    match value {
        Value::String(text) => shorten_text(text, max),
        Value::Array(Array::String(texts)) => texts.iter_mut().for_each(|text| shorten_text(text, max)),
        _ => {}
    }
}

fn shorten_text(text: &mut StringValue, max: usize) {
    if let Some(end) = end_of(text.as_str(), max) {
        *text = text.as_str()[..end].to_owned().into();
    }
}

/// Where a text of more than `max` characters has to be cut. One of at most `max` bytes needs no counting.
fn end_of(text: &str, max: usize) -> Option<usize> {
    if text.len() <= max {
        return None;
    }
    text.char_indices().nth(max).map(|(end, _)| end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_and_values(attributes: &[KeyValue]) -> String {
        let pairs: Vec<_> = attributes.iter().map(|a| format!("{}={}", a.key, a.value)).collect();
        pairs.join(" ")
    }

    #[test]
    fn a_later_value_takes_the_place_of_an_earlier_one() {
        let mut few: Vec<_> =
            [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("a", 5)].map(|(k, v)| KeyValue::new(k, v)).into();
        assert_eq!(tidy(&mut few, 10, 10), 0);
        assert_eq!(keys_and_values(&few), "a=5 b=2 c=4");

        let mut many: Vec<_> = (0..90_i64).map(|n| KeyValue::new(format!("k{}", n % 40), n)).collect();
        assert_eq!(tidy(&mut many, 100, 10), 0);
        assert_eq!((many.len(), many[0].value.clone(), many[39].value.clone()), (40, 80.into(), 79.into()));
    }

    #[test]
    fn attributes_over_the_limit_are_counted() {
        let mut attributes: Vec<_> = (0..5_i64).map(|n| KeyValue::new(format!("k{n}"), n)).collect();
        assert_eq!((tidy(&mut attributes, 3, 10), attributes.len()), (2, 3));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let list = Value::Array(Array::String(vec!["abcd".into(), "ab".into()]));
        let mut attributes = vec![
            KeyValue::new("a", "äöüß"),
            KeyValue::new("b", "äöü"),
            KeyValue::new("c", list),
            KeyValue::new("d", 12_345),
        ];
        tidy(&mut attributes, 10, 3);
        assert_eq!(keys_and_values(&attributes), "a=äöü b=äöü c=[\"abc\",\"ab\"] d=12345");
    }
}
