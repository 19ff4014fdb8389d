//! A survey visits each span that meets the query once, with the values that the span has, in every store.

use crate::sample::*;
use std::{collections::BTreeMap, sync::Arc};
use waypost_trace_model::{Attribute, Resource, Span, Value};
use waypost_trace_statistics::AttributeScope;
use waypost_trace_store::{
    BlockStore, Column, Columns, Field, Fields, MemoryStore, Query, Settings, SpanFilter, Survey, Surveyed,
    TraceStore,
};

/// What a survey tells of a span: trace, start, duration, whether it failed, whether it is marked, and its values.
type Told = (String, u64, u64, bool, bool, Vec<Option<String>>);

fn values(columns: &Columns, column: &Column) -> Vec<Option<String>> {
    assert_eq!(column.places().count(), columns.starts.len());
    column.places().map(|place| place.map(|place| column.values[place].to_string())).collect()
}

fn told(store: &dyn TraceStore, survey: &Survey) -> Vec<Told> {
    let mut told = Vec::new();
    let surveyed = store.survey(survey, &mut |columns| {
        let fields: Vec<Vec<Option<String>>> =
            columns.fields.iter().map(|column| values(columns, column)).collect();
        for place in 0..columns.starts.len() {
            told.push((
                columns.traces[place].to_string(),
                columns.starts[place],
                columns.durations[place],
                columns.failed[place],
                columns.marked[place],
                fields.iter().map(|field| field[place].clone()).collect(),
            ));
        }
    });
    assert_eq!(surveyed.unwrap(), Surveyed::default());
    told.sort();
    told
}

fn int(key: &str, value: i64) -> Attribute {
    Attribute { key: key.into(), value: Value::Int(value) }
}

/// Spans whose lists of attributes differ: in keys, in types, in how often a key stands there.
fn spans() -> Vec<Span> {
    let mut spans = Vec::new();
    for number in 1..=60_u64 {
        let mut one = span(if number % 3 == 0 { "a" } else { "b" }, 1 + number / 4, number);
        one.name = format!("get {}", number % 5).into();
        match number % 6 {
            0 => one.attributes.push(text("plan", "gold")),
            1 => one.attributes.push(int("plan", 7)),
            2 => one.attributes.extend([text("plan", "tin"), text("plan", "gold"), int("plan", 9)]),
            3 => one.attributes = Vec::new(),
            4 => one.attributes.insert(0, int("plan", 7)),
            _ => {
                let attributes = vec![text("service.name", "b"), text("plan", "of the resource")];
                one.resource = Arc::new(Resource::new(attributes, 0, "".into()));
            }
        }
        spans.push(if number % 7 == 0 { failed(one) } else { one });
    }
    spans
}

fn each_store(ask: impl Fn(&dyn TraceStore)) {
    let spans = spans();
    let (first, second) = spans.split_at(37);
    let memory = MemoryStore::new(Settings::default());
    keep(&memory, spans.clone());
    ask(&memory);
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open(folder.path(), Settings::default()).unwrap();
    keep(&store, first.to_vec());
    wait(store.flush()).unwrap();
    // The rest stays in the head.
    keep(&store, second.to_vec());
    ask(&store);
    wait(store.flush()).unwrap();
    ask(&store);
}

fn fields() -> Vec<Field> {
    vec![
        Field::Service,
        Field::Operation,
        Field::Kind,
        Field::Status,
        Field::StatusMessage,
        Field::Attribute(None, "plan".into()),
        Field::Attribute(Some(AttributeScope::Span), "plan".into()),
        Field::Attribute(Some(AttributeScope::Resource), "plan".into()),
        Field::Attribute(None, "nothing".into()),
    ]
}

fn expected(spans: &[Span], first: &SpanFilter, marked: &SpanFilter) -> Vec<Told> {
    let of = |attributes: &[Attribute], key: &str| {
        let found = attributes.iter().find(|attribute| &*attribute.key == key);
        found.map(|attribute| attribute.value.display().into_owned())
    };
    let met = spans.iter().filter(|span| first.matches(span));
    let told = met.map(|span| {
        let (own, resource) = (of(&span.attributes, "plan"), of(&span.resource.attributes, "plan"));
        let message = span.status.message.to_string();
        let is_failed = !message.is_empty();
        let status = if is_failed { "error" } else { "unset" };
        let values = vec![
            Some(span.service().to_string()),
            Some(span.name.to_string()),
            Some("server".to_owned()),
            Some(status.to_owned()),
            Some(message).filter(|message| !message.is_empty()),
            own.clone().or_else(|| resource.clone()),
            own,
            resource,
            None,
        ];
        (span.trace_id.to_string(), span.start, span.duration(), is_failed, marked.matches(span), values)
    });
    let mut told: Vec<Told> = told.collect();
    told.sort();
    told
}

#[test]
fn each_span_that_meets_the_query_is_visited_with_its_values() {
    let spans = spans();
    let of_a = SpanFilter { service: Some("a".into()), ..SpanFilter::default() };
    let slow = SpanFilter { duration: 20..=u64::MAX, ..SpanFilter::default() };
    each_store(|store| {
        for first in [SpanFilter::default(), of_a.clone(), slow.clone()] {
            let query = Query { spans: vec![first.clone()], ..Query::default() };
            let survey = Survey { query, marked: Some(slow.clone()), fields: Fields::Of(fields()) };
            assert_eq!(told(store, &survey), expected(&spans, &first, &slow));
        }
    });
}

#[test]
fn many_blocks_are_visited_from_the_newest_on_whoever_reads_them() {
    let spans = spans();
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open(folder.path(), Settings::default()).unwrap();
    for some in spans.chunks(6) {
        keep(&store, some.to_vec());
        wait(store.flush()).unwrap();
    }
    let slow = SpanFilter { duration: 20..=u64::MAX, ..SpanFilter::default() };
    for first in [SpanFilter::default(), SpanFilter { service: Some("a".into()), ..SpanFilter::default() }] {
        let query = Query { spans: vec![first.clone()], ..Query::default() };
        let survey = Survey { query, marked: Some(slow.clone()), fields: Fields::Of(fields()) };
        assert_eq!(told(&store, &survey), expected(&spans, &first, &slow));
        let mut newest = Vec::new();
        store.survey(&survey, &mut |columns| newest.extend(columns.starts.iter().max().copied())).unwrap();
        assert_eq!(newest.len(), 10, "{newest:?}");
        assert!(newest.is_sorted_by(|one, next| one > next), "{newest:?}");
    }
    // All fields: each value as often, marked or not, as in one place.
    let counts = |store: &dyn TraceStore| {
        let survey = Survey { query: Query::default(), marked: Some(slow.clone()), fields: Fields::All };
        let mut counts: BTreeMap<(Field, String, bool), usize> = BTreeMap::new();
        let mut count = |columns: &Columns| {
            for column in &columns.fields {
                for (place, marked) in column.places().zip(&columns.marked) {
                    let Some(place) = place else { continue };
                    let value = column.values[place].to_string();
                    *counts.entry((column.field.clone(), value, *marked)).or_default() += 1;
                }
            }
        };
        store.survey(&survey, &mut count).unwrap();
        counts
    };
    let memory = MemoryStore::new(Settings::default());
    keep(&memory, spans);
    assert_eq!(counts(&store), counts(&memory));
}

#[test]
fn range_other_spans_and_the_duration_of_the_trace_count() {
    let of_a = SpanFilter { service: Some("a".into()), ..SpanFilter::default() };
    let of_b = SpanFilter { service: Some("b".into()), ..SpanFilter::default() };
    each_store(|store| {
        let count =
            |query: Query| told(store, &Survey { query, marked: None, fields: Fields::Of(Vec::new()) }).len();
        assert_eq!(count(Query { range: 10..=19, ..Query::default() }), 10);
        let with = Query { spans: vec![of_a.clone(), of_b.clone()], ..Query::default() };
        let traces_with_both = 16 - 1;
        assert!(count(with) >= traces_with_both, "spans of a in traces that have one of b");
        // Trace 1 has the spans 1 to 3, the last of which ends at 6; later ones last longer.
        assert_eq!(count(Query { trace_duration: 0..=5, ..Query::default() }), 3);
        assert_eq!(count(Query { trace_duration: u64::MAX - 1..=u64::MAX, ..Query::default() }), 0);
    });
}

#[test]
fn all_fields_are_those_that_occur_and_ids_are_told_as_varied() {
    each_store(|store| {
        let survey = Survey { query: Query::default(), marked: None, fields: Fields::All };
        let mut names: Vec<Field> = Vec::new();
        store
            .survey(&survey, &mut |columns| {
                names.extend(columns.fields.iter().map(|column| column.field.clone()));
                assert!(columns.fields.iter().all(|column| !column.is_varied));
            })
            .unwrap();
        for field in [
            Field::Service,
            Field::StatusMessage,
            Field::Attribute(Some(AttributeScope::Resource), "host".into()),
        ] {
            assert!(names.contains(&field), "{field:?}");
        }
    });
    let many: Vec<Span> = (1..=2_000).map(|number| span("a", number, number)).collect();
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open(folder.path(), Settings::default()).unwrap();
    keep(&store, many);
    let varied = || {
        let survey = Survey { query: Query::default(), marked: None, fields: Fields::All };
        let mut varied = Vec::new();
        let each = &mut |columns: &Columns| {
            let columns = columns.fields.iter().filter(|column| column.is_varied);
            varied.extend(columns.map(|column| column.field.clone()));
        };
        store.survey(&survey, each).unwrap();
        varied
    };
    let number = [Field::Attribute(Some(AttributeScope::Span), "number".into())];
    assert_eq!(varied(), number);
    wait(store.flush()).unwrap();
    assert_eq!(varied(), number);
}
