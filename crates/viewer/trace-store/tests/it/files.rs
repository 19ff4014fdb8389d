//! The folder: who may open it, what is there after a restart, and what happens when a file is damaged.

use crate::sample::*;
use std::{fs, os::unix::fs::FileExt, path::PathBuf, sync::Arc, time::Duration};
use waypost_trace_model::{Batch, Refusal, RefusalReason, Wire, otlp};
use waypost_trace_store::{
    AppendError, BlockStore, Durability, EvictionReason, OpenError, Query, Settings, TraceStore,
};

fn open(folder: &tempfile::TempDir) -> BlockStore {
    BlockStore::open(folder.path(), Settings::default()).unwrap()
}

fn block_file(folder: &tempfile::TempDir) -> PathBuf {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder.path().join("blocks")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "db"));
    assert_eq!(files.len(), 1);
    files.remove(0)
}

#[test]
fn a_folder_belongs_to_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let error = BlockStore::open(folder.path(), Settings::default()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }));
    let said = format!("{} is in use by another process", folder.path().display());
    assert!(error.to_string().starts_with(&said), "{error}");
    drop(store);
    drop(open(&folder));
}

#[test]
fn a_folder_that_is_a_file_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "x").unwrap();
    let error = BlockStore::open(&path, Settings::default()).unwrap_err();
    assert!(matches!(error, OpenError::Folder { .. }));
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}

#[test]
fn everything_is_there_after_a_restart() {
    for flushes in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        let spans = vec![span("a", 1, 10), span("b", 1, 11)];
        let wire = Wire::Traces(otlp::traces_to_protobuf(&spans));
        let request = Arc::new(Batch { spans: spans.clone(), wire: Some(wire), ..Batch::default() });
        append(&store, request.clone()).unwrap();
        let refusal = Refusal {
            service: "a".into(),
            trace_id: Some(trace_id(1)),
            reason: RefusalReason::PartLimit,
            spans: 4,
            logs: 0,
        };
        let logs = vec![log("b", 1, 11, 3)];
        append(&store, Arc::new(Batch { logs, refused: vec![refusal], ..Batch::default() })).unwrap();
        if flushes {
            wait(store.flush()).unwrap();
        }
        let before = (store.ledger(), store.traces(&[trace_id(1)]).unwrap(), store.statistics().services());
        drop(store);

        let store = open(&folder);
        let after = (store.ledger(), store.traces(&[trace_id(1)]).unwrap(), store.statistics().services());
        assert_eq!(after, before);
        assert_eq!(after.1[0].spans, spans);
        assert_eq!(after.1[0].losses.refused.get(&RefusalReason::PartLimit), Some(&4));
        assert!(append(&store, request).unwrap().is_repeat, "the request is still known");
        assert_eq!(balance(&store), (8, 2, 6, 0));
    }
}

#[test]
fn closing_writes_blocks_and_leaves_one_file_each() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    keep(&store, vec![span("a", 1, 10)]);
    wait(store.close());
    assert_eq!(store.usage().files, 1);
    drop(store);
    let mut left: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["blocks", "journal.db", "lock"]);
    assert_eq!(open(&folder).find(&Query::default()).unwrap().matches.len(), 1);
}

#[test]
fn what_takes_much_memory_becomes_blocks_at_rest() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { rests_after: Duration::ZERO, ..Settings::default() };
    let store = BlockStore::open(folder.path(), settings).unwrap();
    let large = |number: u64| {
        let mut one = span("a", number, number);
        one.attributes.extend((0..20).map(|key| text(&format!("key.{key}"), "value")));
        one
    };
    let spans: Vec<_> = (1..=4_000).map(large).collect();
    assert!(batch(spans.clone()).footprint() > 4 << 20);
    assert!(spans.len() * 2 < Settings::default().head_spans, "a full head becomes blocks anyway");
    keep(&store, spans);
    until("blocks of a head that rests", || store.usage().files > 0);
    assert_eq!(balance(&store), (4_000, 4_000, 0, 0));
}

#[test]
fn a_file_that_is_no_database_is_set_aside_and_its_spans_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    keep(&store, vec![span("a", 1, 10), span("b", 2, 11)]);
    wait(store.close());
    drop(store);
    let path = block_file(&folder);
    fs::write(&path, vec![7; 10_000]).unwrap();

    let store = open(&folder);
    assert_eq!(store.find(&Query::default()).unwrap().matches, []);
    assert_eq!(balance(&store), (2, 0, 0, 2));
    assert_eq!(store.ledger().services[0].evicted.get(&EvictionReason::Damaged), Some(&1));
    assert!(PathBuf::from(format!("{}.damaged", path.display())).exists());
    keep(&store, vec![span("a", 3, 12)]);
    wait(store.close());
    drop(store);
    let store = open(&folder);
    assert_eq!(balance(&store), (3, 1, 0, 2));
    assert_ne!(block_file(&folder), path, "the number is not given again");
}

#[test]
fn a_damaged_column_sets_its_block_aside_and_the_others_answer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let spans = |numbers: std::ops::RangeInclusive<u64>| {
        let mut spans: Vec<_> = numbers.map(|number| span("a", number, number)).collect();
        for span in &mut spans {
            span.attributes.push(text("unique", &format!("{:?}", span.span_id)));
        }
        spans
    };
    keep(&store, spans(1..=400));
    wait(store.flush()).unwrap();
    keep(&store, spans(401..=410));
    wait(store.close());
    drop(store);
    // A value of the last column of the first block, which is the longer one; the directory and the head stay whole.
    let path = block_file(&folder);
    let bytes = fs::read(&path).unwrap();
    let packed = [0x28, 0xb5, 0x2f, 0xfd];
    let frames: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..at + 4] == packed).collect();
    let longest = frames.windows(2).max_by_key(|pair| pair[1] - pair[0]).unwrap();
    let middle = usize::midpoint(longest[0], longest[1]);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[!bytes[middle]], middle as u64).unwrap();

    let ids: Vec<_> = (1..=410).map(trace_id).collect();
    let store = open(&folder);
    assert_eq!(balance(&store), (410, 410, 0, 0), "nobody has looked at it");
    let readers = std::thread::scope(|scope| {
        let reader = || store.traces(&ids).map(|traces| traces.len());
        let readers = [(); 4].map(|()| scope.spawn(reader));
        readers.map(|reader| reader.join().unwrap().unwrap())
    });
    assert_eq!(readers, [10; 4]);
    // Until the account is written.
    wait(store.flush()).unwrap();
    let check = |store: &BlockStore| {
        assert_eq!(balance(store), (410, 10, 0, 400));
        assert_eq!(store.ledger().services[0].evicted.get(&EvictionReason::Damaged), Some(&400));
        assert_eq!(store.find(&Query { limit: 500, ..Query::default() }).unwrap().matches.len(), 10);
        assert_eq!(store.usage().trouble, None, "it takes spans as before");
    };
    check(&store);
    drop(store);
    check(&open(&folder));
    let parts: u32 = rusqlite::Connection::open(&path)
        .and_then(|file| {
            file.query_row("SELECT count(*) FROM part, damaged WHERE part.id >> 24 = damaged.id", [], |row| {
                row.get(0)
            })
        })
        .unwrap();
    assert!(parts > 5, "what is there of it can still be looked at");
}

#[test]
fn a_journal_that_is_no_database_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("journal.db"), vec![7; 10_000]).unwrap();
    let error = BlockStore::open(folder.path(), Settings::default()).unwrap_err();
    assert!(matches!(error, OpenError::Journal { .. }));
    assert!(error.to_string().contains("move its folder away"), "{error}");
}

#[test]
fn more_than_may_wait_is_refused_at_once_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { pending_bytes: 20_000, ..Settings::default() };
    let store = BlockStore::open(folder.path(), settings).unwrap();
    let batch_of =
        |round: u64| batch((0..50).map(|n| span("a", round * 50 + n + 1, round * 50 + n + 1)).collect());
    let answers: Vec<_> = (0..200).map(|round| store.append(batch_of(round))).collect();
    let answers: Vec<_> = answers.into_iter().map(wait).collect();
    let kept = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(AppendError::Overloaded))));
    assert!((1..200).contains(&kept), "{kept} were kept");
    assert_eq!(balance(&store), (10_000, kept * 50, 10_000 - kept * 50, 0));
    drop(store);
    keep(&open(&folder), vec![span("a", 99_999, 99_999)]);
}

#[test]
fn what_is_durable_every_second_survives_the_process_too() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { sync: Durability::EverySecond, ..Settings::default() };
    let store = BlockStore::open(folder.path(), settings.clone()).unwrap();
    keep(&store, vec![span("a", 1, 10)]);
    drop(store);
    let store = BlockStore::open(folder.path(), settings).unwrap();
    assert_eq!(store.find(&Query::default()).unwrap().matches.len(), 1);
}

/// As far as which row the figures on the disk count.
fn counted(folder: &tempfile::TempDir) -> i64 {
    let journal = rusqlite::Connection::open(folder.path().join("journal.db")).unwrap();
    journal.query_row("SELECT coalesce(max(seq), 0) FROM statistics", [], |row| row.get(0)).unwrap()
}

#[test]
fn figures_of_blocks_that_follow_each_other_are_on_the_disk_soon() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let keep_and_flush = |store: &BlockStore, number| {
        keep(store, vec![span("a", number, number)]);
        wait(store.flush()).unwrap();
    };
    (1..=3).for_each(|number| keep_and_flush(&store, number));
    // No more comes that would make another block.
    let begun = std::time::Instant::now();
    while counted(&folder) < 3 {
        assert!(begun.elapsed() < Duration::from_mins(1), "{}", counted(&folder));
        std::thread::yield_now();
    }
    drop(store);

    let store = open(&folder);
    (4..=5).for_each(|number| keep_and_flush(&store, number));
    drop(store);
    assert_eq!(counted(&folder), 5, "what is owed is written in the end");
}
