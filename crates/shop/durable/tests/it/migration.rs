//! Migrations: applied once, in order, and refused when they do not fit.

use std::path::Path;

use waypost_durable::migration::Plan;
use waypost_durable::{
    Database, DatabaseOptions, Error, Location, Migration, MigrationProblem, Migrator as _, Sharing,
    SqliteMigrator,
};
use waypost_telemetry::Telemetry;

const FIRST: Migration =
    Migration::new("0001_first", "CREATE TABLE first (a INTEGER); INSERT INTO first VALUES (1);");
const SECOND: Migration =
    Migration::new("0002_second", "ALTER TABLE first ADD COLUMN b TEXT; CREATE TABLE second (a);");

fn open(path: &Path, migrations: &[Migration]) -> Result<Database, Error> {
    let location = Location::File(path.to_path_buf());
    Database::open(DatabaseOptions::new(location, "test", &Telemetry::disabled()), migrations)
}

fn migrator(path: &Path, migrations: &'static [Migration]) -> SqliteMigrator {
    SqliteMigrator::new(Location::File(path.to_path_buf()), "test", Sharing::Exclusive, migrations)
}

async fn plan(path: &Path, migrations: &'static [Migration]) -> Result<Plan, Error> {
    migrator(path, migrations).plan().await
}

async fn open_and_close(path: &Path, migrations: &[Migration]) {
    open(path, migrations).unwrap().close().await;
}

fn problem(result: Result<Database, Error>) -> (String, MigrationProblem) {
    match result {
        Err(Error::Migration { id, problem, .. }) => (id, problem),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_migration_is_applied_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    open_and_close(&path, &[FIRST]).await;
    open_and_close(&path, &[FIRST, SECOND]).await;
    let database = open(&path, &[FIRST, SECOND]).unwrap();
    let rows: Result<i64, Error> = database
        .read("count", |unit| {
            unit.query_row("SELECT count(*) FROM first WHERE b IS NULL", (), |row| row.get(0))
        })
        .await;
    assert_eq!(rows.unwrap(), 1);
}

#[tokio::test]
async fn a_plan_tells_what_is_pending_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let none: Vec<String> = Vec::new();
    assert_eq!(plan(&path, &[FIRST]).await.unwrap(), Plan { applied: none, pending: vec!["0001_first"] });
    assert!(!path.exists());

    open_and_close(&path, &[FIRST]).await;
    let expected = Plan { applied: vec!["0001_first".to_owned()], pending: vec!["0002_second"] };
    assert_eq!(plan(&path, &[FIRST, SECOND]).await.unwrap(), expected);
    assert_eq!(plan(&path, &[FIRST, SECOND]).await.unwrap(), expected);
}

#[tokio::test]
async fn applying_tells_what_it_did_and_does_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let migrator = migrator(&folder.path().join("a.db"), &[FIRST, SECOND]);
    assert_eq!(migrator.apply().await.unwrap(), ["0001_first", "0002_second"]);
    assert!(migrator.apply().await.unwrap().is_empty());
    assert!(migrator.plan().await.unwrap().pending.is_empty());
}

#[tokio::test]
async fn a_database_that_is_in_use_is_not_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let running = open(&path, &[FIRST]).unwrap();
    assert!(matches!(migrator(&path, &[FIRST, SECOND]).apply().await, Err(Error::InUse { .. })));
    running.close().await;
    assert_eq!(migrator(&path, &[FIRST, SECOND]).apply().await.unwrap(), ["0002_second"]);
}

const CHANGED: Migration = Migration::new(FIRST.id, "CREATE TABLE first (a TEXT)");

#[tokio::test]
async fn a_migration_that_changed_after_it_was_applied_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    open_and_close(&path, &[FIRST]).await;
    assert_eq!(
        problem(open(&path, &[CHANGED, SECOND])),
        ("0001_first".to_owned(), MigrationProblem::Changed)
    );
    assert!(matches!(
        plan(&path, &[CHANGED]).await,
        Err(Error::Migration { problem: MigrationProblem::Changed, .. })
    ));
}

#[tokio::test]
async fn data_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    open_and_close(&path, &[FIRST, SECOND]).await;
    assert_eq!(problem(open(&path, &[FIRST])), ("0002_second".to_owned(), MigrationProblem::Unknown));
}

#[tokio::test]
async fn a_list_that_is_out_of_order_or_has_an_id_twice_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    open_and_close(&path, &[SECOND_ALONE]).await;
    assert_eq!(
        problem(open(&path, &[FIRST, SECOND_ALONE])),
        ("0001_first".to_owned(), MigrationProblem::OutOfOrder)
    );
    assert_eq!(problem(open(&path, &[FIRST, FIRST])), ("0001_first".to_owned(), MigrationProblem::Duplicate));
}

const SECOND_ALONE: Migration = Migration::new("0002_alone", "CREATE TABLE second (a)");

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let broken = Migration::new("0002_broken", "CREATE TABLE half (a); CREATE TABLE first (a);");
    assert_eq!(problem(open(&path, &[FIRST, broken])), ("0002_broken".to_owned(), MigrationProblem::Failed));
    assert_eq!(plan(&path, &[FIRST, SECOND]).await.unwrap().applied, ["0001_first"]);
    let database = open(&path, &[FIRST, SECOND]).unwrap();
    let tables: Result<i64, Error> = database
        .read("tables", |unit| {
            unit.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'half'", (), |row| row.get(0))
        })
        .await;
    assert_eq!(tables.unwrap(), 0);
}
