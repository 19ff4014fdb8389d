//! Against a real etcd.
#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod secured;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::Uri;
use tokio::sync::oneshot;
use waypost_etcd::{Etcd, Settings};
use waypost_resilience::{
    discovery::{Addresses, Registry as _},
    grpc::Address,
};
use waypost_test_servers::etcd::Server;

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

fn at(server: &Server) -> Etcd {
    let lease = "2s".parse().unwrap();
    Etcd::open(Settings { endpoints: vec![server.url()], lease, ..Settings::default() }).unwrap()
}

fn uri(address: &str) -> Uri {
    format!("http://{address}").parse().unwrap()
}

async fn become_these(addresses: &mut Addresses, expected: &[&str]) {
    let mut expected: Vec<String> = expected.iter().map(|address| uri(address).to_string()).collect();
    expected.sort();
    let is_so = |found: &Arc<[Address]>| {
        let mut found: Vec<String> = found.iter().map(Address::to_string).collect();
        found.sort();
        found == expected
    };
    let became = tokio::time::timeout(PATIENCE, addresses.wait_for(is_so)).await.map(|found| found.map(drop));
    assert!(became.is_ok(), "{expected:?} expected, {:?} found", addresses.borrow());
}

/// A replica that is registered until it is told to go.
fn register(etcd: &Etcd, address: &str) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (leave, left) = oneshot::channel();
    let keeping = etcd.registration("order", uri(address)).keep(async { left.await.unwrap_or_default() });
    (leave, waypost_telemetry::spawn(keeping))
}

#[tokio::test]
async fn replicas_are_found_while_they_are_registered() {
    let server = Server::start();
    let etcd = at(&server);
    let mut orders = etcd.watch("order");
    let others = etcd.watch("orders");
    let (leave, one) = register(&etcd, "10.0.0.1:9090");
    become_these(&mut orders, &["10.0.0.1:9090"]).await;
    let (_stay, _other) = register(&etcd, "10.0.0.2:9090");
    become_these(&mut orders, &["10.0.0.1:9090", "10.0.0.2:9090"]).await;
    leave.send(()).unwrap();
    one.await.unwrap();
    // It has taken its entry back, so nobody waits for the lease.
    assert_eq!(server.keys(), 1);
    become_these(&mut orders, &["10.0.0.2:9090"]).await;
    // The name is a whole name and no prefix of one.
    assert!(others.borrow().is_empty());
}

#[tokio::test]
async fn a_replica_that_dies_without_a_word_is_gone_with_its_lease() {
    let server = Server::start();
    let etcd = at(&server);
    let mut orders = etcd.watch("order");
    let (_leave, dying) = register(&etcd, "10.0.0.1:9090");
    let (_stay, _other) = register(&etcd, "10.0.0.2:9090");
    become_these(&mut orders, &["10.0.0.1:9090", "10.0.0.2:9090"]).await;
    dying.abort();
    become_these(&mut orders, &["10.0.0.2:9090"]).await;
}

#[tokio::test]
async fn an_etcd_that_is_away_takes_nobody_away_and_is_found_again() {
    let mut server = Server::start();
    let etcd = at(&server);
    let mut orders = etcd.watch("order");
    let (_leave, _one) = register(&etcd, "10.0.0.1:9090");
    become_these(&mut orders, &["10.0.0.1:9090"]).await;
    server.kill();
    // Longer than the lease, during which nobody can renew it.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_eq!(orders.borrow().len(), 1);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.restart();
    let (_stay, _other) = register(&etcd, "10.0.0.2:9090");
    become_these(&mut orders, &["10.0.0.1:9090", "10.0.0.2:9090"]).await;
}

#[tokio::test]
async fn the_next_member_is_taken_when_one_does_not_answer() {
    let server = Server::start();
    let settings = Settings {
        endpoints: vec!["http://127.0.0.1:1".to_owned(), server.url()],
        lease: "2s".parse().unwrap(),
        ..Settings::default()
    };
    let etcd = Etcd::open(settings).unwrap();
    let mut orders = etcd.watch("order");
    let (_stay, _one) = register(&etcd, "10.0.0.1:9090");
    become_these(&mut orders, &["10.0.0.1:9090"]).await;
}

#[tokio::test]
async fn an_entry_that_is_no_url_hides_no_other() {
    let server = Server::start();
    let etcd = at(&server);
    let mut orders = etcd.watch("order");
    // "/waypost/order/x" and "not a url".
    server.put_base64("L3dheXBvc3Qvb3JkZXIveA==", "bm90IGEgdXJs");
    let (_stay, _one) = register(&etcd, "10.0.0.1:9090");
    become_these(&mut orders, &["10.0.0.1:9090"]).await;
    assert_eq!(server.keys(), 2);
}

#[test]
fn what_cannot_be_used_is_told_with_its_key() {
    let settings = Settings {
        endpoints: vec!["10.0.0.1:2379".to_owned()],
        prefix: "waypost".to_owned(),
        lease: "1s".parse().unwrap(),
        user: "root".to_owned(),
        ..Settings::default()
    };
    let keys: Vec<String> = settings.check().into_iter().map(|complaint| complaint.key).collect();
    assert_eq!(keys, ["endpoints", "prefix", "lease", "user"]);
    let mixed = ["http://10.0.0.1:2379", "https://10.0.0.2:2379"].map(str::to_owned).to_vec();
    let alone = Some("client.pem".into());
    let settings = Settings { endpoints: mixed, client_certificate_file: alone, ..Settings::default() };
    let keys: Vec<String> = settings.check().into_iter().map(|complaint| complaint.key).collect();
    assert_eq!(keys, ["endpoints", "client_key_file"]);
    let plain = vec!["http://10.0.0.1:2379".to_owned()];
    let settings = Settings { endpoints: plain, ca_file: Some("ca.pem".into()), ..Settings::default() };
    assert_eq!(settings.check()[0].key, "ca_file");
    assert_eq!(Settings::default().check(), []);
}
