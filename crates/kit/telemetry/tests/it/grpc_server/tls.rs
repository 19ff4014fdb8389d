//! A server and a client with TLS: the peer is known all the same.

use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, Server, ServerTlsConfig};
use waypost_telemetry::grpc::ChannelFactory;
use waypost_telemetry::spawn;
use waypost_telemetry::testing::TestTelemetry;

use super::echo::{EchoClient, Kind, routes};
use crate::http_server::net::{attribute, outcome, span};

/// For `localhost` and 127.0.0.1, signed by itself, good for a hundred years and for tests only.
const CERTIFICATE: &str = include_str!("tls/certificate.pem");
const KEY: &str = include_str!("tls/key.pem");

#[tokio::test]
async fn the_peer_is_known_behind_tls_on_both_sides() {
    let (caller, callee) = (TestTelemetry::new("order"), TestTelemetry::new("echo"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(CERTIFICATE, KEY));
    let mut server = Server::builder().tls_config(tls).unwrap().layer(callee.grpc_server());
    let serving = spawn(server.add_routes(routes()).serve_with_incoming(TcpIncoming::from(listener)));

    let channels = ChannelFactory::new(&caller).endpoint(|endpoint| {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(CERTIFICATE));
        endpoint.tls_config(tls.domain_name("localhost")).unwrap()
    });
    let channel = channels.channel(&format!("https://{address}")).unwrap();
    EchoClient::new(channel).call(Kind::Unary, "ok").await.unwrap();

    let (called, served) = (span(&caller).await, span(&callee).await);
    for span in [&called, &served] {
        assert_eq!(outcome(span), "ok");
        assert_eq!(attribute(span, "network.peer.address").as_deref(), Some("127.0.0.1"));
        assert!(attribute(span, "network.peer.port").is_some());
    }
    assert_eq!(attribute(&called, "network.peer.port"), Some(address.port().to_string()));
    serving.abort();
}
