//! `GET /differences`: what the selected spans have more often than the rest.
//!
//! The filters of the search say which spans are compared at all; `selected` is a filter of a span, written as a query
//! string as in `with`, that says which of them are to be explained: the failed ones, the slow ones. Every field and every
//! attribute of spans and resources is counted on both sides, and values are ranked by the difference of their shares.

use super::{Api, filter, groups, parameters::Parameters, search, values::Decimal};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use waypost_trace_model::Text;
use waypost_trace_store::{Column, Columns, Field, Fields, SpanFilter, Survey, TraceStore};

/// Different values of one field; a field of more is told as varied and not compared.
const MAX_VALUES: usize = 1_000;

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct Comparison {
    /// Spans that are selected.
    selected: u64,
    /// The others that meet the filters.
    rest: u64,
    differences: Vec<Difference>,
    /// Fields with too many different values, such as ids.
    varied: Vec<String>,
    scanned_to: Option<Decimal>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct Difference {
    /// As `by` of `/groups` names it.
    field: String,
    #[cfg_attr(test, ts(type = "string"))]
    value: Text,
    /// Selected spans that have this value.
    selected: u64,
    /// Others that have it.
    rest: u64,
    /// From 0 to 1.
    selected_share: f64,
    rest_share: f64,
}

pub(super) async fn differences(
    State(api): State<Api>,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let marked = selected(&mut parameters)?;
    let limit = parameters.count("limit", 20, 1..=200)?;
    let query = search::filters(&mut parameters)?;
    parameters.finish()?;
    let survey = Survey { query, marked: Some(marked), fields: Fields::All };
    let read = move |store: &dyn TraceStore| {
        let mut compared = Compared::default();
        let surveyed = store.survey(&survey, &mut |columns| compared.add(columns))?;
        Ok(compared.answer(limit, surveyed.scanned_to))
    };
    api.reads.answer(read).await
}

fn selected(parameters: &mut Parameters) -> Result<SpanFilter, Problem> {
    let text = parameters.required("selected")?;
    let filter = filter::within(parameters, "selected", &text, filter::span)?;
    if filter == SpanFilter::default() {
        return Err(Problem::parameter("selected", "must say which spans are compared with the rest"));
    }
    Ok(filter)
}

/// How often each value occurred on both sides.
#[derive(Default)]
struct Compared {
    counts: HashMap<Field, HashMap<Text, [u64; 2]>>,
    varied: BTreeSet<Field>,
    /// Spans that are not selected, and those that are.
    sides: [u64; 2],
}

impl Compared {
    fn add(&mut self, columns: &Columns) {
        for is_selected in &columns.marked {
            self.sides[usize::from(*is_selected)] += 1;
        }
        for column in &columns.fields {
            self.column(column, &columns.marked);
        }
    }

    fn column(&mut self, column: &Column, marked: &[bool]) {
        if self.varied.contains(&column.field) {
            return;
        }
        let mut sums = vec![[0_u64; 2]; column.values.len()];
        for (is_selected, place) in marked.iter().zip(column.places()) {
            if let Some(sum) = place.and_then(|place| sums.get_mut(place)) {
                sum[usize::from(*is_selected)] += 1;
            }
        }
        let counts = self.counts.entry(column.field.clone()).or_default();
        for (value, [rest, selected]) in column.values.iter().zip(sums) {
            match counts.get_mut(value) {
                Some(known) => *known = [known[0] + rest, known[1] + selected],
                None => _ = counts.insert(Text::from(value.to_string()), [rest, selected]),
            }
        }
        if column.is_varied || counts.len() > MAX_VALUES {
            self.counts.remove(&column.field);
            self.varied.insert(column.field.clone());
        }
    }

    fn answer(self, limit: usize, scanned_to: Option<u64>) -> Comparison {
        let [rest_spans, selected_spans] = self.sides;
        let values = self.counts.into_iter().flat_map(|(field, values)| {
            let name = groups::name(&field);
            values.into_iter().map(move |(value, counts)| (name.clone(), value, counts))
        });
        let difference = |(field, value, [rest, selected]): (String, Text, [u64; 2])| Difference {
            field,
            value,
            selected,
            rest,
            selected_share: groups::share(selected, selected_spans),
            rest_share: groups::share(rest, rest_spans),
        };
        let mut differences: Vec<Difference> = values.map(difference).collect();
        differences.retain(|one| one.selected_share > one.rest_share);
        differences.sort_by(|left, right| {
            let more = |one: &Difference| one.selected_share - one.rest_share;
            let by_share = more(right).total_cmp(&more(left));
            by_share.then_with(|| (&left.field, &left.value).cmp(&(&right.field, &right.value)))
        });
        differences.truncate(limit);
        Comparison {
            selected: selected_spans,
            rest: rest_spans,
            differences,
            varied: self.varied.iter().map(groups::name).collect(),
            scanned_to: scanned_to.map(Decimal),
        }
    }
}
