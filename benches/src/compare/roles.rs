//! CPU by role. The roles of one process share its threads, so here each is a process of its own: the same data in a file per role,
//! calls over TCP, spans to a viewer that is a process too.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use waypost_test_process::Process;

use super::table::Run;
use super::way::{Telemetry, Way};
use crate::process::{Load, cpu_seconds, wait_until_idle};

pub(super) const WHAT: &str = "CPU by role";

/// CPU seconds in half a second of all processes together, when none of them has anything to do.
const IDLE: f64 = 0.06;

/// A role, the settings by which it finds others, and who they are.
type Role = (&'static str, &'static [(&'static str, &'static str)]);

/// Those that are called before those that call.
const ROLES: [Role; 7] = [
    ("provider", &[]),
    ("inventory", &[]),
    ("user", &[]),
    ("payment", &[("WAYPOST_PAYMENT__PROVIDER__URL", "provider")]),
    (
        "order",
        &[("WAYPOST_ORDER__INVENTORY_TARGET", "inventory"), ("WAYPOST_ORDER__PAYMENT_TARGET", "payment")],
    ),
    ("notification", &[]),
    (
        "gateway",
        &[
            ("WAYPOST_GATEWAY__ORDER_SERVICE", "order"),
            ("WAYPOST_GATEWAY__USER_SERVICE", "user"),
            ("WAYPOST_GATEWAY__INVENTORY_SERVICE", "inventory"),
        ],
    ),
];

/// What `up` sets by itself, and lines that say where a role listens and when it is ready.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("WAYPOST_GATEWAY__AUTH", "demo"),
    ("WAYPOST_USER__SEED", "true"),
    ("WAYPOST_INVENTORY__SEED", "true"),
    ("WAYPOST_DRAIN__NOTICE", "0s"),
    ("WAYPOST_TELEMETRY__LOGS__FORMAT", "json"),
    ("WAYPOST_TELEMETRY__LOGS__FILTER", "warn,waypost::run=info,waypost::viewer=info"),
];

const LISTENERS: [&str; 6] = ["gateway", "order", "user", "inventory", "payment", "provider"];
const VIEWER_LISTENERS: [&str; 4] = ["viewer", "otlp-grpc", "otlp-http", "zipkin"];

/// The processes by role. Dropped, they are killed.
struct Roles {
    running: Vec<(&'static str, Process)>,
    gateway: SocketAddr,
}

/// CPU of each role an order: on an empty folder, warmed up by a tenth of the orders.
pub(super) fn an_order(
    binary: &Path,
    way: &Way,
    load: Load<'_>,
    orders: u32,
    concurrency: u32,
) -> anyhow::Result<Run> {
    let folder = tempfile::tempdir()?;
    let roles = Roles::start(binary, way, &folder.path().join("data"))?;
    load.place(roles.gateway, orders / 10, concurrency)?;
    let before = roles.used_when_idle()?;
    let report = load.place(roles.gateway, orders, concurrency)?;
    let after = roles.used_when_idle()?;
    anyhow::ensure!(report["unexpected"] == 0, "unexpected answers: {report}");

    let mut run = Run::new();
    for ((role, _), (before, after)) in roles.running.iter().zip(before.into_iter().zip(after)) {
        let an_order = (after - before) * 1000.0 / f64::from(orders);
        run.insert(format!("CPU ms an order, role `{role}`"), an_order);
        *run.entry("CPU ms an order, all roles, a process each".to_owned()).or_default() += an_order;
    }
    Ok(run)
}

impl Roles {
    fn start(binary: &Path, way: &Way, data: &Path) -> anyhow::Result<Roles> {
        let mut addresses: BTreeMap<&str, SocketAddr> = BTreeMap::new();
        let mut running = Vec::new();
        let start = |role: &str, words: &[&str], listeners: &[&str], variables: &[(&str, String)]| {
            let mut command = Command::new(binary);
            command.args(words).arg("--data").arg(data);
            for listener in listeners.iter().chain(&["admin"]) {
                command.args([&format!("--{listener}"), "127.0.0.1:0"]);
            }
            command.envs(ENVIRONMENT).envs(way.environment().iter().copied()).envs(variables.iter().cloned());
            Process::start(&mut command).with_context(|| format!("role {role}"))
        };
        let mut variables = Vec::new();
        if way.telemetry == Telemetry::Viewer {
            let mut viewer = start("viewer", &["viewer"], &VIEWER_LISTENERS, &[])?;
            let address =
                viewer.wait_for_line("where it takes spans", |line| announced("otlp-http", line))?;
            variables.push(("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")));
            running.push(("viewer", viewer));
        }
        for (role, calls) in ROLES {
            let called = calls.iter().filter_map(|(variable, callee)| {
                Some((*variable, format!("http://{}", addresses.get(callee)?)))
            });
            let variables: Vec<_> = variables.iter().cloned().chain(called).collect();
            let mut process = start(role, &["run", role], &LISTENERS, &variables)?;
            if LISTENERS.contains(&role) {
                let address = process.wait_for_line("where it listens", |line| announced(role, line));
                addresses.insert(role, address.with_context(|| format!("role {role}"))?);
            }
            let is_ready = |line: &str| line.contains("\"ready\"").then_some(());
            process.wait_for_line("that it is ready", is_ready).with_context(|| format!("role {role}"))?;
            running.push((role, process));
        }
        let gateway = *addresses.get("gateway").context("no gateway was started")?;
        Ok(Roles { running, gateway })
    }

    /// CPU seconds of each so far, when all that is done for the orders has ended.
    fn used_when_idle(&self) -> anyhow::Result<Vec<f64>> {
        let used = || self.running.iter().map(|(_, process)| cpu_seconds(process.id()));
        wait_until_idle(IDLE, || used().sum())?;
        used().collect()
    }
}

/// The address in a log line, written as JSON, that says where this listener listens.
fn announced(listener: &str, line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| line.get(name)?.as_str();
    (field("role") == Some(listener)).then(|| field("address")?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::announced;

    #[test]
    fn a_log_line_says_where_a_role_listens() {
        let line = r#"{"timestamp":"2026-11-30T17:36:18.049Z","level":"INFO","target":"waypost::run","message":"listening","role":"order","address":"127.0.0.1:38165"}"#;
        assert_eq!(announced("order", line), Some(([127, 0, 0, 1], 38165).into()));
        assert_eq!(announced("user", line), None);
        assert_eq!(announced("order", "Traces are shown at http://127.0.0.1:1/"), None);
    }
}
