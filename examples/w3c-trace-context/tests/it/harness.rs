//! The service on a port of its own, a caller that writes its headers byte by byte, and an end that keeps what arrives.

use std::net::SocketAddr;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use waypost_telemetry::spawn;
use waypost_telemetry::testing::TestTelemetry;

/// A caller's span.
pub(crate) const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(crate) const PARENT_ID: &str = "00f067aa0ba902b7";

/// What arrived at the end of one callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) trace_id: String,
    pub(crate) parent_id: String,
    pub(crate) flags: u8,
    pub(crate) tracestate: Option<String>,
}

impl Arrived {
    /// Reads the headers, which must hold one well-formed `traceparent` of version 00.
    fn read(headers: &HeaderMap) -> Self {
        let all: Vec<_> = headers.get_all("traceparent").iter().collect();
        let [traceparent] = all[..] else { panic!("not one traceparent: {headers:?}") };
        let parts: Vec<_> = traceparent.to_str().unwrap().split('-').collect();
        let [version, trace_id, parent_id, flags] = parts[..] else { panic!("{traceparent:?}") };
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        assert_eq!((version, trace_id.len(), parent_id.len(), flags.len()), ("00", 32, 16, 2));
        assert!([trace_id, parent_id, flags].into_iter().all(is_hex), "{traceparent:?}");
        assert!(trace_id.contains(|digit| digit != '0') && parent_id.contains(|digit| digit != '0'));
        Self {
            trace_id: trace_id.to_owned(),
            parent_id: parent_id.to_owned(),
            flags: u8::from_str_radix(flags, 16).unwrap(),
            tracestate: headers.get("tracestate").map(|state| state.to_str().unwrap().to_owned()),
        }
    }

    /// Whether the caller's trace goes on, under a new parent.
    pub(crate) fn continues(&self) -> bool {
        assert_ne!(self.parent_id, PARENT_ID);
        self.trace_id == TRACE_ID
    }
}

/// The service and the end of its callbacks.
pub(crate) struct Harness {
    service: SocketAddr,
    end: SocketAddr,
    arriving: mpsc::UnboundedReceiver<HeaderMap>,
}

impl Harness {
    pub(crate) async fn start() -> Self {
        let telemetry = TestTelemetry::new("w3c-trace-context");
        let (sender, arriving) = mpsc::unbounded_channel();
        let end = Router::new().route(
            "/",
            post(async move |headers: HeaderMap| {
                sender.send(headers).unwrap();
                "[]"
            }),
        );
        Self { service: serve(w3c_trace_context::app(&telemetry)).await, end: serve(end).await, arriving }
    }

    /// Calls the service with these header lines, written as they are, and gives what arrived at each callback.
    pub(crate) async fn calls(&mut self, headers: &[(&str, &str)], callbacks: usize) -> Vec<Arrived> {
        let callback = format!(r#"{{"url":"http://{}/","arguments":[]}}"#, self.end);
        let body = format!("[{}]", vec![callback; callbacks].join(","));
        let lines =
            headers.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect::<Vec<_>>().concat();
        let request = format!(
            "POST /test HTTP/1.1\r\nhost: service\r\ncontent-type: application/json\r\nconnection: close\r\n\
             content-length: {}\r\n{lines}\r\n{body}",
            body.len()
        );
        let mut connection = TcpStream::connect(self.service).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let mut arrived = Vec::new();
        for _ in 0..callbacks {
            arrived.push(Arrived::read(&self.arriving.recv().await.unwrap()));
        }
        arrived
    }

    pub(crate) async fn call(&mut self, headers: &[(&str, &str)]) -> Arrived {
        self.calls(headers, 1).await.remove(0)
    }

    /// The `tracestate` that arrives when these lists come with a good `traceparent`.
    pub(crate) async fn state(&mut self, lists: &[&str]) -> Option<String> {
        let parent = format!("00-{TRACE_ID}-{PARENT_ID}-00");
        let lists = lists.iter().map(|list| ("tracestate", *list));
        let headers: Vec<_> = [("traceparent", parent.as_str())].into_iter().chain(lists).collect();
        let arrived = self.call(&headers).await;
        assert!(arrived.continues(), "a tracestate must not touch its traceparent: {arrived:?}");
        arrived.tracestate
    }
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test needs none of the limits of a public server")]
    spawn(async move { axum::serve(listener, app).await });
    address
}
