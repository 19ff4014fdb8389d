//! What only a fault shows: a death between two commits, and a disk that is full for a while.

use super::{BlockStore, writer::Command};
use crate::{AppendError, Query, Settings, TraceStore};
use futures_util::FutureExt as _;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::oneshot;
use waypost_trace_model::{
    Attribute, Batch, Kind, RefusalReason, Resource, Scope, Span, SpanId, Status, TraceId, Value,
};

/// What goes wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// The process dies between the commit of the blocks and that of the journal.
    die_before_finish: AtomicBool,
}

impl Faults {
    pub(crate) fn dies_before_finish(&self) -> bool {
        self.die_before_finish.load(Ordering::Relaxed)
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn trace_id(number: u64) -> TraceId {
    TraceId::from_bytes(&u128::from(number).to_be_bytes()).unwrap()
}

/// Spans of one trace each, with text that cannot be packed.
fn batch(numbers: std::ops::Range<u64>) -> Arc<Batch> {
    let attribute =
        |key: &str, value: String| Attribute { key: key.to_owned().into(), value: Value::Text(value.into()) };
    let resource = Arc::new(Resource::new(vec![attribute("service.name", "a".to_owned())], 0, "".into()));
    let noise = |n: u64| {
        (0..64).map(move |part| format!("{:016x}", (n * 64 + part).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    };
    let span = |n: u64| Span {
        trace_id: trace_id(n),
        span_id: SpanId::from_bytes(&n.to_be_bytes()).unwrap(),
        parent_span_id: None,
        trace_state: "".into(),
        flags: 0,
        name: "work".into(),
        kind: Kind::Server,
        start: n,
        end: n + 1,
        status: Status::default(),
        attributes: vec![attribute("noise", noise(n).collect())],
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        resource: resource.clone(),
        scope: Arc::new(Scope::default()),
    };
    Arc::new(Batch { spans: numbers.map(span).collect(), ..Batch::default() })
}

fn open(folder: &Path) -> BlockStore {
    BlockStore::open(folder, Settings::default()).unwrap()
}

/// Each span of these numbers is there once, and nothing else.
fn has_exactly(store: &BlockStore, numbers: std::ops::Range<u64>) {
    let found = store.find(&Query { limit: 1000, ..Query::default() }).unwrap().matches;
    let mut starts: Vec<u64> = found.iter().map(|found| found.start).collect();
    starts.sort_unstable();
    assert_eq!(starts, numbers.clone().collect::<Vec<_>>());
    let ids: Vec<TraceId> = numbers.clone().map(trace_id).collect();
    let spans: usize = store.traces(&ids).unwrap().iter().map(|trace| trace.spans.len()).sum();
    assert_eq!(spans, ids.len());
    let account = store.ledger().services.remove(0);
    assert_eq!(account.stored, ids.len() as u64, "nothing is there in two places");
    assert_eq!(account.received, account.stored + account.refused.values().sum::<u64>());
    assert!(account.evicted.is_empty());
}

#[test]
fn a_death_between_the_blocks_and_the_journal_keeps_every_span_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    wait(store.append(batch(1..20))).unwrap();
    wait(store.flush()).unwrap();
    wait(store.append(batch(20..40))).unwrap();
    store.faults.die_before_finish.store(true, Ordering::Relaxed);
    assert!(wait(store.flush()).is_err());
    drop(store);

    for _ in 0..2 {
        let store = open(folder.path());
        has_exactly(&store, 1..40);
        assert_eq!(store.shared.view.read().blocks.len(), 1, "the unfinished block was thrown away");
    }
    let store = open(folder.path());
    wait(store.flush()).unwrap();
    has_exactly(&store, 1..40);
    drop(store);
    let store = open(folder.path());
    has_exactly(&store, 1..40);
    assert_eq!(store.shared.view.read().blocks.len(), 2);
}

/// Lets the file of the journal have so many pages; 1 is as many as it has.
fn set_journal_pages(store: &BlockStore, pages: u32) {
    let (reply, answer) = oneshot::channel();
    store.commands.send(Command::Pragma(format!("PRAGMA max_page_count = {pages}"), reply)).unwrap();
    wait(answer).unwrap();
}

#[test]
fn a_full_disk_refuses_says_so_and_is_forgotten_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    wait(store.append(batch(1..10))).unwrap();
    set_journal_pages(&store, 1);
    let refused = wait(store.append(batch(10..60)));
    assert!(matches!(refused, Err(AppendError::DiskFull)), "{refused:?}");
    assert!(store.usage().trouble.is_some_and(|trouble| trouble.contains("full")));
    has_exactly(&store, 1..10);
    assert_eq!(store.ledger().services[0].refused.get(&RefusalReason::Disk), Some(&50));

    set_journal_pages(&store, 1_000_000);
    assert_eq!(wait(store.append(batch(10..60))).unwrap().spans, 50, "the same request is no repeat");
    assert_eq!(store.usage().trouble, None);
    has_exactly(&store, 1..60);
    drop(store);
    let store = open(folder.path());
    has_exactly(&store, 1..60);
    assert_eq!(store.ledger().services[0].refused.get(&RefusalReason::Disk), Some(&50));
}

#[test]
fn a_request_that_is_sent_several_times_at_once_to_a_full_disk_is_refused_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    wait(store.append(batch(1..10))).unwrap();
    set_journal_pages(&store, 1);
    // All are under way before the first answer is looked at, so that some are written as one group.
    let appends: Vec<_> = (0..64).map(|_| store.append(batch(10..60))).collect();
    let answers = wait(futures_util::future::join_all(appends));
    assert!(answers.iter().all(|answer| matches!(answer, Err(AppendError::DiskFull))), "{answers:?}");
    has_exactly(&store, 1..10);
    assert_eq!(store.ledger().services[0].refused, [(RefusalReason::Disk, 64 * 50)].into());

    set_journal_pages(&store, 1_000_000);
    let appends: Vec<_> = (0..64).map(|_| store.append(batch(10..60))).collect();
    let answers = wait(futures_util::future::join_all(appends));
    let kept =
        answers.iter().filter(|answer| answer.as_ref().is_ok_and(|receipt| receipt.spans == 50)).count();
    let repeats =
        answers.iter().filter(|answer| answer.as_ref().is_ok_and(|receipt| receipt.is_repeat)).count();
    assert_eq!((kept, repeats), (1, 63));
    has_exactly(&store, 1..60);
}

#[test]
fn a_flush_that_finds_no_room_is_done_later_and_nothing_is_missing_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    wait(store.append(batch(1..10))).unwrap();
    wait(store.flush()).unwrap();
    let file = store.shared.view.read().blocks[0].file.clone();
    file.pragma("PRAGMA max_page_count = 1");
    wait(store.append(batch(10..60))).unwrap();
    assert!(matches!(wait(store.flush()), Err(AppendError::DiskFull)));
    assert!(store.usage().trouble.is_some_and(|trouble| trouble.contains("full")));
    has_exactly(&store, 1..60);
    wait(store.append(batch(60..70))).unwrap();
    has_exactly(&store, 1..70);

    file.pragma("PRAGMA max_page_count = 1000000");
    wait(store.flush()).unwrap();
    has_exactly(&store, 1..70);
    drop((store, file));
    has_exactly(&open(folder.path()), 1..70);
}

/// The parts of how many blocks are in the only file, which nobody has open.
fn blocks_with_parts(folder: &Path) -> u32 {
    let mut files = std::fs::read_dir(folder.join("blocks")).unwrap();
    let path = files
        .find_map(|entry| Some(entry.unwrap().path()).filter(|path| path.extension() == Some("db".as_ref())));
    let file = rusqlite::Connection::open(path.unwrap()).unwrap();
    file.query_row("SELECT count(DISTINCT id >> 24) FROM part", [], |row| row.get(0)).unwrap()
}

#[test]
fn small_blocks_become_one_and_who_reads_them_meanwhile_reads_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let count = |store: &BlockStore| store.shared.view.read().blocks.len();
    for round in 0..70 {
        wait(store.append(batch(1 + round * 3..4 + round * 3))).unwrap();
        wait(store.flush()).unwrap();
        if round == 6 {
            wait(store.merge()).unwrap();
            assert_eq!(count(&store), 7, "seven are too few");
        }
    }
    let ids: Vec<TraceId> = (1..211).map(trace_id).collect();
    let before = store.reader().unwrap();
    wait(store.merge()).unwrap();
    // Eight times eight became one.
    assert_eq!(count(&store), 7);
    has_exactly(&store, 1..211);
    assert_eq!(before.traces(&ids).unwrap().len(), 210, "it sees the blocks that it saw at its beginning");
    drop(before);
    wait(store.merge()).unwrap();
    drop(store);
    assert_eq!(blocks_with_parts(folder.path()), 7);

    // What a reader held to the end of the process goes at the next start.
    let store = open(folder.path());
    wait(store.append(batch(211..214))).unwrap();
    wait(store.flush()).unwrap();
    wait(store.append(batch(214..217))).unwrap();
    wait(store.flush()).unwrap();
    let held = store.shared.view.read().blocks.clone();
    wait(store.merge()).unwrap();
    assert_eq!(count(&store), 2);
    drop((store, held));
    assert_eq!(blocks_with_parts(folder.path()), 10);
    has_exactly(&open(folder.path()), 1..217);
    assert_eq!(blocks_with_parts(folder.path()), 2);
}

#[test]
fn a_batch_without_room_waits_for_it_and_is_refused_when_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let all = store.shared.room.try_take(usize::MAX).unwrap();
    assert!(matches!(wait(store.append(batch(1..10))), Err(AppendError::Overloaded)));
    drop(store.append(batch(10..20)));
    let refused = |store: &BlockStore| store.ledger().services[0].refused.clone();
    assert_eq!(
        refused(&store),
        [(RefusalReason::Overloaded, 19)].into(),
        "also the one that nobody waited for"
    );
    let kept = wait(async {
        let mut waits = store.append(batch(20..30));
        assert!((&mut waits).now_or_never().is_none());
        drop(all);
        waits.await
    });
    assert_eq!(kept.unwrap().spans, 10);
    assert_eq!(refused(&store).values().sum::<u64>(), 19);
    wait(store.flush()).unwrap();
    assert_eq!(store.shared.pending.load(Ordering::Relaxed), 0);
    assert!(store.shared.room.try_take(usize::MAX).is_some(), "blocks take no room");
}

#[test]
fn the_journal_gives_back_what_a_long_queue_took() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { budget_bytes: 64 << 20, ..Settings::default() };
    let store = BlockStore::open(folder.path(), settings.clone()).unwrap();
    for round in 0..12 {
        wait(store.append(batch(1 + round * 200..201 + round * 200))).unwrap();
    }
    let bytes = || super::flush::journal_bytes(&folder.path().join("journal.db"));
    let before = bytes();
    wait(store.flush()).unwrap();
    assert!(before > 1 << 20 && bytes() < before / 3, "{before} became {}", bytes());
    wait(store.append(batch(2401..2410))).unwrap();
    drop(store);
    let store = BlockStore::open(folder.path(), settings).unwrap();
    let ids: Vec<TraceId> = (1..2410).map(trace_id).collect();
    assert_eq!(store.traces(&ids).unwrap().len(), 2409);
}
