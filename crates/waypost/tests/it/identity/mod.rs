//! Mutual TLS between the roles, with processes on loopback, and token keys that gateways share.

mod authority;
mod renewal;
mod strangers;
mod tokens;

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::{TempDir, tempdir};

use super::http::{get, post_with};
use super::program::{Program, ended, waypost};
use super::run::{address_of, run};

/// The settings that name the certificates of a folder.
pub fn tls(command: &mut Command, folder: &Path) {
    let file = |name: &str| folder.join(name);
    command
        .env("WAYPOST_TLS__CERTIFICATE", file("{role}.pem"))
        .env("WAYPOST_TLS__KEY", file("{role}.key"))
        .env("WAYPOST_TLS__CA", file("ca.pem"))
        .env("WAYPOST_TLS__REFRESH_INTERVAL", "20ms");
}

/// What `waypost certificates` makes, in a folder of its own.
pub fn certificates() -> TempDir {
    let folder = tempdir().unwrap();
    renew(folder.path());
    folder
}

pub fn renew(folder: &Path) {
    let ended = ended(waypost(folder).args(["certificates", "."]));
    assert_eq!(ended.code, 0, "{ended:?}");
}

/// Roles in one process, which have certificates if a folder of some is given.
pub fn roles(folder: &Path, tls_folder: Option<&Path>, roles: &[&str]) -> Command {
    let mut command = run(folder, roles);
    if let Some(tls_folder) = tls_folder {
        tls(&mut command, tls_folder);
    }
    command
}

/// The order service, its neighbours and a gateway, a process each, all with certificates.
pub struct Shop {
    pub gateway: Program,
    pub services: Program,
    pub order: Program,
    /// The gateway's address.
    pub url: String,
}

pub const ORDER: &str = r#"{"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#;

impl Shop {
    pub fn start(folder: &Path, tls_folder: &Path) -> Shop {
        let with = |names: &[&str]| roles(folder, Some(tls_folder), names);
        let mut services = Program::start(&mut with(&["user", "inventory", "payment", "provider"]));
        let at = |program: &mut Program, role: &str| format!("http://{}", address_of(program, role));
        let (user, inventory) = (at(&mut services, "user"), at(&mut services, "inventory"));
        let payment = at(&mut services, "payment");
        let mut order = Program::start(
            with(&["order", "notification"])
                .env("WAYPOST_ORDER__INVENTORY_TARGET", &inventory)
                .env("WAYPOST_ORDER__PAYMENT_TARGET", payment),
        );
        let orders = at(&mut order, "order");
        let mut gateway = Program::start(
            with(&["gateway"])
                .env("WAYPOST_GATEWAY__AUTH", "demo")
                .env("WAYPOST_GATEWAY__ORDER_SERVICE", orders)
                .env("WAYPOST_GATEWAY__USER_SERVICE", user)
                .env("WAYPOST_GATEWAY__INVENTORY_SERVICE", inventory),
        );
        let url = at(&mut gateway, "gateway");
        for program in [&mut services, &mut order, &mut gateway] {
            program.line_with("\"ready\"");
        }
        Shop { gateway, services, order, url }
    }

    pub fn order(&self, key: &str) -> u16 {
        let answer = post_with(&format!("{}/api/orders", self.url), &[("Idempotency-Key", key)], ORDER);
        answer.status.as_u16()
    }
}

pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = std::time::Instant::now() + super::program::PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < end, "not in time: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Waits until `/readyz?verbose` has a line with this part, and returns the line.
pub fn readiness_line(admin: &str, part: &str) -> String {
    let end = std::time::Instant::now() + super::program::PATIENCE;
    loop {
        let report = get(&format!("http://{admin}/readyz?verbose")).text().to_owned();
        if let Some(line) = report.lines().find(|line| line.contains(part)) {
            return line.to_owned();
        }
        assert!(std::time::Instant::now() < end, "no {part:?} in\n{report}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn roles_with_certificates_complete_an_order_end_to_end() {
    let (folder, tls_folder) = (tempdir().unwrap(), certificates());
    let mut shop = Shop::start(folder.path(), tls_folder.path());
    assert_eq!(shop.order("tls-1"), 201);
    let admin = address_of(&mut shop.gateway, "admin");
    let report = get(&format!("http://{admin}/readyz?verbose"));
    assert_eq!(report.status, 200, "{}", report.text());
    assert!(report.text().contains("ok gateway/certificate"), "{}", report.text());
    let metrics = get(&format!("http://{admin}/metrics")).text().to_owned();
    let remaining =
        metrics.lines().find(|line| line.starts_with("waypost_tls_certificate_remaining_seconds"));
    let days = remaining.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap() / 86_400.0;
    assert!((364.0..365.1).contains(&days), "{remaining:?}");

    for program in [shop.gateway, shop.order, shop.services] {
        program.signal("TERM");
        let ended = program.end();
        assert_eq!(ended.code, 0, "{ended:?}");
    }
}

#[test]
fn a_service_beyond_loopback_without_tls_does_not_start() {
    let folder = tempdir().unwrap();
    let start = || {
        let mut command = run(folder.path(), &["inventory"]);
        command.env("WAYPOST_LISTEN__INVENTORY", "0.0.0.0:0");
        command
    };
    let refused = ended(&mut start());
    assert_eq!(refused.code, 64, "{refused:?}");
    for part in
        ["WAYPOST_LISTEN__INVENTORY: listen.inventory: at 0.0.0.0:0, beyond loopback", "tls.mode = \"off\""]
    {
        assert!(refused.err.contains(part), "{part:?} is missing in {}", refused.err);
    }
    let check = ended(
        waypost(folder.path()).args(["config", "check"]).env("WAYPOST_LISTEN__INVENTORY", "0.0.0.0:9092"),
    );
    assert_eq!(check.code, 64, "{check:?}");

    let mut open = Program::start(start().env("WAYPOST_TLS__MODE", "off"));
    open.line_with("\"ready\"");
    drop(open);
    let tls_folder = certificates();
    let mut command = start();
    tls(&mut command, tls_folder.path());
    Program::start(&mut command).line_with("\"ready\"");
}

#[test]
fn certificates_that_cannot_be_used_are_named_at_the_start() {
    let (folder, tls_folder) = (tempdir().unwrap(), certificates());
    let refused = || {
        let ended = ended(&mut roles(folder.path(), Some(tls_folder.path()), &["inventory"]));
        assert_eq!(ended.code, 64, "{ended:?}");
        ended.err
    };
    let file = |name: &str| tls_folder.path().join(name);
    fs::copy(file("user.pem"), file("inventory.pem")).unwrap();
    assert!(refused().contains("inventory.key does not belong to the certificate in "), "{}", refused());
    fs::copy(file("user.key"), file("inventory.key")).unwrap();
    let said = refused();
    assert!(said.contains("TLS of the role inventory: the certificate in "), "{said}");
    assert!(
        said.contains("inventory.pem names `user`, and the role inventory is called `inventory`"),
        "{said}"
    );
    renew(tls_folder.path());
    fs::copy(certificates().path().join("ca.pem"), file("ca.pem")).unwrap();
    assert!(refused().contains("it is signed by none of the authorities in "), "{}", refused());
    fs::remove_file(file("inventory.key")).unwrap();
    assert!(refused().contains("cannot read "), "{}", refused());

    let half =
        ended(waypost(folder.path()).args(["config", "check"]).env("WAYPOST_TLS__CERTIFICATE", "order.pem"));
    assert_eq!(half.code, 64, "{half:?}");
    assert!(half.err.contains("tls.key") && half.err.contains("tls.ca"), "{}", half.err);
}

#[test]
fn certificates_are_renewed_and_their_authority_is_kept() {
    let folder = certificates();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let before = ["ca.pem", "ca.key", "order.pem", "order.key"].map(read);
    renew(folder.path());
    let after = ["ca.pem", "ca.key", "order.pem", "order.key"].map(read);
    assert_eq!(before[..2], after[..2]);
    assert!(before[2] != after[2] && before[3] != after[3]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode("ca.key"), mode("order.key"), mode("order.pem")], [0o600, 0o600, 0o644]);
    }
    fs::remove_file(folder.path().join("ca.key")).unwrap();
    let ended = ended(waypost(folder.path()).args(["certificates", "."]));
    assert_eq!(ended.code, 74, "an authority without its key is not overwritten: {ended:?}");
}
