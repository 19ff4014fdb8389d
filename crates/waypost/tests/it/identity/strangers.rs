//! Who may not come in, or is not who was called: each is told so, and what to look at.

use tempfile::tempdir;
use tonic::Code;
use waypost_api::inventory::v1::inventory_service_client::InventoryServiceClient;
use waypost_api::inventory::v1::{CheckStockRequest, ReserveRequest};
use waypost_identity::{Files, Identity, Names};
use waypost_resilience::grpc::untraced;

use super::authority::{Authority, server_with, shown};
use super::{certificates, readiness_line, roles};
use crate::http::get;
use crate::program::Program;
use crate::run::address_of;

/// A role of the folder, as its own program would be.
fn identity(role: &'static str, folder: &std::path::Path) -> Identity {
    let file = |name: String| folder.join(name);
    let files = Files {
        certificate: file(format!("{role}.pem")),
        key: file(format!("{role}.key")),
        authorities: file("ca.pem".to_owned()),
    };
    let names = ["gateway", "inventory", "user"].map(|role| (role, vec![role.to_owned()]));
    Identity::open(role, files, Names::new(names)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_calls_what_the_table_of_the_service_names() {
    let (folder, tls_folder) = (tempdir().unwrap(), certificates());
    let mut inventory = Program::start(&mut roles(folder.path(), Some(tls_folder.path()), &["inventory"]));
    let target = format!("http://{}", address_of(&mut inventory, "inventory"));
    let admin = address_of(&mut inventory, "admin");
    inventory.line_with("\"ready\"");
    let client = |role| {
        let outgoing = identity(role, tls_folder.path()).outgoing("inventory");
        InventoryServiceClient::new(untraced(&target, Some(outgoing)).unwrap())
    };
    let look = || CheckStockRequest { product_id: "prod456".to_owned() };

    let mut gateway = client("gateway");
    assert_eq!(gateway.check_stock(look()).await.unwrap().into_inner().product_id, "prod456");
    for _ in 0..3 {
        let refused = gateway.reserve(ReserveRequest::default()).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert_eq!(
            refused.message(),
            "the role gateway may not call waypost.inventory.v1.InventoryService/Reserve, which is for order"
        );
    }
    let refused = client("user").check_stock(look()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().starts_with("the role user may not call "), "{refused}");

    let metrics = get(&format!("http://{admin}/metrics")).text().to_owned();
    let counted = |role: &str| {
        let label = format!("waypost_peer=\"{role}\"");
        let line =
            metrics.lines().find(|line| line.starts_with("waypost_peer_refused") && line.contains(&label));
        line.unwrap_or_default().rsplit(' ').next().unwrap_or_default().to_owned()
    };
    assert_eq!([counted("gateway"), counted("user")], ["3", "1"], "{metrics}");
    inventory.line_with("\"peer\":\"user\"");
    assert_eq!(inventory.seen().matches("\"peer\":\"gateway\"").count(), 1, "{}", inventory.seen());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_refused_at_the_door_with_the_reason() {
    let (folder, tls_folder) = (tempdir().unwrap(), certificates());
    let mut inventory = Program::start(&mut roles(folder.path(), Some(tls_folder.path()), &["inventory"]));
    let address = address_of(&mut inventory, "inventory");
    inventory.line_with("\"ready\"");
    let ca = tls_folder.path().join("ca.pem");
    let known = Authority::of(tls_folder.path());
    let cases = [
        (Some(Authority::unknown().issue("gateway")), "signed by none of the authorities in ", "UnknownCA"),
        (Some(known.issue_ended("gateway")), "its certificate ended at ", "CertificateExpired"),
        (None, "it shows no certificate", "CertificateRequired"),
    ];
    for (pair, said, alert) in cases {
        let refused = shown(address.parse().unwrap(), "inventory", &ca, pair).await.unwrap_err();
        assert!(refused.to_string().contains(alert), "{refused}");
        inventory.line_with(said);
    }
    // In order, and nobody whom the shop knows: let in, and allowed nothing.
    shown(address.parse().unwrap(), "inventory", &ca, Some(known.issue("monitoring"))).await.unwrap();

    // A client without TLS, such as a role whose configuration lacks the section.
    let plain = untraced(&format!("http://{address}"), None).unwrap();
    let request = CheckStockRequest { product_id: "prod456".to_owned() };
    let refused = InventoryServiceClient::new(plain).check_stock(request).await.unwrap_err();
    let mut causes = std::iter::successors(std::error::Error::source(&refused), |cause| cause.source());
    let told = |cause: &dyn std::error::Error| {
        cause.to_string().contains("this listener takes TLS with a certificate of a role")
    };
    assert!(causes.any(told), "{refused:?}");
    inventory.line_with("it does not speak TLS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_the_role_is_not_called_and_the_reason_is_shown() {
    let (folder, tls_folder) = (tempdir().unwrap(), certificates());
    let known = Authority::of(tls_folder.path());
    let other = server_with(Authority::unknown().issue("order")).await;
    let ended = server_with(known.issue_ended("user")).await;
    let another = server_with(known.issue("payment")).await;
    let mut gateway = Program::start(
        roles(folder.path(), Some(tls_folder.path()), &["gateway"])
            .env("WAYPOST_GATEWAY__ORDER_SERVICE", format!("http://{other}"))
            .env("WAYPOST_GATEWAY__USER_SERVICE", format!("http://{ended}"))
            .env("WAYPOST_GATEWAY__INVENTORY_SERVICE", format!("http://{another}")),
    );
    let admin = address_of(&mut gateway, "admin");
    for (part, reason) in [
        ("gateway/order-service: Unavailable: ", "its certificate is signed by none of the authorities in "),
        ("gateway/user-service: Unavailable: ", "its certificate ended at "),
        (
            "gateway/inventory-service: Unavailable: ",
            "its certificate names `payment`, which is not the role inventory",
        ),
    ] {
        let line = readiness_line(&admin, part);
        assert!(line.contains(reason), "{line}");
        gateway.line_with(reason);
    }
}

#[test]
fn tls_at_one_end_only_is_told_at_the_caller() {
    let (folder, tls_folder) = (tempdir().unwrap(), certificates());
    let mut plain = Program::start(&mut roles(folder.path(), None, &["inventory"]));
    let secured_folder = tempdir().unwrap();
    let mut secured =
        Program::start(&mut roles(secured_folder.path(), Some(tls_folder.path()), &["inventory"]));
    let gateway_to = |service: &mut Program, tls_folder, code: &str| {
        let inventory = address_of(service, "inventory");
        let mut gateway = Program::start(
            roles(folder.path(), tls_folder, &["gateway"])
                .env("WAYPOST_GATEWAY__INVENTORY_SERVICE", format!("http://{inventory}")),
        );
        let admin = address_of(&mut gateway, "admin");
        readiness_line(&admin, &format!("gateway/inventory-service: {code}: "))
    };
    let line = gateway_to(&mut plain, Some(tls_folder.path()), "Unavailable");
    assert!(line.ends_with(": it does not speak TLS"), "{line}");
    // What gRPC makes of INADEQUATE_SECURITY.
    let line = gateway_to(&mut secured, None, "PermissionDenied");
    assert!(line.contains("this listener takes TLS with a certificate of a role"), "{line}");
}
