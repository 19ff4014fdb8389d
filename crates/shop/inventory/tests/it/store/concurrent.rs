//! What a store keeps when many call it at once. The isolation that each method needs is in the trait's documentation.

use super::with_stock;
use crate::world::{Timed, assert_adds_up, at, first, order, request};
use std::future::Future;
use waypost_api::ErrorCode;
use waypost_durable::Epoch;
use waypost_inventory::domain::{Generation, NewReservation, ReservationState};

on_each_store! {
    orders_of_the_same_products_never_take_more_than_there_is
    a_hold_ends_exactly_once
    of_the_attempts_of_one_order_one_has_the_stock
}

/// Makes the calls at the same time; their answers in the order of the calls.
async fn at_once<T: Send + 'static>(
    calls: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = calls.into_iter().map(waypost_telemetry::spawn).collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

/// In whatever order they name them: every order gets an answer, and a refusal holds nothing.
async fn orders_of_the_same_products_never_take_more_than_there_is(store: Timed) {
    with_stock(&store, &[("a", 7), ("b", 7), ("c", 7)]).await;
    let wanted: [&[(&str, u32)]; 4] =
        [&[("a", 1), ("b", 1)], &[("b", 1), ("a", 1)], &[("c", 1), ("a", 1)], &[("b", 1), ("c", 1)]];
    let orders = (0..40).map(|number| {
        let store = store.clone();
        let request = request(&format!("order-{number}"), wanted[number % wanted.len()]);
        async move {
            let id = request.order.clone();
            match store.when(at(0)).reserve(request).await {
                Ok(_) if number % 3 == 0 => {
                    store.when(at(1)).release(id, first(), Epoch::FIRST).await.unwrap();
                }
                Ok(_) => drop(store.when(at(1)).commit(id, Epoch::FIRST).await.unwrap()),
                Err(error) => assert_eq!(error.code(), ErrorCode::OutOfStock),
            }
        }
    });
    at_once(orders).await;
    assert_adds_up(&*store).await;
    for count in store.count().await.unwrap() {
        assert_eq!((count.reserved, count.on_hand + count.committed), (0, 7), "{count:?}");
    }
}

async fn a_hold_ends_exactly_once(store: Timed) {
    with_stock(&store, &[("a", 20)]).await;
    let names: Vec<String> = (0..20).map(|number| format!("order-{number}")).collect();
    for name in &names {
        store.when(at(0)).reserve(request(name, &[("a", 1)])).await.unwrap();
    }
    // Whose clocks do not agree: for one of them the holds have run out.
    let sweeping: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            async move { store.when(at(1000)).expire(1).await.unwrap() }
        })
        .collect();
    let sweeping = waypost_telemetry::spawn(at_once(sweeping));
    let ends = names.iter().map(|name| {
        let (store, order) = (store.clone(), order(name));
        async move {
            let releasing = waypost_telemetry::spawn({
                let (store, order) = (store.clone(), order.clone());
                async move { store.when(at(1)).release(order, first(), Epoch::FIRST).await }
            });
            let is_committed = store.when(at(1)).commit(order, Epoch::FIRST).await.is_ok();
            let is_released = releasing.await.unwrap().is_ok_and(|is_given_back| is_given_back);
            assert!(!(is_committed && is_released), "both");
            u32::from(is_committed) + u32::from(is_released)
        }
    });
    let ended: u32 = at_once(ends).await.into_iter().sum();
    let expired: u32 = sweeping.await.unwrap().into_iter().sum();
    assert_eq!(ended + expired, 20);
    assert_adds_up(&*store).await;
}

async fn of_the_attempts_of_one_order_one_has_the_stock(store: Timed) {
    with_stock(&store, &[("a", 9), ("b", 9)]).await;
    let attempts = (1..9).map(|generation| {
        let store = store.clone();
        let request = NewReservation {
            generation: Generation::new(generation),
            ..request("one", &[("b", 2), ("a", 1)])
        };
        async move { drop(store.when(at(0)).reserve(request).await) }
    });
    at_once(attempts).await;
    let committed = store.when(at(1)).commit(order("one"), Epoch::FIRST).await.unwrap();
    assert_eq!(committed.state, ReservationState::Committed);
    let counts = store.count().await.unwrap();
    let taken: Vec<_> = counts.iter().map(|count| (count.reserved, count.committed)).collect();
    assert_eq!(taken, [(0, 1), (0, 2)]);
    assert_adds_up(&*store).await;
}
