//! Units of work: shared commits, isolation from each other, callers that go away.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::join_all;
use waypost_durable::{ConstraintKind, Counters, Database, DatabaseOptions, Error, Location};
use waypost_telemetry::{ErrorType, Telemetry};

use super::{NOTES, ephemeral, eventually, insert, names};

/// Holds the writer inside a unit until the sender is dropped or sends.
async fn hold_writer(database: &Database) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), Error>>) {
    let (release, released) = mpsc::channel();
    let (entered, is_inside) = tokio::sync::oneshot::channel();
    let database = database.clone();
    let task = waypost_telemetry::spawn(async move {
        database
            .write("hold", move |_| {
                let _ = entered.send(());
                let _ = released.recv();
                Ok(())
            })
            .await
    });
    is_inside.await.unwrap();
    (release, task)
}

/// Polls once, so that the unit is in the queue.
fn poll_once<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn units_that_wait_together_share_one_commit() {
    let database = ephemeral(&[NOTES]);
    let (release, held) = hold_writer(&database).await;
    let mut writes: Vec<_> = (0..100).map(|number| Box::pin(insert(&database, number.to_string()))).collect();
    for write in &mut writes {
        assert!(poll_once(write.as_mut()).is_pending());
    }
    drop(release);
    held.await.unwrap().unwrap();
    join_all(writes).await.into_iter().collect::<Result<Vec<()>, _>>().unwrap();

    // One commit for the unit that held the writer, one for all the others.
    assert_eq!(database.counters(), Counters { commits: 2, units: 101 });
    assert_eq!(names(&database).await.len(), 100);
}

#[tokio::test]
async fn a_group_is_no_larger_than_its_bound() {
    let options = DatabaseOptions {
        group: 10,
        ..DatabaseOptions::new(Location::Ephemeral, "test", &Telemetry::disabled())
    };
    let database = Database::open(options, &[NOTES]).unwrap();
    let (release, held) = hold_writer(&database).await;
    let mut writes: Vec<_> = (0..100).map(|number| Box::pin(insert(&database, number.to_string()))).collect();
    for write in &mut writes {
        assert!(poll_once(write.as_mut()).is_pending());
    }
    drop(release);
    held.await.unwrap().unwrap();
    join_all(writes).await.into_iter().collect::<Result<Vec<()>, _>>().unwrap();
    assert_eq!(database.counters().commits, 11);
}

#[tokio::test]
async fn a_unit_that_fails_rolls_back_itself_and_no_other() {
    let database = ephemeral(&[NOTES]);
    let (release, held) = hold_writer(&database).await;
    let before = insert(&database, "before");
    let failing = database.write("fail-half-way", |unit| {
        unit.execute("INSERT INTO notes (name) VALUES ('half')", ())?;
        unit.execute("INSERT INTO notes (name, size) VALUES ('whole', -1)", ())?;
        Ok(())
    });
    let after = insert(&database, "after");
    let mut writes = pin!(async { tokio::join!(before, failing, after) });
    assert!(poll_once(writes.as_mut()).is_pending());
    drop(release);
    let (before, failing, after): (_, Result<(), Error>, _) = writes.await;
    held.await.unwrap().unwrap();

    before.unwrap();
    after.unwrap();
    let Err(Error::Constraint { name, kind, .. }) = failing else { panic!("{failing:?}") };
    assert_eq!((name.as_str(), kind), ("size >= 0", ConstraintKind::Check));
    assert_eq!(names(&database).await, ["before", "after"]);
}

#[tokio::test]
async fn an_error_of_the_callers_own_rolls_back_too() {
    #[derive(Debug, thiserror::Error)]
    enum Refused {
        #[error("no")]
        No,
        #[error(transparent)]
        Database(#[from] Error),
    }
    impl ErrorType for Refused {
        fn error_type(&self) -> std::borrow::Cow<'static, str> {
            "refused".into()
        }
    }

    let database = ephemeral(&[NOTES]);
    let refused = database.write("refuse", |unit| {
        unit.execute("INSERT INTO notes (name) VALUES ('refused')", ())?;
        Err::<(), _>(Refused::No)
    });
    assert!(matches!(refused.await, Err(Refused::No)));
    assert_eq!(names(&database).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_unit_that_panics_gives_its_caller_an_error_and_harms_no_other() {
    let database = ephemeral(&[NOTES]);
    let (release, held) = hold_writer(&database).await;
    let panicking = database.write("panic", |unit| {
        let inserted = unit.execute("INSERT INTO notes (name) VALUES ('panicked')", ())?;
        assert_eq!(inserted, 0, "on purpose");
        Ok(())
    });
    let mut writes = pin!(async { tokio::join!(panicking, insert(&database, "other")) });
    assert!(poll_once(writes.as_mut()).is_pending());
    drop(release);
    let (panicked, other): (Result<(), Error>, _) = writes.await;
    held.await.unwrap().unwrap();

    let Err(Error::Panicked { operation, message }) = panicked else { panic!("{panicked:?}") };
    assert_eq!(operation, "panic");
    assert!(message.contains("on purpose"), "{message}");
    other.unwrap();
    insert(&database, "later").await.unwrap();
    assert_eq!(names(&database).await, ["other", "later"]);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_its_unit() {
    let database = ephemeral(&[NOTES]);
    let (release, held) = hold_writer(&database).await;
    {
        let mut write = pin!(insert(&database, "of nobody"));
        assert!(poll_once(write.as_mut()).is_pending());
    }
    drop(release);
    held.await.unwrap().unwrap();
    eventually("the unit of the caller that went away", || async {
        (names(&database).await == ["of nobody"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait_and_leaves_the_runtime_free() {
    let options = DatabaseOptions {
        queue: 2,
        group: 1,
        ..DatabaseOptions::new(Location::Ephemeral, "test", &Telemetry::disabled())
    };
    let database = Database::open(options, &[NOTES]).unwrap();
    let (release, held) = hold_writer(&database).await;
    let mut writes: Vec<_> = (0..5).map(|number| Box::pin(insert(&database, number.to_string()))).collect();
    for write in &mut writes {
        assert!(poll_once(write.as_mut()).is_pending());
    }
    // This single-threaded runtime still runs other work.
    tokio::time::timeout(Duration::from_secs(5), tokio::task::yield_now()).await.unwrap();
    // One that never got a place leaves nothing behind.
    drop(writes.pop());
    drop(release);
    held.await.unwrap().unwrap();
    join_all(writes).await.into_iter().collect::<Result<Vec<()>, _>>().unwrap();
    assert_eq!(names(&database).await.len(), 4);
}

#[tokio::test]
async fn a_commit_that_fails_acknowledges_nobody() {
    // A deferred foreign key is checked by COMMIT alone: the simplest commit that fails.
    let database = ephemeral(&[
        NOTES,
        waypost_durable::Migration::new(
            "0002_tags",
            "CREATE TABLE tags (note TEXT REFERENCES notes (name) DEFERRABLE INITIALLY DEFERRED)",
        ),
    ]);
    let (release, held) = hold_writer(&database).await;
    let poisoning = database.write("poison", |unit| {
        unit.execute("INSERT INTO tags (note) VALUES ('nowhere')", ())?;
        Ok(())
    });
    let refusing = database.write("refuse", |unit| {
        unit.execute("INSERT INTO notes (name, size) VALUES ('x', -1)", ())?;
        Ok(())
    });
    let mut writes = pin!(async { tokio::join!(insert(&database, "innocent"), poisoning, refusing) });
    assert!(poll_once(writes.as_mut()).is_pending());
    drop(release);
    let (innocent, poisoned, refused): (_, Result<(), Error>, Result<(), Error>) = writes.await;
    let _ = held.await.unwrap();

    for failed in [innocent, poisoned] {
        assert!(
            matches!(failed, Err(Error::Constraint { kind: ConstraintKind::ForeignKey, .. })),
            "{failed:?}"
        );
    }
    // Who had a reason of its own keeps it.
    assert!(matches!(refused, Err(Error::Constraint { kind: ConstraintKind::Check, .. })), "{refused:?}");
    assert_eq!(names(&database).await, Vec::<String>::new());
    insert(&database, "later").await.unwrap();
    assert_eq!(names(&database).await, ["later"]);
}

#[tokio::test]
async fn a_callback_runs_after_the_commit_and_only_then() {
    let database = ephemeral(&[NOTES]);
    let called = Arc::new(AtomicBool::new(false));
    let (kept, rolled_back) = (Arc::clone(&called), Arc::clone(&called));
    let refused: Result<(), Error> = database
        .write("roll-back", move |unit| {
            unit.after_commit(move || rolled_back.store(true, Ordering::SeqCst));
            unit.execute("INSERT INTO notes (name, size) VALUES ('x', -1)", ())?;
            Ok(())
        })
        .await;
    refused.unwrap_err();
    assert!(!called.load(Ordering::SeqCst));
    let written: Result<(), Error> = database
        .write("keep", move |unit| {
            unit.after_commit(move || kept.store(true, Ordering::SeqCst));
            Ok(())
        })
        .await;
    written.unwrap();
    assert!(called.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_callback_that_panics_takes_back_no_commit() {
    let database = ephemeral(&[NOTES]);
    let called = Arc::new(AtomicBool::new(false));
    let later = Arc::clone(&called);
    let written: Result<i32, Error> = database
        .write("keep", move |unit| {
            unit.execute("INSERT INTO notes (name) VALUES ('kept')", ())?;
            unit.after_commit(|| panic!("on purpose"));
            unit.after_commit(move || later.store(true, Ordering::SeqCst));
            Ok(7)
        })
        .await;
    assert_eq!(written.unwrap(), 7);
    assert!(called.load(Ordering::SeqCst));
    assert_eq!(names(&database).await, ["kept"]);
}

#[tokio::test]
async fn a_long_list_does_not_hold_up_who_asks_for_one_row() {
    let database = ephemeral(&[NOTES]);
    insert(&database, "one").await.unwrap();
    let (release, held) = mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let listing = database.scan("list", move |unit| {
        let all = unit.query_all("SELECT name FROM notes", (), |row| row.get::<_, String>(0))?;
        let _ = begun.send(());
        let _ = held.recv();
        Ok::<_, Error>(all)
    });
    let finding = async {
        has_begun.await.unwrap();
        let found = names(&database).await;
        drop(release);
        found
    };
    let (listed, found) = tokio::join!(listing, finding);
    assert_eq!((listed.unwrap(), found), (vec!["one".to_owned()], vec!["one".to_owned()]));
}

#[tokio::test]
async fn a_query_sees_one_state_and_cannot_write() {
    let database = ephemeral(&[NOTES]);
    insert(&database, "first").await.unwrap();
    let (wrote, other_wrote) = mpsc::channel::<()>();
    let (counted_once, is_counted_once) = tokio::sync::oneshot::channel();
    let counting = database.read("count-twice", move |unit| {
        let count = "SELECT count(*) FROM notes";
        let before: i64 = unit.query_row(count, (), |row| row.get(0))?;
        let _ = counted_once.send(());
        let _ = other_wrote.recv();
        let after: i64 = unit.query_row(count, (), |row| row.get(0))?;
        Ok::<_, Error>((before, after))
    });
    let writing = async {
        is_counted_once.await.unwrap();
        insert(&database, "second").await.unwrap();
        wrote.send(()).unwrap();
    };
    let (counted, ()) = tokio::join!(counting, writing);
    let (before, after) = counted.unwrap();
    assert_eq!((before, after), (1, 1));

    let refused: Result<usize, Error> =
        database.read("write-in-read", |unit| unit.execute("DELETE FROM notes", ())).await;
    refused.unwrap_err();
    assert_eq!(names(&database).await, ["first", "second"]);
}

#[tokio::test]
async fn closing_finishes_what_waits_and_refuses_what_comes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("closing.db");
    let options = DatabaseOptions::new(Location::File(path.clone()), "test", &Telemetry::disabled());
    let database = Database::open(options, &[NOTES]).unwrap();
    let (release, held) = hold_writer(&database).await;
    let mut waiting = pin!(insert(&database, "waiting"));
    assert!(poll_once(waiting.as_mut()).is_pending());
    drop(release);
    let ((), waited) = tokio::join!(database.close(), waiting);
    held.await.unwrap().unwrap();
    waited.unwrap();

    assert!(matches!(insert(&database, "late").await, Err(Error::Closed("test"))));
    let read: Result<(), Error> = database.read("late", |_| Ok(())).await;
    assert!(matches!(read, Err(Error::Closed("test"))));
    database.close().await;

    // Everything is in the file itself; the log is gone.
    assert!(!path.with_extension("db-wal").exists());
    let connection = rusqlite::Connection::open(&path).unwrap();
    let names: Vec<String> = connection
        .prepare("SELECT name FROM notes")
        .unwrap()
        .query_map((), |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(names, ["waiting"]);
}

#[tokio::test]
async fn many_writers_and_readers_lose_nothing() {
    let options = DatabaseOptions {
        readers: 3,
        ..DatabaseOptions::new(Location::Ephemeral, "test", &Telemetry::disabled())
    };
    let database = Database::open(options, &[NOTES]).unwrap();
    let work = (0..50).map(|task| {
        let database = database.clone();
        waypost_telemetry::spawn(async move {
            for number in 0..20 {
                let name = format!("{task} {number}");
                insert(&database, name.clone()).await.unwrap();
                // What was answered is seen by the next query.
                assert!(names(&database).await.contains(&name));
            }
        })
    });
    join_all(work).await.into_iter().for_each(Result::unwrap);
    assert_eq!(names(&database).await.len(), 1_000);
}

#[tokio::test]
async fn every_commit_is_synced_to_the_disk() {
    let database = ephemeral(&[NOTES]);
    let settings: Result<(String, i64, i64), Error> = database
        .write("settings", |unit| {
            let mode = unit.query_row("PRAGMA journal_mode", (), |row| row.get(0))?;
            let synchronous = unit.query_row("PRAGMA synchronous", (), |row| row.get(0))?;
            let foreign_keys = unit.query_row("PRAGMA foreign_keys", (), |row| row.get(0))?;
            Ok((mode, synchronous, foreign_keys))
        })
        .await;
    // 2 is FULL. A killed process would not show the difference; a machine that loses its power would.
    assert_eq!(settings.unwrap(), ("wal".to_owned(), 2, 1));
}
