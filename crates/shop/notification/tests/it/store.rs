//! The contract of a store.

mod plans;

use std::sync::Arc;

use waypost_api::{
    Charge,
    events::{OrderEvent, OrderEventKind},
};
use waypost_durable::{Clock, Files, SharedFile, postgres::testing};
use waypost_notification::domain::Channel;
use waypost_notification::logic::Notifier;
use waypost_notification::store::{PostgresStore, SqliteStore, Store};
use waypost_notification::{Config, Notifications};
use waypost_telemetry::Telemetry;

use crate::event;

macro_rules! on_each_store {
    ($($test:ident)*) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() { super::$test(super::sqlite()).await; }
            )*
        }

        mod in_a_shared_file {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() { super::$test(super::sqlite_in_a_shared_file()).await; }
            )*
        }

        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    let database = waypost_test_servers::postgres::Database::create();
                    super::$test(super::postgres(&database.url()).await).await;
                }
            )*
        }
    };
}

on_each_store! {
    an_event_that_is_delivered_again_has_no_second_effect
    an_event_that_many_have_at_once_has_one_effect
    an_order_has_one_message_of_a_kind_and_channel_even_from_two_events
    two_groups_each_get_every_event_but_the_user_is_told_once
    a_message_says_what_happened_and_to_which_order
    an_event_that_was_forgotten_long_ago_still_tells_nobody_twice
    messages_that_were_sent_are_deleted_by_their_age
}

async fn postgres(url: &str) -> Arc<dyn Store> {
    Arc::new(PostgresStore::open(&testing::server(url), &Telemetry::disabled()).await.unwrap())
}

fn sqlite() -> Arc<dyn Store> {
    sqlite_in(&Files::Ephemeral)
}

/// In a file that may hold other stores too.
fn sqlite_in_a_shared_file() -> Arc<dyn Store> {
    sqlite_in(&Files::Shared(SharedFile::ephemeral()))
}

fn sqlite_in(files: &Files) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(files, &Telemetry::disabled()).unwrap())
}

fn notifier(store: &Arc<dyn Store>, config: &Config) -> Notifier {
    Notifier::new(Arc::clone(store), Clock::system(), config)
}

async fn an_event_that_is_delivered_again_has_no_second_effect(store: Arc<dyn Store>) {
    let notifier = notifier(&store, &Config::default());
    let completed = event("order-1", OrderEventKind::Completed);
    notifier.handle(&completed, None).await.unwrap();
    notifier.handle(&completed, None).await.unwrap();
    assert_eq!(store.total().await.unwrap(), 1);
}

async fn an_event_that_many_have_at_once_has_one_effect(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            // Of two groups, so that both keys are tried.
            let config = Config { group: format!("group-{}", number % 2), ..Config::default() };
            let notifier = notifier(&store, &config);
            waypost_telemetry::spawn(async move {
                notifier.handle(&event("order-1", OrderEventKind::Completed), None).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.total().await.unwrap(), 1);
}

async fn an_order_has_one_message_of_a_kind_and_channel_even_from_two_events(store: Arc<dyn Store>) {
    let config = Config { channels: vec![Channel::Sms, Channel::Email, Channel::Sms], ..Config::default() };
    let notifier = notifier(&store, &config);
    let completed = event("order-1", OrderEventKind::Completed);
    let mut twin = completed.clone();
    twin.event_id = "another-event".parse().unwrap();
    notifier.handle(&completed, None).await.unwrap();
    notifier.handle(&twin, None).await.unwrap();
    let sent = Notifications::new(Arc::clone(&store)).of_order(&completed.order_id).await.unwrap();
    let channels: Vec<Channel> = sent.iter().map(|one| one.channel).collect();
    assert_eq!(channels, [Channel::Email, Channel::Sms], "{store:?}");
}

async fn two_groups_each_get_every_event_but_the_user_is_told_once(store: Arc<dyn Store>) {
    let completed = event("order-1", OrderEventKind::Completed);
    for group in ["one", "two"] {
        let config = Config { group: group.to_owned(), ..Config::default() };
        notifier(&store, &config).handle(&completed, None).await.unwrap();
    }
    assert_eq!(store.total().await.unwrap(), 1);
}

async fn a_message_says_what_happened_and_to_which_order(store: Arc<dyn Store>) {
    let notifier = notifier(&store, &Config::default());
    for (order, kind) in [
        ("order-1", OrderEventKind::Completed),
        ("order-2", OrderEventKind::Failed),
        ("order-3", OrderEventKind::Cancelled),
        ("order-4", OrderEventKind::Placed),
    ] {
        notifier.handle(&event(order, kind), None).await.unwrap();
    }
    let sent = Notifications::new(Arc::clone(&store));
    let subjects = async |order: &str| {
        let found = sent.of_order(&order.parse().unwrap()).await.unwrap();
        found.into_iter().map(|one| one.subject).collect::<Vec<_>>()
    };
    assert_eq!(subjects("order-1").await, ["Order order-1 is complete: 2 x prod456, 99.99 USD"]);
    assert_eq!(
        subjects("order-2").await,
        ["Order order-2 could not be completed: There is not enough stock. Nothing was charged"]
    );
    assert_eq!(subjects("order-3").await, ["Order order-3 is cancelled. Nothing was charged"]);
    assert!(subjects("order-4").await.is_empty());
    assert_eq!(sent.total().await.unwrap(), 3);
}

#[tokio::test]
async fn a_message_says_what_became_of_the_money() {
    let charges = [
        (Some(Charge::None), ". Nothing was charged"),
        (Some(Charge::Open), ". Whatever was charged has been given back in full"),
        (Some(Charge::Refunded), ". The payment was taken and has been given back in full"),
        // The event of a version that did not tell.
        (None, ""),
    ];
    for (charge, told) in charges {
        let failed = OrderEvent { charge, ..event("order-1", OrderEventKind::Failed) };
        let subject = waypost_notification::domain::subject(&failed).unwrap();
        assert_eq!(subject, format!("Order order-1 could not be completed: There is not enough stock{told}"));
    }
}

async fn an_event_that_was_forgotten_long_ago_still_tells_nobody_twice(store: Arc<dyn Store>) {
    let notifier = notifier(&store, &Config::default());
    let completed = event("order-1", OrderEventKind::Completed);
    notifier.handle(&completed, None).await.unwrap();
    store.purge_inbox(std::time::Duration::ZERO).await.unwrap();
    notifier.handle(&completed, None).await.unwrap();
    assert_eq!(store.total().await.unwrap(), 1);
}

async fn messages_that_were_sent_are_deleted_by_their_age(store: Arc<dyn Store>) {
    let notifier = notifier(&store, &Config::default());
    notifier.handle(&event("order-1", OrderEventKind::Completed), None).await.unwrap();
    assert_eq!(store.delete_sent(std::time::Duration::from_hours(1)).await.unwrap(), 0);
    // By the store's own clock, which the sender's is not far from.
    let deleted = async || store.delete_sent(std::time::Duration::ZERO).await.unwrap();
    let mut gone = 0;
    while gone == 0 {
        gone = deleted().await;
    }
    assert_eq!((gone, store.total().await.unwrap()), (1, 0));
}
