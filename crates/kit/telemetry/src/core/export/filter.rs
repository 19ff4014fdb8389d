//! What a single exporter does not get: spans and log records that are left out, attributes that are removed or redacted.
//!
//! Items are encoded once and shared by all exporters, so this works on the bytes of a frame and makes new ones, on the export
//! thread, and only for exporters that a filter fits. Fields that it does not know pass as they are.

use std::collections::BTreeMap;

use bytes::Bytes;
use opentelemetry::KeyValue;

use super::frame::Frame;
use super::split::put;
use crate::base::config::ExporterFilter;
use crate::base::wire::attributes::{put_text_attribute, read_attribute};
use crate::base::wire::read::{Field, fields};
use crate::base::wire::{put_bytes, put_message};
use crate::core::readings::Signal;
use crate::core::sampling::matches;

/// Stands in place of a value.
const REDACTED: &str = "REDACTED";

/// Where a message has its attributes, and the messages below it that have some.
#[derive(Debug)]
struct Shape {
    attributes: u32,
    name: Option<u32>,
    inner: &'static [(u32, Shape)],
}

const fn leaf(attributes: u32) -> Shape {
    Shape { attributes, name: None, inner: &[] }
}

static RESOURCE: Shape = leaf(1);
static SPAN: Shape = Shape { attributes: 9, name: Some(5), inner: &[(11, leaf(3)), (13, leaf(4))] };
static LOG_RECORD: Shape = Shape { attributes: 6, name: Some(12), inner: &[] };

/// The filters that fit one exporter, as one.
#[derive(Debug)]
pub(crate) struct Filter {
    item: &'static Shape,
    names: Vec<String>,
    left_out: Vec<BTreeMap<String, String>>,
    removed: Vec<String>,
    redacted: Vec<String>,
}

impl Filter {
    /// `None` if none fits.
    pub(super) fn new(filters: &[ExporterFilter], exporter: &str, signal: Signal) -> Option<Self> {
        let fitting = filters.iter().filter(|filter| matches(&filter.exporter, exporter));
        let item = if signal == Signal::Logs { &LOG_RECORD } else { &SPAN };
        let mut all =
            Self { item, names: Vec::new(), left_out: Vec::new(), removed: Vec::new(), redacted: Vec::new() };
        let mut is_any = false;
        for filter in fitting {
            is_any = true;
            all.names.extend_from_slice(&filter.leave_out_names);
            all.left_out.push(filter.leave_out_attributes.clone());
            all.removed.extend_from_slice(&filter.remove_attributes);
            all.redacted.extend_from_slice(&filter.redact_attributes);
        }
        is_any.then_some(all)
    }

    /// The frame as this exporter gets it; it may have no items left.
    pub(super) fn apply(&self, frame: &Frame) -> Frame {
        let whole = frame.pieces.concat();
        let (mut out, mut items) = (Vec::with_capacity(whole.len()), 0);
        for (number, resource_items) in fields(&whole) {
            put_message(&mut out, number, |out| {
                for (number, field) in fields(resource_items.bytes()) {
                    match number {
                        1 => put_message(out, number, |out| self.copy(out, field.bytes(), &RESOURCE)),
                        2 => put_message(out, number, |out| items += self.scope(out, field.bytes())),
                        _ => put(out, number, field),
                    }
                }
            });
        }
        Frame { bytes: out.len(), items, pieces: vec![Bytes::from(out)] }
    }

    /// The items of a scope: how many are left.
    fn scope(&self, out: &mut Vec<u8>, scope_items: &[u8]) -> usize {
        let mut items = 0;
        for (number, field) in fields(scope_items) {
            if number != super::frame::ITEMS {
                put(out, number, field);
            } else if !self.leaves_out(field.bytes()) {
                items += 1;
                put_message(out, number, |out| self.copy(out, field.bytes(), self.item));
            }
        }
        items
    }

    fn leaves_out(&self, item: &[u8]) -> bool {
        let has_name = |name: &str| self.names.iter().any(|pattern| matches(pattern, name));
        let has_attribute = |attribute: &KeyValue| {
            let text = attribute.value.as_str();
            let fits = |(key, pattern): (&String, &String)| {
                matches(key, attribute.key.as_str()) && matches(pattern, &text)
            };
            self.left_out.iter().flatten().any(fits)
        };
        fields(item).any(|(number, field)| {
            (Some(number) == self.item.name && !self.names.is_empty() && has_name(&field.text()))
                || (number == self.item.attributes && has_attribute(&read_attribute(field.bytes())))
        })
    }

    /// Copies a message without the attributes that are removed.
    fn copy(&self, out: &mut Vec<u8>, message: &[u8], shape: &Shape) {
        for (number, field) in fields(message) {
            if number == shape.attributes {
                self.copy_attribute(out, number, field);
                continue;
            }
            match shape.inner.iter().find(|(inner, _)| *inner == number) {
                Some((_, inner)) => put_message(out, number, |out| self.copy(out, field.bytes(), inner)),
                None => put(out, number, field),
            }
        }
    }

    fn copy_attribute(&self, out: &mut Vec<u8>, number: u32, field: Field<'_>) {
        let key = fields(field.bytes()).find(|(number, _)| *number == 1).map(|(_, key)| key.text());
        let key = key.unwrap_or_default();
        let fits = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, &key));
        if fits(&self.removed) {
            return;
        }
        if fits(&self.redacted) {
            put_text_attribute(out, number, &key, REDACTED, usize::MAX);
        } else {
            put_bytes(out, number, field.bytes());
        }
    }
}
