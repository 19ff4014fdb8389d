//! The contract of a store, run on each of them.

use crate::world::{
    PRICE, Timed, assert_adds_up, at, first, new_product, order, product, request, sqlite_in,
};
use std::time::Duration;
use waypost_api::{Currency, ErrorCode, Money};
use waypost_durable::{Epoch, Files, postgres::testing};
use waypost_inventory::{
    Error,
    domain::{Generation, Line, Lines, NewReservation, ReservationState},
    store::{PostgresStore, Store},
};
use waypost_telemetry::Telemetry;

macro_rules! on_each_store {
    ($($test:ident)*) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() { super::$test(crate::world::sqlite()).await; }
            )*
        }

        mod in_a_shared_file {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() { super::$test(crate::world::sqlite_in_a_shared_file()).await; }
            )*
        }

        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() { super::$test(crate::world::postgres().await).await; }
            )*
        }
    };
}

mod concurrent;
mod plans;

on_each_store! {
    a_product_is_added_once_and_keeps_its_stock
    a_hold_sets_stock_aside_and_a_commit_takes_it
    all_lines_are_held_or_none
    a_repeated_reserve_holds_once
    the_same_key_with_other_lines_is_refused
    a_changed_price_and_an_unknown_product_are_refused
    a_release_gives_the_stock_back_once
    a_reserve_that_arrives_after_its_release_holds_nothing
    a_committed_hold_cannot_be_released
    a_hold_that_ran_out_is_not_committed_even_before_the_sweep
    a_newer_attempt_takes_the_place_of_the_older_hold
    a_newer_attempt_may_use_the_stock_of_the_older_hold
    fifty_orders_at_once_share_the_last_five_pieces
    many_copies_of_one_request_have_one_effect
    the_sweep_ends_the_oldest_first_and_no_more_than_asked
    only_holds_that_ended_long_ago_are_deleted
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorCode {
    result.unwrap_err().code()
}

async fn with_stock(store: &Timed, stock: &[(&str, u32)]) {
    let products = stock.iter().map(|(name, pieces)| new_product(name, *pieces)).collect();
    store.when(at(0)).add_products(products).await.unwrap();
}

async fn available(store: &dyn Store, name: &str) -> u64 {
    store.product(product(name)).await.unwrap().unwrap().available
}

async fn a_product_is_added_once_and_keeps_its_stock(store: Timed) {
    with_stock(&store, &[("a", 5), ("none", 0)]).await;
    store.when(at(0)).reserve(request("one", &[("a", 2)])).await.unwrap();
    store.when(at(1)).add_products(vec![new_product("a", 100)]).await.unwrap();

    let found = store.product(product("a")).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.unit_price.ten_thousandths(), found.available), ("a", PRICE, 3));
    assert_eq!(available(&*store, "none").await, 0);
    assert!(store.product(product("b")).await.unwrap().is_none());
    store.ping().await.unwrap();
    assert_adds_up(&*store).await;
}

async fn a_hold_sets_stock_aside_and_a_commit_takes_it(store: Timed) {
    with_stock(&store, &[("a", 5)]).await;
    let held = store.when(at(0)).reserve(request("one", &[("a", 2)])).await.unwrap();
    assert_eq!((held.state, held.expires_at), (ReservationState::Held, at(1000)));
    assert_eq!(available(&*store, "a").await, 3);
    assert_adds_up(&*store).await;

    for _ in 0..2 {
        let committed = store.when(at(999)).commit(order("one"), Epoch::FIRST).await.unwrap();
        assert_eq!(committed.state, ReservationState::Committed);
    }
    assert_eq!(available(&*store, "a").await, 3);
    let count = &store.count().await.unwrap()[0];
    assert_eq!((count.on_hand, count.reserved, count.received, count.committed), (3, 0, 5, 2));
    assert_adds_up(&*store).await;
    assert_eq!(
        code(store.when(at(0)).commit(order("other"), Epoch::FIRST).await),
        ErrorCode::ReservationNotFound
    );
}

async fn all_lines_are_held_or_none(store: Timed) {
    with_stock(&store, &[("a", 5), ("b", 1)]).await;
    let refused = store.when(at(0)).reserve(request("one", &[("b", 2), ("a", 1)])).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::OutOfStock);
    assert_eq!(refused.to_string(), "2 of b were asked for, 1 are left");
    assert_eq!((available(&*store, "a").await, available(&*store, "b").await), (5, 1));
    assert_adds_up(&*store).await;
    // Nothing is left of the refusal: the same key may find stock later.
    store.when(at(0)).reserve(request("one", &[("b", 1), ("a", 1)])).await.unwrap();
    assert_adds_up(&*store).await;
}

async fn a_repeated_reserve_holds_once(store: Timed) {
    with_stock(&store, &[("a", 5), ("b", 5)]).await;
    let held = store.when(at(0)).reserve(request("one", &[("a", 2), ("b", 1)])).await.unwrap();
    // Later, with another wish for its end, and the lines in another order: the first hold stands.
    let late = NewReservation { lasts: Duration::from_secs(5), ..request("one", &[("b", 1), ("a", 2)]) };
    assert_eq!(store.when(at(10)).reserve(late).await.unwrap(), held);
    assert_eq!((available(&*store, "a").await, available(&*store, "b").await), (3, 4));
    store.when(at(20)).commit(order("one"), Epoch::FIRST).await.unwrap();
    let again = store.when(at(2000)).reserve(request("one", &[("a", 2), ("b", 1)])).await.unwrap();
    assert_eq!(again.state, ReservationState::Committed);
    assert_adds_up(&*store).await;
}

async fn the_same_key_with_other_lines_is_refused(store: Timed) {
    with_stock(&store, &[("a", 5)]).await;
    store.when(at(0)).reserve(request("one", &[("a", 2)])).await.unwrap();
    let other = store.when(at(0)).reserve(request("one", &[("a", 3)])).await;
    assert_eq!(code(other), ErrorCode::IdempotencyKeyReused);
    assert_eq!(available(&*store, "a").await, 3);
}

async fn a_changed_price_and_an_unknown_product_are_refused(store: Timed) {
    with_stock(&store, &[("a", 5)]).await;
    let priced = |unit_price| {
        let line = Line { product: product("a"), quantity: 1, unit_price };
        NewReservation { lines: Lines::new(vec![line]).unwrap(), ..request("one", &[("a", 1)]) }
    };
    assert_eq!(
        code(store.when(at(0)).reserve(priced(Some(Money::new(PRICE - 1, Currency::USD)))).await),
        ErrorCode::PriceChanged
    );
    assert_eq!(available(&*store, "a").await, 5);
    assert_eq!(
        code(store.when(at(0)).reserve(request("one", &[("z", 1)])).await),
        ErrorCode::ProductNotFound
    );
    store.when(at(0)).reserve(priced(None)).await.unwrap();
    assert_adds_up(&*store).await;
}

async fn a_release_gives_the_stock_back_once(store: Timed) {
    with_stock(&store, &[("a", 5)]).await;
    store.when(at(0)).reserve(request("one", &[("a", 2)])).await.unwrap();
    assert!(store.when(at(1)).release(order("one"), first(), Epoch::FIRST).await.unwrap());
    assert!(!store.when(at(2)).release(order("one"), first(), Epoch::FIRST).await.unwrap());
    assert_eq!(available(&*store, "a").await, 5);
    assert_eq!(
        code(store.when(at(3)).commit(order("one"), Epoch::FIRST).await),
        ErrorCode::ReservationConflict
    );
    assert_adds_up(&*store).await;
}

async fn a_reserve_that_arrives_after_its_release_holds_nothing(store: Timed) {
    with_stock(&store, &[("a", 5)]).await;
    assert!(!store.when(at(0)).release(order("one"), first(), Epoch::FIRST).await.unwrap());
    assert!(!store.when(at(0)).release(order("one"), first(), Epoch::FIRST).await.unwrap());
    for _ in 0..2 {
        let late = store.when(at(1)).reserve(request("one", &[("a", 2)])).await;
        assert_eq!(code(late), ErrorCode::ReservationConflict);
    }
    assert_eq!(available(&*store, "a").await, 5);
    // A new attempt is another matter.
    let next = NewReservation { generation: Generation::new(2), ..request("one", &[("a", 2)]) };
    store.when(at(2)).reserve(next).await.unwrap();
    assert_eq!(available(&*store, "a").await, 3);
    assert_eq!(
        code(store.when(at(3)).reserve(request("one", &[("a", 2)])).await),
        ErrorCode::ReservationConflict
    );
    assert_adds_up(&*store).await;
}

async fn a_committed_hold_cannot_be_released(store: Timed) {
    with_stock(&store, &[("a", 5)]).await;
    store.when(at(0)).reserve(request("one", &[("a", 2)])).await.unwrap();
    store.when(at(1)).commit(order("one"), Epoch::FIRST).await.unwrap();
    assert_eq!(
        code(store.when(at(2)).release(order("one"), first(), Epoch::FIRST).await),
        ErrorCode::ReservationConflict
    );
    assert_eq!(available(&*store, "a").await, 3);
    assert_adds_up(&*store).await;
}

async fn a_hold_that_ran_out_is_not_committed_even_before_the_sweep(store: Timed) {
    with_stock(&store, &[("a", 5)]).await;
    store.when(at(0)).reserve(request("one", &[("a", 2)])).await.unwrap();
    assert!(!store.when(at(999)).has_run_out().await.unwrap());
    assert!(store.when(at(1000)).has_run_out().await.unwrap());
    assert_eq!(
        code(store.when(at(1000)).commit(order("one"), Epoch::FIRST).await),
        ErrorCode::ReservationExpired
    );
    assert_eq!(store.when(at(1000)).expire(10).await.unwrap(), 1);
    assert_eq!(
        code(store.when(at(1001)).commit(order("one"), Epoch::FIRST).await),
        ErrorCode::ReservationExpired
    );
    assert_eq!(
        code(store.when(at(1001)).reserve(request("one", &[("a", 2)])).await),
        ErrorCode::ReservationExpired
    );
    assert!(!store.when(at(1002)).release(order("one"), first(), Epoch::FIRST).await.unwrap());
    assert_eq!(available(&*store, "a").await, 5);
    assert_adds_up(&*store).await;
}

async fn a_newer_attempt_takes_the_place_of_the_older_hold(store: Timed) {
    with_stock(&store, &[("a", 5)]).await;
    store.when(at(0)).reserve(request("one", &[("a", 2)])).await.unwrap();
    let second = Generation::new(2);
    let next =
        NewReservation { generation: second, lasts: Duration::from_secs(3), ..request("one", &[("a", 3)]) };
    store.when(at(1)).reserve(next.clone()).await.unwrap();
    assert_eq!(available(&*store, "a").await, 2);
    assert_eq!(store.when(at(2)).reserve(next).await.unwrap().generation, second);
    // The end of the older attempt is over and touches nothing.
    assert!(!store.when(at(3)).release(order("one"), first(), Epoch::FIRST).await.unwrap());
    assert_eq!(store.when(at(2000)).commit(order("one"), Epoch::FIRST).await.unwrap().generation, second);
    let count = &store.count().await.unwrap()[0];
    assert_eq!((count.on_hand, count.reserved), (2, 0));
    assert_adds_up(&*store).await;
}

async fn a_newer_attempt_may_use_the_stock_of_the_older_hold(store: Timed) {
    with_stock(&store, &[("a", 3)]).await;
    store.when(at(0)).reserve(request("one", &[("a", 2)])).await.unwrap();
    let second =
        |quantity| NewReservation { generation: Generation::new(2), ..request("one", &[("a", quantity)]) };
    // A refusal leaves the older hold as it was.
    assert_eq!(code(store.when(at(1)).reserve(second(4)).await), ErrorCode::OutOfStock);
    assert_eq!(available(&*store, "a").await, 1);
    store.when(at(1)).reserve(second(3)).await.unwrap();
    assert_eq!(available(&*store, "a").await, 0);
    // A release of a still newer attempt ends this one, and the newer one before it begins.
    assert!(store.when(at(2)).release(order("one"), Generation::new(3), Epoch::FIRST).await.unwrap());
    let third = NewReservation { generation: Generation::new(3), ..request("one", &[("a", 1)]) };
    assert_eq!(code(store.when(at(3)).reserve(third).await), ErrorCode::ReservationConflict);
    assert_eq!(available(&*store, "a").await, 3);
    assert_adds_up(&*store).await;
}

async fn fifty_orders_at_once_share_the_last_five_pieces(store: Timed) {
    with_stock(&store, &[("a", 5)]).await;
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let store = store.clone();
            let request = request(&format!("order-{number}"), &[("a", 1)]);
            waypost_telemetry::spawn(async move { store.when(at(0)).reserve(request).await })
        })
        .collect();
    let mut held = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => held += 1,
            Err(error) => assert_eq!(error.code(), ErrorCode::OutOfStock),
        }
    }
    assert_eq!(held, 5);
    assert_eq!(available(&*store, "a").await, 0);
    assert_adds_up(&*store).await;
}

async fn many_copies_of_one_request_have_one_effect(store: Timed) {
    with_stock(&store, &[("a", 5)]).await;
    for step in ["reserve", "commit"] {
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let store = store.clone();
                waypost_telemetry::spawn(async move {
                    match step {
                        "reserve" => store.when(at(0)).reserve(request("one", &[("a", 2)])).await,
                        _ => store.when(at(1)).commit(order("one"), Epoch::FIRST).await,
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(available(&*store, "a").await, 3);
        assert_adds_up(&*store).await;
    }
}

async fn the_sweep_ends_the_oldest_first_and_no_more_than_asked(store: Timed) {
    with_stock(&store, &[("a", 5)]).await;
    for (name, end) in [("late", 300), ("early", 100), ("middle", 200), ("alive", 900)] {
        let request = NewReservation { lasts: Duration::from_millis(end), ..request(name, &[("a", 1)]) };
        store.when(at(0)).reserve(request).await.unwrap();
    }
    assert_eq!(store.when(at(500)).expire(2).await.unwrap(), 2);
    // The later one of the three is still held, though it has run out.
    assert_eq!(available(&*store, "a").await, 3);
    assert_eq!(store.when(at(500)).expire(2).await.unwrap(), 1);
    assert_eq!(store.when(at(500)).expire(2).await.unwrap(), 0);
    assert_eq!(available(&*store, "a").await, 4);
    store.when(at(500)).commit(order("alive"), Epoch::FIRST).await.unwrap();
    assert_adds_up(&*store).await;
}

#[tokio::test]
async fn holds_and_stock_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = Files::Folder(folder.path().to_owned());
    let store = sqlite_in(&data, &Telemetry::disabled());
    with_stock(&store, &[("a", 5)]).await;
    store.when(at(0)).reserve(request("one", &[("a", 2)])).await.unwrap();
    store.close().await;

    let store = sqlite_in(&data, &Telemetry::disabled());
    assert_eq!(available(&*store, "a").await, 3);
    store.when(at(1)).commit(order("one"), Epoch::FIRST).await.unwrap();
    assert_adds_up(&*store).await;
    store.close().await;
}

#[tokio::test]
async fn the_database_itself_keeps_the_rules() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite_in(&Files::Folder(folder.path().to_owned()), &Telemetry::disabled());
    with_stock(&store, &[("a", 5)]).await;
    store.when(at(0)).reserve(request("one", &[("a", 2)])).await.unwrap();
    store.when(at(1)).release(order("one"), first(), Epoch::FIRST).await.unwrap();
    store.when(at(0)).reserve(request("two", &[("a", 2)])).await.unwrap();
    store.close().await;

    let file = folder.path().join("inventory.db");
    let connection = rusqlite::Connection::open(file).unwrap();
    let refusals = [
        ("UPDATE stock SET reserved = 6", "reserved_is_on_hand"),
        ("UPDATE stock SET on_hand = 1", "reserved_is_on_hand"),
        ("UPDATE stock SET reserved = -1", "reserved_is_on_hand"),
        ("UPDATE reservations SET state = 'held' WHERE order_id = 'one'", "an ended reservation stays ended"),
        (
            "INSERT INTO reservations VALUES ('two', 2, 'held', 0, 0, 0, 1)",
            "UNIQUE constraint failed: reservations.order_id",
        ),
        ("UPDATE reservations SET lease_epoch = 0", "an epoch that was seen stays seen"),
        ("DELETE FROM stock_movements", "stock movements are append-only"),
        ("UPDATE stock_movements SET quantity = 1", "stock movements are append-only"),
    ];
    for (statement, reason) in refusals {
        let error = connection.execute(statement, ()).unwrap_err().to_string();
        assert!(error.contains(reason), "{statement}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_of_postgres_keeps_the_rules() {
    let database = waypost_test_servers::postgres::Database::create();
    let server = testing::server(&database.url());
    let store = PostgresStore::open(&server, &Telemetry::disabled()).await.unwrap();
    store.add_products(vec![new_product("a", 5)]).await.unwrap();
    store.reserve(request("one", &[("a", 2)])).await.unwrap();
    store.release(order("one"), first(), Epoch::FIRST).await.unwrap();
    store.reserve(request("two", &[("a", 2)])).await.unwrap();
    let refusals = [
        ("UPDATE stock SET reserved = 6", "reserved_is_on_hand"),
        ("UPDATE stock SET on_hand = 1", "reserved_is_on_hand"),
        ("UPDATE stock SET reserved = -1", "reserved_is_on_hand"),
        ("UPDATE reservations SET state = 'held' WHERE order_id = 'one'", "an ended reservation stays ended"),
        (
            "INSERT INTO reservations VALUES ('two', 2, 'held', now(), now(), now(), 1)",
            "one_live_reservation_an_order",
        ),
        ("UPDATE reservations SET lease_epoch = 0", "an epoch that was seen stays seen"),
        ("DELETE FROM stock_movements", "stock movements are append-only"),
        ("UPDATE stock_movements SET quantity = 1", "stock movements are append-only"),
    ];
    for (statement, reason) in refusals {
        let refused = testing::try_execute(&server, "inventory", statement.to_owned()).unwrap_err();
        assert!(refused.contains(reason), "{statement}: {refused}");
    }
}

async fn only_holds_that_ended_long_ago_are_deleted(store: Timed) {
    with_stock(&store, &[("a", 9), ("b", 9)]).await;
    for (id, ends) in [("committed", 10), ("released", 20), ("late", 90)] {
        store.when(at(0)).reserve(request(id, &[("a", 2), ("b", 1)])).await.unwrap();
        if id == "released" {
            store.when(at(ends)).release(order(id), first(), Epoch::FIRST).await.unwrap();
        } else {
            store.when(at(ends)).commit(order(id), Epoch::FIRST).await.unwrap();
        }
    }
    store.when(at(0)).reserve(request("held", &[("a", 1)])).await.unwrap();
    let before = store.count().await.unwrap();
    assert_eq!(store.when(at(5)).delete_ended(Duration::ZERO).await.unwrap(), 0);
    assert_eq!(store.when(at(50)).delete_ended(Duration::ZERO).await.unwrap(), 2);
    assert_eq!(store.when(at(50)).delete_ended(Duration::ZERO).await.unwrap(), 0);
    // The stock is what it was, and still adds up.
    assert_eq!(store.count().await.unwrap(), before);
    assert_adds_up(&*store).await;
    assert_eq!(
        code(store.when(at(60)).commit(order("committed"), Epoch::FIRST).await),
        ErrorCode::ReservationNotFound
    );
    store.when(at(100)).commit(order("late"), Epoch::FIRST).await.unwrap();
    assert_eq!(store.when(at(1000)).delete_ended(Duration::ZERO).await.unwrap(), 1);
    store.when(at(999)).commit(order("held"), Epoch::FIRST).await.unwrap();
    assert_adds_up(&*store).await;
}
