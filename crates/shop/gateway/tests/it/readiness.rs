//! The gateway is ready when the services that it needs are.

use crate::shop::in_time;
use std::net::SocketAddr;
use waypost_gateway::{Config, Parts, Rates, build};
use waypost_resilience::discovery::Discovery;
use waypost_service::{Drain, Limits, bind, health::Health, serve};
use waypost_telemetry::Telemetry;

#[tokio::test]
async fn the_gateway_is_ready_when_each_service_says_that_it_is() {
    let services = Health::default();
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let target = listener.url();
    let (_, never) = Drain::new();
    drop(waypost_telemetry::spawn(serve(listener, services.grpc("order", &[]), Limits::default(), never)));
    let config = Config {
        order_service: target.clone(),
        user_service: target.clone(),
        inventory_service: target,
        ..Config::default()
    };
    let parts = Parts {
        telemetry: Telemetry::disabled(),
        bound: SocketAddr::from(([127, 0, 0, 1], 8080)),
        rates: Rates::default(),
        discovery: Discovery::default(),
        identity: None,
    };
    let app = build(&config, &parts).unwrap();
    let health = Health::default();
    health.add("gateway", app.checks);
    health.started();
    in_time(health.check_once()).await;
    assert!(
        health.report().contains("failed gateway/order-service: answers NOT_SERVING"),
        "{}",
        health.report()
    );
    services.add("order", Vec::new());
    in_time(health.check_once()).await;
    assert!(health.is_ready(), "{}", health.report());
}
