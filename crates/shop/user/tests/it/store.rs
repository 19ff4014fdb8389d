//! The contract of a store.

mod plans;

use waypost_durable::Files;
use waypost_durable::postgres::testing;
use waypost_telemetry::Telemetry;
use waypost_test_servers::postgres;
use waypost_user::domain::{NewUser, User};
use waypost_user::store::{PostgresStore, SqliteStore, Store};

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

#[test]
fn a_password_hash_is_never_printed() {
    assert!(!format!("{:?}", ada("Ada")).contains("argon2"));
}
