//! Channels over TLS: to a server that is trusted, to one that is not, with and without a certificate of one's own.

use tonic::Code;
use waypost_telemetry::grpc::{ChannelError, ChannelFactory, ChannelTls};
use waypost_telemetry::testing::TestTelemetry;

use super::front::{Authority, Clients, Front};
use super::provider;
use crate::grpc_channels::Registry;
use crate::grpc_server::echo::{EchoClient, Kind, routes};
use crate::http_server::net::{attribute, serve, spans};

#[tokio::test]
async fn a_channel_is_encrypted_with_a_certificate_at_both_ends() {
    let telemetry = TestTelemetry::new("order");
    let server = serve(routes().into_axum_router()).await;
    let (authority, clients) = (Authority::new(), Authority::new());
    let front = Front::start(&authority, &Clients::Of(&clients), server.address);
    let (certificate, key) = clients.issue("order");
    let tls = ChannelTls::new(provider()).roots_pem(authority.pem()).unwrap();
    let tls = tls.identity_pem(certificate, key).unwrap().server_name("localhost");
    let channels = ChannelFactory::new(&telemetry).resolver(Registry::of([front.address])).tls(&tls).unwrap();
    let port = front.address.port();
    for target in [format!("https://127.0.0.1:{port}"), format!("dns:///stock:{port}")] {
        let mut client = EchoClient::new(channels.channel(&target).unwrap());
        client.call(Kind::Unary, "ok").await.unwrap();
    }
    for span in spans(&telemetry, 2).await {
        assert_eq!(attribute(&span, "network.peer.port"), Some(port.to_string()));
    }
}

#[tokio::test]
async fn a_server_or_a_client_that_is_not_trusted_gets_no_call_through() {
    let server = serve(routes().into_axum_router()).await;
    let (authority, clients) = (Authority::new(), Authority::new());
    let front = Front::start(&authority, &Clients::Of(&clients), server.address);
    let (certificate, key) = clients.issue("order");
    let trusting = || ChannelTls::new(provider()).roots_pem(authority.pem()).unwrap();
    let stranger = ChannelTls::new(provider()).roots_pem(clients.pem()).unwrap();
    let refused = [
        stranger.identity_pem(&certificate, &key).unwrap(),
        trusting(),
        trusting().identity_pem(&certificate, &key).unwrap().server_name("another"),
    ];
    for tls in &refused {
        let telemetry = TestTelemetry::new("order");
        let channels = ChannelFactory::new(&telemetry).tls(tls).unwrap();
        let target = format!("https://127.0.0.1:{}", front.address.port());
        let mut client = EchoClient::new(channels.channel(&target).unwrap());
        let code = client.call(Kind::Unary, "ok").await.unwrap_err().code();
        // A client learns behind its handshake that it was refused, which tonic says in several ways.
        assert!([Code::Unavailable, Code::Unknown, Code::Cancelled].contains(&code), "{code:?}");
        spans(&telemetry, 1).await;
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let authority = Authority::new();
    let (certificate, _) = authority.issue("order");
    let (_, other_key) = authority.issue("order");
    for refused in [
        ChannelTls::new(provider()).roots_pem("nothing"),
        ChannelTls::new(provider()).identity_pem(&certificate, "nothing"),
        ChannelTls::new(provider()).identity_pem("nothing", &other_key),
    ] {
        assert!(matches!(refused, Err(ChannelError::Tls(_))), "{refused:?}");
    }
    let mixed = ChannelTls::new(provider()).roots_pem(authority.pem()).unwrap();
    let mixed = mixed.identity_pem(&certificate, &other_key).unwrap();
    let telemetry = TestTelemetry::new("order");
    assert!(matches!(ChannelFactory::new(&telemetry).tls(&mixed), Err(ChannelError::Tls(_))));
}
