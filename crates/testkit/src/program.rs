//! The binary as a child: the environment it gets, and what its log says of itself.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use waypost_test_process::Process;

/// A program that is to run in this folder. Of the environment it gets the path of programs and the place of temporary
/// files alone, so no developer's settings reach it.
pub fn command(binary: impl AsRef<Path>, folder: &Path) -> Command {
    let mut command = Command::new(binary.as_ref());
    let kept = ["PATH", "TMPDIR"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.env_clear().envs(kept).current_dir(folder);
    command
}

/// Gives every listener of `waypost run` a free port of loopback.
pub fn on_free_ports(command: &mut Command) -> &mut Command {
    on_ports(command, &[])
}

/// Gives the listeners that are named these addresses, and every other one a free port of loopback.
pub fn on_ports<'a>(command: &'a mut Command, known: &[(&str, SocketAddr)]) -> &'a mut Command {
    for listener in ["gateway", "order", "user", "inventory", "payment", "provider", "admin"] {
        let known = known.iter().find(|(name, _)| *name == listener);
        let address = known.map_or_else(|| "127.0.0.1:0".to_owned(), |(_, address)| address.to_string());
        command.args([&format!("--{listener}"), &address]);
    }
    command
}

/// Where a listener listens, as the log says that is written as JSON.
///
/// # Errors
/// When the program ends or does not say so in time.
pub async fn address_of(process: &mut Process, listener: &str) -> anyhow::Result<SocketAddr> {
    process.line(&format!("the address of {listener}"), |line| announced(listener, line)).await
}

/// Waits until the log, written as JSON, says that the program is ready.
///
/// # Errors
/// When the program ends or does not say so in time.
pub async fn is_ready(process: &mut Process) -> anyhow::Result<()> {
    process.line("that it is ready", |line| line.contains("\"ready\"").then_some(())).await
}

/// The address in a log line that says that a listener listens.
pub fn announced(listener: &str, line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let field = |key: &str| line.get(key)?.as_str();
    (field("role") == Some(listener)).then(|| field("address")?.parse().ok())?
}
