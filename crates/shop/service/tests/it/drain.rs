//! How a listener ends.

use crate::support::{PATIENCE, Server, connect_and_send, get_http2, http2, in_time, read_to_end};
use axum::{Router, routing::get};
use std::sync::Arc;
use tokio::{net::TcpStream, sync::Semaphore};
use waypost_service::{Limits, Tasks};
use waypost_settings::Duration;

/// `/` answers when it is given leave; `arrived` counts the requests that wait.
#[derive(Clone)]
struct Gate {
    arrived: Arc<Semaphore>,
    leave: Arc<Semaphore>,
}

impl Gate {
    fn new() -> (Gate, Router) {
        let gate = Gate { arrived: Arc::new(Semaphore::new(0)), leave: Arc::new(Semaphore::new(0)) };
        let behind = gate.clone();
        let handler = async move || {
            behind.arrived.add_permits(1);
            behind.leave.acquire().await.unwrap().forget();
            "finished"
        };
        (gate, Router::new().route("/", get(handler)))
    }

    async fn has_arrived(&self) {
        in_time(self.arrived.acquire()).await.unwrap().forget();
    }

    fn let_finish(&self) {
        self.leave.add_permits(1);
    }
}

#[tokio::test]
async fn a_request_in_flight_is_finished_and_its_connection_closed() {
    let (gate, router) = Gate::new();
    let server = Server::start(router, Limits::default());
    let mut stream = connect_and_send(server.address, b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    gate.has_arrived().await;
    let address = server.address;
    server.trigger.start();
    in_time(async { while TcpStream::connect(address).await.is_ok() {} }).await;
    gate.let_finish();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    let served = server.drained().await;
    assert_eq!((served.connections, served.cut_requests), (1, 0));
}

#[tokio::test]
async fn a_request_in_flight_on_http2_is_finished_and_no_other_is_taken() {
    let (gate, router) = Gate::new();
    let server = Server::start(router, Limits::default());
    let mut sender = http2(server.address).await;
    let mut other = sender.clone();
    let in_flight = waypost_telemetry::spawn(async move { get_http2(&mut sender, "/").await });
    gate.has_arrived().await;
    server.trigger.start();
    gate.let_finish();
    assert_eq!(in_time(in_flight).await.unwrap().unwrap(), (200, "finished".to_owned()));
    let served = server.drained().await;
    assert_eq!((served.cut_requests, served.cut_connections), (0, 0));
    assert!(in_time(get_http2(&mut other, "/")).await.is_err());
}

#[tokio::test]
async fn what_is_not_finished_when_the_grace_ends_is_cut_and_reported() {
    let (gate, router) = Gate::new();
    let server = Server::start(router, Limits { grace: Duration::from_millis(50), ..Limits::default() });
    let mut stream = connect_and_send(server.address, b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    gate.has_arrived().await;
    let served = server.drained().await;
    assert_eq!((served.cut_requests, served.cut_connections), (1, 1));
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_drain() {
    let (gate, router) = Gate::new();
    let server = Server::start(router, Limits { grace: Duration::from(PATIENCE), ..Limits::default() });
    let silent = TcpStream::connect(server.address).await.unwrap();
    let mut idle = connect_and_send(server.address, b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    gate.has_arrived().await;
    gate.let_finish();
    in_time(async {
        let mut answered = [0; 15];
        tokio::io::AsyncReadExt::read_exact(&mut idle, &mut answered).await.unwrap();
    })
    .await;
    let served = tokio::time::timeout(PATIENCE / 4, server.drained()).await.expect("the drain waited");
    assert_eq!(served.cut_connections, 0);
    drop(silent);
}

#[tokio::test]
async fn a_task_outlives_its_caller_and_is_waited_for() {
    let tasks = Tasks::new();
    let leave = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&leave);
    drop(tasks.spawn(async move { waits.acquire().await.unwrap().forget() }));
    assert_eq!(tasks.finished(std::time::Duration::from_millis(10)).await, 1);
    leave.add_permits(1);
    assert_eq!(tasks.finished(PATIENCE).await, 0);
}
