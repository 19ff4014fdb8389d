//! A unary call of gRPC over loopback, the layers on both ends.

use tonic::transport::{Endpoint, Server, server::TcpIncoming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use waypost_telemetry::spawn;

use super::{Bench, assert_adds_at_most};

#[test]
fn a_unary_call_with_both_of_its_ends() {
    let bench = Bench::new();
    let bare = bench.least_call(false);
    let traced = bench.least_call(true);
    assert_adds_at_most(UNARY, bare, traced);
}

impl Bench {
    fn least_call(&self, is_traced: bool) -> u64 {
        let target = self.runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let target = format!("http://{}", listener.local_addr().unwrap());
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let (_, service) = tonic_health::server::health_reporter();
            if is_traced {
                let server = Server::builder().layer(self.telemetry.grpc_server()).add_service(service);
                spawn(server.serve_with_incoming(incoming));
            } else {
                let server = Server::builder().add_service(service);
                spawn(server.serve_with_incoming(incoming));
            }
            target
        });
        let asked = || HealthCheckRequest { service: String::new() };
        if is_traced {
            let channel = self.runtime.block_on(async { self.telemetry.grpc_channel(&target).unwrap() });
            let mut client = HealthClient::new(channel);
            self.least(async || drop(client.check(asked()).await.unwrap()))
        } else {
            let endpoint = Endpoint::from_shared(target).unwrap();
            let mut client = HealthClient::new(self.runtime.block_on(async { endpoint.connect_lazy() }));
            self.least(async || drop(client.check(asked()).await.unwrap()))
        }
    }
}

const UNARY: u64 = 8;
