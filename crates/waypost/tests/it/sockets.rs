//! Services at Unix-domain sockets, in processes of their own.

use std::path::Path;
use std::process::Command;

use tempfile::{TempDir, tempdir};

use super::http::post_with;
use super::identity::{ORDER, certificates, tls};
use super::program::{Program, ended};
use super::run::{address_of, run};

const SERVICES: [&str; 4] = ["order", "user", "inventory", "payment"];

/// As [`run`], with the services at sockets in the folder. All processes are told where each of them is.
fn at_sockets(folder: &Path, roles: &[&str]) -> Command {
    let mut command = run(folder, roles);
    for service in SERVICES {
        let socket = format!("unix:{}", folder.join(format!("{service}.sock")).display());
        command.env(format!("WAYPOST_LISTEN__{}", service.to_uppercase()), socket);
    }
    command.env("WAYPOST_GATEWAY__AUTH", "demo");
    command
}

/// Places an order with the services in one process and the gateway in another.
fn order_between_processes(folder: &Path, change: impl Fn(&mut Command)) {
    let mut of_services =
        at_sockets(folder, &["order", "user", "inventory", "payment", "provider", "notification"]);
    change(&mut of_services);
    let mut services = Program::start(&mut of_services);
    services.line_with("\"ready\"");
    let mut of_gateway = at_sockets(folder, &["gateway"]);
    change(&mut of_gateway);
    let mut gateway = Program::start(&mut of_gateway);
    let url = format!("http://{}/api/orders", address_of(&mut gateway, "gateway"));
    gateway.line_with("\"ready\"");
    let answer = post_with(&url, &[("Idempotency-Key", "socket-1")], ORDER);
    assert_eq!(answer.status, 201, "{answer:?}");
    for program in [gateway, services] {
        program.signal("TERM");
        let ended = program.end();
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    for service in SERVICES {
        assert!(!folder.join(format!("{service}.sock")).exists(), "{service}");
    }
}

#[test]
fn processes_complete_an_order_over_unix_sockets() {
    let folder = tempdir().unwrap();
    order_between_processes(folder.path(), |_| ());
}

#[test]
fn roles_show_their_certificates_over_unix_sockets_too() {
    let (folder, tls_folder): (TempDir, TempDir) = (tempdir().unwrap(), certificates());
    order_between_processes(folder.path(), |command| tls(command, tls_folder.path()));

    // Without certificates of its own, a gateway is nobody to them.
    let mut of_user = at_sockets(folder.path(), &["user"]);
    tls(&mut of_user, tls_folder.path());
    let mut user = Program::start(&mut of_user);
    user.line_with("\"ready\"");
    let mut gateway = Program::start(&mut at_sockets(folder.path(), &["gateway"]));
    let url = format!("http://{}/api/orders", address_of(&mut gateway, "gateway"));
    let answer = post_with(&url, &[("Idempotency-Key", "socket-2")], ORDER);
    assert_eq!(answer.status, 503, "{answer:?}");
    user.line_with("does not speak TLS");
}

#[test]
fn a_socket_that_is_taken_or_has_no_room_is_refused_at_the_start() {
    let folder = tempdir().unwrap();
    let mut first = Program::start(&mut at_sockets(folder.path(), &["user"]));
    first.line_with("\"ready\"");
    let refused = ended(&mut at_sockets(folder.path(), &["user"]));
    assert_eq!(refused.code, 69, "{refused:?}");
    let expected = format!("user: the socket {}", folder.path().join("user.sock").display());
    assert!(refused.err.contains(&expected) && refused.err.contains("is taken by process"), "{refused:?}");

    let long = folder.path().join("s".repeat(108));
    let too_long = ended(
        at_sockets(folder.path(), &["order"])
            .env("WAYPOST_LISTEN__ORDER", format!("unix:{}", long.display())),
    );
    assert_eq!(too_long.code, 69, "{too_long:?}");
    assert!(too_long.err.contains("that of a Unix-domain socket has 107 at most"), "{too_long:?}");

    let outside = ended(
        at_sockets(folder.path(), &["gateway"]).env("WAYPOST_LISTEN__GATEWAY", "unix:/tmp/gateway.sock"),
    );
    assert_eq!(outside.code, 64, "{outside:?}");
}
