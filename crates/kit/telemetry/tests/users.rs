//! Adding the kit changes nothing in a program's build or process: three small programs outside this workspace, with
//! rustls on ring, with rustls on AWS-LC, and without any, are built and run against an https receiver.
//!
//! A test of its own and not part of `it`, because it looks at what a process has installed, and because it builds
//! for some minutes when nothing is there yet. What it built stays in the target folder.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

#[path = "it/tls/front.rs"]
#[expect(dead_code, reason = "made for more")]
mod front;
#[path = "it/receiver.rs"]
#[expect(dead_code, reason = "made for more")]
mod receiver;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use front::{Authority, Clients, Front};
use receiver::{HttpReceiver, Manner, PATIENCE};
use rustls::crypto::CryptoProvider;
use waypost_telemetry::config::Exporter;
use waypost_telemetry::{Builder, Settings};

fn provider() -> Arc<CryptoProvider> {
    rustls::crypto::ring::default_provider().into()
}

/// Where the programs are put and built.
fn work() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("users")
}

/// Writes the program as somebody outside this workspace would have it.
fn put(name: &str) -> PathBuf {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (from, to) = (kit.join("tests/users").join(name), work().join(name));
    fs::create_dir_all(to.join("src")).unwrap();
    let manifest = fs::read_to_string(from.join("Cargo.toml.in")).unwrap();
    let manifest = manifest.replace("@KIT@", &kit.display().to_string());
    fs::write(to.join("Cargo.toml"), manifest).unwrap();
    fs::copy(from.join("main.rs"), to.join("src/main.rs")).unwrap();
    fs::copy(kit.join("tests/users/common.rs"), to.join("src/common.rs")).unwrap();
    // The versions are those of this workspace; what only the program has is chosen once.
    if !to.join("Cargo.lock").exists() {
        fs::copy(kit.join("../../../Cargo.lock"), to.join("Cargo.lock")).unwrap();
    }
    to
}

fn assert_success(what: &str, output: &Output) {
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{out}\n{error}", output.status);
}

fn build(name: &str) -> PathBuf {
    let folder = put(name);
    let target = work().join("target");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    assert_success(name, &output);
    target.join("debug").join(format!("user-{}", name.replace('_', "-")))
}

fn settings(endpoint: String) -> Settings {
    let mut settings = Settings::new("s");
    settings.traces.exporters = vec![Exporter::OtlpHttp];
    settings.otlp.endpoint = Some(endpoint);
    settings
}

#[test]
fn nothing_is_installed_for_the_process() {
    let authority = Authority::new();
    let receiver = HttpReceiver::start(Manner::Takes);
    let front = Front::start(&authority, &Clients::Anybody, receiver.address);
    let files = tempfile::tempdir().unwrap();
    let mut settings = settings(format!("https://{}", front.address));
    settings.otlp.certificate = Some(files.path().join("ca.pem"));
    fs::write(files.path().join("ca.pem"), authority.pem()).unwrap();
    let telemetry = Builder::new(settings).tls_provider(provider()).init().unwrap();
    telemetry.span("a").in_scope(|| ());
    assert_eq!(telemetry.shutdown_blocking(PATIENCE).traces.exported(), 1);
    assert!(CryptoProvider::get_default().is_none());
}

/// With the feature the kit has a provider of its own.
#[cfg(not(feature = "tls-ring"))]
#[test]
fn without_a_provider_the_ways_out_are_named() {
    let error = waypost_telemetry::init(settings("https://127.0.0.1:1".to_owned())).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("Builder::tls_provider") && text.contains("tls-ring"), "{text}");
}

#[test]
fn programs_keep_their_own_tls() {
    let authority = Authority::new();
    let receiver = HttpReceiver::start(Manner::Takes);
    let front = Front::start(&authority, &Clients::Anybody, receiver.address);
    let files = tempfile::tempdir().unwrap();
    let authority_file = files.path().join("ca.pem");
    fs::write(&authority_file, authority.pem()).unwrap();
    for (name, own_requests) in [("ring", 3), ("aws_lc", 3), ("none", 1)] {
        let output = Command::new(build(name))
            .arg(front.address.port().to_string())
            .arg(&authority_file)
            .arg(receiver.endpoint())
            .output()
            .unwrap();
        assert_success(name, &output);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "ok\n", "{name}");
        let posted = receiver.taken();
        let count = |path: &str| posted.iter().filter(|posted| posted.path == path).count();
        assert_eq!((count("/own"), count("/v1/traces")), (own_requests, 1), "{name}");
    }
}
