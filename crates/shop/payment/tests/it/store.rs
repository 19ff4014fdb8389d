//! The contract of a store, run on each of them.

use crate::world::{AMOUNT, Timed, assert_sound, at, charge, dollars, first, intent, order, sqlite_in};
use std::collections::HashSet;
use waypost_api::{Currency, ErrorCode};
use waypost_durable::{Epoch, Files};
use waypost_payment::{
    Error,
    domain::{
        Charge, ChargeStatus, Finding, Generation, Intent, NewRefund, Payment, PaymentState, RefundState,
    },
    store::RefundOutcome,
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
mod retention;

use retention::only_payments_that_ended_long_ago_are_deleted_and_the_books_stay;

on_each_store! {
    an_intent_is_written_once_and_found_again
    an_order_has_one_live_payment
    a_charge_is_followed_and_its_money_booked_once
    a_finding_that_cannot_be_changes_nothing
    a_payment_that_was_given_up_does_not_begin_later
    a_captured_payment_that_is_given_up_is_owed_back
    a_declined_payment_keeps_its_reason
    refunds_add_up_to_what_was_captured_and_no_further
    a_refund_whose_outcome_is_open_holds_its_amount
    what_is_due_comes_oldest_first_and_no_more_than_asked
    many_copies_of_one_request_begin_one_payment
    only_payments_that_ended_long_ago_are_deleted_and_the_books_stay
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorCode {
    result.unwrap_err().code()
}

async fn begin(store: &Timed, name: &str) -> Payment {
    store.when(at(0)).begin(intent(name, 1)).await.unwrap().payment
}

async fn record(store: &Timed, name: &str, charge: Charge) -> Result<Payment, Error> {
    store.when(at(1)).record(order(name), first(), Finding::Charge(charge)).await
}

/// A payment that was taken.
async fn captured(store: &Timed, name: &str) -> Payment {
    let payment = begin(store, name).await;
    record(store, name, charge(&payment, ChargeStatus::Captured, 0)).await.unwrap()
}

fn refund(name: &str, number: u32, amount: i64) -> NewRefund {
    NewRefund { order: order(name), key: format!("{name}:refund:{number}"), amount: dollars(amount) }
}

async fn an_intent_is_written_once_and_found_again(store: Timed) {
    let request = Intent { traceparent: Some("00-01-02-01".to_owned()), ..intent("one", 1) };
    let begun = store.when(at(0)).begin(request.clone()).await.unwrap();
    assert!(begun.is_new);
    assert_eq!((begun.payment.state, begun.payment.version), (PaymentState::Unknown, 1));
    assert_eq!(begun.payment.traceparent.as_deref(), Some("00-01-02-01"));

    // Another id and another trace, as a retry has them: the first payment stands.
    let retry = Intent { id: intent("other", 9).id, traceparent: None, ..request.clone() };
    let again = store.when(at(9)).begin(retry).await.unwrap();
    assert!(!again.is_new);
    assert_eq!(again.payment, begun.payment);
    assert_eq!(store.newest(order("one")).await.unwrap(), Some(begun.payment));
    assert_eq!(store.newest(order("two")).await.unwrap(), None);

    let dearer = Intent { amount: dollars(AMOUNT + 1), ..request };
    assert_eq!(code(store.when(at(9)).begin(dearer).await), ErrorCode::IdempotencyKeyReused);
    store.ping().await.unwrap();
}

async fn an_order_has_one_live_payment(store: Timed) {
    let payment = begin(&store, "one").await;
    assert_eq!(code(store.when(at(1)).begin(intent("one", 2)).await), ErrorCode::PaymentConflict);
    record(&store, "one", charge(&payment, ChargeStatus::Declined, 0)).await.unwrap();
    let second = store.when(at(2)).begin(intent("one", 2)).await.unwrap();
    assert!(second.is_new);
    assert_eq!(store.newest(order("one")).await.unwrap(), Some(second.payment));
    // The first attempt is the past.
    assert_eq!(code(store.when(at(3)).begin(intent("one", 1)).await), ErrorCode::PaymentConflict);
    assert_sound(&*store, &["one"]).await;
}

async fn a_charge_is_followed_and_its_money_booked_once(store: Timed) {
    let payment = begin(&store, "one").await;
    let authorized = record(&store, "one", charge(&payment, ChargeStatus::Authorized, 0)).await.unwrap();
    assert_eq!((authorized.state, authorized.authorized()), (PaymentState::Authorized, AMOUNT));
    assert_eq!(store.totals(Currency::USD).await.unwrap().debits, 0);
    for _ in 0..2 {
        let taken = record(&store, "one", charge(&payment, ChargeStatus::Captured, 0)).await.unwrap();
        assert_eq!((taken.state, taken.captured), (PaymentState::Captured, AMOUNT));
        // An answer that was overtaken.
        record(&store, "one", charge(&payment, ChargeStatus::Authorized, 0)).await.unwrap();
    }
    let totals = store.totals(Currency::USD).await.unwrap();
    assert_eq!(
        (totals.charges, totals.captured, totals.debits, totals.receivable),
        (1, AMOUNT, AMOUNT, AMOUNT)
    );
    assert_sound(&*store, &["one"]).await;
}

async fn a_finding_that_cannot_be_changes_nothing(store: Timed) {
    let payment = begin(&store, "one").await;
    let dearer = Charge { amount: dollars(1), ..charge(&payment, ChargeStatus::Authorized, 0) };
    assert!(matches!(record(&store, "one", dearer).await, Err(Error::Contradiction(_))));
    assert_eq!(store.newest(order("one")).await.unwrap(), Some(payment));
}

async fn a_payment_that_was_given_up_does_not_begin_later(store: Timed) {
    assert_eq!(store.when(at(0)).give_up(order("one"), first(), Epoch::FIRST).await.unwrap(), None);
    assert_eq!(store.when(at(0)).give_up(order("one"), first(), Epoch::FIRST).await.unwrap(), None);
    assert_eq!(code(store.when(at(1)).begin(intent("one", 1)).await), ErrorCode::PaymentConflict);
    assert_eq!(store.newest(order("one")).await.unwrap(), None);
    store.when(at(2)).begin(intent("one", 2)).await.unwrap();

    let unwanted =
        store.when(at(3)).give_up(order("one"), Generation::new(2), Epoch::FIRST).await.unwrap().unwrap();
    assert!(unwanted.is_unwanted);
    assert_eq!(code(store.when(at(4)).begin(intent("one", 2)).await), ErrorCode::PaymentConflict);
    // An older generation's end has nothing to do with it, and takes nothing back.
    assert_eq!(store.when(at(5)).give_up(order("one"), first(), Epoch::FIRST).await.unwrap(), None);
    assert_eq!(code(store.when(at(6)).begin(intent("one", 2)).await), ErrorCode::PaymentConflict);

    let absent = store.when(at(7)).record(order("one"), Generation::new(2), Finding::Absent).await.unwrap();
    assert_eq!(absent.state, PaymentState::Voided);
    let again = store.when(at(8)).give_up(order("one"), Generation::new(2), Epoch::FIRST).await.unwrap();
    assert_eq!(again, Some(absent));
    assert_sound(&*store, &["one"]).await;
}

async fn a_captured_payment_that_is_given_up_is_owed_back(store: Timed) {
    captured(&store, "one").await;
    let unwanted = store.when(at(2)).give_up(order("one"), first(), Epoch::FIRST).await.unwrap().unwrap();
    assert_eq!((unwanted.state, unwanted.is_unwanted), (PaymentState::Captured, true));
    assert_eq!(store.when(at(3600)).due(9).await.unwrap().payments, [unwanted]);
    assert_eq!(code(store.when(at(3)).begin(intent("one", 1)).await), ErrorCode::PaymentConflict);
    assert_sound(&*store, &["one"]).await;
}

async fn a_declined_payment_keeps_its_reason(store: Timed) {
    let payment = begin(&store, "one").await;
    record(&store, "one", charge(&payment, ChargeStatus::Declined, 0)).await.unwrap();
    let again = store.when(at(2)).begin(intent("one", 1)).await.unwrap().payment;
    assert_eq!(again.state, PaymentState::Declined);
    assert_eq!(again.decline_code.as_deref(), Some("insufficient_funds"));
    assert_eq!((again.authorized(), again.review_at), (0, None));
    assert_eq!(store.totals(Currency::USD).await.unwrap().charges, 0);
}

async fn refunds_add_up_to_what_was_captured_and_no_further(store: Timed) {
    assert_eq!(
        code(store.when(at(0)).begin_refund(refund("one", 1, 1), Some(Epoch::FIRST)).await),
        ErrorCode::PaymentNotFound
    );
    let payment = captured(&store, "one").await;
    let part = refund("one", 1, 400_000);
    let begun = store.when(at(2)).begin_refund(part.clone(), Some(Epoch::FIRST)).await.unwrap();
    assert_eq!(begun.refund.state, RefundState::Pending);
    let done = RefundOutcome::Done(charge(&payment, ChargeStatus::Captured, 400_000));
    for _ in 0..2 {
        let after = store.when(at(3)).end_refund(part.key.clone(), 1, done.clone()).await.unwrap();
        assert_eq!((after.state, after.refunded), (PaymentState::Captured, 400_000));
    }
    assert_eq!(
        store.when(at(4)).begin_refund(part.clone(), Some(Epoch::FIRST)).await.unwrap().refund.state,
        RefundState::Done
    );
    let other = NewRefund { amount: dollars(1), ..part };
    assert_eq!(
        code(store.when(at(4)).begin_refund(other, Some(Epoch::FIRST)).await),
        ErrorCode::IdempotencyKeyReused
    );

    assert_eq!(
        code(store.when(at(5)).begin_refund(refund("one", 2, 599_901), Some(Epoch::FIRST)).await),
        ErrorCode::RefundTooLarge
    );
    let rest = refund("one", 3, 599_900);
    store.when(at(5)).begin_refund(rest.clone(), Some(Epoch::FIRST)).await.unwrap();
    let done = RefundOutcome::Done(charge(&payment, ChargeStatus::Refunded, AMOUNT));
    let after = store.when(at(6)).end_refund(rest.key, 1, done).await.unwrap();
    assert_eq!((after.state, after.refunded), (PaymentState::Refunded, AMOUNT));
    let totals = store.totals(Currency::USD).await.unwrap();
    assert_eq!((totals.refunded, totals.receivable, totals.debits), (AMOUNT, 0, 2 * AMOUNT));
    assert_sound(&*store, &["one"]).await;
}

async fn a_refund_whose_outcome_is_open_holds_its_amount(store: Timed) {
    captured(&store, "one").await;
    let open = refund("one", 1, 600_000);
    store.when(at(2)).begin_refund(open.clone(), Some(Epoch::FIRST)).await.unwrap();
    assert_eq!(
        code(store.when(at(2)).begin_refund(refund("one", 2, 400_000), Some(Epoch::FIRST)).await),
        ErrorCode::RefundTooLarge
    );
    // Silence changes nothing but the time of the next look.
    store.when(at(100)).end_refund(open.key.clone(), 1, RefundOutcome::NoAnswer).await.unwrap();
    assert!(store.when(at(100)).due(9).await.unwrap().refunds.is_empty());
    assert_eq!(store.when(at(1000)).due(9).await.unwrap().refunds[0].refund.request, open);
    assert_eq!(
        code(store.when(at(3)).begin_refund(refund("one", 2, 400_000), Some(Epoch::FIRST)).await),
        ErrorCode::RefundTooLarge
    );
    // A no frees the amount and is the answer until it has rested.
    store.when(at(4)).end_refund(open.key.clone(), 1, RefundOutcome::Rejected).await.unwrap();
    assert_eq!(
        store.when(at(5)).begin_refund(open.clone(), Some(Epoch::FIRST)).await.unwrap().refund.state,
        RefundState::Rejected
    );
    store.when(at(6)).begin_refund(refund("one", 2, 400_000), Some(Epoch::FIRST)).await.unwrap();
    assert_eq!(
        code(store.when(at(999)).begin_refund(open.clone(), Some(Epoch::FIRST)).await),
        ErrorCode::RefundTooLarge
    );
    store.when(at(1000)).end_refund("one:refund:2".to_owned(), 1, RefundOutcome::Rejected).await.unwrap();
    let anew = store.when(at(1001)).begin_refund(open.clone(), Some(Epoch::FIRST)).await.unwrap();
    assert_eq!((anew.refund.number, anew.refund.state, anew.is_new), (2, RefundState::Pending, true));
    // What the first number came to does not end the second.
    store.when(at(1002)).end_refund(open.key.clone(), 1, RefundOutcome::Rejected).await.unwrap();
    let pending = store.when(at(1003)).begin_refund(open, Some(Epoch::FIRST)).await.unwrap();
    assert_eq!((pending.refund.state, pending.is_new), (RefundState::Pending, false));
    assert_sound(&*store, &["one"]).await;
}

async fn what_is_due_comes_oldest_first_and_no_more_than_asked(store: Timed) {
    for (name, seconds) in [("late", 3), ("early", 1), ("middle", 2)] {
        store.when(at(seconds)).begin(intent(name, 1)).await.unwrap();
    }
    captured(&store, "done").await;
    assert!(store.when(at(5)).due(9).await.unwrap().is_empty());
    let due = store.when(at(100)).due(2).await.unwrap();
    let names: Vec<_> = due.payments.iter().map(|payment| payment.order.as_str()).collect();
    assert_eq!(names, ["early", "middle"]);
    store.when(at(100)).record(order("early"), first(), Finding::NoAnswer).await.unwrap();
    let due = store.when(at(100)).due(9).await.unwrap();
    assert_eq!(due.payments.len(), 2);
}

async fn many_copies_of_one_request_begin_one_payment(store: Timed) {
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let store = store.clone();
            let request = Intent { id: intent("copy", number).id, ..intent("one", 1) };
            waypost_telemetry::spawn(async move { store.when(at(0)).begin(request).await.unwrap() })
        })
        .collect();
    let mut ids = HashSet::new();
    let mut new = 0;
    for task in tasks {
        let begun = task.await.unwrap();
        ids.insert(begun.payment.id);
        new += usize::from(begun.is_new);
    }
    assert_eq!((ids.len(), new), (1, 1));
}

#[tokio::test]
async fn payments_survive_a_restart_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let data = Files::Folder(folder.path().to_owned());
    let open = || sqlite_in(&data, &Telemetry::disabled());
    let store = open();
    let unknown = begin(&store, "unknown").await;
    let taken = captured(&store, "taken").await;
    store.when(at(2)).give_up(order("unknown"), first(), Epoch::FIRST).await.unwrap();
    store.close().await;

    let store = open();
    let found = store.newest(order("unknown")).await.unwrap().unwrap();
    assert_eq!((&found.id, found.is_unwanted), (&unknown.id, true));
    assert_eq!(store.newest(order("taken")).await.unwrap(), Some(taken));
    assert_eq!(code(store.when(at(3)).begin(intent("unknown", 1)).await), ErrorCode::PaymentConflict);
    assert_sound(&*store, &["unknown", "taken"]).await;
    store.close().await;
}

#[tokio::test]
async fn the_database_itself_keeps_the_rules() {
    let folder = tempfile::tempdir().unwrap();
    let data = Files::Folder(folder.path().to_owned());
    let store = sqlite_in(&data, &Telemetry::disabled());
    captured(&store, "taken").await;
    let payment = begin(&store, "declined").await;
    record(&store, "declined", charge(&payment, ChargeStatus::Declined, 0)).await.unwrap();
    store.close().await;

    let connection = rusqlite::Connection::open(folder.path().join("payment.db")).unwrap();
    let refusals = [
        ("UPDATE payments SET captured = amount + 1 WHERE order_id = 'taken'", "captured_was_authorized"),
        ("UPDATE payments SET refunded = captured + 1 WHERE order_id = 'taken'", "refunded_was_captured"),
        ("UPDATE payments SET captured = 1 WHERE order_id = 'declined'", "only_a_taken_payment_has_money"),
        ("UPDATE payments SET state = 'voided' WHERE order_id = 'taken'", "a payment moves by the rules"),
        (
            "UPDATE payments SET state = 'authorized' WHERE order_id = 'declined'",
            "a payment moves by the rules",
        ),
        (
            "INSERT INTO payments SELECT order_id, 2, payment_id, step_key, user_id, payment_method, amount, currency, \
             state, captured, refunded, transaction_id, decline_code, is_unwanted, review_at, reviews, version, \
             traceparent, created_at, updated_at, lease_epoch, contradicted_at FROM payments WHERE order_id = 'taken'",
            "UNIQUE constraint failed: payments.order_id",
        ),
        ("UPDATE payments SET lease_epoch = 0 WHERE order_id = 'taken'", "an epoch that was seen stays seen"),
        ("UPDATE ledger_entries SET debit = 1", "ledger entries are append-only"),
        ("DELETE FROM ledger_entries", "ledger entries are append-only"),
    ];
    for (statement, reason) in refusals {
        let error = connection.execute(statement, ()).unwrap_err().to_string();
        assert!(error.contains(reason), "{statement}: {error}");
    }
}
