//! What a broken connection means, and what a start says that cannot go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use waypost_durable::postgres::testing;
use waypost_durable::postgres::{Database, Password, Server, params};
use waypost_durable::{Error, settle};
use waypost_telemetry::Telemetry;
use waypost_test_servers::proxy::Proxy;

use super::{NOTES, insert, names, notes};

#[tokio::test]
async fn a_connection_that_breaks_at_the_commit_leaves_the_outcome_open_and_settle_finds_it() {
    let notes = notes().await;
    let proxy = Proxy::to(notes.server.address.port).await;
    let mut server = notes.server.clone();
    server.address.port = proxy.address().port();
    let database = Database::open(&server, "test", &Telemetry::disabled(), NOTES).await.unwrap();

    proxy.break_at_commit();
    let open = insert(&database, "one").await.unwrap_err();
    assert!(matches!(open, Error::OutcomeUnknown(_)), "{open:?}");
    assert_eq!(names(&database).await, ["one"], "it is kept, and was not made again");

    proxy.break_at_commit();
    let runs = AtomicU32::new(0);
    let unit = || {
        runs.fetch_add(1, Ordering::Relaxed);
        insert(&database, "two")
    };
    let look = async || Ok(names(&database).await.contains(&"two".to_owned()).then_some(()));
    settle(unit, look).await.unwrap();
    assert_eq!((runs.load(Ordering::Relaxed), names(&database).await.len()), (1, 2));
}

#[tokio::test]
async fn a_unit_whose_connection_is_ended_before_its_commit_runs_again_and_has_one_effect() {
    let notes = notes().await;
    let runs = Arc::new(AtomicU32::new(0));
    let url = notes.own.url();
    let done: Result<(), Error> = notes
        .database
        .write("ended", (Arc::clone(&runs), url), |unit, (runs, url)| {
            Box::pin(async move {
                unit.execute("INSERT INTO notes (name) VALUES ('one')", params![]).await?;
                let pid: i32 = unit.query_row("SELECT pg_backend_pid()", params![], |row| row.get(0)).await?;
                if runs.fetch_add(1, Ordering::Relaxed) == 0 {
                    testing::execute(
                        &testing::server(url),
                        "other",
                        format!("SELECT pg_terminate_backend({pid}, 10000)"),
                    );
                }
                unit.execute("INSERT INTO notes (name) VALUES ('two')", params![]).await.map(drop)
            })
        })
        .await;
    done.unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    assert_eq!(names(&notes.database).await, ["one", "two"]);
}

#[tokio::test]
async fn connections_that_were_ended_while_they_lay_idle_are_noticed() {
    let notes = notes().await;
    insert(&notes.database, "one").await.unwrap();
    let ends = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
    testing::execute(&notes.server, "other", ends.to_owned());
    insert(&notes.database, "two").await.unwrap();
    assert_eq!(names(&notes.database).await, ["one", "two"]);
}

async fn refused(server: &Server) -> (String, String) {
    let error = Database::open(server, "test", &Telemetry::disabled(), NOTES).await.unwrap_err();
    assert!(matches!(error, Error::Server { .. }), "{error:?}");
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    (error.to_string(), source)
}

#[tokio::test]
async fn a_start_says_what_is_wrong_with_the_server_and_what_to_do() {
    let notes = notes().await;
    let mut nobody = notes.server.clone();
    nobody.address.port = 1;
    let (text, _) = refused(&nobody).await;
    assert!(text.contains("127.0.0.1:1/") && text.contains("database.port"), "{text}");

    let mut missing = notes.server.clone();
    missing.address.database = "nowhere".to_owned();
    let (text, _) = refused(&missing).await;
    assert!(text.contains("no such database") && text.contains("database.name"), "{text}");

    let mut stranger = notes.server.clone();
    stranger.address.user = "stranger".to_owned();
    stranger.address.password = Some(Password::new("hunter2"));
    let (text, _) = refused(&stranger).await;
    assert!(text.contains("database.user") && !text.contains("hunter2"), "{text}");

    let mut silent = notes.server.clone();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    silent.address.port = listener.local_addr().unwrap().port();
    silent.connect_timeout = Duration::from_millis(100);
    let (text, _) = refused(&silent).await;
    assert!(text.contains("cannot be reached"), "{text}");
}

#[tokio::test]
async fn a_user_who_may_not_make_a_schema_is_told_so() {
    let notes = notes().await;
    let role = format!("{}_role", notes.own.name());
    testing::execute(&notes.server, "other", format!("CREATE ROLE {role} LOGIN PASSWORD 'open'"));
    let mut server = notes.server.clone();
    server.address.user = role.clone();
    server.address.password = Some(Password::new("open"));
    server.schema_prefix = "other_".to_owned();
    let (text, _) = refused(&server).await;
    assert!(text.contains("create a schema"), "{text}");
    testing::execute(&notes.server, "other", format!("DROP ROLE {role}"));
}
