//! What a store keeps when many call it at once. The isolation that each method needs is in the trait's documentation.

use super::{captured, refund};
use crate::world::{AMOUNT, Timed, assert_sound, at, charge, first, intent, order};
use std::future::Future;
use waypost_api::{Currency, ErrorCode};
use waypost_durable::Epoch;
use waypost_payment::{
    domain::{ChargeStatus, Finding, RefundState},
    store::RefundOutcome,
};

on_each_store! {
    an_attempt_is_not_both_begun_and_given_up
    of_two_attempts_one_is_live
    money_that_was_found_by_many_is_booked_once
    refunds_at_once_give_back_no_more_than_was_captured
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

/// Each of the two reads what the other one writes. Which of them comes first is different from order to order.
async fn an_attempt_is_not_both_begun_and_given_up(store: Timed) {
    let names: Vec<String> = (0..20).map(|number| format!("order-{number}")).collect();
    let begin = |name: &String| {
        let (store, intent) = (store.clone(), intent(name, 1));
        waypost_telemetry::spawn(async move { store.when(at(0)).begin(intent).await })
    };
    let give_up = |name: &String| {
        let (store, order) = (store.clone(), order(name));
        waypost_telemetry::spawn(async move { store.when(at(0)).give_up(order, first(), Epoch::FIRST).await })
    };
    let races: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(number, name)| {
            if number % 2 == 0 {
                let begun = begin(name);
                (name, begun, give_up(name))
            } else {
                let given_up = give_up(name);
                (name, begin(name), given_up)
            }
        })
        .collect();
    for (name, begun, given_up) in races {
        given_up.await.unwrap().unwrap();
        let begun = begun.await.unwrap();
        let newest = store.newest(order(name)).await.unwrap();
        match begun {
            Ok(_) => assert!(newest.unwrap().is_unwanted, "{name} would be charged"),
            Err(error) => {
                assert_eq!((error.code(), newest), (ErrorCode::PaymentConflict, None), "{name}");
            }
        }
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_sound(&*store, &names).await;
}

async fn of_two_attempts_one_is_live(store: Timed) {
    for number in 0..10 {
        let name = format!("order-{number}");
        let attempts = [1, 2].map(|generation| {
            let (store, intent) = (store.clone(), intent(&name, generation));
            async move { store.when(at(0)).begin(intent).await.is_ok() }
        });
        assert_eq!(at_once(attempts).await.into_iter().filter(|is_live| *is_live).count(), 1, "{name}");
    }
}

async fn money_that_was_found_by_many_is_booked_once(store: Timed) {
    let payment = store.when(at(0)).begin(intent("one", 1)).await.unwrap().payment;
    let findings = (0..10).map(|_| {
        let (store, known) = (store.clone(), payment.clone());
        let finding = Finding::Charge(charge(&payment, ChargeStatus::Captured, 0));
        async move { store.when(at(1)).record_of(known, finding).await.unwrap() }
    });
    assert!(at_once(findings).await.into_iter().all(|payment| payment.captured == AMOUNT));
    let totals = store.totals(Currency::USD).await.unwrap();
    assert_eq!((totals.captured, totals.debits, totals.receivable), (AMOUNT, AMOUNT, AMOUNT));
    assert_sound(&*store, &["one"]).await;
}

async fn refunds_at_once_give_back_no_more_than_was_captured(store: Timed) {
    let payment = captured(&store, "one").await;
    let part = AMOUNT / 3;
    let refunds = (0..10).map(|number| {
        let (store, request) = (store.clone(), refund("one", number, part));
        async move { store.when(at(2)).begin_refund(request, Some(Epoch::FIRST)).await }
    });
    let mut begun = Vec::new();
    for answer in at_once(refunds).await {
        match answer {
            Ok(refund) => begun.push(refund.refund),
            Err(error) => assert_eq!(error.code(), ErrorCode::RefundTooLarge),
        }
    }
    assert_eq!(begun.len(), 3);
    assert!(begun.iter().all(|refund| refund.state == RefundState::Pending));

    let mut refunded = 0;
    for refund in begun {
        refunded += part;
        let status = if refunded == AMOUNT { ChargeStatus::Refunded } else { ChargeStatus::Captured };
        let done = RefundOutcome::Done(charge(&payment, status, refunded));
        store.when(at(3)).end_refund(refund.request.key, refund.number, done).await.unwrap();
    }
    assert_eq!(store.totals(Currency::USD).await.unwrap().refunded, part * 3);
    assert_sound(&*store, &["one"]).await;
}
