//! What is deleted, what stays, and that the books still add up.

use super::{begin, captured, record, refund};
use crate::world::{AMOUNT, assert_sound, at, charge, first, intent, order};
use std::sync::Arc;
use waypost_api::Currency;
use waypost_durable::Epoch;
use waypost_payment::{
    domain::{ChargeStatus, Finding, RefundState},
    store::{RefundOutcome, Store},
};

async fn authorized(store: &dyn Store, name: &str) {
    let payment = begin(store, name).await;
    record(store, name, charge(&payment, ChargeStatus::Authorized, 0)).await.unwrap();
}

/// One of every kind that has ended: taken, given back whole, declined, given up before it began.
async fn ended(store: &dyn Store) {
    captured(store, "taken").await;
    let payment = captured(store, "given-back").await;
    let whole = refund("given-back", 1, AMOUNT);
    store.begin_refund(whole.clone(), Some(Epoch::FIRST), at(2)).await.unwrap();
    let done = RefundOutcome::Done(charge(&payment, ChargeStatus::Refunded, AMOUNT));
    store.end_refund(whole.key, 1, done, at(3)).await.unwrap();
    let payment = begin(store, "declined").await;
    record(store, "declined", charge(&payment, ChargeStatus::Declined, 0)).await.unwrap();
    store.give_up(order("never-begun"), first(), Epoch::FIRST, at(3)).await.unwrap();
}

pub(super) async fn only_payments_that_ended_long_ago_are_deleted_and_the_books_stay(store: Arc<dyn Store>) {
    ended(&*store).await;
    begin(&*store, "unknown").await;
    authorized(&*store, "authorized").await;
    captured(&*store, "owed").await;
    store.begin_refund(refund("owed", 1, 1), Some(Epoch::FIRST), at(2)).await.unwrap();
    let late = begin(&*store, "late").await;
    let taken = Finding::Charge(charge(&late, ChargeStatus::Captured, 0));
    store.record(order("late"), first(), taken, at(90)).await.unwrap();
    let before = store.totals(Currency::USD).await.unwrap();
    assert_eq!((before.captured, before.refunded, before.receivable), (4 * AMOUNT, AMOUNT, 3 * AMOUNT));

    assert_eq!(store.delete_ended(at(1)).await.unwrap(), 0);
    assert_eq!(store.delete_ended(at(50)).await.unwrap(), 4);
    assert_eq!(store.delete_ended(at(50)).await.unwrap(), 0);

    assert_eq!(store.totals(Currency::USD).await.unwrap(), before);
    for gone in ["taken", "given-back", "declined"] {
        assert_eq!(store.newest(order(gone)).await.unwrap(), None, "{gone}");
    }
    for stays in ["unknown", "authorized", "owed", "late"] {
        assert!(store.newest(order(stays)).await.unwrap().is_some(), "{stays}");
    }
    let owed = store.begin_refund(refund("owed", 1, 1), Some(Epoch::FIRST), at(60)).await.unwrap();
    assert_eq!((owed.refund.state, owed.is_new), (RefundState::Pending, false));
    store.begin(intent("never-begun", 1), at(60)).await.unwrap();

    assert_eq!(store.delete_ended(at(1000)).await.unwrap(), 1);
    assert_eq!(store.totals(Currency::USD).await.unwrap(), before);
    assert_sound(&*store, &["unknown", "authorized", "owed"]).await;
}
