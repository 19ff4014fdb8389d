//! What a listener puts up with.

use crate::support::{Server, connect_and_send, get, get_http2, http2, in_time, read_to_end};
use axum::{Router, body::Body, extract::ConnectInfo, routing::get as on_get};
use std::{convert::Infallible, fmt::Write as _, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc::{UnboundedSender, unbounded_channel},
};
use waypost_service::Limits;
use waypost_settings::Duration;

fn app() -> Router {
    Router::new()
        .route("/", on_get(async || "hello"))
        .route("/peer", on_get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string()))
        .route(
            "/late",
            on_get(async || {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                "hello"
            }),
        )
        .route("/never", on_get(async || std::future::pending::<()>().await))
}

fn impatient() -> Limits {
    Limits { header_timeout: Duration::from_millis(200), ..Limits::default() }
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n";

async fn is_cut_off(bytes: &[u8]) {
    is_cut_off_by(&Server::start(app(), impatient()), bytes).await;
}

async fn is_cut_off_by(server: &Server, bytes: &[u8]) {
    let mut slow = connect_and_send(server.address, bytes).await;
    assert_eq!(get(server.address, "/").await, (200, "hello".to_owned()), "others are served meanwhile");
    assert_eq!(read_to_end(&mut slow).await, "");
}

/// One answer of a connection that stays open.
async fn read_answer(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        answer.push(in_time(stream.read_u8()).await.unwrap());
    }
}

#[tokio::test]
async fn a_client_that_sends_its_headers_slowly_is_cut_off() {
    is_cut_off(b"GET / HTTP/1.1\r\nhost: test\r\nx-slow: ").await;
}

#[tokio::test]
async fn a_client_that_connects_and_says_nothing_is_cut_off() {
    is_cut_off(b"").await;
}

#[tokio::test]
async fn a_client_that_stops_inside_the_http2_preface_is_cut_off() {
    is_cut_off(b"PRI * HTTP/2.0\r\n").await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_between_requests() {
    let server = Server::start(app(), Limits { keep_alive: Duration::from_millis(300), ..impatient() });
    let mut idle = connect_and_send(server.address, REQUEST).await;
    assert!(read_to_end(&mut idle).await.ends_with("hello"));
}

#[tokio::test]
async fn an_idle_connection_outlives_the_time_of_a_head() {
    let server = Server::start(app(), Limits { header_timeout: Duration::from_millis(50), ..impatient() });
    let mut idle = connect_and_send(server.address, REQUEST).await;
    read_answer(&mut idle).await;
    // Closed in that time, were it for idleness; waited out by another connection that is closed for its slow head.
    is_cut_off_by(&server, b"GET / HTTP/1.1\r\nhost: test\r\nx-slow: ").await;
    is_cut_off_by(&server, b"").await;
    idle.write_all(REQUEST).await.unwrap();
    read_answer(&mut idle).await;
}

#[tokio::test]
async fn a_later_head_that_trickles_is_cut_off_as_the_first_one() {
    let server = Server::start(app(), impatient());
    let mut slow = connect_and_send(server.address, REQUEST).await;
    read_answer(&mut slow).await;
    let trickle = async {
        while slow.write_all(b"G").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    in_time(trickle).await;
}

#[tokio::test]
async fn a_request_that_runs_longer_than_a_head_may_is_answered() {
    let server = Server::start(app(), impatient());
    let mut slow = connect_and_send(server.address, b"GET /late HTTP/1.1\r\nhost: test\r\n\r\n").await;
    read_answer(&mut slow).await;
    slow.write_all(REQUEST).await.unwrap();
    read_answer(&mut slow).await;
}

#[test]
fn connections_are_kept_for_longer_than_load_balancers_keep_theirs() {
    // AWS ALB, nginx and Google's: 60 s and less.
    assert!(Limits::default().keep_alive > Duration::from_secs(60));
}

#[tokio::test]
async fn an_idle_http2_connection_is_asked_to_leave() {
    let limits = Limits { idle_timeout: Duration::from_millis(100), ..impatient() };
    let server = Server::start(app(), limits);
    let mut sender = http2(server.address).await;
    get_http2(&mut sender, "/").await.unwrap();
    in_time(async {
        while !sender.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_headers_are_refused() {
    let mut request = "GET / HTTP/1.1\r\nhost: test\r\n".to_owned();
    for number in 0..10_000 {
        write!(request, "x-{number}: y\r\n").unwrap();
    }
    request.push_str("\r\n");
    let server = Server::start(app(), Limits::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The server answers before it has read all; then the rest may not get through.
    let (mut reading, mut writing) = stream.split();
    let send = async { tokio::io::AsyncWriteExt::write_all(&mut writing, request.as_bytes()).await.ok() };
    let mut status_line = [0; 12];
    let receive = reading.read_exact(&mut status_line);
    let (_, received) = in_time(async { tokio::join!(send, receive) }).await;
    received.unwrap();
    assert_eq!(&status_line, b"HTTP/1.1 431");
}

#[tokio::test]
async fn more_headers_than_allowed_are_refused_even_when_small() {
    let server = Server::start(app(), Limits { headers: 8, ..Limits::default() });
    let headers = "x: y\r\n".repeat(8);
    let request = format!("GET / HTTP/1.1\r\nhost: test\r\n{headers}\r\n");
    let mut stream = connect_and_send(server.address, request.as_bytes()).await;
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn connections_above_the_cap_are_closed_at_once_and_room_is_made_again() {
    let server = Server::start(app(), Limits { connections: 2, ..Limits::default() });
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = connect_and_send(server.address, b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
        in_time(stream.read_u8()).await.unwrap();
        held.push(stream);
    }
    let mut refused = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(read_to_end(&mut refused).await, "");
    held.clear();
    in_time(async { while get(server.address, "/").await.0 != 200 {} }).await;
    assert!(server.drained().await.refused >= 1);
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let limits = Limits { connections_per_address: 1, limit_loopback: true, ..Limits::default() };
    let server = Server::start(app(), limits);
    let mut held = connect_and_send(server.address, b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    in_time(held.read_u8()).await.unwrap();
    let mut refused = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(read_to_end(&mut refused).await, "");
}

#[tokio::test]
async fn the_address_of_the_peer_is_known_to_handlers() {
    let server = Server::start(app(), Limits::default());
    assert_eq!(get(server.address, "/peer").await, (200, "127.0.0.1".to_owned()));
    let mut sender = http2(server.address).await;
    assert_eq!(get_http2(&mut sender, "/peer").await.unwrap(), (200, "127.0.0.1".to_owned()));
}

/// Opens and resets streams faster than they can be served (CVE-2023-44487).
#[tokio::test]
async fn a_peer_that_resets_streams_rapidly_loses_its_connection() {
    let server = Server::start(app(), Limits::default());
    let mut attack = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // GET / of http://x, as indices of the static table of HPACK.
    let head = [0x82, 0x84, 0x86, 0x41, 0x01, b'x'];
    for stream in (1_u32..=2001).step_by(2) {
        attack.extend([0, 0, 6, 0x01, 0x05]);
        attack.extend(stream.to_be_bytes());
        attack.extend(head);
        attack.extend([0, 0, 4, 0x03, 0]);
        attack.extend(stream.to_be_bytes());
        attack.extend(8_u32.to_be_bytes());
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &attack).await.ok();
    read_to_end(&mut stream).await;
    assert_eq!(get(server.address, "/").await, (200, "hello".to_owned()));
}

/// Tells when it is dropped.
struct Told(UnboundedSender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.send(()).ok();
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up() {
    let (told, mut is_dropped) = unbounded_channel();
    let endless = async move || {
        let held = Told(told.clone());
        let chunks = futures_util::stream::repeat_with(move || {
            let _answer_is_held = &held;
            Ok::<_, Infallible>(vec![b'x'; 64 * 1024])
        });
        Body::from_stream(chunks)
    };
    let limits = Limits { write_timeout: Duration::from_millis(100), ..Limits::default() };
    let server = Server::start(Router::new().route("/endless", on_get(endless)), limits);
    let unread = connect_and_send(server.address, b"GET /endless HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(in_time(is_dropped.recv()).await, Some(()));
    drop(unread);
}

#[tokio::test]
async fn a_request_without_a_host_or_with_two_is_refused() {
    let server = Server::start(app(), Limits::default());
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n",
        "GET / HTTP/1.1\r\nhost: a b\r\n",
        "GET http://test/ HTTP/1.1\r\n",
        "GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n",
    ] {
        let mut stream = connect_and_send(server.address, format!("{head}\r\n").as_bytes()).await;
        let answer = read_to_end(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.0 400"), "{head}: {answer}");
    }
    let mut old = connect_and_send(server.address, b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(read_to_end(&mut old).await.starts_with("HTTP/1.0 200"), "HTTP/1.0 knew no Host");
}
