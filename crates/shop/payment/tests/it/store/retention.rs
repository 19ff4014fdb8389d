//! What is deleted, what stays, and that the books still add up.

use super::{begin, captured, record, refund};
use crate::world::{AMOUNT, Timed, assert_sound, at, charge, first, intent, order};
use std::time::Duration;
use waypost_api::Currency;
use waypost_durable::Epoch;
use waypost_payment::{
    domain::{ChargeStatus, Finding, RefundState},
    store::RefundOutcome,
};

async fn authorized(store: &Timed, name: &str) {
    let payment = begin(store, name).await;
    record(store, name, charge(&payment, ChargeStatus::Authorized, 0)).await.unwrap();
}

/// One of every kind that has ended: taken, given back whole, declined, given up before it began.
async fn ended(store: &Timed) {
    captured(store, "taken").await;
    let payment = captured(store, "given-back").await;
    let whole = refund("given-back", 1, AMOUNT);
    store.when(at(2)).begin_refund(whole.clone(), Some(Epoch::FIRST)).await.unwrap();
    let done = RefundOutcome::Done(charge(&payment, ChargeStatus::Refunded, AMOUNT));
    store.when(at(3)).end_refund(whole.key, 1, done).await.unwrap();
    let payment = begin(store, "declined").await;
    record(store, "declined", charge(&payment, ChargeStatus::Declined, 0)).await.unwrap();
    store.when(at(3)).give_up(order("never-begun"), first(), Epoch::FIRST).await.unwrap();
}

pub(super) async fn only_payments_that_ended_long_ago_are_deleted_and_the_books_stay(store: Timed) {
    ended(&store).await;
    begin(&store, "unknown").await;
    authorized(&store, "authorized").await;
    captured(&store, "owed").await;
    store.when(at(2)).begin_refund(refund("owed", 1, 1), Some(Epoch::FIRST)).await.unwrap();
    let late = begin(&store, "late").await;
    let taken = Finding::Charge(charge(&late, ChargeStatus::Captured, 0));
    store.when(at(90)).record(order("late"), first(), taken).await.unwrap();
    let before = store.totals(Currency::USD).await.unwrap();
    assert_eq!((before.captured, before.refunded, before.receivable), (4 * AMOUNT, AMOUNT, 3 * AMOUNT));

    assert_eq!(store.when(at(1)).delete_ended(Duration::ZERO).await.unwrap(), 0);
    assert_eq!(store.when(at(50)).delete_ended(Duration::ZERO).await.unwrap(), 4);
    assert_eq!(store.when(at(50)).delete_ended(Duration::ZERO).await.unwrap(), 0);

    assert_eq!(store.totals(Currency::USD).await.unwrap(), before);
    for gone in ["taken", "given-back", "declined"] {
        assert_eq!(store.newest(order(gone)).await.unwrap(), None, "{gone}");
    }
    for stays in ["unknown", "authorized", "owed", "late"] {
        assert!(store.newest(order(stays)).await.unwrap().is_some(), "{stays}");
    }
    let owed = store.when(at(60)).begin_refund(refund("owed", 1, 1), Some(Epoch::FIRST)).await.unwrap();
    assert_eq!((owed.refund.state, owed.is_new), (RefundState::Pending, false));
    store.when(at(60)).begin(intent("never-begun", 1)).await.unwrap();

    assert_eq!(store.when(at(1000)).delete_ended(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(store.totals(Currency::USD).await.unwrap(), before);
    assert_sound(&*store, &["unknown", "authorized", "owed"]).await;
}
