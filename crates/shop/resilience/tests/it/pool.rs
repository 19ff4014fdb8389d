//! As many calls at once as a target takes, over as few connections as they need.

use std::sync::Arc;

use tokio::{sync::Semaphore, task::JoinSet};
use tonic::Request;
use waypost_api::user::v1::{GetUserRequest, User};
use waypost_resilience::grpc::{Channel, ChannelOptions};

use crate::loopback::{Server, call, call_with, until};

/// hyper's bound for one connection is 200 calls.
const CALLS: usize = 600;

/// A server that holds the calls with a header `held` until the test lets them go.
async fn holding() -> (Server, Arc<Semaphore>) {
    let (server, gate) = (Server::start().await, Arc::new(Semaphore::new(0)));
    let held = Arc::clone(&gate);
    server.answers(move |metadata| {
        let (is_held, gate) = (metadata.contains_key("held"), Arc::clone(&held));
        Box::pin(async move {
            if is_held {
                gate.acquire().await.unwrap().forget();
            }
            Ok(User::default())
        })
    });
    (server, gate)
}

fn held_calls(channel: &Channel, count: usize) -> JoinSet<bool> {
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let channel = channel.clone();
        calls.spawn(async move {
            let mut request = Request::new(GetUserRequest::default());
            request.metadata_mut().insert("held", "yes".parse().unwrap());
            call_with(&channel, request).await.is_ok()
        });
    }
    calls
}

#[tokio::test]
async fn more_calls_than_one_connection_takes_are_at_the_target() {
    let (server, gate) = holding().await;
    let channel = server.channel(ChannelOptions::default());
    let calls = held_calls(&channel, CALLS);
    until("all calls arrive", || server.calls() == CALLS).await;
    assert_eq!(server.connections(), CALLS / ChannelOptions::default().calls_per_connection);
    gate.add_permits(CALLS);
    assert!(calls.join_all().await.into_iter().all(|answered| answered));
}

#[tokio::test]
async fn calls_one_after_the_other_share_one_connection() {
    let (server, _) = holding().await;
    let channel = server.channel(ChannelOptions { calls_per_connection: 1, ..ChannelOptions::default() });
    for _ in 0..20 {
        call(&channel).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_call_whose_caller_left_makes_room_on_its_connection() {
    let (server, _gate) = holding().await;
    let channel = server.channel(ChannelOptions { calls_per_connection: 1, ..ChannelOptions::default() });
    let mut left = held_calls(&channel, 1);
    until("the call arrives", || server.calls() == 1).await;
    left.shutdown().await;
    call(&channel).await.unwrap();
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn there_are_never_more_connections_than_the_options_say() {
    let (server, gate) = holding().await;
    let options = ChannelOptions { max_connections: 2, calls_per_connection: 1, ..ChannelOptions::default() };
    let calls = held_calls(&server.channel(options), 50);
    until("all calls arrive", || server.calls() == 50).await;
    assert_eq!(server.connections(), 2);
    gate.add_permits(50);
    assert!(calls.join_all().await.into_iter().all(|answered| answered));
}

#[tokio::test]
async fn a_channel_apart_does_not_wait_behind_slow_calls() {
    let (server, gate) = holding().await;
    let options = ChannelOptions { max_connections: 1, ..ChannelOptions::default() };
    let channel = server.channel(options);
    let calls = held_calls(&channel, CALLS);
    until("the connection is full", || server.calls() == 200).await;
    call(&channel.apart()).await.unwrap();
    gate.add_permits(CALLS);
    assert!(calls.join_all().await.into_iter().all(|answered| answered));
}
