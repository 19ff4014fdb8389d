//! What an operator sees: spans of the calls that were made, metrics of those that were not.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get};
use http::Request;
use tonic::Status;
use tower::ServiceExt;
use waypost_api::user::v1::{GetUserRequest, User};
use waypost_resilience::{
    backoff::Random,
    grpc::ChannelOptions,
    rate_limit,
    retry::{Budget, Policy},
    shed,
};
use waypost_telemetry::{
    metrics::{render_prometheus, sample},
    testing::TestTelemetry,
};

use crate::loopback::{FOR_GOOD, Server, answer, call, call_with, nervous};

fn metric(telemetry: &TestTelemetry, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    sample(&render_prometheus(&[telemetry.handle().clone()]), name, labels)
}

#[tokio::test]
async fn each_attempt_is_a_client_span_that_carries_the_trace_on() {
    let telemetry = TestTelemetry::new("order-service");
    let server = Server::start().await;
    server.answers(|metadata| {
        assert!(metadata.contains_key("traceparent"));
        let is_first = !metadata.contains_key("grpc-previous-rpc-attempts");
        answer(if is_first { Err(Status::unavailable("not yet")) } else { Ok(User::default()) })
    });
    let channel = server.traced_channel(&telemetry, ChannelOptions::default());
    let policy = Policy::new().idempotent().random(Random::fixed(0.0));
    let budget = Budget::new(&telemetry, "user");
    let lookup =
        policy.call(&budget, |attempt| call_with(&channel, attempt.request(GetUserRequest::default())));
    telemetry.span("check-user").run(lookup).await.unwrap();

    telemetry.tree().assert_matches(
        "check-user INTERNAL order-service
           waypost.user.v1.UserService/GetUser CLIENT order-service ERROR rpc.response.status_code=UNAVAILABLE
           waypost.user.v1.UserService/GetUser CLIENT order-service server.address=127.0.0.1",
    );
    let labels = [("waypost_target", "user"), ("waypost_retry_outcome", "repeated")];
    assert_eq!(metric(&telemetry, "waypost_retries_total", &labels), Some(1.0));
}

#[tokio::test]
async fn a_call_that_ran_out_of_time_shows_so_and_not_as_cancelled() {
    let telemetry = TestTelemetry::new("order-service");
    let server = Server::start().await;
    server.never_answers();
    let options = ChannelOptions { max: Duration::from_millis(50), ..ChannelOptions::default() };
    let channel = server.traced_channel(&telemetry, options);
    call(&channel).await.unwrap_err();
    telemetry.tree().assert_matches(
        "waypost.user.v1.UserService/GetUser CLIENT order-service ERROR \
         rpc.response.status_code=DEADLINE_EXCEEDED",
    );
}

#[tokio::test]
async fn a_call_that_the_breaker_refuses_is_no_span_but_counted() {
    let telemetry = TestTelemetry::new("order-service");
    let server = Server::start().await;
    server.answers_with(|| Err(Status::internal("broken")));
    let channel = server.traced_channel(&telemetry, nervous(FOR_GOOD));
    let target = server.address.to_string();
    let labels = [("waypost_target", target.as_str())];
    assert_eq!(metric(&telemetry, "waypost_breaker_state", &labels), Some(0.0));
    for _ in 0..3 {
        call(&channel).await.unwrap_err();
    }
    assert_eq!(telemetry.finished_spans().len(), 2);
    assert_eq!(metric(&telemetry, "waypost_breaker_state", &labels), Some(2.0));
    assert_eq!(metric(&telemetry, "waypost_breaker_refused_total", &labels), Some(1.0));
}

#[tokio::test]
async fn what_is_shed_is_counted_and_places_in_use_go_back_to_none() {
    let telemetry = TestTelemetry::new("api-gateway");
    let settings = shed::Settings { max_in_flight: 1, max_waiting: 0, ..shed::Settings::default() };
    let layer = shed::Layer::new(&telemetry, shed::Protocol::Http, settings);
    let router = Router::new().route("/", get(|| async { "done" })).layer(layer);
    let request = || Request::get("/").body(Body::empty()).unwrap();

    let first = router.clone().oneshot(request()).await.unwrap();
    router.clone().oneshot(request()).await.unwrap();
    let refused = [("waypost_shed_reason", "too_many_wait")];
    assert_eq!(metric(&telemetry, "waypost_shed_requests_total", &refused), Some(1.0));
    assert_eq!(metric(&telemetry, "waypost_shed_in_flight", &[]), Some(1.0));
    drop(first);
    assert_eq!(metric(&telemetry, "waypost_shed_in_flight", &[]), Some(0.0));
}

#[tokio::test]
async fn what_is_limited_is_counted_by_its_rule_and_not_by_its_key() {
    let telemetry = TestTelemetry::new("api-gateway");
    let rule = rate_limit::Rule { name: "login", limit: NonZeroU32::MIN, ..rate_limit::Rule::default() };
    let limiter = rate_limit::Limiter::new(&telemetry, Arc::new(rate_limit::Buckets::new(rule)));
    for _ in 0..3 {
        limiter.check("user123").await.unwrap();
    }
    let labels = [("waypost_rate_limit_policy", "login")];
    assert_eq!(metric(&telemetry, "waypost_rate_limit_requests_total", &labels), Some(2.0));
    assert!(!render_prometheus(&[telemetry.handle().clone()]).contains("user123"));
}
