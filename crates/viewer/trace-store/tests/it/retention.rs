//! What does not fit goes, fairly, and is accounted for.

use crate::sample::*;
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};
use waypost_trace_model::Span;
use waypost_trace_store::{
    BlockStore, Durability, EvictionReason, MemoryStore, Order, Query, Settings, SpanFilter, TraceStore,
};

/// A span with some hundred bytes that cannot be packed.
fn bulky(service: &str, number: u64) -> Span {
    let mut span = span(service, number, number);
    let noise = |part: u64| format!("{:016x}", (number * 64 + part).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    span.attributes.push(text("noise", &(0..24).map(noise).collect::<String>()));
    span
}

fn settings() -> Settings {
    Settings { budget_bytes: 1 << 20, head_spans: 64, sync: Durability::EverySecond, ..Settings::default() }
}

fn block_files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("blocks")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn kept(store: &dyn TraceStore, service: &str) -> u64 {
    let ledger = store.ledger().services;
    ledger.iter().find(|account| &*account.service == service).map_or(0, |account| account.stored)
}

fn a_noisy_service_takes_nothing_from_a_quiet_one(store: &dyn TraceStore, settle: &dyn Fn()) {
    let budget = store.usage().budget;
    keep(store, (1..=20).map(|number| bulky("quiet", number)).collect());
    settle();
    let mut number = 100;
    let mut sent = 0;
    while sent < 20 * budget {
        keep(store, (number..number + 60).map(|number| bulky("noisy", number)).collect());
        number += 60;
        sent += 60 * 400;
        if number % 300 == 100 {
            settle();
        }
    }
    settle();
    assert_eq!(kept(store, "quiet"), 20);
    assert!(
        kept(store, "noisy") > 100,
        "what there is room for is kept: {:?} {:?}",
        store.usage(),
        store.ledger()
    );
    assert!(kept(store, "noisy") < number / 4);
    let filter = SpanFilter { service: Some("quiet".into()), ..SpanFilter::default() };
    let query = Query { spans: vec![filter], limit: 7, ..Query::default() };
    assert_eq!(pages(store, &query).len(), 20);
    let (received, ..) = balance(store);
    assert_eq!(received, number - 100 + 20);
}

#[test]
fn a_noisy_service_takes_nothing_from_a_quiet_one_in_memory() {
    a_noisy_service_takes_nothing_from_a_quiet_one(&MemoryStore::new(settings()), &|| {});
}

#[test]
fn a_noisy_service_takes_nothing_from_a_quiet_one_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open(folder.path(), settings()).unwrap();
    a_noisy_service_takes_nothing_from_a_quiet_one(&store, &|| wait(store.flush()).unwrap());
    let usage = store.usage();
    assert!(usage.bytes <= usage.budget, "{usage:?}");
    assert_eq!(
        usage.files,
        block_files(folder.path()).iter().filter(|name| !name.contains(".db-")).count() as u64
    );
    wait(store.close());
    drop(store);
    let store = BlockStore::open(folder.path(), settings()).unwrap();
    assert_eq!(kept(&store, "quiet"), 20);
    balance(&store);
}

#[test]
fn two_noisy_services_share_what_a_quiet_one_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open(folder.path(), settings()).unwrap();
    keep(&store, (1..=20).map(|number| bulky("quiet", number)).collect());
    for round in 0..150_u64 {
        let numbers = 1000 + round * 60..1060 + round * 60;
        keep(&store, numbers.map(|n| bulky(if n % 2 == 0 { "left" } else { "right" }, n)).collect());
        wait(store.flush()).unwrap();
    }
    wait(store.flush()).unwrap();
    balance(&store);
    let (left, right) = (kept(&store, "left"), kept(&store, "right"));
    assert!(left > 0 && left.abs_diff(right) * 10 < left + right, "{left} and {right}");
}

#[test]
fn files_go_from_the_disk_when_there_is_too_much_and_traces_say_what_they_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open(folder.path(), settings()).unwrap();
    // The first trace has spans in the first block and in the last one.
    let mut old = bulky("a", 99);
    old.trace_id = trace_id(7_000_000);
    keep(&store, (1..64).map(|number| bulky("a", number)).chain([old.clone()]).collect());
    wait(store.flush()).unwrap();
    let first = block_files(folder.path())[0].clone();
    let mut number = 100;
    while block_files(folder.path()).contains(&first) {
        assert!(number < 100_000, "nothing was dropped");
        keep(&store, (number..number + 64).map(|number| bulky("a", number)).collect());
        wait(store.flush()).unwrap();
        number += 64;
    }
    let new = Span { start: 2, ..old.clone() };
    keep(&store, vec![new.clone()]);
    let trace = store.traces(&[old.trace_id]).unwrap().remove(0);
    assert_eq!((trace.spans, trace.losses.evicted), (vec![new], 1));
    let evicted = store.ledger().services[0].evicted.clone();
    assert_eq!(evicted.keys().collect::<Vec<_>>(), [&EvictionReason::Size]);
    balance(&store);
    drop(store);
    let store = BlockStore::open(folder.path(), settings()).unwrap();
    assert_eq!(store.summaries(&[old.trace_id]).unwrap()[0].losses.evicted, 1, "after a restart too");
    assert_eq!(store.ledger().services[0].evicted, evicted);
    balance(&store);
}

fn what_is_too_old_goes(store: &dyn TraceStore) {
    keep(store, vec![span("a", 1, 10)]);
    until("the span is too old", || store.usage().spans == 0);
    assert_eq!(store.ledger().services[0].evicted, BTreeMap::from([(EvictionReason::Age, 1)]));
    assert_eq!(balance(store), (1, 0, 0, 1));
    // Counted first, then out of sight.
    until("the trace is gone", || store.traces(&[trace_id(1)]).unwrap().is_empty());
    let again = keep(store, vec![span("a", 1, 10)]);
    assert_eq!((again.spans, again.is_repeat), (1, false), "what is gone can be sent again");
}

#[test]
fn what_is_too_old_goes_from_memory_and_from_the_disk() {
    let settings = Settings { keeps_for: Duration::from_millis(400), ..settings() };
    what_is_too_old_goes(&MemoryStore::new(settings.clone()));
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open(folder.path(), settings).unwrap();
    what_is_too_old_goes(&store);
    until("the file is gone", || block_files(folder.path()).is_empty());
}

#[test]
fn a_reader_of_a_file_that_is_dropped_finishes() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open(folder.path(), settings()).unwrap();
    keep(&store, (1..=64).map(|number| bulky("a", number)).collect());
    let begun = Instant::now();
    let has_dropped = || store.ledger().services.iter().any(|account| !account.evicted.is_empty());
    let is_late = || begun.elapsed() > Duration::from_mins(1);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut found = 0;
            while !has_dropped() && !is_late() {
                let page =
                    store.find(&Query { limit: 50, order: Order::Oldest, ..Query::default() }).unwrap();
                let ids: Vec<_> = page.matches.into_iter().map(|found| found.trace_id).collect();
                found += store.traces(&ids).unwrap().len();
            }
            found
        });
        let mut number = 100;
        while !has_dropped() && !is_late() {
            keep(&store, (number..number + 64).map(|number| bulky("a", number)).collect());
            wait(store.flush()).unwrap();
            number += 64;
        }
        assert!(reading.join().unwrap() > 0);
    });
    assert!(has_dropped(), "nothing was dropped within a minute");
    balance(&store);
}
