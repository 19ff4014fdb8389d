//! Databases of several roles in one file: commits are shared, and nothing else.

use std::sync::mpsc;

use futures_util::future::{join_all, try_join_all};
use waypost_durable::clock::ManualClock;
use waypost_durable::{
    Database, DatabaseOptions, Error, Files, Location, Migration, MigrationProblem, SharedFile,
};
use waypost_telemetry::Telemetry;

use super::{NOTES, insert, names};

/// A table of another name with a name on the way that other stores have used too.
const LETTERS: &[Migration] = &[
    Migration::new("0001_letters", "CREATE TABLE passing (name TEXT NOT NULL UNIQUE)"),
    Migration::new("0002_own_names", "ALTER TABLE passing RENAME TO letters"),
];
const PARCELS: &[Migration] = &[
    Migration::new("0001_parcels", "CREATE TABLE passing (name TEXT NOT NULL UNIQUE)"),
    Migration::new("0002_own_names", "ALTER TABLE passing RENAME TO parcels"),
];

const NOTES_ALONE: &[Migration] = &[NOTES];

fn open(file: &SharedFile, name: &'static str, migrations: &[Migration]) -> Result<Database, Error> {
    let location = Location::Within(file.clone());
    Database::open(DatabaseOptions::new(location, name, &Telemetry::disabled()), migrations)
}

async fn count(database: &Database, select: &'static str) -> Result<i64, Error> {
    database.read("count", move |unit| unit.query_row(select, (), |row| row.get(0))).await
}

/// Holds the writer inside a unit of this database until the sender is dropped.
async fn hold_writer(database: &Database) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), Error>>) {
    let (release, released) = mpsc::channel::<()>();
    let (entered, is_inside) = tokio::sync::oneshot::channel();
    let database = database.clone();
    let task = waypost_telemetry::spawn(async move {
        let hold = database.write("hold", move |_| {
            let _ = entered.send(());
            let _ = released.recv();
            Ok(())
        });
        hold.await
    });
    is_inside.await.unwrap();
    (release, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_of_two_databases_of_a_file_share_one_commit() {
    let file = SharedFile::ephemeral();
    let (notes, letters) =
        (open(&file, "notes", &[NOTES]).unwrap(), open(&file, "letters", LETTERS).unwrap());
    assert_eq!(notes.path(), letters.path());
    let (release, held) = hold_writer(&notes).await;
    let before = notes.counters();
    let mine = insert(&notes, "mine");
    let refused = async {
        let twice = letters.write("insert-twice", |unit| {
            unit.execute("INSERT INTO letters VALUES ('once')", ())?;
            unit.execute("INSERT INTO letters VALUES ('once')", ())
        });
        twice.await
    };
    let theirs = letters.write("insert", |unit| unit.execute("INSERT INTO letters VALUES ('theirs')", ()));
    let wait = async {
        // All three are in the queue when the others of this join have been polled.
        tokio::task::yield_now().await;
        drop(release);
    };
    let (mine, refused, theirs, ()) = tokio::join!(mine, refused, theirs, wait);
    held.await.unwrap().unwrap();
    mine.unwrap();
    theirs.map_err(|error: Error| error).unwrap();
    assert!(matches!(refused, Err(Error::Constraint { .. })), "{refused:?}");
    let after = letters.counters();
    assert_eq!((after.commits - before.commits, after.units - before.units), (2, 4));
    assert_eq!(names(&notes).await, ["mine"]);
    assert_eq!(count(&letters, "SELECT count(*) FROM letters WHERE name = 'theirs'").await.unwrap(), 1);
}

#[tokio::test]
async fn a_database_that_closes_leaves_the_others_at_work_and_the_last_one_closes_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let Files::Shared(file) = Files::shared_in(folder.path()) else { panic!("not shared") };
    let (notes, letters) =
        (open(&file, "notes", &[NOTES]).unwrap(), open(&file, "letters", LETTERS).unwrap());
    let waiting = join_all((0..50).map(|number| insert(&notes, number.to_string())));
    let (inserted, ()) = tokio::join!(waiting, notes.close());
    let done = inserted.iter().filter(|result| result.is_ok()).count();
    assert!(inserted.iter().all(|result| matches!(result, Ok(()) | Err(Error::Closed("notes")))));
    assert!(matches!(insert(&notes, "late").await, Err(Error::Closed("notes"))));
    notes.close().await;

    let written = letters.write("insert", |unit| unit.execute("INSERT INTO letters VALUES ('still')", ()));
    assert_eq!(written.await.map_err(|error: Error| error).unwrap(), 1);
    // It is open all the time, so nobody else can have it.
    let other = SharedFile::at(folder.path().join("waypost.db"));
    assert!(matches!(open(&other, "notes", &[NOTES]), Err(Error::InUse { .. })));
    letters.close().await;
    assert!(!folder.path().join("waypost.db-wal").exists(), "the log was not moved into the file");

    let notes = open(&other, "notes", &[NOTES]).unwrap();
    assert_eq!(names(&notes).await.len(), done);
    notes.close().await;
}

#[tokio::test]
async fn one_that_comes_back_is_in_the_same_file_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = SharedFile::at(folder.path().join("waypost.db"));
    let letters = open(&file, "letters", LETTERS).unwrap();
    let notes = open(&file, "notes", &[NOTES]).unwrap();
    insert(&notes, "one").await.unwrap();
    notes.close().await;
    drop(notes);
    let notes = open(&file, "notes", &[NOTES]).unwrap();
    assert_eq!(names(&notes).await, ["one"]);
    letters.close().await;
    insert(&notes, "two").await.unwrap();
    notes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_that_open_at_once_each_have_their_own_schema() {
    let file = SharedFile::ephemeral();
    let opening = [("letters", LETTERS), ("parcels", PARCELS), ("notes", NOTES_ALONE)];
    let open = opening.map(|(name, migrations)| {
        let file = file.clone();
        tokio::task::spawn_blocking(move || open(&file, name, migrations))
    });
    let open: Vec<Database> =
        try_join_all(open).await.unwrap().into_iter().collect::<Result<_, Error>>().unwrap();
    let [letters, parcels, notes] = &open[..] else { panic!("not three") };
    for (database, own) in [
        (letters, "SELECT count(*) FROM schema_migrations_letters"),
        (parcels, "SELECT count(*) FROM schema_migrations_parcels"),
    ] {
        assert_eq!(count(database, own).await.unwrap(), 2);
    }
    assert_eq!(count(notes, "SELECT count(*) FROM letters, parcels, notes").await.unwrap(), 0);
}

#[tokio::test]
async fn a_table_that_another_store_has_is_refused_and_nothing_of_it_is_left() {
    let file = SharedFile::ephemeral();
    let notes = open(&file, "notes", &[NOTES]).unwrap();
    insert(&notes, "kept").await.unwrap();
    let same = [
        Migration::new("0001_first", "CREATE TABLE of_its_own (a INTEGER)"),
        Migration::new("0002_notes", NOTES.sql),
    ];
    match open(&file, "other", &same) {
        Err(Error::Migration { id, problem: MigrationProblem::Failed, .. }) => assert_eq!(id, "0002_notes"),
        other => panic!("{other:?}"),
    }
    let left = "SELECT count(*) FROM sqlite_schema WHERE name IN ('of_its_own', 'schema_migrations_other')";
    assert_eq!(count(&notes, left).await.unwrap(), 0);
    assert_eq!(names(&notes).await, ["kept"]);
}

#[tokio::test]
async fn each_database_of_a_file_has_its_own_clock() {
    let file = SharedFile::ephemeral();
    let moment = std::time::UNIX_EPOCH + std::time::Duration::from_hours(1);
    let clock = ManualClock::at(moment);
    let options = DatabaseOptions {
        clock: clock.clock(),
        ..DatabaseOptions::new(Location::Within(file.clone()), "letters", &Telemetry::disabled())
    };
    let letters = Database::open(options, LETTERS).unwrap();
    let notes = open(&file, "notes", &[NOTES]).unwrap();
    let now = |database: Database| async move {
        database.write("now", |unit| Ok::<_, Error>(unit.now())).await.unwrap()
    };
    assert_eq!(now(letters).await, moment);
    assert_ne!(now(notes).await, moment);
}
