//! Replicas that are found by a name server, as Consul is one: a real dnsmasq in a network of the test's own, where alone the
//! system's resolver can be told to ask it.

use std::process::Command;

use tempfile::tempdir;
use waypost_testkit::{Process, left_out, program};

const BINARY: &str = env!("CARGO_BIN_EXE_waypost");

/// What makes a network with a loopback of its own, whose resolver asks there.
const NETWORK: &str = "ip link set lo up && echo nameserver 127.0.0.1 > resolv.conf \
                       && mount --bind resolv.conf /etc/resolv.conf && echo made && exec sleep infinity";

#[tokio::test]
async fn a_service_is_found_by_its_name_in_consul() {
    let what = "a service that is found by a name server";
    let Some(dnsmasq) = std::env::var_os("TEST_DNSMASQ").filter(|value| !value.is_empty()) else {
        return left_out(what, "TEST_DNSMASQ is not set; `cargo xtask test` sets it");
    };
    let allowed = Command::new("unshare").args(["-rmn", "ip", "link", "set", "lo", "up"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        return left_out(what, "this system gives no network of one's own");
    }
    let folder = tempdir().unwrap();
    let mut network = program::command("unshare", folder.path());
    let mut network = Process::start(network.args(["-rmn", "sh", "-c", NETWORK])).unwrap();
    network.line("that it is made", |line| (line == "made").then_some(())).await.unwrap();
    let holder = network.id().to_string();
    let inside = || {
        let mut command = program::command("nsenter", folder.path());
        command.args(["-t", &holder, "-U", "-m", "-n", "--preserve-credentials"]);
        command
    };
    let mut server = inside();
    server.arg(dnsmasq).args([
        "--no-daemon",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
        "--pid-file=",
        "--bind-interfaces",
        "--listen-address=127.0.0.1",
        "--log-queries",
        "--log-facility=-",
        "--host-record=order.service.consul,127.0.0.2",
    ]);
    let mut server = Process::start(&mut server).unwrap();
    server.line("that it answers", |line| line.contains("started").then_some(())).await.unwrap();

    let mut shop = inside();
    shop.args([BINARY, "up", "--ephemeral", "--no-first-order", "--plain", "--no-viewer"]);
    shop.args(["--order", "127.0.0.2:9090"]);
    shop.env("WAYPOST_GATEWAY__ORDER_SERVICE", "dns:///order.service.consul:9090");
    let mut shop = Process::start(&mut shop).unwrap();
    shop.line("that it is up", |line| line.contains("Ctrl-C").then_some(())).await.unwrap();
    let mut load = inside();
    load.args([BINARY, "load", "--orders", "10"]);
    let load = Process::start(&mut load).unwrap().ended().await.unwrap();
    assert!(load.status.success(), "{}", load.output);
    let asked = |line: &str| line.contains("order.service.consul is 127.0.0.2").then_some(());
    server.line("that it was asked", asked).await.unwrap();
}
