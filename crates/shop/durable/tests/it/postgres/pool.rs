//! Connections that units take turns with.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Barrier, Notify};
use waypost_durable::postgres::{Database, Password, params, testing};
use waypost_durable::{Error, Migration};
use waypost_telemetry::metrics::{render_prometheus, sample};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{ErrorType as _, Telemetry};
use waypost_test_servers::postgres::{Database as Own, Session};

use super::{NOTES, insert, names, notes, notes_with};

/// Takes as many connections at once.
async fn rush(database: &Database, units: usize) {
    let all_there = Arc::new(Barrier::new(units));
    let holders = (0..units).map(|_| {
        let (database, all_there) = (database.clone(), Arc::clone(&all_there));
        waypost_telemetry::spawn(async move {
            let held: Result<(), Error> = database
                .write("hold", all_there, |unit, all_there| {
                    Box::pin(async move {
                        unit.execute("SELECT 1", params![]).await?;
                        all_there.wait().await;
                        Ok(())
                    })
                })
                .await;
            held.unwrap();
        })
    });
    for holder in holders.collect::<Vec<_>>() {
        holder.await.unwrap();
    }
}

const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'waypost test'
     AND datname = current_database()";

#[tokio::test]
async fn connections_that_nobody_needs_are_closed() {
    let notes = notes_with(|server| server.idle_timeout = Duration::ZERO).await;
    let mut watch = Session::connect(&notes.own.url()).await;
    rush(&notes.database, 5).await;
    let mut rounds = 0;
    while watch.number(SESSIONS).await > 1 {
        names(&notes.database).await;
        rounds += 1;
        assert!(rounds < 1000, "they stay");
    }
    let notes = super::notes().await;
    let mut watch = Session::connect(&notes.own.url()).await;
    rush(&notes.database, 5).await;
    names(&notes.database).await;
    assert_eq!(watch.number(SESSIONS).await, 5, "they are kept for a while");
}

/// The server lets this user have one connection, the pool may have ten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_waits_for_another_of_its_pool_when_the_server_has_no_connection_left() {
    let notes = notes().await;
    let role = format!("{}_role", notes.own.name());
    let make = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'open'; GRANT CREATE ON DATABASE {} TO {role}",
        notes.own.name()
    );
    testing::execute(&notes.server, "other", make);
    let mut server = notes.server.clone();
    server.address.user.clone_from(&role);
    server.address.password = Some(Password::new("open"));
    server.schema_prefix = "other_".to_owned();
    let database = Database::open(&server, "test", &Telemetry::disabled(), NOTES).await.unwrap();
    testing::execute(&notes.server, "other", format!("ALTER ROLE {role} CONNECTION LIMIT 1"));

    let (inside, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (held, gates) = (database.clone(), (Arc::clone(&inside), Arc::clone(&goes_on)));
    let holder = waypost_telemetry::spawn(async move {
        let held: Result<(), Error> = held
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
    let second = insert(&database, "one");
    tokio::pin!(second);
    // It was refused a connection by now, and waits.
    let early = tokio::time::timeout(Duration::from_millis(200), &mut second).await;
    assert!(early.is_err(), "{early:?}");
    goes_on.notify_one();
    holder.await.unwrap();
    second.await.unwrap();
    assert_eq!(names(&database).await, ["one"]);
    database.close().await;
    let drop = format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}");
    testing::execute(&notes.server, "other", drop);
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_not_well() {
    let notes = notes().await;
    notes.database.ping().await.unwrap();
    let (name, mut session) = (notes.own.name(), Session::connect(&notes.own.url()).await);
    testing::execute(
        &notes.server,
        "other",
        format!("ALTER DATABASE {name} SET default_transaction_read_only = on"),
    );
    session
        .execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    let error = notes.database.ping().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert_eq!(error.error_type(), "25006");
}

#[tokio::test]
async fn a_pool_tells_of_its_connections_in_numbers() {
    const NONE: &[Migration] = &[];
    let (own, telemetry) = (Own::create(), TestTelemetry::new("test-service"));
    let mut server = testing::server(&own.url());
    server.max_connections = 2;
    server.acquire_timeout = Duration::from_millis(50);
    let database = Database::open(&server, "test", telemetry.handle(), NONE).await.unwrap();
    let page = || render_prometheus(&[telemetry.handle().clone()]);
    let number = |page: &str, name: &str, more: &[(&str, &str)]| {
        let labels = [&[("db_client_connection_pool_name", "test")], more].concat();
        sample(page, name, &labels)
    };
    let count = |page: &str, state: &str| {
        number(page, "db_client_connection_count", &[("db_client_connection_state", state)])
    };
    rush(&database, 2).await;
    let before = page();
    assert_eq!((count(&before, "idle"), count(&before, "used")), (Some(2.0), Some(0.0)), "{before}");
    assert_eq!(number(&before, "db_client_connection_max", &[]), Some(2.0));
    assert_eq!(number(&before, "db_client_connection_pending_requests", &[]), Some(0.0));
    for times in ["create_time", "wait_time", "use_time"] {
        let name = format!("db_client_connection_{times}_seconds_count");
        assert_eq!(number(&before, &name, &[]), Some(2.0), "{name}: {before}");
    }

    let inside = Arc::new(Barrier::new(3));
    let goes_on = Arc::new(Notify::new());
    let holders = [(); 2].map(|()| {
        let (database, gates) = (database.clone(), (Arc::clone(&inside), Arc::clone(&goes_on)));
        waypost_telemetry::spawn(async move {
            let held: Result<(), Error> = database
                .write("hold", gates, |_, (inside, goes_on)| {
                    Box::pin(async move {
                        let told = goes_on.notified();
                        inside.wait().await;
                        told.await;
                        Ok(())
                    })
                })
                .await;
            held.unwrap();
        })
    });
    inside.wait().await;
    assert_eq!((count(&page(), "idle"), count(&page(), "used")), (Some(0.0), Some(2.0)));
    let refused = database.ping().await.unwrap_err();
    assert_eq!(refused.error_type(), "pool_timeout");
    assert_eq!(number(&page(), "db_client_connection_timeouts_total", &[]), Some(1.0), "{}", page());
    goes_on.notify_waiters();
    for holder in holders {
        holder.await.unwrap();
    }
    database.close().await;
}
