//! Many replicas behind Nginx, HAProxy and Envoy, with the files of `deploy/`: every role is replaced under load, a new process
//! first and the old one drained after it, and no request fails; a system's calls reach every replica.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use waypost_api::inventory::v1::CheckStockRequest;
use waypost_api::inventory::v1::inventory_service_client::InventoryServiceClient;
use waypost_test_servers::free_port;
use waypost_test_servers::front::{Behind, Front, Kind};
use waypost_testkit::{Behaviour, Client, Collector, Role, until};

use crate::alone;
use crate::course::Told;
use crate::replicas::{Load, REPLICAS, Servers, no_request_failed};
use crate::shop::PLENTY;

/// Gateways that run at a time; one more address is for the next one.
const GATEWAYS: usize = 2;

async fn every_role_is_replaced_and_no_request_fails(kind: Kind) {
    let _alone = alone().await;
    let (servers, collector) = (Servers::start(), Collector::start(Behaviour::Takes).unwrap());
    let inside: Vec<(Role, usize)> =
        REPLICAS.into_iter().filter(|(role, _)| *role != Role::Gateway).collect();
    // A proxy that asks for readiness has to have asked before connections are refused.
    let settings = [("gateway.trusted_proxies", r#"["127.0.0.1"]"#), ("drain.notice", "3s")];
    let mut fleet = servers.fleet_with(&settings, &inside, Some(collector.endpoint())).await;
    let addresses: Vec<[SocketAddr; 2]> = (0..=GATEWAYS).map(|_| free_addresses()).collect();
    let mut gateways = Vec::new();
    for at in &addresses[..GATEWAYS] {
        gateways.push(fleet.add_at(Role::Gateway, *at).await.unwrap());
    }
    let behind = Behind {
        gateways: addresses.iter().map(|[own, admin]| (*own, *admin)).collect(),
        inventories: vec![free_addresses()[0]],
        spans: Some(collector.endpoint().trim_start_matches("http://").parse().unwrap()),
    };
    let front = Front::start(kind, &behind);
    let customers = Client::new(front.customers());
    until("a gateway to be reached", async || {
        customers.get(&format!("/api/products/{PLENTY}")).await.is_ok_and(|answer| answer.status.is_success())
    })
    .await;

    let load = Load::start(&customers);
    let mut replaced: BTreeMap<Role, usize> = BTreeMap::new();
    let roles = inside.iter().flat_map(|(role, count)| vec![*role; *count]);
    for (place, role) in roles.enumerate().filter(|(_, role)| *role != Role::Provider) {
        // The provider is outside.
        fleet.add(role).await.unwrap();
        fleet.stop(place).await.unwrap();
        *replaced.entry(role).or_default() += 1;
    }
    let mut free = addresses[GATEWAYS];
    for (place, at) in gateways.into_iter().zip(addresses) {
        fleet.add_at(Role::Gateway, free).await.unwrap();
        fleet.stop(place).await.unwrap();
        // The next one takes the address of the one that has left.
        free = at;
        *replaced.entry(Role::Gateway).or_default() += 1;
    }
    let purchases = load.stop().await;
    println!("{kind:?}: {} orders while {replaced:?} were replaced", purchases.len());
    assert!(replaced.values().sum::<usize>() >= 10, "{replaced:?}");

    let cancelled = purchases.iter().flat_map(|purchase| &purchase.told_of_cancel);
    let failed: Vec<String> = cancelled.filter(|told| told.status >= 500).map(Told::summary).collect();
    assert!(failed.is_empty(), "cancellations: {failed:?}\n{}", front.log());
    let unanswered: u32 = purchases.iter().map(|purchase| purchase.unanswered).sum();
    assert_eq!(unanswered, 0, "{}", front.log());
    let verdict = servers.verdict(&customers, purchases).await;
    no_request_failed(&verdict, &collector);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_is_replaced_behind_nginx_and_no_request_fails() {
    every_role_is_replaced_and_no_request_fails(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_is_replaced_behind_haproxy_and_no_request_fails() {
    every_role_is_replaced_and_no_request_fails(Kind::HaProxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_is_replaced_behind_envoy_and_no_request_fails() {
    every_role_is_replaced_and_no_request_fails(Kind::Envoy).await;
}

/// One connection, many calls: each call goes to a replica of its own choice.
async fn calls_over_one_connection_reach_every_replica(kind: Kind) {
    const CALLS: f64 = 40.0;
    let _alone = alone().await;
    let servers = Servers::start();
    let mut fleet = servers.fleet(&[(Role::Provider, 1)], None).await;
    let addresses = [free_addresses(), free_addresses()];
    for at in addresses {
        fleet.add_at(Role::Inventory, at).await.unwrap();
    }
    let nobody = free_addresses();
    let behind = Behind {
        gateways: vec![(nobody[0], nobody[1])],
        inventories: addresses.iter().map(|[own, _]| *own).collect(),
        spans: None,
    };
    let front = Front::start(kind, &behind);
    let endpoint = format!("http://{}", front.systems());
    let mut inventory = InventoryServiceClient::connect(endpoint).await.unwrap();
    let request = || CheckStockRequest { product_id: PLENTY.to_owned() };
    until("an inventory service to be reached", async || {
        inventory.clone().check_stock(request()).await.is_ok()
    })
    .await;
    for _ in 0..40 {
        inventory.check_stock(request()).await.unwrap();
    }
    let mut calls = Vec::new();
    for [_, admin] in addresses {
        calls.push(calls_taken(Client::new(admin).get("/metrics").await.unwrap().text()));
    }
    println!("{kind:?}: {calls:?}");
    assert!(calls.iter().sum::<f64>() > CALLS, "{calls:?}");
    assert!(calls.iter().all(|count| *count >= CALLS / 3.0), "{calls:?}");
}

/// How many calls a process has taken, by its own count.
fn calls_taken(metrics: &str) -> f64 {
    let lines = metrics.lines().filter(|line| {
        line.starts_with("rpc_server_call_duration_seconds_count{") && line.contains("CheckStock")
    });
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_over_one_connection_reach_every_replica_behind_nginx() {
    calls_over_one_connection_reach_every_replica(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_over_one_connection_reach_every_replica_behind_haproxy() {
    calls_over_one_connection_reach_every_replica(Kind::HaProxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_over_one_connection_reach_every_replica_behind_envoy() {
    calls_over_one_connection_reach_every_replica(Kind::Envoy).await;
}

/// Two ports of loopback that are free, and stay so until they are used.
fn free_addresses() -> [SocketAddr; 2] {
    [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())))
}
