use super::*;
use crate::domain::{Generation, Intent};
use waypost_api::{Currency, OrderId, PaymentId, TransactionId, UserId};
use waypost_durable::Epoch;

const AMOUNT: i64 = 999_900;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_millis(0).unwrap().plus(Duration::from_secs(seconds))
}

fn unknown() -> Payment {
    let intent = Intent {
        id: PaymentId::parse("pay-1").unwrap(),
        order: OrderId::parse("order-1").unwrap(),
        generation: Generation::new(1),
        key: "order-1:authorize:1".to_owned(),
        user: UserId::parse("user123").unwrap(),
        method: "pm_card_ok".to_owned(),
        amount: Money::new(AMOUNT, Currency::USD),
        traceparent: None,
        epoch: Epoch::FIRST,
    };
    Payment::begin(intent, at(0), &ReviewTimes::default())
}

fn charge(status: ChargeStatus) -> Charge {
    let captured = match status {
        ChargeStatus::Captured | ChargeStatus::Refunded => AMOUNT,
        ChargeStatus::Authorized | ChargeStatus::Declined | ChargeStatus::Voided => 0,
    };
    Charge {
        id: TransactionId::parse("ch_1").unwrap(),
        reference: PaymentId::parse("pay-1").unwrap(),
        status,
        amount: Money::new(AMOUNT, Currency::USD),
        captured,
        refunded: if status == ChargeStatus::Refunded { AMOUNT } else { 0 },
        decline_code: None,
    }
}

fn after(payment: &Payment, finding: &Finding) -> Payment {
    payment.after(finding, at(10), &ReviewTimes::default()).unwrap().payment
}

fn found(payment: &Payment, status: ChargeStatus) -> Payment {
    after(payment, &Finding::Charge(charge(status)))
}

#[test]
fn a_payment_follows_its_charge_and_books_each_amount_once() {
    let times = ReviewTimes::default();
    let authorized = found(&unknown(), ChargeStatus::Authorized);
    assert_eq!(authorized.state, PaymentState::Authorized);
    assert!(authorized.review_at.is_some());

    let captured =
        authorized.after(&Finding::Charge(charge(ChargeStatus::Captured)), at(20), &times).unwrap();
    assert_eq!(captured.postings, [Posting::Capture(Money::new(AMOUNT, Currency::USD))]);
    assert_eq!(captured.payment.review_at, None);
    assert!(captured.payment.is_within_bounds());

    let again =
        captured.payment.after(&Finding::Charge(charge(ChargeStatus::Captured)), at(30), &times).unwrap();
    assert_eq!(again, Change { payment: captured.payment, postings: Vec::new() });
}

#[test]
fn a_charge_that_went_all_the_way_unseen_is_booked_whole() {
    let change = unknown()
        .after(&Finding::Charge(charge(ChargeStatus::Refunded)), at(9), &ReviewTimes::default())
        .unwrap();
    assert_eq!(change.payment.state, PaymentState::Refunded);
    assert_eq!(change.postings.len(), 2);
}

#[test]
fn a_snapshot_from_before_changes_nothing() {
    let captured = found(&unknown(), ChargeStatus::Captured);
    assert_eq!(found(&captured, ChargeStatus::Authorized), captured);
    let voided = found(&found(&unknown(), ChargeStatus::Authorized), ChargeStatus::Voided);
    assert_eq!(found(&voided, ChargeStatus::Authorized), voided);
}

#[test]
fn refunds_add_up_until_nothing_is_left() {
    let captured = found(&unknown(), ChargeStatus::Captured);
    let part = Charge { refunded: 100, ..charge(ChargeStatus::Captured) };
    let partly = after(&captured, &Finding::Charge(part));
    assert_eq!((partly.state, partly.refunded), (PaymentState::Captured, 100));
    let wholly = found(&partly, ChargeStatus::Refunded);
    assert_eq!((wholly.state, wholly.refunded), (PaymentState::Refunded, AMOUNT));
}

#[test]
fn an_answer_that_cannot_be_changes_nothing() {
    let times = ReviewTimes::default();
    let wrong = [
        Charge { reference: PaymentId::parse("pay-2").unwrap(), ..charge(ChargeStatus::Authorized) },
        Charge { amount: Money::new(1, Currency::USD), ..charge(ChargeStatus::Authorized) },
        Charge { captured: AMOUNT + 1, ..charge(ChargeStatus::Captured) },
        Charge { captured: 1, ..charge(ChargeStatus::Authorized) },
        Charge { captured: 0, ..charge(ChargeStatus::Captured) },
        Charge { refunded: AMOUNT, ..charge(ChargeStatus::Captured) },
        Charge { refunded: 1, ..charge(ChargeStatus::Refunded) },
        Charge { refunded: -1, ..charge(ChargeStatus::Captured) },
    ];
    for charge in wrong {
        assert!(unknown().after(&Finding::Charge(charge.clone()), at(9), &times).is_err(), "{charge:?}");
    }
    let declined = found(&unknown(), ChargeStatus::Declined);
    let captured = Finding::Charge(charge(ChargeStatus::Captured));
    assert!(matches!(declined.after(&captured, at(9), &times), Err(Contradiction::State { .. })));
    let other = Charge { id: TransactionId::parse("ch_2").unwrap(), ..charge(ChargeStatus::Authorized) };
    let authorized = found(&unknown(), ChargeStatus::Authorized);
    assert!(authorized.after(&Finding::Charge(other), at(9), &times).is_err());
}

#[test]
fn a_late_charge_is_looked_for_with_growing_pauses() {
    let times = ReviewTimes::default();
    let unwanted = Payment { is_unwanted: true, ..unknown() };
    let voided = after(&unwanted, &Finding::Absent);
    assert_eq!((voided.state, voided.authorized()), (PaymentState::Voided, 0));
    assert_eq!(voided.review_at, Some(at(10).plus(times.late_charge_after)));
    let mut looks = Vec::new();
    let mut waiting = voided.clone();
    while let Some(due) = waiting.review_at {
        looks.push(due.since(waiting.created_at).as_secs());
        waiting = waiting.after(&Finding::Absent, due, &times).unwrap().payment;
        assert!(looks.len() < 20, "{looks:?}");
    }
    assert!(looks.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{looks:?}");
    assert_eq!((looks.first(), looks.last()), (Some(&70), Some(&(24 * 3600))));

    let owing = found(&voided, ChargeStatus::Authorized);
    assert_eq!((owing.state, owing.review_at), (PaymentState::Voided, Some(at(10))));
    let settled = found(&owing, ChargeStatus::Voided);
    assert_eq!(settled.review_at, None);
    assert!(voided.after(&Finding::Charge(charge(ChargeStatus::Captured)), at(9), &times).is_err());
}

#[test]
fn a_payment_that_nobody_asked_again_for_is_given_up_in_the_end() {
    let times = ReviewTimes::default();
    let mut payment = unknown();
    let mut looks = 0;
    while payment.state == PaymentState::Unknown {
        let due = payment.review_at.unwrap();
        payment = payment.after(&Finding::Absent, due, &times).unwrap().payment;
        looks += 1;
        assert!(looks < 20);
    }
    assert_eq!(payment.state, PaymentState::Voided);
}

#[test]
fn silence_is_asked_again_later_each_time() {
    let times = ReviewTimes::default();
    let first = after(&unknown(), &Finding::NoAnswer);
    let second = after(&first, &Finding::NoAnswer);
    assert_eq!(first.review_at, Some(at(10).plus(times.unknown_after)));
    assert_eq!(second.review_at, Some(at(10).plus(times.unknown_after * 2)));
    let tired = Payment { reviews: 1000, ..unknown() };
    assert_eq!(after(&tired, &Finding::NoAnswer).review_at, Some(at(10).plus(times.max_pause)));
}

#[test]
fn a_rejected_charge_is_a_decline() {
    let rejected = after(&unknown(), &rejected(false));
    assert_eq!((rejected.state, rejected.review_at), (PaymentState::Declined, None));
    assert_eq!(rejected.decline_code.as_deref(), Some("card_declined"));
}

fn rejected(after_open_try: bool) -> Finding {
    Finding::Rejected { code: "card_declined".to_owned(), after_open_try }
}

#[test]
fn a_charge_that_turns_up_after_its_rejection_is_to_be_voided() {
    let rejected = after(&unknown(), &rejected(true));
    assert_eq!(rejected.state, PaymentState::Declined);
    assert!(rejected.review_at.is_some(), "it is looked for");
    let owing = found(&rejected, ChargeStatus::Authorized);
    assert_eq!((owing.state, owing.review_at), (PaymentState::Declined, Some(at(10))));
    let settled = found(&owing, ChargeStatus::Voided);
    assert_eq!((settled.state, settled.review_at), (PaymentState::Declined, None));
    assert!(settled.is_within_bounds());
}

#[test]
fn an_unwanted_capture_is_looked_at_until_it_is_given_back() {
    let captured = found(&unknown(), ChargeStatus::Captured);
    assert_eq!(captured.review_at, None);
    let unwanted = captured.given_up(at(9), &ReviewTimes::default()).payment;
    assert!(unwanted.is_unwanted && unwanted.review_at.is_some());
    assert!(found(&unwanted, ChargeStatus::Captured).review_at.is_some());
    assert_eq!(found(&unwanted, ChargeStatus::Refunded).review_at, None);
}
