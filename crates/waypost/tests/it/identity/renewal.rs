//! Certificates that change under requests.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tempfile::tempdir;

use super::authority::{Authority, shown};
use super::{Shop, certificates, readiness_line, renew, roles, wait_until};
use crate::http::get;
use crate::program::{Program, ended, waypost};
use crate::run::address_of;

/// The certificate that a client is shown at this moment.
async fn of(address: &str, folder: &Path) -> Vec<u8> {
    let pair = Authority::of(folder).issue("gateway");
    let certificate = shown(address.parse().unwrap(), "inventory", &folder.join("ca.pem"), Some(pair)).await;
    certificate.unwrap().to_vec()
}

#[test]
fn no_request_fails_while_certificates_are_renewed() {
    let (folder, tls_folder) = (tempdir().unwrap(), certificates());
    let mut shop = Shop::start(folder.path(), tls_folder.path());
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let orders = std::thread::scope(|threads| {
        let ordering = threads.spawn(|| {
            let mut statuses = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                statuses.push(shop.order(&format!("renewal-{}", statuses.len())));
                answered.store(statuses.len(), Ordering::Relaxed);
            }
            statuses
        });
        // Each identity has seen each renewal, and an order was sent and answered after it, before the next begins.
        for round in 1..=3_usize {
            renew(tls_folder.path());
            for program in [&shop.gateway, &shop.order, &shop.services] {
                wait_for_renewals(program, round);
            }
            let before = answered.load(Ordering::Relaxed);
            wait_until("orders after a renewal", || answered.load(Ordering::Relaxed) >= before + 2);
        }
        is_over.store(true, Ordering::Relaxed);
        ordering.join().unwrap()
    });
    assert!(orders.iter().all(|status| *status == 201), "{orders:?}");
    shop.gateway.line_with("the certificate was renewed");
}

/// Until each role of the program has renewed its certificate so often.
fn wait_for_renewals(program: &Program, rounds: usize) {
    wait_until("each certificate is renewed", || {
        let seen = program.seen();
        let renewals = seen.lines().filter(|line| line.contains("the certificate was renewed")).count();
        // The services' process has three identities.
        let identities = ["\"role\":\"user\"", "\"role\":\"inventory\"", "\"role\":\"payment\""];
        let count = if identities.iter().all(|role| seen.contains(role)) { 3 } else { 1 };
        renewals >= rounds * count
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_pair_is_told_and_not_taken() {
    let (folder, tls_folder) = (tempdir().unwrap(), certificates());
    let mut inventory = Program::start(&mut roles(folder.path(), Some(tls_folder.path()), &["inventory"]));
    let address = address_of(&mut inventory, "inventory");
    let admin = address_of(&mut inventory, "admin");
    inventory.line_with("\"ready\"");
    let before = of(&address, tls_folder.path()).await;

    let key = tls_folder.path().join("inventory.key");
    let old_key = fs::read(&key).unwrap();
    renew(tls_folder.path());
    let (new_key, new_certificate) = (fs::read(&key).unwrap(), tls_folder.path().join("inventory.pem"));
    let new = fs::read(&new_certificate).unwrap();
    inventory.line_with("the certificate was renewed");
    let renewed = of(&address, tls_folder.path()).await;
    assert_ne!(before, renewed);

    fs::write(&key, &old_key).unwrap();
    inventory.line_with("the certificate cannot be renewed; the one in use stays");
    let line = readiness_line(&admin, "warn inventory/certificate: ");
    assert!(line.contains("inventory.key does not belong to the certificate in "), "{line}");
    assert_eq!(of(&address, tls_folder.path()).await, renewed, "the pair in use stays");

    fs::write(&key, &new_key).unwrap();
    fs::write(&new_certificate, &new).unwrap();
    readiness_line(&admin, "ok inventory/certificate");
    assert_eq!(of(&address, tls_folder.path()).await, renewed);
}

#[test]
fn a_certificate_that_ends_soon_is_warned_of() {
    let (folder, tls_folder) = (tempdir().unwrap(), tempdir().unwrap());
    let made = ended(waypost(tls_folder.path()).args(["certificates", ".", "--days", "3"]));
    assert_eq!(made.code, 0, "{made:?}");
    let mut inventory = Program::start(&mut roles(folder.path(), Some(tls_folder.path()), &["inventory"]));
    let admin = address_of(&mut inventory, "admin");
    inventory.line_with("\"ready\"");
    let line = readiness_line(&admin, "inventory/certificate");
    assert!(line.starts_with("warn inventory/certificate: the certificate in "), "{line}");
    assert!(line.ends_with("inventory.pem ends in 2 days"), "{line}");
    assert_eq!(get(&format!("http://{admin}/readyz")).status, 200, "a warning makes nothing unready");
}

#[test]
fn replicas_of_a_role_are_found_and_called_with_tls() {
    let (folder, tls_folder) = (tempdir().unwrap(), certificates());
    let start = |name: &str| {
        let own = folder.path().join(name);
        fs::create_dir(&own).unwrap();
        let mut replica = Program::start(&mut roles(&own, Some(tls_folder.path()), &["inventory"]));
        let address = format!("http://{}", address_of(&mut replica, "inventory"));
        replica.line_with("\"ready\"");
        (replica, address)
    };
    let ((one, first), (other, second)) = (start("one"), start("other"));
    let mut gateway = Program::start(
        roles(folder.path(), Some(tls_folder.path()), &["gateway"])
            .env("WAYPOST_GATEWAY__INVENTORY_SERVICE", format!("{first},{second}")),
    );
    let product = format!("http://{}/api/products/prod456", address_of(&mut gateway, "gateway"));
    let admin = address_of(&mut gateway, "admin");
    readiness_line(&admin, "ok gateway/inventory-service");
    assert_eq!(get(&product).status, 200);
    drop(one);
    for _ in 0..8 {
        assert_eq!(get(&product).status, 200, "the other one takes all calls");
    }
    drop(other);
    assert_eq!(get(&product).status, 503);
}
