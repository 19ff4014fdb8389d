//! The store of files answers every question as the store in memory does, wherever the spans are.

use crate::{arbitrary, sample::*};
use proptest::{collection::vec, prelude::*};
use std::sync::Arc;
use waypost_trace_model::{Batch, LogRecord, Span, Trace, otlp};
use waypost_trace_store::{BlockStore, MemoryStore, Query, Settings, SpanFilter, TraceStore};

/// A trace's id, and its spans and log records as protobuf.
type Encoded = (String, Vec<Vec<u8>>, Vec<Vec<u8>>);

/// Traces in a form that compares NaN with itself, and does not depend on the order of spans that begin
/// together.
fn canonical(traces: Vec<Trace>) -> Vec<Encoded> {
    let span = |span: Span| otlp::traces_to_protobuf(&[span]).to_vec();
    let log = |log: LogRecord| otlp::logs_to_protobuf(&[log]).to_vec();
    let one = |trace: Trace| {
        assert!(trace.spans.is_sorted_by_key(|span| (span.start, span.span_id)));
        assert!(trace.logs.is_sorted_by_key(LogRecord::when));
        let mut spans: Vec<_> = trace.spans.into_iter().map(span).collect();
        let mut logs: Vec<_> = trace.logs.into_iter().map(log).collect();
        spans.sort();
        logs.sort();
        (trace.id.to_string(), spans, logs)
    };
    traces.into_iter().map(one).collect()
}

fn compare(memory: &MemoryStore, blocks: &BlockStore, queries: &[Query], filters: &[SpanFilter]) {
    let ids: Vec<_> = (1..13).map(trace_id).collect();
    for query in queries {
        assert_eq!(pages(blocks, query), pages(memory, query), "{query:?}");
    }
    assert_eq!(canonical(blocks.traces(&ids).unwrap()), canonical(memory.traces(&ids).unwrap()));
    assert_eq!(blocks.summaries(&ids).unwrap(), memory.summaries(&ids).unwrap());
    for id in ids {
        let sorted = |store: &dyn TraceStore| {
            store.skeleton(id).unwrap().map(|mut skeleton| {
                skeleton.nodes.sort_by_key(|node| format!("{node:?}"));
                skeleton
            })
        };
        assert_eq!(sorted(blocks), sorted(memory));
        for filter in filters {
            let mut both =
                [blocks.matching(id, filter, 99).unwrap(), memory.matching(id, filter, 99).unwrap()];
            for ids in &mut both {
                ids.sort();
            }
            assert_eq!(both[0], both[1], "{filter:?}");
        }
    }
    assert_eq!(blocks.ledger(), memory.ledger());
    balance(blocks);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_question_has_the_same_answer_in_the_head_in_blocks_and_after_a_restart(
        spans in vec(vec(arbitrary::span(), 1..8), 1..8),
        logs in vec(arbitrary::log(), 0..6),
        queries in vec(arbitrary::query(), 12),
        filters in vec(arbitrary::filter(), 2),
        flush_after in 0..8_usize,
    ) {
        let settings = Settings { spans_per_trace: 12, ..Settings::default() };
        let folder = tempfile::tempdir().unwrap();
        let memory = MemoryStore::new(settings.clone());
        let blocks = BlockStore::open(folder.path(), settings.clone()).unwrap();
        for (place, spans) in spans.into_iter().enumerate() {
            let logs = if place == 0 { logs.clone() } else { Vec::new() };
            let batch = Arc::new(Batch { spans, logs, ..Batch::default() });
            let receipts = [append(&memory, batch.clone()).unwrap(), append(&blocks, batch).unwrap()];
            prop_assert_eq!(&receipts[0], &receipts[1]);
            if place == flush_after {
                wait(blocks.flush()).unwrap();
            }
        }
        compare(&memory, &blocks, &queries, &filters);
        wait(blocks.flush()).unwrap();
        compare(&memory, &blocks, &queries, &filters);
        drop(blocks);
        let blocks = BlockStore::open(folder.path(), settings).unwrap();
        compare(&memory, &blocks, &queries, &filters);
    }
    #[test]
    fn every_question_has_the_same_answer_after_small_blocks_were_merged(
        batches in vec((vec(arbitrary::span(), 0..6), vec(arbitrary::log(), 0..2)), 16..24),
        queries in vec(arbitrary::query(), 6),
        filters in vec(arbitrary::filter(), 2),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let memory = MemoryStore::new(Settings::default());
        let blocks = BlockStore::open(folder.path(), Settings::default()).unwrap();
        for (spans, logs) in batches {
            let batch = Arc::new(Batch { spans, logs, ..Batch::default() });
            append(&memory, batch.clone()).unwrap();
            append(&blocks, batch).unwrap();
            wait(blocks.flush()).unwrap();
        }
        wait(blocks.merge()).unwrap();
        compare(&memory, &blocks, &queries, &filters);
        drop(blocks);
        let blocks = BlockStore::open(folder.path(), Settings::default()).unwrap();
        compare(&memory, &blocks, &queries, &filters);
    }
}
