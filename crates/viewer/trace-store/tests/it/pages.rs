//! Answers that stop early, and pages while spans come in.

use crate::sample::*;
use waypost_trace_store::{BlockStore, Durability, Found, Order, Query, Settings, SpanFilter, TraceStore};

fn store_of_many_blocks(folder: &tempfile::TempDir, blocks: u64) -> BlockStore {
    let settings = Settings { sync: Durability::EverySecond, ..Settings::default() };
    let store = BlockStore::open(folder.path(), settings).unwrap();
    for block in 0..blocks {
        keep(&store, (1..=3).map(|n| span("a", block * 3 + n, 1000 + block * 3 + n)).collect());
        wait(store.flush()).unwrap();
    }
    store
}

#[test]
fn a_search_that_would_take_long_says_how_far_it_came_and_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_of_many_blocks(&folder, 150);
    let text = |text: &str| vec![SpanFilter { text: Some(text.to_owned()), ..SpanFilter::default() }];
    for (order, oldest_or_newest) in [(Order::Newest, "1001"), (Order::Oldest, "1450")] {
        let query = Query { spans: text(oldest_or_newest), order, ..Query::default() };
        let Found { matches, next, scanned_to } = store.find(&query).unwrap();
        assert_eq!(matches, [], "what is asked for is at the far end");
        let scanned_to = scanned_to.unwrap();
        assert!((1002..1450).contains(&scanned_to), "{scanned_to}");
        let rest = store.find(&Query { after: next, ..query.clone() }).unwrap();
        assert_eq!(rest.matches.len(), 1);
        assert_eq!((rest.next, rest.scanned_to), (None, None));
        assert_eq!(pages(&store, &query), rest.matches);
    }
    let longest = Query { spans: text("1001"), order: Order::Longest, ..Query::default() };
    assert_eq!(store.find(&longest).unwrap().matches.len(), 1, "no time to say how far it came: it goes on");
}

#[test]
fn blocks_that_reach_far_into_the_past_end_no_page_where_it_began() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { sync: Durability::EverySecond, ..Settings::default() };
    let store = BlockStore::open(folder.path(), settings).unwrap();
    // Clocks far off: every block has a span of the year 1970 and one of the far future.
    for block in 0..140_u64 {
        let mut future = span("a", 10_000 + block, 10_000 + block);
        (future.start, future.end) = (u64::MAX - 5, u64::MAX);
        keep(&store, vec![span("a", block + 1, 1), future]);
        wait(store.flush()).unwrap();
    }
    for order in [Order::Newest, Order::Oldest, Order::Longest, Order::Shortest] {
        let nothing = SpanFilter { text: Some("nothing".to_owned()), ..SpanFilter::default() };
        assert_eq!(pages(&store, &Query { spans: vec![nothing], order, ..Query::default() }), []);
        assert_eq!(pages(&store, &Query { limit: 33, order, ..Query::default() }).len(), 280);
    }
}

#[test]
fn pages_repeat_no_trace_while_spans_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_of_many_blocks(&folder, 10);
    let mut seen = Vec::new();
    let mut query = Query { limit: 4, ..Query::default() };
    loop {
        let Found { matches, next, .. } = store.find(&query).unwrap();
        seen.extend(matches.into_iter().map(|found| found.trace_id));
        let Some(next) = next else { break };
        query.after = Some(next);
        // Each trace that was seen goes on, later than everything before.
        keep(
            &store,
            seen.iter()
                .zip(9000 + seen.len() as u64 * 100..)
                .map(|(trace, n)| {
                    let mut span = span("a", 1, n);
                    span.trace_id = *trace;
                    span
                })
                .collect(),
        );
        if seen.len().is_multiple_of(8) {
            wait(store.flush()).unwrap();
        }
    }
    let mut distinct = seen.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!((seen.len(), distinct.len()), (30, 30));
}
