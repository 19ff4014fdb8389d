//! Units that share a transaction: together when all is well, and each for itself when it is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use tokio::sync::Notify;
use waypost_durable::Error;
use waypost_durable::postgres::group::{Group, Grouped, Kind, Name, Together, Way};
use waypost_durable::postgres::{Database, Unit, params};
use waypost_telemetry::ErrorType as _;
use waypost_telemetry::testing::TestTelemetry;
use waypost_test_servers::proxy::Proxy;

use super::{NOTES, insert, names, notes, notes_with};

/// A note that begins with `?` is no plain case: by itself it is written without it. One that begins with `!` is refused, and
/// the code of a group that has `defect` is broken.
async fn together(unit: &mut Unit, notes: &[String]) -> Result<Vec<Grouped<(), Error>>, Error> {
    assert!(!notes.iter().any(|name| name == "defect"), "a defect of the program");
    let is_plain = |name: &&String| !name.starts_with(['?', '!']);
    let plain: Vec<&str> = notes.iter().filter(is_plain).map(String::as_str).collect();
    unit.execute("INSERT INTO notes (name) SELECT unnest($1::text[])", params![plain]).await?;
    let outcome = |name: &String| match name.chars().next() {
        Some('?') => Grouped::Alone,
        Some('!') => Grouped::Refused(Error::Malformed { what: "note" }),
        _ => Grouped::Done(()),
    };
    Ok(notes.iter().map(outcome).collect())
}

async fn alone(unit: &mut Unit, name: &str) -> Result<(), Error> {
    let name = name.trim_start_matches('?');
    unit.execute("INSERT INTO notes (name) VALUES ($1)", params![name]).await.map(drop)
}

fn inserting(database: &Database, way: Way<String>) -> Group<String, (), Error> {
    database.group(Kind {
        name: |_| Name { operation: "insert-notes", summary: "INSERT notes" },
        subject: String::clone,
        way,
        together: |unit, notes| Box::pin(together(unit, notes)),
        alone: |unit, note| Box::pin(alone(unit, note)),
    })
}

async fn run(group: &Group<String, (), Error>, names: &[&str]) -> Vec<Result<(), Error>> {
    join_all(names.iter().map(|name| group.run((*name).to_owned()))).await
}

fn lock(name: &str) -> String {
    format!(" note {name}")
}

fn locked() -> Way<String> {
    Way::Locked(|name| lock(name))
}

/// A group that is one message: a function that takes its locks. A note that is there already is no plain case.
fn inserting_in_one_message(database: &Database) -> Group<String, (), Error> {
    let way: Way<String> = Way::LockedStatement(|name| lock(name));
    database.group(Kind {
        name: |_| Name { operation: "insert-notes", summary: "INSERT notes" },
        subject: String::clone,
        way,
        together: |unit, notes| {
            Box::pin(async move {
                let locks: Vec<String> = notes.iter().map(|name| lock(name)).collect();
                let sql = "SELECT insert_notes($1, $2)";
                let inserted: Vec<String> =
                    unit.query_all(sql, params![locks, notes], |row| row.get(0)).await?;
                let outcome = |name| if inserted.contains(name) { Grouped::Done(()) } else { Grouped::Alone };
                Ok(notes.iter().map(outcome).collect())
            })
        },
        alone: |unit, note| {
            // A group that did not see it would have failed, and all its notes had come here.
            assert!(note == "held" || unit.may_be_done(), "{note} was no plain case");
            Box::pin(async { Ok(()) })
        },
    })
}

#[tokio::test]
async fn units_that_come_together_share_their_statement_and_their_commit() {
    let notes = notes().await;
    let telemetry = TestTelemetry::new("order-service");
    let database = Database::open(&notes.server, "test", telemetry.handle(), NOTES).await.unwrap();
    for way in [locked(), Way::Transaction, Way::Statement] {
        let group = inserting(&database, way);
        assert!(run(&group, &["c", "a", "b"]).await.iter().all(Result::is_ok));
        // In the order of their subjects.
        assert_eq!(names(&notes.database).await, ["a", "b", "c"]);
        let clean: Result<u64, Error> = notes
            .database
            .write("clean", (), |unit, ()| Box::pin(unit.execute("DELETE FROM notes", params![])))
            .await;
        clean.unwrap();
    }
    let spans = telemetry.finished_spans();
    assert_eq!(spans.len(), 9, "one for each unit: {spans:?}");
    for span in spans {
        assert_eq!(span.name(), "INSERT notes");
        let attribute = |key: &str| span.attribute(key).map(ToString::to_string).unwrap_or_default();
        assert_eq!(
            (attribute("waypost.db.commit.units"), attribute("waypost.db.operation")),
            ("3".into(), "insert-notes".into())
        );
    }
}

#[tokio::test]
async fn units_that_others_are_about_to_ask_for_share_the_group() {
    let notes = notes().await;
    let telemetry = TestTelemetry::new("order-service");
    let database = Database::open(&notes.server, "test", telemetry.handle(), NOTES).await.unwrap();
    let group = inserting(&database, Way::Statement);
    // As many tasks after each other as the number says before it is asked for: the first has begun its group by then.
    let asked = [("a", 0), ("b", 1), ("c", 2)].map(|(name, tasks)| {
        let group = group.clone();
        let mut asking: BoxFuture<'static, Result<(), Error>> =
            Box::pin(async move { group.run(name.to_owned()).await });
        for _ in 0..tasks {
            asking = Box::pin(async move { waypost_telemetry::spawn(asking).await.unwrap() });
        }
        waypost_telemetry::spawn(asking)
    });
    for asked in asked {
        asked.await.unwrap().unwrap();
    }
    for span in telemetry.finished_spans() {
        let units = span.attribute("waypost.db.commit.units").map(ToString::to_string);
        assert_eq!(units.as_deref(), Some("3"));
    }
}

#[tokio::test]
async fn what_a_statement_refuses_of_one_is_not_refused_to_the_others() {
    let notes = notes().await;
    insert(&notes.database, "taken").await.unwrap();
    for (way, others) in
        [(locked(), ["a", "b"]), (Way::Transaction, ["c", "d"]), (Way::Statement, ["e", "f"])]
    {
        let done = run(&inserting(&notes.database, way), &[others[0], "taken", others[1]]).await;
        assert!(done[0].is_ok() && done[2].is_ok(), "{done:?}");
        assert_eq!(done[1].as_ref().unwrap_err().error_type(), "23505");
    }
    let mut names = names(&notes.database).await;
    names.sort();
    assert_eq!(names, ["a", "b", "c", "d", "e", "f", "taken"]);
}

#[tokio::test]
async fn one_that_is_no_plain_case_runs_by_itself_and_one_that_is_refused_leaves_nothing() {
    let notes = notes().await;
    let done = run(&inserting(&notes.database, locked()), &["a", "?b", "!c"]).await;
    assert!(done[0].is_ok() && done[1].is_ok(), "{done:?}");
    assert!(matches!(done[2], Err(Error::Malformed { .. })), "{done:?}");
    assert_eq!(names(&notes.database).await, ["a", "b"]);
}

#[tokio::test]
async fn a_group_whose_code_panics_takes_its_own_units_with_it_and_nobody_elses() {
    let notes = notes().await;
    let group = inserting(&notes.database, locked());
    // What comes while it runs waits for it: of each thing one is in the group.
    let done = run(&group, &["defect", "beside it", "defect", "beside it"]).await;
    assert!(done.iter().all(|done| matches!(done, Err(Error::Panicked { .. })) || done.is_ok()), "{done:?}");
    assert!(matches!(done[0], Err(Error::Panicked { .. })), "{done:?}");
    assert!(run(&group, &["after it"]).await[0].is_ok());
    assert_eq!(names(&notes.database).await.last().map(String::as_str), Some("after it"));
}

/// Of two units about one thing the second sees what the first has left.
#[tokio::test]
async fn units_about_the_same_thing_come_one_after_the_other() {
    let notes = notes().await;
    let done = run(&inserting(&notes.database, Way::Statement), &["a", "a", "b"]).await;
    assert!(done[0].is_ok() && done[2].is_ok(), "{done:?}");
    assert_eq!(done[1].as_ref().unwrap_err().error_type(), "23505");
    assert_eq!(names(&notes.database).await, ["a", "b"], "the first of them with its neighbour");
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_cancel_its_unit_in_a_group() {
    let notes = notes().await;
    let group = inserting(&notes.database, locked());
    let mut leaving = Box::pin(group.run("left".to_owned()));
    assert!(futures_util::poll!(&mut leaving).is_pending());
    drop(leaving);
    // A drain waits for the units of those who left, too.
    notes.database.close().await;
    let late = group.run("late".to_owned()).await;
    assert!(matches!(late, Err(Error::Closed("test"))), "{late:?}");
    let again = Database::open(&notes.server, "test", &waypost_telemetry::Telemetry::disabled(), NOTES)
        .await
        .unwrap();
    assert_eq!(names(&again).await, ["left"]);
}

/// A stranger has the lock of one unit for as long as it likes.
#[tokio::test]
async fn a_stranger_with_a_lock_holds_up_whoever_wants_it_and_nobody_else() {
    let notes = notes_with(|server| server.lock_timeout = Duration::from_mins(1)).await;
    let (inside, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (database, gates) = (notes.database.clone(), (Arc::clone(&inside), Arc::clone(&goes_on)));
    let stranger = waypost_telemetry::spawn(async move {
        let held: Result<(), Error> = database
            .write_locked("hold", " note held".to_owned(), gates, |_, (inside, goes_on)| {
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
    let group = inserting(&notes.database, locked());
    let mut held = Box::pin(group.run("held".to_owned()));
    assert!(futures_util::poll!(&mut held).is_pending());
    // With it, and after it.
    assert!(run(&group, &["with it"]).await[0].is_ok());
    assert!(run(&group, &["after it"]).await[0].is_ok());
    assert!(futures_util::poll!(&mut held).is_pending(), "it waits for the stranger");
    goes_on.notify_one();
    held.await.unwrap();
    stranger.await.unwrap();
    assert_eq!(names(&notes.database).await, ["with it", "after it", "held"]);
}

/// Whoever waits for a lock sees what the one that had it has written, although it is all one statement.
#[tokio::test]
async fn a_group_of_one_message_sees_what_was_written_under_its_locks() {
    let notes = notes_with(|server| server.lock_timeout = Duration::from_mins(1)).await;
    let group = inserting_in_one_message(&notes.database);
    assert!(run(&group, &["c", "a", "b"]).await.iter().all(Result::is_ok));

    let args = (notes.database.clone(), group);
    let stranger: Result<_, Error> = notes
        .database
        .write_locked("hold", lock("held"), args, |unit, (database, group)| {
            Box::pin(async move {
                unit.execute("INSERT INTO notes (name) VALUES ('held')", params![]).await?;
                let group = group.clone();
                let waiting =
                    waypost_telemetry::spawn(async move { run(&group, &["held", "with it"]).await });
                until_somebody_waits(database).await?;
                Ok(waiting)
            })
        })
        .await;
    let done = stranger.unwrap().await.unwrap();
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert_eq!(names(&notes.database).await, ["a", "b", "c", "held", "with it"]);
}

/// Until another session waits for an advisory lock.
async fn until_somebody_waits(database: &Database) -> Result<(), Error> {
    loop {
        let waits = database.read("waits", (), |unit, ()| {
            let sql = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
            Box::pin(unit.query_row(sql, params![], |row| row.get::<bool>(0)))
        });
        if waits.await? {
            return Ok(());
        }
    }
}

/// Notes that are known again: one that is there already is as good as written.
fn keeping(
    database: &Database,
    way: Way<String>,
    together: Together<String, (), Error>,
) -> Group<String, (), Error> {
    database.group(Kind {
        name: |_| Name { operation: "keep-notes", summary: "INSERT notes" },
        subject: String::clone,
        way,
        together,
        alone: |unit, note| {
            Box::pin(async move {
                let keep = "INSERT INTO notes (name) VALUES ($1) ON CONFLICT DO NOTHING";
                unit.execute(keep, params![note]).await.map(drop)
            })
        },
    })
}

/// The schema by way of a proxy.
async fn behind(proxy: &Proxy, notes: &super::Notes) -> Database {
    let mut server = notes.server.clone();
    server.address.port = proxy.address().port();
    Database::open(&server, "test", &waypost_telemetry::Telemetry::disabled(), NOTES).await.unwrap()
}

#[tokio::test]
async fn each_unit_of_a_group_finds_what_it_did_when_the_answer_to_the_commit_is_lost() {
    let notes = notes().await;
    let proxy = Proxy::to(notes.server.address.port).await;
    let database = behind(&proxy, &notes).await;
    let group = keeping(&database, locked(), |unit, notes| Box::pin(together(unit, notes)));
    proxy.break_at_commit();
    let done = run(&group, &["a", "b"]).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    // Each by itself, in either order, and once.
    assert_eq!(names(&database).await.len(), 2);
    // The one that runs by itself loses its answer as well.
    proxy.break_at_commit();
    assert!(run(&group, &["?c"]).await[0].is_ok());
    assert!(run(&group, &["d"]).await[0].is_ok());
    let mut names = names(&database).await;
    names.sort();
    assert_eq!(names, ["?c", "a", "b", "d"]);
}

#[tokio::test]
async fn each_unit_finds_what_its_group_did_in_one_message_when_the_answer_is_lost() {
    let notes = notes().await;
    let proxy = Proxy::to(notes.server.address.port).await;
    let database = behind(&proxy, &notes).await;
    let group = inserting_in_one_message(&database);
    assert!(run(&group, &["a"]).await[0].is_ok());
    proxy.break_at_statement();
    let done = run(&group, &["b", "c"]).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert!(proxy.has_broken(), "the answer came");
    assert_eq!(names(&database).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_unit_whose_group_may_be_committed_is_not_told_that_nothing_is_written() {
    let notes = notes().await;
    let proxy = Proxy::to(notes.server.address.port).await;
    let database = behind(&proxy, &notes).await;
    for (way, [first, one, other]) in [(locked(), ["a", "b", "c"]), (Way::Transaction, ["d", "e", "f"])] {
        let group = keeping(&database, way, |unit, notes| Box::pin(together(unit, notes)));
        proxy.lead_to(notes.server.address.port);
        assert!(run(&group, &[first]).await[0].is_ok());
        proxy.break_at_commit();
        // The connection that there is goes on to its commit, and there is no other.
        proxy.lead_to(1);
        for open in run(&group, &[one, other]).await {
            assert!(matches!(open, Err(Error::OutcomeUnknown(_))), "{open:?}");
        }
    }
}

/// How often the group of the next test has run, which has no other place for it.
static RUNS: AtomicU32 = AtomicU32::new(0);

#[tokio::test]
async fn a_group_whose_connection_breaks_before_its_commit_runs_again_with_all_its_units() {
    let notes = notes().await;
    for (way, runs, [one, other]) in
        [(locked(), 2, ["a", "b"]), (Way::Transaction, 2, ["c", "d"]), (Way::Statement, 2, ["e", "f"])]
    {
        RUNS.store(0, Ordering::SeqCst);
        let group = keeping(&notes.database, way, |unit, notes| {
            Box::pin(async move {
                if RUNS.fetch_add(1, Ordering::SeqCst) == 0 {
                    // The server ends the connection that asks.
                    unit.execute("SELECT pg_terminate_backend(pg_backend_pid())", params![]).await?;
                }
                together(unit, notes).await
            })
        });
        let done = run(&group, &[one, other]).await;
        assert!(done.iter().all(Result::is_ok), "{done:?}");
        // A statement that commits by itself may have done it: then its units are no plain cases.
        assert_eq!(RUNS.load(Ordering::SeqCst), runs);
    }
    let mut names = names(&notes.database).await;
    names.sort();
    assert_eq!(names, ["a", "b", "c", "d", "e", "f"]);
}

#[tokio::test]
async fn units_go_on_when_connections_are_cut_while_they_are_made() {
    let notes = notes().await;
    let proxy = Proxy::to(notes.server.address.port).await;
    let database = behind(&proxy, &notes).await;
    let group = keeping(&database, locked(), |unit, notes| Box::pin(together(unit, notes)));
    assert!(run(&group, &["a"]).await[0].is_ok());
    proxy.end_next(3);
    proxy.cut();
    let done = run(&group, &["b", "c"]).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    proxy.end_next(3);
    proxy.cut();
    insert(&database, "d").await.unwrap();
    assert_eq!(names(&database).await, ["a", "b", "c", "d"]);
}
