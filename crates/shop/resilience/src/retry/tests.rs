use std::{cell::RefCell, sync::Arc};

use tokio::time::Instant;
use waypost_telemetry::Telemetry;

use super::*;

fn budget(percent: u32, reserve: u32) -> Budget {
    Budget::with(&Telemetry::disabled(), "inventory", percent, reserve)
}

/// A policy whose waits are the ceilings: 50 ms, 100 ms.
fn policy() -> Policy {
    Policy::new().random(Random::fixed(1.0))
}

fn unavailable_with_pushback(text: &'static str) -> Status {
    let mut status = Status::unavailable("busy");
    status.metadata_mut().insert(RETRY_PUSHBACK_METADATA, MetadataValue::from_static(text));
    status
}

fn not_connected() -> Status {
    let mut status = Status::unavailable("no connection");
    status.set_source(Arc::new(tonic::ConnectError("refused".into())));
    status
}

/// Calls something that answers with the given failures in turn and then succeeds. Gives the result and when
/// each attempt was made, in milliseconds.
async fn play(policy: &Policy, budget: &Budget, failures: Vec<Status>) -> (Result<(), Code>, Vec<u128>) {
    let start = Instant::now();
    let times = RefCell::new(Vec::new());
    let failures = RefCell::new(failures.into_iter());
    let result = policy
        .call(budget, |_| {
            times.borrow_mut().push(start.elapsed().as_millis());
            let result = failures.borrow_mut().next().map_or(Ok(()), Err);
            async { result }
        })
        .await;
    (result.map_err(|status| status.code()), times.into_inner())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_left_is_repeated_with_growing_waits() {
    let played = play(&policy(), &budget(20, 10), vec![not_connected(), not_connected()]).await;
    assert_eq!(played, (Ok(()), vec![0, 50, 150]));
}

#[tokio::test(start_paused = true)]
async fn three_attempts_are_the_most() {
    let failures = (0..9).map(|_| not_connected()).collect();
    let played = play(&policy().max_attempts(100), &budget(20, 10), failures).await;
    assert_eq!(played, (Err(Code::Unavailable), vec![0, 50, 150]));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_have_had_an_effect_is_repeated_only_when_idempotent() {
    let failure = || vec![Status::unavailable("went away")];
    let (result, times) = play(&policy(), &budget(20, 10), failure()).await;
    assert_eq!((result, times.len()), (Err(Code::Unavailable), 1));
    let (result, times) = play(&policy().idempotent(), &budget(20, 10), failure()).await;
    assert_eq!((result, times.len()), (Ok(()), 2));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_answer_and_not_repeated() {
    for status in [
        Status::not_found(""),
        Status::failed_precondition(""),
        Status::deadline_exceeded(""),
        Status::internal(""),
        Status::resource_exhausted(""),
    ] {
        let code = status.code();
        let (result, times) = play(&policy().idempotent(), &budget(20, 10), vec![status]).await;
        assert_eq!((result, times.len()), (Err(code), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_servers_word_on_when_to_try_again_is_kept() {
    let failure = || vec![unavailable_with_pushback("700")];
    let played = play(&policy().idempotent(), &budget(20, 10), failure()).await;
    assert_eq!(played, (Ok(()), vec![0, 700]));
    // That the server says when does not mean that it did nothing.
    let (result, times) = play(&policy(), &budget(20, 10), failure()).await;
    assert_eq!((result, times.len()), (Err(Code::Unavailable), 1));
    for never in ["-1", "soon", "", "1.5", "99999999999"] {
        let failure = vec![unavailable_with_pushback(never)];
        let (result, times) = play(&policy().idempotent(), &budget(20, 10), failure).await;
        assert_eq!((result, times.len()), (Err(Code::Unavailable), 1), "{never}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_server_is_asked_again_only_when_it_said_when() {
    let mut status = Status::resource_exhausted("shed");
    status.metadata_mut().insert(RETRY_PUSHBACK_METADATA, MetadataValue::from_static("200"));
    let played = play(&policy().idempotent(), &budget(20, 10), vec![status]).await;
    assert_eq!(played, (Ok(()), vec![0, 200]));
}

#[tokio::test(start_paused = true)]
async fn a_shut_breaker_is_not_asked_again() {
    let refused = Status::from(Refused { retry_in: Duration::from_millis(1) });
    let (result, times) = play(&policy().idempotent(), &budget(20, 10), vec![refused]).await;
    assert_eq!((result, times.len()), (Err(Code::Unavailable), 1));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_past_the_deadline() {
    let deadline = Instant::now() + Duration::from_millis(120);
    let failures = vec![not_connected(), not_connected()];
    let played = deadline::within(deadline, play(&policy(), &budget(20, 10), failures)).await;
    // The second wait, 100 ms from 50 ms on, would end after the deadline: the failure is given at once.
    assert_eq!(played, Ok((Err(Code::Unavailable), vec![0, 50])));
    assert_eq!(Instant::now(), deadline - Duration::from_millis(70));
}

#[tokio::test(start_paused = true)]
async fn retries_add_no_more_than_the_budget_to_the_load() {
    let budget = budget(10, 5);
    let mut attempts = 0;
    for _ in 0..1000 {
        attempts += play(&policy(), &budget, (0..3).map(|_| not_connected()).collect()).await.1.len();
    }
    // 1,000 calls, a tenth of them as retries, and the reserve, which cannot be saved above its size.
    assert!((1100..=1105).contains(&attempts), "{attempts}");
}

#[test]
fn only_a_repeated_request_tells_how_often_it_was_tried() {
    let first = Attempt { number: 1 }.request(());
    assert!(!first.metadata().contains_key(PREVIOUS_ATTEMPTS_METADATA));
    let third = Attempt { number: 3 }.request(());
    assert_eq!(third.metadata().get(PREVIOUS_ATTEMPTS_METADATA).unwrap(), "2");
}
