//! What every store promises, asked of each.

use crate::sample::*;
use std::{collections::BTreeMap, sync::Arc};
use waypost_trace_model::{Batch, Link, Refusal, RefusalReason, Span, SummaryService, Wire, otlp};
use waypost_trace_statistics::AttributeScope;
use waypost_trace_store::{
    AppendError, AttributeFilter, BlockStore, Cursor, MemoryStore, Order, Query, ReadError, Receipt,
    Settings, SpanFilter, Test, TraceStore,
};

/// Asks the same of a store in memory, of one whose spans are in the head, and of one whose spans are in
/// blocks.
pub(crate) fn each_store(settings: &Settings, ask: impl Fn(&dyn TraceStore, &dyn Fn())) {
    let memory = MemoryStore::new(settings.clone());
    ask(&memory, &|| {});
    let folder = tempfile::tempdir().unwrap();
    let head = BlockStore::open(folder.path(), settings.clone()).unwrap();
    ask(&head, &|| {});
    let folder = tempfile::tempdir().unwrap();
    let blocks = BlockStore::open(folder.path(), settings.clone()).unwrap();
    ask(&blocks, &|| wait(blocks.flush()).unwrap());
}

fn settings() -> Settings {
    Settings::default()
}

fn service(name: &str) -> SpanFilter {
    SpanFilter { service: Some(name.into()), ..SpanFilter::default() }
}

#[test]
fn what_was_acknowledged_is_found_at_once() {
    each_store(&settings(), |store, settle| {
        let spans = vec![span("a", 1, 10), child_of(10, span("b", 1, 11))];
        let kept = Batch { spans: spans.clone(), logs: vec![log("a", 1, 10, 5)], ..Batch::default() };
        let receipt = append(store, Arc::new(kept)).unwrap();
        assert_eq!(receipt, Receipt { spans: 2, logs: 1, trace_limit: 0, is_repeat: false });
        settle();
        let trace = store.traces(&[trace_id(9), trace_id(1)]).unwrap().remove(0);
        assert_eq!(trace.spans, spans);
        assert_eq!(trace.logs, [log("a", 1, 10, 5)]);
        let found = store.find(&Query::default()).unwrap();
        assert_eq!(found.matches[0].span_id, span_id(11), "the newest span stands for the trace");
        assert_eq!(found.next, None);
        assert_eq!(balance(store), (2, 2, 0, 0));
    });
}

#[test]
fn a_summary_names_root_services_errors_and_orphans() {
    each_store(&settings(), |store, settle| {
        keep(store, vec![child_of(10, failed(span("b", 1, 12))), child_of(99, span("b", 1, 13))]);
        settle();
        keep(store, vec![span("a", 1, 10)]);
        let summary = store.summaries(&[trace_id(1), trace_id(2)]).unwrap().remove(0);
        assert_eq!((summary.start, summary.end, summary.duration()), (10, 26, 16));
        assert_eq!((summary.spans, summary.errors, summary.orphans), (3, 1, 1));
        assert_eq!((summary.root.span_id, summary.root.is_root), (span_id(10), true));
        let part = |name: &str, spans, errors| SummaryService { name: name.into(), spans, errors };
        assert_eq!(summary.services, [part("a", 1, 0), part("b", 2, 1)]);
    });
}

#[test]
fn a_skeleton_has_counts_in_place_of_attributes() {
    each_store(&settings(), |store, settle| {
        let mut child = child_of(10, span("a", 1, 11));
        child.links = vec![Link {
            trace_id: trace_id(1),
            span_id: span_id(10),
            trace_state: "".into(),
            flags: 0,
            attributes: vec![text("k", "v")],
            dropped_attributes: 2,
        }];
        child.dropped_events = 3;
        let logs = vec![log("a", 1, 11, 5), log("a", 1, 11, 6)];
        append(store, Arc::new(Batch { spans: vec![child, span("a", 1, 10)], logs, ..Batch::default() }))
            .unwrap();
        settle();
        let skeleton = store.skeleton(trace_id(1)).unwrap().unwrap();
        let [root, child] = skeleton.nodes.as_slice() else { panic!("{skeleton:?}") };
        assert_eq!(
            (root.span_id, root.logs, root.dropped, root.follows_from_parent),
            (span_id(10), 0, 0, false)
        );
        assert_eq!((child.attributes, child.events, child.links, child.logs), (1, 0, 1, 2));
        assert_eq!((child.dropped, child.follows_from_parent, child.duration()), (5, true, 11));
        assert_eq!(store.skeleton(trace_id(2)).unwrap(), None);
    });
}

#[test]
fn chosen_spans_come_whole_and_with_their_log_records() {
    each_store(&settings(), |store, settle| {
        let logs = vec![log("a", 1, 11, 6), log("a", 1, 10, 5), log("a", 2, 11, 5)];
        let spans = vec![span("a", 1, 10), span("a", 1, 11), span("a", 2, 11)];
        append(store, Arc::new(Batch { spans, logs, ..Batch::default() })).unwrap();
        settle();
        let (spans, logs) = store.spans(trace_id(1), &[span_id(11), span_id(77)]).unwrap();
        assert_eq!(spans, [span("a", 1, 11)]);
        assert_eq!(logs, [log("a", 1, 11, 6)]);
        let filter = SpanFilter { duration: 11..=20, ..SpanFilter::default() };
        assert_eq!(store.matching(trace_id(1), &filter, 9).unwrap(), [span_id(11)]);
        assert_eq!(store.matching(trace_id(1), &SpanFilter::default(), 1).unwrap(), [span_id(10)]);
    });
}

#[test]
fn the_same_request_again_is_kept_once_and_counted() {
    each_store(&settings(), |store, settle| {
        let spans = vec![span("a", 1, 10)];
        let wire = Wire::Traces(otlp::traces_to_protobuf(&spans));
        let request = Arc::new(Batch { spans, wire: Some(wire), ..Batch::default() });
        assert!(!append(store, request.clone()).unwrap().is_repeat);
        settle();
        let again = append(store, request).unwrap();
        assert_eq!(again, Receipt { spans: 0, logs: 0, trace_limit: 0, is_repeat: true });
        assert_eq!(balance(store), (2, 1, 1, 0));
        assert_eq!(store.ledger().services[0].refused, BTreeMap::from([(RefusalReason::Repeated, 1)]));
        assert!(store.traces(&[trace_id(1)]).unwrap()[0].losses.refused.is_empty(), "nothing is missing");
    });
}

#[test]
fn a_span_that_comes_again_in_another_request_is_returned_once() {
    each_store(&settings(), |store, settle| {
        let mut other = span("a", 1, 10);
        other.attributes.push(text("more", "x"));
        keep(store, vec![span("a", 1, 10), other.clone()]);
        settle();
        keep(store, vec![span("a", 1, 11), span("a", 1, 10)]);
        let spans = store.traces(&[trace_id(1)]).unwrap().remove(0).spans;
        assert_eq!(spans.len(), 3, "{spans:?}");
        assert!(spans.contains(&other));
        assert_eq!(store.summaries(&[trace_id(1)]).unwrap()[0].spans, 3);
        assert_eq!(store.skeleton(trace_id(1)).unwrap().unwrap().nodes.len(), 3);
        assert_eq!(store.matching(trace_id(1), &SpanFilter::default(), 9).unwrap().len(), 3);
    });
}

#[test]
fn a_full_trace_takes_no_more_and_says_so() {
    let settings = Settings { spans_per_trace: 2, ..settings() };
    each_store(&settings, |store, settle| {
        keep(store, vec![span("a", 1, 10)]);
        settle();
        let receipt = keep(store, vec![span("a", 1, 11), span("b", 1, 12), span("b", 2, 13)]);
        assert_eq!(receipt, Receipt { spans: 2, logs: 0, trace_limit: 1, is_repeat: false });
        let trace = store.traces(&[trace_id(1)]).unwrap().remove(0);
        assert_eq!(trace.spans, [span("a", 1, 10), span("a", 1, 11)]);
        assert_eq!(trace.losses.refused, BTreeMap::from([(RefusalReason::TraceLimit, 1)]));
        assert_eq!(balance(store), (4, 3, 1, 0));
    });
}

#[test]
fn what_was_refused_before_it_came_is_in_the_ledger_and_with_its_trace() {
    each_store(&settings(), |store, settle| {
        keep(store, vec![span("a", 1, 10)]);
        settle();
        let refusal = Refusal {
            service: "a".into(),
            trace_id: Some(trace_id(1)),
            reason: RefusalReason::AttributeLimit,
            spans: 3,
            logs: 2,
        };
        let told = Batch { refused: vec![refusal], ..Batch::default() };
        assert_eq!(append(store, Arc::new(told)).unwrap(), Receipt::default());
        assert_eq!(balance(store), (4, 1, 3, 0));
        let summary = store.summaries(&[trace_id(1)]).unwrap().remove(0);
        assert_eq!(summary.losses.refused, BTreeMap::from([(RefusalReason::AttributeLimit, 3)]));
        assert_eq!(store.ledger().services[0].logs_refused, 2);
    });
}

#[test]
fn each_order_begins_with_what_it_says_and_pages_go_on() {
    each_store(&settings(), |store, settle| {
        keep(store, (1..=9).map(|number| span("a", number % 4 + 1, number)).collect());
        settle();
        keep(store, vec![span("a", 2, 12), span("b", 7, 50)]);
        let query = |order, limit| Query { order, limit, spans: vec![service("a")], ..Query::default() };
        let numbers = |order, limit| -> Vec<(u64, u64)> {
            let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
            let found = pages(store, &query(order, limit)).into_iter();
            found.map(|m| (number(&m.trace_id.as_bytes()[8..]), number(m.span_id.as_bytes()))).collect()
        };
        for limit in [1, 2, 3, 10] {
            assert_eq!(numbers(Order::Newest, limit), [(2, 12), (1, 8), (4, 7), (3, 6)], "pages of {limit}");
            assert_eq!(numbers(Order::Oldest, limit), [(2, 1), (3, 2), (4, 3), (1, 4)], "pages of {limit}");
            assert_eq!(numbers(Order::Longest, limit), [(2, 12), (1, 8), (4, 7), (3, 6)], "pages of {limit}");
            assert_eq!(numbers(Order::Shortest, limit), [(2, 1), (3, 2), (4, 3), (1, 4)], "pages of {limit}");
        }
    });
}

#[test]
fn filters_may_be_met_by_different_spans_of_a_trace() {
    each_store(&settings(), |store, settle| {
        keep(store, vec![span("a", 1, 10), failed(span("b", 1, 20)), span("a", 2, 30)]);
        settle();
        keep(store, vec![span("b", 2, 40), span("a", 3, 50)]);
        let error = SpanFilter { status: Some(waypost_trace_model::StatusCode::Error), ..service("b") };
        let traces = |query: Query| -> Vec<_> {
            store.find(&query).unwrap().matches.into_iter().map(|found| found.trace_id).collect()
        };
        let both = Query { spans: vec![service("a"), error], ..Query::default() };
        assert_eq!(traces(both), [trace_id(1)]);
        let with_b = Query { spans: vec![service("a"), service("b")], ..Query::default() };
        assert_eq!(traces(with_b), [trace_id(2), trace_id(1)]);
        let long = Query { trace_duration: 31..=u64::MAX, ..Query::default() };
        assert_eq!(traces(long), [trace_id(3), trace_id(2)], "50 and 50; the first took 30");
        let early = Query { range: 0..=30, ..Query::default() };
        assert_eq!(traces(early), [trace_id(2), trace_id(1)]);
    });
}

#[test]
fn attributes_are_found_by_key_value_and_place() {
    each_store(&settings(), |store, settle| {
        keep(store, vec![span("a", 1, 10), span("b", 2, 200)]);
        settle();
        let find = |scope, key: &str, test| {
            let attribute = AttributeFilter { scope, key: key.into(), test };
            let filter = SpanFilter { attributes: vec![attribute], ..SpanFilter::default() };
            let found = store.find(&Query { spans: vec![filter], ..Query::default() }).unwrap();
            found.matches.into_iter().map(|found| found.trace_id).collect::<Vec<_>>()
        };
        let equals = |text: &str| Test::Equals(text.to_owned());
        assert_eq!(find(None, "number", equals("10")), [trace_id(1)]);
        assert_eq!(find(Some(AttributeScope::Resource), "number", equals("10")), []);
        assert_eq!(find(Some(AttributeScope::Resource), "service.name", equals("b")), [trace_id(2)]);
        assert_eq!(find(None, "number", Test::Differs("10".into())), [trace_id(2)]);
        assert_eq!(find(None, "number", Test::AtLeast(11.0)), [trace_id(2)]);
        assert_eq!(find(None, "number", Test::AtMost(11.0)), [trace_id(1)]);
        assert_eq!(find(None, "number", Test::Contains("0".into())), [trace_id(2), trace_id(1)]);
        assert_eq!(find(None, "absent", Test::Exists), []);
        let text = SpanFilter { text: Some("H1".into()), service: Some("b".into()), ..SpanFilter::default() };
        let found = store.find(&Query { spans: vec![text], ..Query::default() }).unwrap();
        assert_eq!(found.matches.len(), 1, "a value of its resource");
    });
}

#[test]
fn a_cursor_of_another_order_or_nobody_is_refused() {
    each_store(&settings(), |store, _| {
        keep(store, vec![span("a", 1, 10), span("a", 2, 20)]);
        let next = store.find(&Query { limit: 1, ..Query::default() }).unwrap().next;
        let other = Query { after: next, order: Order::Longest, ..Query::default() };
        assert!(matches!(store.find(&other), Err(ReadError::InvalidCursor)));
        let made_up = Query { after: Some(Cursor("n12".into())), ..Query::default() };
        assert!(matches!(store.find(&made_up), Err(ReadError::InvalidCursor)));
    });
}

#[test]
fn after_closing_everything_fails_and_nothing_is_counted() {
    each_store(&settings(), |store, _| {
        keep(store, vec![span("a", 1, 10)]);
        wait(store.close());
        assert!(matches!(append(store, batch(vec![span("a", 1, 11)])), Err(AppendError::Closed)));
        assert!(matches!(store.traces(&[trace_id(1)]), Err(ReadError::Closed)));
        assert!(matches!(store.find(&Query::default()), Err(ReadError::Closed)));
        assert!(is_ready(store.close()), "closing twice is closing once");
    });
}

#[test]
fn figures_are_kept_while_spans_come_in() {
    each_store(&settings(), |store, settle| {
        keep(store, vec![span("a", 1, 10), span("b", 1, 11)]);
        settle();
        assert_eq!(store.statistics().services(), ["a", "b"]);
        assert_eq!(store.statistics().operations("a").len(), 1);
    });
}

#[test]
fn many_different_spans_of_one_id_are_all_kept_and_equal_ones_once() {
    const SPANS: u64 = 20_000;
    let settings = Settings { head_spans: 4 * 20_000, ..settings() };
    each_store(&settings, |store, settle| {
        let resource = resource("a");
        let with_one_id = |start: u64| Span {
            span_id: span_id(1),
            resource: resource.clone(),
            attributes: Vec::new(),
            ..span("a", 1, start)
        };
        let spans: Vec<Span> = (1..=SPANS).map(with_one_id).collect();
        keep(store, spans.clone());
        settle();
        // Other requests, so that the spans are not refused as those of one that is sent again.
        keep(store, vec![spans[7].clone(), spans[8].clone()]);
        settle();
        keep(store, vec![spans[7].clone(), spans[7].clone(), spans[9].clone()]);
        let trace = trace_id(1);
        let skeleton = store.skeleton(trace).unwrap().unwrap();
        let starts: Vec<u64> = skeleton.nodes.iter().map(|node| node.start).collect();
        assert_eq!(starts, (1..=SPANS).collect::<Vec<_>>());
        let summary = store.summaries(&[trace]).unwrap().remove(0);
        assert_eq!((summary.spans, summary.start, summary.end), (SPANS, 1, 2 * SPANS));
        assert!(store.traces(&[trace]).unwrap().remove(0).spans == spans);
        assert!(store.spans(trace, &[span_id(1), span_id(2)]).unwrap().0 == spans);
        assert_eq!(store.matching(trace, &service("a"), 30_000).unwrap(), vec![span_id(1); 20_000]);
        let found = store.find(&Query::default()).unwrap();
        assert_eq!(found.matches.len(), 1);
        assert_eq!((found.matches[0].trace_id, found.matches[0].start), (trace, SPANS));
    });
}

#[test]
fn a_service_with_an_endless_name_is_accounted_for_with_the_others() {
    each_store(&settings(), |store, settle| {
        let (max, beyond) = ("n".repeat(1024), "n".repeat(1025));
        keep(store, vec![span(&max, 1, 10), span(&beyond, 1, 11), span(&beyond, 2, 12)]);
        settle();
        let accounts: Vec<_> =
            store.ledger().services.iter().map(|one| (one.service.to_string(), one.stored)).collect();
        assert_eq!(accounts, [("(other)".to_owned(), 2), (max, 1)]);
        assert_eq!(balance(store), (3, 3, 0, 0));
        let trace = store.traces(&[trace_id(2)]).unwrap().remove(0);
        assert_eq!(trace.spans[0].service(), beyond.as_str(), "the span itself keeps its name");
    });
}
