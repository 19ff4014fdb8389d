//! A target that keeps failing is left alone, and found out again.

use std::time::Duration;

use tonic::{Code, Status};
use waypost_api::{Error, ErrorCode, user::v1::User};
use waypost_resilience::{
    breaker::{Refused, State},
    deadline,
    grpc::{Channel, ChannelError, ChannelOptions},
};
use waypost_telemetry::Telemetry;

use crate::loopback::{BRIEFLY, FOR_GOOD, Server, call, nervous, until};

/// Calls until a call succeeds.
async fn becomes_well(channel: &Channel) {
    let calls = async {
        while call(channel).await.is_err() {
            // A refusal is ready at once, so that the time-out would never be looked at.
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), calls).await.unwrap();
}

fn is_refused(status: &Status) -> bool {
    std::iter::successors(std::error::Error::source(status), |error| (*error).source())
        .any(<dyn std::error::Error>::is::<Refused>)
}

#[tokio::test]
async fn a_target_that_keeps_failing_is_not_called() {
    let server = Server::start().await;
    server.answers_with(|| Err(Status::internal("broken")));
    let channel = server.channel(nervous(FOR_GOOD));
    for _ in 0..2 {
        assert!(!is_refused(&call(&channel).await.unwrap_err()));
    }
    let refused = call(&channel).await.unwrap_err();
    assert!(is_refused(&refused));
    let error = Error::from_status(&refused);
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert!(error.retry_after.is_some());
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn a_target_that_is_well_again_is_found_out_by_one_probe() {
    let server = Server::start().await;
    server.answers_with(|| Err(Status::internal("broken")));
    let channel = server.channel(nervous(BRIEFLY));
    for _ in 0..2 {
        call(&channel).await.unwrap_err();
    }
    server.answers_with(|| Ok(User::default()));
    becomes_well(&channel).await;
    assert_eq!(channel.breakers()[0].1, State::Open);
    assert_eq!(server.calls(), 3);
}

#[tokio::test]
async fn a_target_that_cannot_be_reached_shuts_the_breaker() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let channel = Channel::connect_lazy(&Telemetry::disabled(), &target, nervous(FOR_GOOD)).unwrap();
    for _ in 0..2 {
        let status = call(&channel).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(!is_refused(&status));
    }
    assert!(is_refused(&call(&channel).await.unwrap_err()));
}

#[tokio::test]
async fn a_connection_that_breaks_under_a_call_is_unavailable() {
    let server = Server::start().await;
    server.never_answers();
    let channel = server.channel(ChannelOptions::default());
    let (status, ()) = tokio::join!(call(&channel), async {
        until("the call arrives", || server.calls() == 1).await;
        server.cut_connections();
    });
    assert_eq!(status.unwrap_err().code(), Code::Unavailable);
    // The next call connects again.
    server.answers_with(|| Ok(User::default()));
    call(&channel).await.unwrap();
}

#[tokio::test]
async fn a_refusal_by_the_rules_of_the_service_is_a_healthy_answer() {
    let server = Server::start().await;
    let channel = server.channel(nervous(FOR_GOOD));
    for code in [ErrorCode::OutOfStock, ErrorCode::UserNotFound, ErrorCode::PaymentUnknown] {
        server.answers_with(move || Err(Error::of(code).into()));
        for _ in 0..5 {
            let status = call(&channel).await.unwrap_err();
            assert_eq!(Error::from_status(&status).code, code);
        }
    }
    assert_eq!(server.calls(), 15);
}

#[tokio::test]
async fn a_failure_of_the_service_itself_counts_with_and_without_a_name() {
    for status in [
        || Status::from(Error::internal()),
        || Status::from(Error::of(ErrorCode::Unavailable)),
        || Status::unavailable("going down"),
        || Status::unknown("a panic"),
    ] {
        let server = Server::start().await;
        server.answers_with(move || Err(status()));
        let channel = server.channel(nervous(FOR_GOOD));
        for _ in 0..5 {
            call(&channel).await.unwrap_err();
        }
        assert_eq!(server.calls(), 2, "{}", status());
    }
}

#[tokio::test]
async fn callers_with_impossibly_short_deadlines_do_not_shut_it_for_others() {
    let server = Server::start().await;
    server.never_answers();
    let options = ChannelOptions { counts_timeouts_from: Duration::from_mins(1), ..nervous(FOR_GOOD) };
    let channel = server.channel(options);
    for _ in 0..5 {
        let short = tokio::time::Instant::now() + Duration::from_millis(5);
        let status = deadline::scope(Some(short), call(&channel)).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }
    assert_eq!(channel.breakers()[0].1, State::Open);
}

#[tokio::test]
async fn a_target_that_hangs_shuts_the_breaker() {
    let server = Server::start().await;
    server.never_answers();
    let time = Duration::from_millis(30);
    let options =
        ChannelOptions { max: time, counts_timeouts_from: Duration::from_millis(10), ..nervous(FOR_GOOD) };
    let channel = server.channel(options);
    for _ in 0..2 {
        assert_eq!(call(&channel).await.unwrap_err().code(), Code::DeadlineExceeded);
    }
    assert!(is_refused(&call(&channel).await.unwrap_err()));
}

#[tokio::test]
async fn a_probe_whose_caller_leaves_does_not_keep_it_shut() {
    let server = Server::start().await;
    server.answers_with(|| Err(Status::internal("broken")));
    let channel = server.channel(nervous(BRIEFLY));
    for _ in 0..2 {
        call(&channel).await.unwrap_err();
    }
    server.never_answers();
    let probed = tokio::time::timeout(Duration::from_secs(10), async {
        while server.calls() < 3 {
            // A caller that leaves at once: refused while shut, dropped while probing.
            let _ = tokio::time::timeout(Duration::from_millis(20), call(&channel)).await;
            tokio::task::yield_now().await;
        }
    });
    probed.await.unwrap();
    server.answers_with(|| Ok(User::default()));
    becomes_well(&channel).await;
}

#[tokio::test]
async fn a_target_that_is_none_is_told_at_once() {
    let open = |target| Channel::connect_lazy(&Telemetry::disabled(), target, ChannelOptions::default());
    assert!(matches!(open("not a uri"), Err(ChannelError::InvalidTarget { .. })));
    for target in ["127.0.0.1:9090", "/path", "ftp://host:1", "http://host:1/path", "http://host:1?x=y"] {
        assert!(matches!(open(target), Err(ChannelError::UnusableTarget { .. })), "{target}");
    }
    assert!(matches!(open("https://127.0.0.1:9090"), Err(ChannelError::TlsTarget { .. })));
}
