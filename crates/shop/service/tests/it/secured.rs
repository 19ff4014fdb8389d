//! A listener that asks who has connected.

use crate::support::{Server, connect_and_send, get_http2, in_time, read_to_end};
use axum::{Extension, Router, routing::get};
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::{fs, sync::Arc};
use tempfile::TempDir;
use tokio::net::TcpStream;
use waypost_identity::{Files, Identity, Names, Peer};
use waypost_service::{Limits, Secured};
use waypost_settings::Duration;
use waypost_telemetry::Telemetry;

/// Order and user, of one authority.
struct Roles {
    _folder: TempDir,
    order: Identity,
    user: Identity,
}

fn roles() -> Roles {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let put = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let authorities = put("ca.pem", params.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(params, key);
    let identity = |role: &'static str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![role.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        let files = Files {
            certificate: put(&format!("{role}.pem"), certificate),
            key: put(&format!("{role}.key"), key.serialize_pem()),
            authorities: authorities.clone(),
        };
        let names = ["order", "user"].map(|role| (role, vec![role.to_owned()]));
        Identity::open(role, files, Names::new(names)).unwrap()
    };
    Roles { order: identity("order"), user: identity("user"), _folder: folder }
}

/// Says to whoever asks which roles it is.
fn order(roles: &Roles, limits: Limits) -> Server {
    let who = async |Extension(peer): Extension<Arc<Peer>>| peer.roles().join(",");
    let router = Router::new().route("/", get(who));
    Server::start_secured(router, limits, Secured::new(&roles.order, &Telemetry::disabled()))
}

#[tokio::test]
async fn each_request_knows_whose_connection_it_came_over() {
    let roles = roles();
    let server = order(&roles, Limits::default());
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let stream = in_time(roles.user.outgoing("order").connect(tcp)).await.unwrap();
    let (mut sender, connection) =
        conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    drop(waypost_telemetry::spawn(connection));
    for _ in 0..2 {
        assert_eq!(in_time(get_http2(&mut sender, "/")).await.unwrap(), (200, "user".to_owned()));
    }
    let served = server.drained().await;
    assert_eq!((served.connections, served.cut_requests, served.cut_connections), (1, 0, 0));
}

#[tokio::test]
async fn a_handshake_has_the_time_of_a_head() {
    let roles = roles();
    let limits = Limits { header_timeout: Duration::from_millis(50), ..Limits::default() };
    let server = order(&roles, limits);
    // Nothing, the beginning of a record, and nothing of HTTP either.
    for bytes in [&b""[..], &[0x16, 3, 1, 2, 0]] {
        let mut stream = connect_and_send(server.address, bytes).await;
        assert_eq!(read_to_end(&mut stream).await, "");
    }
    assert_eq!(server.drained().await.cut_connections, 0);
}

#[tokio::test]
async fn a_drain_does_not_wait_for_those_who_say_nothing() {
    let roles = roles();
    let limits = Limits { header_timeout: Duration::from_secs(3600), ..Limits::default() };
    let server = order(&roles, limits);
    let mut silent = connect_and_send(server.address, b"").await;
    assert_eq!(server.drained().await.cut_connections, 0);
    assert_eq!(read_to_end(&mut silent).await, "");
}
