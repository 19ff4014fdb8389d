//! Retries over a real connection.

use std::sync::atomic::{AtomicUsize, Ordering};

use tonic::{Code, Status};
use waypost_api::user::v1::{GetUserRequest, User};
use waypost_resilience::{
    backoff::Random,
    grpc::{Channel, ChannelOptions},
    retry::{Attempt, Budget, Policy},
};
use waypost_telemetry::Telemetry;

use crate::loopback::{FOR_GOOD, Server, answer, call_with, nervous};

fn budget() -> Budget {
    Budget::new(&Telemetry::disabled(), "user")
}

fn at_once() -> Policy {
    Policy::new().random(Random::fixed(0.0))
}

async fn attempt(channel: &Channel, attempt: Attempt) -> Result<User, Status> {
    call_with(channel, attempt.request(GetUserRequest::default())).await
}

#[tokio::test]
async fn a_call_that_failed_twice_succeeds_the_third_time_and_tells_the_server_so() {
    let server = Server::start().await;
    server.answers(|metadata| {
        let previous = metadata.get("grpc-previous-rpc-attempts").map(|value| value.to_str().unwrap());
        answer(if previous == Some("2") { Ok(User::default()) } else { Err(Status::unavailable("not yet")) })
    });
    let channel = server.channel(ChannelOptions::default());
    at_once().idempotent().call(&budget(), |number| attempt(&channel, number)).await.unwrap();
    assert_eq!(server.calls(), 3);
}

#[tokio::test]
async fn a_target_that_nobody_listens_on_is_tried_three_times_also_when_not_idempotent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let channel = Channel::connect_lazy(&Telemetry::disabled(), &target, ChannelOptions::default()).unwrap();
    let attempts = AtomicUsize::new(0);
    let result = at_once()
        .call(&budget(), |number| {
            attempts.fetch_add(1, Ordering::SeqCst);
            attempt(&channel, number)
        })
        .await;
    assert_eq!(result.unwrap_err().code(), Code::Unavailable);
    assert_eq!(attempts.into_inner(), 3);
}

#[tokio::test]
async fn a_call_that_was_cut_off_is_repeated_only_when_idempotent() {
    for (policy, calls) in [(at_once(), 1), (at_once().idempotent(), 2)] {
        let server = Server::start().await;
        let cutter = server.clone();
        server.answers(move |metadata| {
            if metadata.contains_key("grpc-previous-rpc-attempts") {
                return answer(Ok(User::default()));
            }
            let cutter = cutter.clone();
            Box::pin(async move {
                cutter.cut_connections();
                std::future::pending().await
            })
        });
        let channel = server.channel(ChannelOptions::default());
        let result = policy.call(&budget(), |number| attempt(&channel, number)).await;
        assert_eq!(result.is_ok(), calls == 2);
        assert_eq!(server.calls(), calls);
    }
}

#[tokio::test]
async fn a_shut_breaker_is_not_asked_over_and_over() {
    let server = Server::start().await;
    server.answers_with(|| Err(Status::unavailable("down")));
    let channel = server.channel(nervous(FOR_GOOD));
    let result = at_once().idempotent().call(&budget(), |number| attempt(&channel, number)).await;
    // Two failures shut it; the third attempt is refused and the last.
    assert_eq!(result.unwrap_err().code(), Code::Unavailable);
    assert_eq!(server.calls(), 2);
}
