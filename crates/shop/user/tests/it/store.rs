//! The contract of a store.

mod plans;

use std::time::Duration;

use waypost_durable::postgres::testing;
use waypost_durable::{Files, SharedFile};
use waypost_telemetry::Telemetry;
use waypost_test_servers::postgres;
use waypost_user::domain::{NewUser, User};
use waypost_user::store::{Change, PostgresStore, SqliteStore, Store};

macro_rules! on_each_store {
    ($($test:ident)*) => {
        mod on_sqlite {
            use super::*;
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(&SqliteStore::open(&Files::Ephemeral, &Telemetry::disabled()).unwrap()).await;
                }
            )*
        }

        mod in_a_shared_file {
            use super::*;
            $(
                #[tokio::test]
                async fn $test() {
                    let files = Files::Shared(SharedFile::ephemeral());
                    super::$test(&SqliteStore::open(&files, &Telemetry::disabled()).unwrap()).await;
                }
            )*
        }

        mod on_postgres {
            use super::*;
            $(
                #[tokio::test]
                async fn $test() {
                    let database = postgres::Database::create();
                    let server = testing::server(&database.url());
                    super::$test(&PostgresStore::open(&server, &Telemetry::disabled()).await.unwrap()).await;
                }
            )*
        }
    };
}

on_each_store! {
    a_user_is_read_as_it_was_added_and_not_changed_by_a_second_seeding
}

fn ada(name: &str) -> NewUser {
    let user = User {
        id: "ada".parse().unwrap(),
        name: name.to_owned(),
        email: "ada@example.com".into(),
        is_admin: true,
        is_active: false,
        payment_method: "pm_card_ok".into(),
        tenant: "demo".parse().unwrap(),
    };
    NewUser { user, password_hash: "$argon2id$secret".into() }
}

async fn a_user_is_read_as_it_was_added_and_not_changed_by_a_second_seeding(store: &dyn Store) {
    store.ping().await.unwrap();
    store.add_users(vec![ada("Ada")]).await.unwrap();
    store.add_users(vec![ada("Somebody else")]).await.unwrap();
    let id = || "ada".parse().unwrap();
    assert_eq!(store.user(id()).await.unwrap(), Some(ada("Ada").user));
    let account = store.account(id()).await.unwrap().unwrap();
    assert_eq!((account.user, account.password_hash.as_str()), (ada("Ada").user, "$argon2id$secret"));
    assert!(store.user("nobody".parse().unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn everybody_hears_of_a_user_who_is_changed_when_that_is_committed() {
    let database = postgres::Database::create();
    let server = testing::server(&database.url());
    let open = async || PostgresStore::open(&server, &Telemetry::disabled()).await.unwrap();
    let (one, other) = (open().await, open().await);
    let mut all = [one.changes().unwrap(), other.changes().unwrap()];
    let mut heard = async || {
        let mut heard = Vec::new();
        for changes in &mut all {
            heard.push(tokio::time::timeout(Duration::from_secs(30), changes.next()).await.unwrap().unwrap());
        }
        assert_eq!(heard[0], heard[1]);
        heard.remove(0)
    };
    assert_eq!(heard().await, Change::Any, "what was before is not known");
    one.add_users(vec![ada("Ada")]).await.unwrap();
    let mut stranger = postgres::Session::connect(&database.url()).await;
    // Nothing is said of what is not committed, and of a new user there is no copy.
    stranger.execute("BEGIN; UPDATE waypost_user.users SET name = 'Nobody'; ROLLBACK").await;
    stranger.execute("UPDATE waypost_user.users SET is_active = true WHERE user_id = 'ada'").await;
    assert_eq!(heard().await, Change::Of("ada".parse().unwrap()));
    stranger.execute("DELETE FROM waypost_user.users").await;
    assert_eq!(heard().await, Change::Of("ada".parse().unwrap()));
    stranger.execute("TRUNCATE waypost_user.users").await;
    assert_eq!(heard().await, Change::Any);

    // What is said while nobody is connected is missed, and that is known.
    stranger
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    assert_eq!(heard().await, Change::Any);
    one.close().await;
    other.close().await;
}

#[test]
fn a_password_hash_is_never_printed() {
    assert!(!format!("{:?}", ada("Ada")).contains("argon2"));
}
