//! Units of work: whole or not at all, isolation from each other, callers that go away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::{Barrier, Notify};
use waypost_durable::postgres::{Database, Row, params};
use waypost_durable::{ConstraintKind, Error};
use waypost_telemetry::ErrorType as _;
use waypost_telemetry::testing::TestTelemetry;

use super::{NOTES, insert, names, notes, notes_with};
use crate::eventually;

#[tokio::test]
async fn a_unit_that_fails_leaves_nothing() {
    let notes = notes().await;
    let failed: Result<(), Error> = notes
        .database
        .write("insert-and-fail", (), |unit, ()| {
            Box::pin(async move {
                unit.execute("INSERT INTO notes (name) VALUES ('one')", params![]).await?;
                Err(Error::Malformed { what: "note" })
            })
        })
        .await;
    assert!(matches!(failed, Err(Error::Malformed { .. })), "{failed:?}");
    insert(&notes.database, "two").await.unwrap();
    assert_eq!(names(&notes.database).await, ["two"]);
}

/// A statement that failed ends the transaction; what the unit makes of it does not bring it back.
#[tokio::test]
async fn a_unit_that_overlooks_a_failed_statement_is_not_acknowledged() {
    let notes = notes().await;
    insert(&notes.database, "one").await.unwrap();
    let overlooked: Result<(), Error> = notes
        .database
        .write("overlook", (), |unit, ()| {
            Box::pin(async move {
                unit.execute("INSERT INTO notes (name) VALUES ('two')", params![]).await?;
                let _ = unit.execute("INSERT INTO notes (name) VALUES ('one')", params![]).await;
                Ok(())
            })
        })
        .await;
    assert!(matches!(overlooked, Err(Error::Constraint { .. })), "{overlooked:?}");
    assert_eq!(names(&notes.database).await, ["one"]);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_cancel_its_unit() {
    let notes = notes().await;
    let (inside, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let gates = (Arc::clone(&inside), Arc::clone(&goes_on));
    let unit = notes.database.write("slow", gates, |unit, (inside, goes_on)| {
        Box::pin(async move {
            unit.execute("INSERT INTO notes (name) VALUES ('one')", params![]).await?;
            inside.notify_one();
            goes_on.notified().await;
            unit.execute("INSERT INTO notes (name) VALUES ('two')", params![]).await.map(drop)
        })
    });
    tokio::select! {
        done = unit => { let done: Result<(), Error> = done; panic!("{done:?}") }
        () = inside.notified() => {}
    }
    goes_on.notify_one();
    eventually("both rows", async || Some(names(&notes.database).await).filter(|names| names.len() == 2))
        .await;
    // A drain waits for the units of those who left, too.
    notes.database.close().await;
    let late = insert(&notes.database, "late").await;
    assert!(matches!(late, Err(Error::Closed("test"))), "{late:?}");
}

/// Each locks one row and then wants the other's.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_units_that_wait_for_each_other_both_succeed() {
    let notes = notes().await;
    for name in ["one", "two"] {
        insert(&notes.database, name).await.unwrap();
    }
    let (barrier, runs) = (Arc::new(Barrier::new(2)), Arc::new(AtomicU32::new(0)));
    let unit = |first: &'static str, second: &'static str| {
        let database = notes.database.clone();
        let args = (first, second, Arc::clone(&barrier), Arc::clone(&runs), AtomicU32::new(0));
        waypost_telemetry::spawn(async move {
            let added: Result<(), Error> = database
                .write("add-to-both", args, |unit, (first, second, barrier, runs, own)| {
                    Box::pin(async move {
                        let sql = "UPDATE notes SET size = size + 1 WHERE name = $1";
                        unit.execute(sql, params![first]).await?;
                        runs.fetch_add(1, Ordering::Relaxed);
                        if own.fetch_add(1, Ordering::Relaxed) == 0 {
                            barrier.wait().await;
                        }
                        unit.execute(sql, params![second]).await.map(drop)
                    })
                })
                .await;
            added.unwrap();
        })
    };
    let (one, two) = (unit("one", "two"), unit("two", "one"));
    one.await.unwrap();
    two.await.unwrap();
    assert!(runs.load(Ordering::Relaxed) > 2, "one of them lost and ran again");
    let sizes: Result<Vec<i64>, Error> = notes
        .database
        .read("sizes", (), |unit, ()| {
            Box::pin(unit.query_all("SELECT size FROM notes", params![], |row: &Row| row.get(0)))
        })
        .await;
    assert_eq!(sizes.unwrap(), [2, 2]);
}

#[tokio::test]
async fn what_a_constraint_refuses_is_told_by_its_name_and_code() {
    let notes = notes().await;
    insert(&notes.database, "one").await.unwrap();
    let refused = insert(&notes.database, "one").await.unwrap_err();
    assert!(refused.violates_unique("notes_name_key"), "{refused:?}");
    assert_eq!(refused.error_type(), "23505");
    let negative: Result<u64, Error> = notes
        .database
        .write("shrink", (), |unit, ()| Box::pin(unit.execute("UPDATE notes SET size = -1", params![])))
        .await;
    let Err(Error::Constraint { name, kind: ConstraintKind::Check, .. }) = negative else {
        panic!("{negative:?}")
    };
    assert_eq!(name, "a_size_is_not_negative");
}

#[tokio::test]
async fn the_time_is_the_servers_and_stands_in_one_unit() {
    let notes = notes().await;
    let told: Result<(SystemTime, SystemTime, SystemTime), Error> = notes
        .database
        .write("now", (), |unit, ()| {
            Box::pin(async move {
                let first = unit.now().await?;
                unit.execute("SELECT pg_sleep(0.05)", params![]).await?;
                let by_statement =
                    unit.query_row("SELECT waypost_now()", params![], |row| row.time(0)).await?;
                Ok((first, unit.now().await?, by_statement))
            })
        })
        .await;
    let (first, second, by_statement) = told.unwrap();
    assert_eq!((first, first), (second, by_statement));
    let here = SystemTime::now();
    let apart = here.duration_since(first).unwrap_or_else(|error| error.duration());
    assert!(apart < Duration::from_mins(1), "{apart:?}");
}

#[tokio::test]
async fn all_statements_of_a_snapshot_see_one_state() {
    let notes = notes().await;
    let other = notes.database.clone();
    let counts: Result<(i64, i64), Error> = notes
        .database
        .snapshot("count-twice", other, |unit, other| {
            Box::pin(async move {
                let count = "SELECT count(*) FROM notes";
                let before = unit.query_row(count, params![], |row| row.get(0)).await?;
                insert(other, "meanwhile").await?;
                Ok((before, unit.query_row(count, params![], |row| row.get(0)).await?))
            })
        })
        .await;
    assert_eq!(counts.unwrap(), (0, 0));
    let written: Result<u64, Error> = notes
        .database
        .snapshot("write", (), |unit, ()| Box::pin(unit.execute("DELETE FROM notes", params![])))
        .await;
    assert!(written.is_err(), "a snapshot does not write");
    assert_eq!(names(&notes.database).await, ["meanwhile"]);
}

#[tokio::test]
async fn who_finds_no_connection_free_is_told_so_in_time() {
    let notes = notes_with(|server| {
        server.max_connections = 1;
        server.acquire_timeout = Duration::from_millis(50);
    })
    .await;
    let (inside, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (database, gates) = (notes.database.clone(), (Arc::clone(&inside), Arc::clone(&goes_on)));
    let holder = waypost_telemetry::spawn(async move {
        let held: Result<(), Error> = database
            .write("hold", gates, |_, (inside, goes_on)| {
                Box::pin(async move {
                    inside.notify_one();
                    goes_on.notified().await;
                    Ok(())
                })
            })
            .await;
        held.unwrap();
    });
    inside.notified().await;
    let refused = insert(&notes.database, "one").await.unwrap_err();
    assert!(matches!(refused, Error::Busy(_)), "{refused:?}");
    assert_eq!(refused.error_type(), "pool_timeout");
    goes_on.notify_one();
    holder.await.unwrap();
    insert(&notes.database, "two").await.unwrap();
}

#[tokio::test]
async fn a_lock_that_is_held_for_too_long_is_not_waited_for() {
    let notes = notes_with(|server| server.lock_timeout = Duration::from_millis(50)).await;
    insert(&notes.database, "one").await.unwrap();
    let (inside, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (database, gates) = (notes.database.clone(), (Arc::clone(&inside), Arc::clone(&goes_on)));
    let holder = waypost_telemetry::spawn(async move {
        let held: Result<(), Error> = database
            .write("hold", gates, |unit, (inside, goes_on)| {
                Box::pin(async move {
                    unit.execute("UPDATE notes SET size = 1", params![]).await?;
                    inside.notify_one();
                    goes_on.notified().await;
                    Ok(())
                })
            })
            .await;
        held.unwrap();
    });
    inside.notified().await;
    let waited: Result<u64, Error> = notes
        .database
        .write("wait", (), |unit, ()| Box::pin(unit.execute("UPDATE notes SET size = 2", params![])))
        .await;
    assert_eq!(waited.unwrap_err().error_type(), "55P03");
    goes_on.notify_one();
    holder.await.unwrap();
}

#[tokio::test]
async fn a_unit_is_one_span_with_what_the_server_said() {
    let notes = notes().await;
    let telemetry = TestTelemetry::new("order-service");
    let database = Database::open(&notes.server, "test", telemetry.handle(), NOTES).await.unwrap();
    insert(&database, "one").await.unwrap();
    insert(&database, "one").await.unwrap_err();
    database.untraced().ping().await.unwrap();
    let spans = telemetry.finished_spans();
    assert_eq!(spans.len(), 2, "{spans:?}");
    let attribute = |span: usize, key: &str| spans[span].attribute(key).map(ToString::to_string);
    assert_eq!(spans[0].name(), "INSERT notes");
    assert_eq!(attribute(0, "db.system.name").as_deref(), Some("postgresql"));
    assert_eq!(attribute(0, "db.namespace"), Some(format!("{}|waypost_test", notes.own.name())));
    assert_eq!(attribute(0, "server.address").as_deref(), Some("127.0.0.1"));
    assert_eq!(attribute(0, "db.query.text").as_deref(), Some("INSERT INTO notes (name) VALUES ($1)"));
    assert_eq!(attribute(0, "waypost.db.operation").as_deref(), Some("insert-note"));
    assert_eq!(attribute(1, "error.type").as_deref(), Some("23505"));
    assert_eq!(attribute(1, "db.response.status_code").as_deref(), Some("23505"));
}
