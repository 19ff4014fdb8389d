//! `kill -9` at any moment: what was acknowledged is there once.
//!
//! The test starts itself again as a child that appends and says what was acknowledged, kills it, and looks.
//! The number of rounds is 25, or `TEST_KILLS`.

use crate::sample::*;
use std::{collections::HashSet, env, io::Write, path::Path, process::Command, time::Duration};
use waypost_test_process::Process;
use waypost_trace_store::{BlockStore, Query, Settings, TraceStore};

/// Tells the child where to write, and from which number on.
const CHILD: &str = "WAYPOST_STORE_CHILD";

/// Spans of one batch.
const SPANS: u64 = 20;

fn settings() -> Settings {
    // Small heads, so that a kill often meets a flush.
    Settings { head_spans: 100, ..Settings::default() }
}

/// Not a test by itself: what the child does until it is killed.
#[test]
fn child_appends_until_it_is_killed() {
    let Ok(told) = env::var(CHILD) else { return };
    let (folder, first) = told.split_once('|').unwrap();
    let store = BlockStore::open(Path::new(folder), settings()).unwrap();
    for batch_number in first.parse::<u64>().unwrap().. {
        let first = batch_number * SPANS + 1;
        keep(
            &store,
            (first..first + SPANS).map(|n| span(if n % 3 == 0 { "a" } else { "b" }, n / 5 + 1, n)).collect(),
        );
        writeln!(std::io::stdout(), "acknowledged {batch_number}").unwrap();
    }
}

#[test]
fn after_kill_9_every_acknowledged_span_is_there_once() {
    let rounds = env::var("TEST_KILLS").map_or(25, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (mut next, mut acknowledged) = (0_u64, HashSet::new());
    for round in 0..rounds {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["crash::child_appends_until_it_is_killed", "--exact", "--nocapture"])
            .env(CHILD, format!("{}|{next}", folder.path().display()));
        let mut child = Process::start(&mut command).unwrap();
        // Behind what the test harness says of the child's test, or on a line of its own.
        let number = |line: &str| line.split_once("acknowledged ")?.1.parse::<u64>().ok();
        let before_kill = usize::try_from(1 + round * 7 % 23).unwrap();
        child.wait_for_lines(before_kill, "acknowledgements", number).unwrap();
        // The next append is somewhere on its way; when in it the kill comes is up to the clock.
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_micros(round * 613 % 5000) {
            std::hint::spin_loop();
        }
        acknowledged.extend(child.kill_and_wait().unwrap().out.lines().filter_map(number));
        next = acknowledged.iter().max().unwrap() + 2;
        check(folder.path(), &acknowledged, round);
    }
}

fn check(folder: &Path, acknowledged: &HashSet<u64>, round: u64) {
    let store = BlockStore::open(folder, settings()).unwrap();
    let found = pages(&store, &Query { limit: 500, ..Query::default() });
    let ids: Vec<_> = found.into_iter().map(|found| found.trace_id).collect();
    let mut kept: Vec<u64> = Vec::new();
    for trace in store.traces(&ids).unwrap() {
        kept.extend(trace.spans.iter().map(|span| u64::from_be_bytes(*span.span_id.as_bytes())));
    }
    let distinct: HashSet<u64> = kept.iter().copied().collect();
    assert_eq!(kept.len(), distinct.len(), "round {round}: a span is there twice");
    for number in acknowledged.iter().flat_map(|batch| batch * SPANS + 1..=batch * SPANS + SPANS) {
        assert!(distinct.contains(&number), "round {round}: span {number} was acknowledged and is gone");
    }
    // Nothing is kept in two places either, which the answers above would not show.
    assert_eq!(balance(&store).1, kept.len() as u64, "round {round}");
    assert!(kept.len().is_multiple_of(usize::try_from(SPANS).unwrap()), "round {round}: a part of a batch");
}
