//! `GET /groups`: the spans that meet a search's filters, grouped by one of their fields.
//!
//! Memory is bounded by [`MAX_VALUES`] different values; spans of further ones are counted together.

use super::{Api, figures::ExampleIds, filter::SCOPES, parameters::Parameters, search, values::Decimal};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use std::{cmp::Reverse, collections::HashMap};
use waypost_trace_model::Text;
use waypost_trace_statistics::{AttributeScope, Step};
use waypost_trace_store::{Columns, Field, Fields, Survey, TraceStore};

/// Different values that are told apart.
const MAX_VALUES: usize = 10_000;

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GroupOrder {
    Count,
    Errors,
    P95,
}

const ORDERS: [(&str, GroupOrder); 3] =
    [("count", GroupOrder::Count), ("errors", GroupOrder::Errors), ("p95", GroupOrder::P95)];

/// Fields that are no attributes, and their names.
fn words() -> [(&'static str, Field); 5] {
    [
        ("service", Field::Service),
        ("operation", Field::Operation),
        ("kind", Field::Kind),
        ("status", Field::Status),
        ("message", Field::StatusMessage),
    ]
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct Grouping {
    by: String,
    spans: u64,
    errors: u64,
    /// Spans that have no such value.
    without: u64,
    /// Different values.
    values: u64,
    groups: Vec<Group>,
    /// Spans of the values that are not listed.
    others: u64,
    scanned_to: Option<Decimal>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct Group {
    #[cfg_attr(test, ts(type = "string"))]
    value: Text,
    spans: u64,
    errors: u64,
    /// Of all spans, from 0 to 1.
    share: f64,
    p50: u64,
    p95: u64,
    p99: u64,
    examples: ExampleIds,
}

pub(super) async fn groups(State(api): State<Api>, mut parameters: Parameters) -> Result<Response, Problem> {
    let by = parameters.required("by")?;
    let field = field("by", &by)?;
    let order = parameters.choice("order", &ORDERS)?.unwrap_or(GroupOrder::Count);
    let limit = parameters.count("limit", 50, 1..=500)?;
    let query = search::filters(&mut parameters)?;
    parameters.finish()?;
    let survey = Survey { query, marked: None, fields: Fields::Of(vec![field]) };
    let read = move |store: &dyn TraceStore| {
        let mut grouped = Grouped::default();
        let surveyed = store.survey(&survey, &mut |columns| grouped.add(columns))?;
        Ok(grouped.answer(by, order, limit, surveyed.scanned_to))
    };
    api.reads.answer(read).await
}

/// A field as a parameter names it: one of the words, or an attribute's key, perhaps with its scope.
pub(super) fn field(parameter: &'static str, text: &str) -> Result<Field, Problem> {
    if let Some((_, field)) = words().into_iter().find(|(word, _)| *word == text) {
        return Ok(field);
    }
    let scoped =
        SCOPES.iter().find_map(|(name, scope)| Some((*scope, text.strip_prefix(name)?.strip_prefix(':')?)));
    match scoped {
        Some((AttributeScope::Event | AttributeScope::Link, _)) => Err(Problem::parameter(
            parameter,
            "must be of the span or its resource: a span has many events and links",
        )),
        Some((_, "")) => Err(Problem::parameter(parameter, "names no key")),
        Some((scope, key)) => Ok(Field::Attribute(Some(scope), Text::from(key))),
        None => Ok(Field::Attribute(None, Text::from(text))),
    }
}

/// The same field as a parameter would name it.
pub(super) fn name(field: &Field) -> String {
    match field {
        Field::Attribute(scope, key) => {
            let scope = SCOPES.iter().find(|(_, known)| Some(*known) == *scope);
            scope.map_or_else(|| key.to_string(), |(name, _)| format!("{name}:{key}"))
        }
        word => {
            let known = words().into_iter().find(|(_, known)| known == word);
            known.map(|(word, _)| word.to_owned()).unwrap_or_default()
        }
    }
}

/// Figures by value, while spans come in.
#[derive(Default)]
struct Grouped {
    places: HashMap<Text, usize>,
    sums: Vec<(Text, Step)>,
    spans: u64,
    errors: u64,
    without: u64,
    /// Spans of values beyond the bound.
    beyond: u64,
}

impl Grouped {
    fn add(&mut self, columns: &Columns) {
        let Some(column) = columns.fields.first() else { return };
        let places: Vec<Option<usize>> = column.values.iter().map(|value| self.place(value)).collect();
        let calls = columns.starts.iter().zip(&columns.durations).zip(&columns.failed).zip(&columns.traces);
        for ((((start, duration), failed), trace), value) in calls.zip(column.places()) {
            self.spans += 1;
            self.errors += u64::from(*failed);
            let Some(value) = value else {
                self.without += 1;
                continue;
            };
            let sum = places.get(value).copied().flatten().and_then(|place| self.sums.get_mut(place));
            match sum {
                Some((_, sum)) => sum.record(*start, *trace, *duration, *failed),
                None => self.beyond += 1,
            }
        }
    }

    fn place(&mut self, value: &Text) -> Option<usize> {
        if let Some(place) = self.places.get(value) {
            return Some(*place);
        }
        let place = self.sums.len();
        if place >= MAX_VALUES {
            return None;
        }
        // A text of its own: that of a column keeps the whole column in memory.
        let value = Text::from(value.to_string());
        self.places.insert(value.clone(), place);
        self.sums.push((value, Step::empty(0)));
        Some(place)
    }

    fn answer(self, by: String, order: GroupOrder, limit: usize, scanned_to: Option<u64>) -> Grouping {
        let Grouped { mut sums, spans, errors, without, beyond, .. } = self;
        let values = sums.len() as u64;
        sums.sort_by_cached_key(|(value, sum)| {
            let rank = match order {
                GroupOrder::Count => sum.calls(),
                GroupOrder::Errors => sum.errors(),
                GroupOrder::P95 => sum.red().p95,
            };
            (Reverse((rank, sum.calls())), value.clone())
        });
        let unlisted = sums.get(limit..).unwrap_or_default().iter().map(|(_, sum)| sum.calls()).sum::<u64>();
        sums.truncate(limit);
        let groups = sums.into_iter().map(|(value, sum)| {
            let red = sum.red();
            Group {
                value,
                spans: red.calls,
                errors: red.errors,
                share: share(red.calls, spans),
                p50: red.p50,
                p95: red.p95,
                p99: red.p99,
                examples: red.examples.into(),
            }
        });
        Grouping {
            by,
            spans,
            errors,
            without,
            values,
            groups: groups.collect(),
            others: unlisted + beyond,
            scanned_to: scanned_to.map(Decimal),
        }
    }
}

/// A part of a whole, from 0 to 1; 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "a share is read with a few digits")]
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
