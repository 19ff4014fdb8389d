//! A roll-out of the gateway behind HAProxy while customers order: the new process comes up, the old one drains, nobody notices.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use waypost_testkit::program::command;
use waypost_testkit::{Client, Process, until};

use crate::ORDER;
use crate::server::{Server, file, free, program, with};

const SERVICES: [&str; 6] = ["order", "user", "inventory", "payment", "provider", "notification"];
const CUSTOMERS: usize = 16;

/// The addresses that all processes are told, so that they find each other.
struct Shop {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// A gateway process and where it listens.
struct Gateway {
    address: SocketAddr,
    admin: SocketAddr,
}

impl Shop {
    fn new() -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let set = |key: &str, value: &str| (format!("WAYPOST_{key}"), value.to_owned());
        let listen = ["ORDER", "USER", "INVENTORY", "PAYMENT", "PROVIDER"];
        let mut environment: Vec<_> =
            listen.iter().map(|role| set(&format!("LISTEN__{role}"), &free().to_string())).collect();
        environment.extend([
            set("DATA__FOLDER", &folder.path().join("data").display().to_string()),
            set("USER__SEED", "true"),
            set("INVENTORY__SEED", "true"),
            set("GATEWAY__AUTH", "demo"),
            set("GATEWAY__RATE_LIMIT__ENABLED", "false"),
            set("HEALTH__INTERVAL", "100ms"),
            set("TELEMETRY__LOGS__FILTER", "warn"),
            ("OTEL_TRACES_EXPORTER".to_owned(), "none".to_owned()),
        ]);
        Shop { folder, environment }
    }

    fn start(&self, roles: &[&str], listen: &[(&str, SocketAddr)]) -> Process {
        let mut run = command(env!("CARGO_BIN_EXE_waypost"), self.folder.path());
        run.arg("run").args(roles).envs(self.environment.iter().cloned());
        for (name, address) in listen {
            run.args([format!("--{name}"), address.to_string()]);
        }
        Process::start(&mut run).unwrap()
    }

    /// Starts it and waits until it is ready.
    async fn gateway(&self, at: &Gateway) -> Process {
        let process = self.start(&["gateway"], &[("gateway", at.address), ("admin", at.admin)]);
        ready(at.admin).await;
        process
    }
}

async fn ready(admin: SocketAddr) {
    let client = Client::new(admin);
    until(&format!("readiness at {admin}"), async || {
        client.get("/readyz").await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
}

/// Waits until HAProxy, asked as a customer, has found this many gateways: its own page of states says so.
async fn in_rotation(statistics: &Client, count: usize) {
    until(&format!("{count} gateways in rotation"), async || {
        let Ok(page) = statistics.get("/;csv").await else { return false };
        let page = String::from_utf8_lossy(&page.bytes).into_owned();
        page.lines().filter(|line| line.starts_with("gateway,gateway") && line.contains(",UP,")).count()
            == count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roll_out_of_the_gateway_fails_no_order() {
    let Some(program) = program("a roll-out behind HAProxy", "haproxy") else { return };
    let shop = Shop::new();
    let services_admin = free();
    let _services = shop.start(&SERVICES, &[("admin", services_admin)]);
    ready(services_admin).await;
    let [one, two, new]: [Gateway; 3] = std::array::from_fn(|_| Gateway { address: free(), admin: free() });
    let first = shop.gateway(&one).await;
    let second = shop.gateway(&two).await;

    let (customers, statistics) = (free(), free());
    let server = |(index, at): (usize, &&Gateway)| {
        format!("    server gateway{index} {} check port {}\n", at.address, at.admin.port())
    };
    let servers: String = [&one, &two, &new].iter().enumerate().map(server).collect();
    let text = with(
        &file("deploy/haproxy/haproxy.cfg"),
        &[
            ("127.0.0.1:8000", customers.to_string()),
            ("127.0.0.1:8001", free().to_string()),
            ("    server gateway1 127.0.0.1:8080 check port 9464\n", servers),
        ],
    );
    let text =
        format!("{text}\nfrontend statistics\n    bind {statistics}\n    stats enable\n    stats uri /\n");
    let _haproxy = Server::start(&program, &["-f", "{}"], ("haproxy.cfg", &text), customers).await;
    let statistics = Client::new(statistics);
    in_rotation(&statistics, 2).await;

    let is_over = Arc::new(AtomicBool::new(false));
    let mut orders = tokio::task::JoinSet::new();
    for customer in 0..CUSTOMERS {
        let (client, is_over) = (Client::new(customers), Arc::clone(&is_over));
        orders.spawn(async move {
            let mut count = 0_usize;
            while !is_over.load(Ordering::Relaxed) {
                let key = format!("customer-{customer}-{count}");
                let answer = client.post("/api/orders", &[("idempotency-key", &key)], ORDER).await.unwrap();
                assert!(matches!(answer.status.as_u16(), 201 | 202), "{} {}", answer.status, answer.json);
                count += 1;
            }
            count
        });
    }

    // The new one comes, the first goes, comes back as new, the second goes.
    let third = shop.gateway(&new).await;
    in_rotation(&statistics, 3).await;
    drained(first).await;
    let again = shop.gateway(&one).await;
    in_rotation(&statistics, 3).await;
    drained(second).await;
    in_rotation(&statistics, 2).await;

    is_over.store(true, Ordering::Relaxed);
    let count: usize = orders.join_all().await.iter().sum();
    assert!(count > CUSTOMERS * 10, "{count} orders");
    for gateway in [third, again] {
        drained(gateway).await;
    }
}

async fn drained(gateway: Process) {
    gateway.signal("TERM").unwrap();
    let stopped = gateway.ended().await.unwrap();
    assert!(stopped.status.success(), "{}", stopped.output);
}
