//! Migrations: applied once, in order, by one process at a time, and refused when they do not fit.

use waypost_durable::postgres::testing;
use waypost_durable::postgres::{Database, PostgresMigrator, Server, params};
use waypost_durable::{Error, Migration, MigrationProblem, Migrator as _};
use waypost_telemetry::Telemetry;
use waypost_test_servers::postgres::Database as Own;

const FIRST: &[Migration] =
    &[Migration::new("0001_first", "CREATE TABLE first (a bigint); INSERT INTO first VALUES (1);")];
const BOTH: &[Migration] = &[
    FIRST[0],
    Migration::new("0002_second", "ALTER TABLE first ADD COLUMN b text; CREATE TABLE second (a text);"),
];
const CHANGED: &[Migration] = &[Migration::new("0001_first", "CREATE TABLE first (a text)")];
const FAILING: &[Migration] =
    &[FIRST[0], Migration::new("0002_failing", "CREATE TABLE third (a text); SELECT nothing FROM nowhere")];

fn own() -> (Own, Server) {
    let own = Own::create();
    let server = testing::server(&own.url());
    (own, server)
}

async fn open(server: &Server, migrations: &'static [Migration]) -> Result<Database, Error> {
    Database::open(server, "test", &Telemetry::disabled(), migrations).await
}

fn problem(result: Result<Database, Error>) -> (String, MigrationProblem) {
    match result {
        Err(Error::Migration { id, problem, .. }) => (id, problem),
        other => panic!("{other:?}"),
    }
}

async fn rows(database: &Database) -> i64 {
    let rows: Result<i64, Error> = database
        .read("count", (), |unit, ()| {
            Box::pin(unit.query_row("SELECT count(*) FROM first", params![], |row| row.get(0)))
        })
        .await;
    rows.unwrap()
}

#[tokio::test]
async fn each_migration_is_applied_once() {
    let (_own, server) = own();
    open(&server, FIRST).await.unwrap().close().await;
    open(&server, BOTH).await.unwrap().close().await;
    assert_eq!(rows(&open(&server, BOTH).await.unwrap()).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_processes_that_start_at_once_one_applies_each_step() {
    let (_own, server) = own();
    let starts = (0..8).map(|_| {
        let server = server.clone();
        waypost_telemetry::spawn(async move { open(&server, BOTH).await.unwrap() })
    });
    let opened = futures_util::future::try_join_all(starts).await.unwrap();
    assert_eq!(rows(&opened[0]).await, 1);
}

#[tokio::test]
async fn a_plan_tells_what_is_pending_and_changes_nothing() {
    let (_own, server) = own();
    let migrator = PostgresMigrator::new(&server, "test", BOTH);
    assert_eq!(migrator.plan().await.unwrap().pending, ["0001_first", "0002_second"]);
    assert_eq!(migrator.plan().await.unwrap().pending.len(), 2, "nothing was made");
    open(&server, FIRST).await.unwrap().close().await;
    let plan = migrator.plan().await.unwrap();
    assert_eq!((plan.applied, plan.pending), (vec!["0001_first".to_owned()], vec!["0002_second"]));
    assert_eq!(migrator.apply().await.unwrap(), ["0002_second"]);
    assert!(migrator.plan().await.unwrap().pending.is_empty());
    assert!(migrator.target().starts_with("schema waypost_test of 127.0.0.1:"), "{}", migrator.target());
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let (_own, server) = own();
    open(&server, BOTH).await.unwrap().close().await;
    assert_eq!(problem(open(&server, CHANGED).await), ("0002_second".to_owned(), MigrationProblem::Unknown));
    assert_eq!(problem(open(&server, FIRST).await), ("0002_second".to_owned(), MigrationProblem::Unknown));
    let (_own, server) = own();
    open(&server, FIRST).await.unwrap().close().await;
    assert_eq!(problem(open(&server, CHANGED).await), ("0001_first".to_owned(), MigrationProblem::Changed));
}

#[tokio::test]
async fn a_step_that_fails_leaves_nothing_of_itself() {
    let (_own, server) = own();
    assert_eq!(problem(open(&server, FAILING).await), ("0002_failing".to_owned(), MigrationProblem::Failed));
    let database = open(&server, BOTH).await.unwrap();
    let third: Result<bool, Error> = database
        .read("third", (), |unit, ()| {
            Box::pin(unit.query_row("SELECT to_regclass('third') IS NULL", params![], |row| row.get(0)))
        })
        .await;
    assert!(third.unwrap());
}

#[tokio::test]
async fn services_of_one_server_do_not_see_each_others_tables() {
    let (_own, server) = own();
    open(&server, FIRST).await.unwrap();
    let other = Database::open(&server, "other", &Telemetry::disabled(), &[]).await.unwrap();
    let seen: Result<i64, Error> = other
        .read("first", (), |unit, ()| {
            Box::pin(unit.query_row("SELECT count(*) FROM first", params![], |row| row.get(0)))
        })
        .await;
    assert!(matches!(seen, Err(Error::Statement(_))), "{seen:?}");
}
