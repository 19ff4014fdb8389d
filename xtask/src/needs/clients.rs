//! Clients of other languages, each language's in a folder of its own under `target/test-clients`.
//!
//! A folder is made anew when the pins or the language's version change.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::packages::{install, made_once};
use super::{Found, on_path, output};

const PYTHON: [&str; 7] = [
    "kafka-python==3.0.12",
    "opentelemetry-sdk==1.45.2",
    "opentelemetry-propagator-b3==1.45.1",
    "opentelemetry-propagator-jaeger==1.45.1",
    "opentelemetry-exporter-otlp-proto-grpc==1.45.2",
    "opentelemetry-exporter-otlp-proto-http==1.45.2",
    "py-zipkin==1.2.8",
];

/// The last line of releases that runs on Node.js 20; the exporters' 0.223 belongs to the SDK's 2.12.
const NODE: [&str; 16] = [
    "@grpc/grpc-js@1.14.7",
    "@opentelemetry/api@1.9.1",
    "@opentelemetry/core@2.12.0",
    "@opentelemetry/propagator-b3@2.12.0",
    "@opentelemetry/propagator-jaeger@2.12.0",
    "@opentelemetry/resources@2.12.0",
    "@opentelemetry/sdk-trace-base@2.12.0",
    "@opentelemetry/sdk-trace-node@2.12.0",
    "@opentelemetry/exporter-trace-otlp-grpc@0.223.0",
    "@opentelemetry/exporter-trace-otlp-http@0.223.0",
    "@opentelemetry/exporter-trace-otlp-proto@0.223.0",
    "kafkajs@2.2.4",
    "zipkin@0.22.0",
    "zipkin-transport-http@0.22.0",
    // What zipkin-transport-http sends with; it wants one from its user.
    "node-fetch@2.7.0",
    // Checks the viewer's page against the types of its API.
    "typescript@5.9.3",
];

/// `TEST_PYTHON` is the interpreter, `TEST_PYTHON_PACKAGES` the folder for its `PYTHONPATH`.
pub(super) fn python(clients: &Path) -> Found {
    let python = on_path(&["python3"]).context("python3 not found")?;
    // The real interpreter: what is on the path may be a shim that needs the user's home.
    let about = "import platform, sys; print(sys.executable); print(platform.python_version())";
    let about = output(Command::new(&python).args(["-c", about]))?;
    let (interpreter, version) = about.split_once('\n').context("python3 does not say where it is")?;
    let folder = clients.join("python");
    let pip = ["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"];
    let options = ["install", "--only-binary=:all:", "--retries=1", "--root-user-action=ignore", "--target"];
    made_once(&folder, &stamp("python", version, &PYTHON), |folder| {
        output(Command::new(interpreter).args(pip).args(options).arg(folder).args(PYTHON))
    })?;
    Ok(vec![("TEST_PYTHON", interpreter.into()), ("TEST_PYTHON_PACKAGES", folder.into_os_string())])
}

/// `TEST_NODE` is the interpreter, `TEST_NODE_MODULES` the folder for its `NODE_PATH`.
pub(super) fn node(clients: &Path) -> Found {
    if on_path(&["node"]).is_none() || on_path(&["npm"]).is_none() {
        install(&["nodejs", "npm"]).context("node and npm not found")?;
    }
    let node = on_path(&["node"]).context("node not found")?;
    let npm = on_path(&["npm"]).context("npm not found")?;
    let version = output(Command::new(&node).arg("--version"))?;
    let folder = clients.join("node");
    let quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
    let max_wait = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"];
    made_once(&folder, &stamp("node", &version, &NODE), |folder| {
        fs::write(folder.join("package.json"), "{\"private\": true}\n")?;
        output(Command::new(&npm).current_dir(folder).arg("install").args(quiet).args(max_wait).args(NODE))
    })?;
    let modules = folder.join("node_modules");
    Ok(vec![("TEST_NODE", node.into_os_string()), ("TEST_NODE_MODULES", modules.into_os_string())])
}

fn stamp(language: &str, version: &str, pins: &[&str]) -> String {
    format!("{language} {version}\n{}\n", pins.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_names_the_language_its_version_and_every_pin() {
        assert_eq!(stamp("node", "v20.20.2", &["a@1", "b@2"]), "node v20.20.2\na@1\nb@2\n");
    }

    #[test]
    fn every_client_is_pinned() {
        assert!(PYTHON.iter().all(|pin| pin.contains("==")));
        assert!(NODE.iter().all(|pin| pin.rfind('@').is_some_and(|place| place > 0)));
    }
}
