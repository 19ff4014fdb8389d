//! The release, as whoever unpacks it finds it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What is in the tarball beside one manual page per command.
const FILES: [&str; 16] = [
    "bin/waypost",
    "lib/systemd/system/waypost-viewer.service",
    "lib/systemd/system/waypost@.service",
    "lib/sysusers.d/waypost.conf",
    "share/bash-completion/completions/waypost",
    "share/doc/waypost/CHANGELOG.md",
    "share/doc/waypost/LICENSE-APACHE",
    "share/doc/waypost/LICENSE-MIT",
    "share/doc/waypost/README.md",
    "share/doc/waypost/THIRD-PARTY-LICENSES.txt",
    "share/doc/waypost/operations.md",
    "share/doc/waypost/waypost.cdx.json",
    "share/doc/waypost/waypost.toml",
    "share/fish/vendor_completions.d/waypost.fish",
    "share/man/man1/waypost.1",
    "share/zsh/site-functions/_waypost",
];

/// The output of a program that has to succeed.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// The program of this workspace that was built beside `xtask`, without what is for debuggers.
fn program(folder: &Path) -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("waypost");
    assert!(built.is_file(), "{} is not there: cargo build --package waypost", built.display());
    let stripped = folder.join("waypost");
    output(Command::new("strip").arg("-o").arg(&stripped).arg(built));
    stripped
}

/// Every file below a folder, by its path from there.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_tarball_has_what_it_promises_and_its_program_runs_where_it_is_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let mut dist = Command::new(env!("CARGO_BIN_EXE_xtask"));
    dist.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).arg("dist");
    dist.arg("--program").arg(program(folder.path())).arg("--to").arg(place("files"));
    let said = output(&mut dist);
    assert!(said.contains("packages linked in; needs glibc 2."), "{said}");

    let checked =
        output(Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(place("files")));
    assert_eq!(checked.lines().filter(|line| line.ends_with(": OK")).count(), 2, "{checked}");
    let named = |end: &str| files(&place("files")).into_iter().find(|name| name.ends_with(end)).unwrap();
    let tarball = place("files").join(named(".tar.gz"));
    let listed = output(Command::new("tar").args(["--numeric-owner", "-tvzf"]).arg(&tarball));
    assert!(listed.lines().all(|line| line.split_whitespace().nth(1) == Some("0/0")), "{listed}");

    fs::create_dir(place("elsewhere")).unwrap();
    output(Command::new("tar").arg("-xzf").arg(&tarball).arg("-C").arg(place("elsewhere")));
    let unpacked = fs::read_dir(place("elsewhere")).unwrap().next().unwrap().unwrap().path();
    let found = files(&unpacked);
    let missing: Vec<&str> =
        FILES.into_iter().filter(|file| !found.iter().any(|found| found == file)).collect();
    assert!(missing.is_empty(), "{missing:?} is not among {found:?}");
    let is_page = |file: &&String| file.starts_with("share/man/man1/waypost-");
    assert!(found.iter().filter(is_page).count() > 10, "{found:?}");

    let waypost = |arguments: &[&str]| {
        output(
            Command::new(unpacked.join("bin/waypost")).env_clear().current_dir(folder.path()).args(arguments),
        )
    };
    assert!(waypost(&["--version"]).starts_with("waypost "));
    let commented = unpacked.join("share/doc/waypost/waypost.toml");
    waypost(&["config", "check", "--config", &commented.to_string_lossy()]);
    output(Command::new("bash").arg("-n").arg(unpacked.join("share/bash-completion/completions/waypost")));

    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    let bill = read(unpacked.join("share/doc/waypost/waypost.cdx.json"));
    assert_eq!(bill, read(place("files").join(named(".cdx.json"))));
    let bill: Value = serde_json::from_str(&bill).unwrap();
    let components = bill["components"].as_array().unwrap();
    let licences = read(unpacked.join("share/doc/waypost/THIRD-PARTY-LICENSES.txt"));
    assert!(
        licences.contains("librdkafka - Apache Kafka C driver library"),
        "what packages bring along in C"
    );
    for name in ["tokio", "rdkafka", "rustls"] {
        let component = components.iter().find(|component| component["name"] == name).unwrap();
        let version = component["version"].as_str().unwrap();
        assert!(licences.contains(&format!("{name} {version}\n")), "{name} {version}");
    }
}
