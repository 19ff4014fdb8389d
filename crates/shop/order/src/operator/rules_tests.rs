//! Which actions are allowed when.

use super::*;
use crate::{
    domain::{Output, tests::pending},
    place_order::plan,
    store::operator::{Action, JournalRow},
};
use waypost_api::TransactionId;
use waypost_service::operator::Asked;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(seconds * 1000).unwrap()
}

fn refusal(code: ErrorCode) -> Refusal {
    Refusal { code, detail: "no".to_owned(), decline_code: None }
}

fn stuck(step: &'static str) -> Fact {
    Entry::Stuck(step.into(), refusal(ErrorCode::PaymentConflict))
}

/// A parked order whose journal has these rows, one each second.
fn parked(rows: Vec<Vec<Fact>>) -> Record {
    let journal = rows.into_iter().zip(1..);
    let journal = journal.map(|(facts, row)| JournalRow { row, facts, at: at(row.cast_signed()) }).collect();
    Record {
        order: pending(),
        phase: "stuck".to_owned(),
        journal,
        history: Vec::new(),
        actions: Vec::new(),
        epoch: waypost_durable::Epoch::FIRST,
    }
}

/// Out of stock, and the authorisation cannot be given up.
fn before_the_capture() -> Record {
    let transaction = TransactionId::parse("ch_1").unwrap();
    parked(vec![
        vec![Entry::Intended("reserve".into()), Entry::Intended("authorize".into())],
        vec![
            Entry::Refused("reserve".into(), refusal(ErrorCode::OutOfStock)),
            Entry::Done("authorize".into(), Some(Output::Authorized { transaction })),
        ],
        vec![stuck("authorize")],
    ])
}

/// Captured, the stock is gone, and the refund is refused.
fn after_the_capture() -> Record {
    parked(vec![
        vec![Entry::Intended("reserve".into()), Entry::Intended("authorize".into())],
        vec![Entry::Intended("capture".into()), Entry::Intended("commit-stock".into())],
        vec![
            Entry::Done("capture".into(), Some(Output::Captured)),
            Entry::Refused("commit-stock".into(), refusal(ErrorCode::OutOfStock)),
            stuck("commit-stock"),
        ],
    ])
}

#[expect(clippy::unnecessary_wraps, reason = "in the form in which the rules take it")]
fn payment(state: &str, captured: i64, refunded: i64) -> Money {
    Ok(Some(Payment { state: state.to_owned(), captured, refunded, transaction: "ch_1".to_owned() }))
}

#[expect(clippy::unnecessary_wraps, reason = "in the form in which the rules take it")]
fn failed(code: ErrorCode) -> Option<Ending<Refusal>> {
    Some(Ending::Failed(refusal(code)))
}

fn refund_action(outcome: Outcome, number: u32, amount: i64) -> Action {
    Action {
        kind: ActionKind::Refund,
        outcome,
        asked: Asked { by: "ann".to_owned(), reason: "owed".to_owned() },
        refund: Some(RefundAttempt { number, amount }),
        notes: Vec::new(),
        at: at(9),
    }
}

#[test]
fn the_steps_that_the_rules_speak_of_are_in_the_plan() {
    let shape = format!("{:?}", plan(true).shape());
    for step in [RESERVE, AUTHORIZE, CAPTURE] {
        assert!(shape.contains(&format!("name: {step:?}")), "{step} is not in {shape}");
    }
}

#[test]
fn rounds_without_progress_count_from_the_first() {
    let mut record = before_the_capture();
    for row in 4..8 {
        let facts = if row % 2 == 0 { vec![Entry::Resumed] } else { vec![stuck("authorize")] };
        record.journal.push(JournalRow { row, facts, at: at(row.cast_signed()) });
    }
    let parking = parking(&record).unwrap();
    assert_eq!((parking.step.as_str(), parking.since, parking.rounds), ("authorize", at(3), 3));
    assert!(!parking.is_being_tried);
}

#[test]
fn what_is_being_tried_is_left_alone() {
    let mut record = before_the_capture();
    record.journal.push(JournalRow { row: 4, facts: vec![Entry::Resumed], at: at(4) });
    assert_eq!(retry(&record), Err(Refused::BeingTried));
    assert_eq!(refund(&record, &payment("captured", 10, 0), None), Err(Refused::BeingTried));
    let ended = Record { phase: "ended".to_owned(), ..before_the_capture() };
    assert_eq!(retry(&ended), Err(Refused::NotParked("ended".to_owned())));
}

#[test]
fn before_the_capture_a_saga_may_be_given_up_and_says_what_is_held() {
    let record = before_the_capture();
    let turned = failed(ErrorCode::OutOfStock);
    let end = abandon(&record, turned.clone(), &payment("authorized", 0, 0)).unwrap();
    assert_eq!(end.ending, turned.clone().unwrap());
    let expected = "money: 99.99 USD is set aside at the provider (charge ch_1); give it up there";
    assert_eq!(end.left_open, [expected]);
    let unheard = abandon(&record, turned, &Err("it is away".to_owned())).unwrap();
    assert_eq!(unheard.left_open, ["money: 99.99 USD may be set aside; it is away"]);
}

#[test]
fn a_saga_that_owes_goods_or_money_is_not_given_up() {
    let record = after_the_capture();
    let given_up = |money| abandon(&record, failed(ErrorCode::OutOfStock), &money);
    assert!(matches!(given_up(payment("captured", 100, 0)), Err(Refused::MoneyIsOwed { .. })));
    assert!(matches!(given_up(payment("captured", 100, 99)), Err(Refused::MoneyIsOwed { .. })));
    assert!(matches!(given_up(Err("it is away".to_owned())), Err(Refused::MoneyIsUnknown(_))));
    assert!(matches!(given_up(Ok(None)), Err(Refused::MoneyIsUnknown(_))));
    let end = given_up(payment("refunded", 100, 100)).unwrap();
    assert!(end.left_open[0].starts_with("stock: 2 of prod456 may be held or taken"), "{:?}", end.left_open);
}

#[test]
fn a_saga_whose_capture_may_still_land_is_not_given_up() {
    let mut record = after_the_capture();
    record.journal[2].facts = vec![stuck("authorize")];
    for state in ["authorized", "unknown"] {
        let judged = abandon(&record, failed(ErrorCode::PaymentUnknown), &payment(state, 0, 0));
        assert_eq!(judged, Err(Refused::CaptureIsOpen(state.to_owned())));
    }
    let refused = Entry::Refused("capture".into(), refusal(ErrorCode::PaymentConflict));
    record.journal[2].facts.insert(0, refused);
    assert!(abandon(&record, failed(ErrorCode::PaymentConflict), &payment("authorized", 0, 0)).is_ok());
}

#[test]
fn a_refund_never_exceeds_what_is_left() {
    let record = after_the_capture();
    let captured = payment("captured", 100, 30);
    assert_eq!(refund(&record, &captured, None), Ok(RefundAttempt { number: 1, amount: 70 }));
    assert_eq!(refund(&record, &captured, Some(70)), Ok(RefundAttempt { number: 1, amount: 70 }));
    assert_eq!(refund(&record, &captured, Some(71)), Err(Refused::TooMuch(amount(70))));
    assert_eq!(refund(&record, &captured, Some(0)), Err(Refused::BadAmount));
    assert_eq!(refund(&record, &payment("refunded", 100, 100), None), Err(Refused::AllRefunded(amount(100))));
    assert_eq!(refund(&record, &payment("authorized", 0, 0), None), Err(Refused::NothingCaptured));
    assert!(matches!(refund(&record, &Err("away".to_owned()), None), Err(Refused::MoneyIsUnknown(_))));
    let running = Record { phase: "committed".to_owned(), ..after_the_capture() };
    assert_eq!(refund(&running, &captured, None), Err(Refused::StillRunning("committed".to_owned())));
}

#[test]
fn an_open_refund_is_asked_for_again_and_a_rejected_one_anew() {
    let captured = payment("captured", 100, 0);
    for outcome in [Outcome::Asked, Outcome::Unknown] {
        let record = Record { actions: vec![refund_action(outcome, 1, 40)], ..after_the_capture() };
        assert_eq!(refund(&record, &captured, None), Ok(RefundAttempt { number: 1, amount: 40 }));
        assert!(matches!(refund(&record, &captured, Some(50)), Err(Refused::RefundIsOpen { .. })));
    }
    for outcome in [Outcome::Rejected, Outcome::Done] {
        let record = Record { actions: vec![refund_action(outcome, 1, 40)], ..after_the_capture() };
        assert_eq!(refund(&record, &captured, Some(40)), Ok(RefundAttempt { number: 2, amount: 40 }));
    }
}
