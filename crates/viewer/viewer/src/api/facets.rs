//! `GET /facets`: of each of several fields the values that the matching spans of a search have, with how many.
//!
//! All fields are counted in one pass. Memory is bounded by [`MAX_VALUES`] different values of each.

use super::{Api, groups, parameters::Parameters, search, values::Decimal};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use std::{cmp::Reverse, collections::HashMap};
use waypost_trace_model::Text;
use waypost_trace_store::{Column, Columns, Field, Fields, Survey, TraceStore};

/// Fields in one answer.
const MAX_FIELDS: usize = 16;

/// Different values of a field that are told apart.
const MAX_VALUES: usize = 10_000;

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Facets"))]
pub(super) struct Answer {
    spans: u64,
    errors: u64,
    /// In the order that was asked for.
    facets: Vec<Facet>,
    scanned_to: Option<Decimal>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct Facet {
    by: String,
    /// The most frequent first.
    values: Vec<FacetValue>,
    /// Different values, those that are not listed included.
    distinct: u64,
    /// Spans of values that are not listed.
    others: u64,
    /// Spans that have no such value.
    without: u64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct FacetValue {
    #[cfg_attr(test, ts(type = "string"))]
    value: Text,
    spans: u64,
    errors: u64,
}

pub(super) async fn facets(State(api): State<Api>, mut parameters: Parameters) -> Result<Response, Problem> {
    let names = parameters.repeated("by", MAX_FIELDS)?;
    if names.is_empty() {
        return Err(Problem::parameter("by", "must be given"));
    }
    let fields = names.iter().map(|name| groups::field("by", name)).collect::<Result<Vec<Field>, _>>()?;
    let limit = parameters.count("limit", 10, 1..=100)?;
    let query = search::filters(&mut parameters)?;
    parameters.finish()?;
    let survey = Survey { query, marked: None, fields: Fields::Of(fields) };
    let read = move |store: &dyn TraceStore| {
        let mut counted: Vec<Counted> = names.iter().map(|_| Counted::default()).collect();
        let (mut spans, mut errors) = (0, 0);
        let surveyed = store.survey(&survey, &mut |columns: &Columns| {
            spans += columns.failed.len() as u64;
            errors += columns.failed.iter().map(|failed| u64::from(*failed)).sum::<u64>();
            for (counted, column) in counted.iter_mut().zip(&columns.fields) {
                counted.add(column, &columns.failed);
            }
        })?;
        let facets = names.into_iter().zip(counted).map(|(by, counted)| counted.answer(by, spans, limit));
        Ok(Answer { spans, errors, facets: facets.collect(), scanned_to: surveyed.scanned_to.map(Decimal) })
    };
    api.reads.answer(read).await
}

/// Spans and failed spans by value, while they come in.
#[derive(Default)]
struct Counted {
    values: HashMap<Text, [u64; 2]>,
    /// Spans that have a value.
    spans: u64,
}

impl Counted {
    fn add(&mut self, column: &Column, failed: &[bool]) {
        let mut sums = vec![[0_u64; 2]; column.values.len()];
        for (place, failed) in column.places().zip(failed) {
            if let Some([spans, errors]) = place.and_then(|place| sums.get_mut(place)) {
                *spans += 1;
                *errors += u64::from(*failed);
                self.spans += 1;
            }
        }
        for (value, [spans, errors]) in column.values.iter().zip(sums) {
            if let Some(known) = self.values.get_mut(value) {
                *known = [known[0] + spans, known[1] + errors];
            } else if self.values.len() < MAX_VALUES {
                // A text of its own: that of a column keeps the whole column in memory.
                self.values.insert(Text::from(value.to_string()), [spans, errors]);
            }
        }
    }

    fn answer(self, by: String, spans: u64, limit: usize) -> Facet {
        let distinct = self.values.len() as u64;
        let mut values: Vec<FacetValue> = self
            .values
            .into_iter()
            .map(|(value, [spans, errors])| FacetValue { value, spans, errors })
            .collect();
        values.sort_by(|left, right| {
            (Reverse(left.spans), &left.value).cmp(&(Reverse(right.spans), &right.value))
        });
        values.truncate(limit);
        let listed = values.iter().map(|value| value.spans).sum::<u64>();
        Facet { by, values, distinct, others: self.spans - listed, without: spans - self.spans }
    }
}
