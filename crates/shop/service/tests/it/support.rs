//! A listener on port 0 with a router behind it, and clients that can misbehave.

use axum::Router;
use http_body_util::{BodyExt, Empty};
use hyper::{body::Bytes, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{future::Future, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use waypost_service::{Drain, DrainTrigger, Limits, Listener, Secured, Served, bind, serve};
use waypost_test_client::Request;

/// Longest wait for anything that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) trigger: DrainTrigger,
    serving: JoinHandle<Served>,
}

impl Server {
    pub(crate) fn start(router: Router, limits: Limits) -> Server {
        Server::serve(bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap(), router, limits)
    }

    pub(crate) fn start_secured(router: Router, limits: Limits, secured: Secured) -> Server {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Server::serve(listener.secured(secured), router, limits)
    }

    fn serve(listener: Listener, router: Router, limits: Limits) -> Server {
        let address = listener.address();
        let (trigger, drain) = Drain::new();
        let serving = waypost_telemetry::spawn(serve(listener, router, limits, drain));
        Server { address, trigger, serving }
    }

    pub(crate) async fn drained(self) -> Served {
        self.trigger.start();
        in_time(self.serving).await.unwrap()
    }
}

pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it did not happen in time")
}

/// A connection that sends exactly these bytes.
pub(crate) async fn connect_and_send(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Everything up to the end of the connection. A reset is an end too.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    in_time(stream.read_to_end(&mut bytes)).await.ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A well-behaved request on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = in_time(Request::get(path).send(address)).await;
    (answer.status.as_u16(), answer.text().to_owned())
}

pub(crate) type H2 = conn::http2::SendRequest<Empty<Bytes>>;

pub(crate) async fn http2(address: SocketAddr) -> H2 {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    drop(waypost_telemetry::spawn(connection));
    sender
}

pub(crate) async fn get_http2(sender: &mut H2, path: &str) -> hyper::Result<(u16, String)> {
    let request = http::Request::get(format!("http://test{path}")).body(Empty::new()).unwrap();
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
