use std::fs;
use std::net::TcpListener;
use std::path::Path;

use tempfile::tempdir;
use waypost_test_servers::free_port;

use super::program::{Program, ended, waypost};
use super::run::{address_of, run};

/// Exit code and the one line of `waypost health`.
fn health(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let ended = ended(waypost(folder).arg("health").args(arguments));
    assert_eq!(ended.err, "", "{ended:?}");
    assert_eq!(ended.out.lines().count(), 1, "{ended:?}");
    (ended.code, ended.out.trim_end().to_owned())
}

#[test]
fn a_process_that_serves_is_ready_and_alive() {
    let folder = tempdir().unwrap();
    let mut provider = Program::start(&mut run(folder.path(), &["provider"]));
    let admin = address_of(&mut provider, "admin");
    provider.line_with("\"ready\"");
    let url = format!("http://{admin}");
    assert_eq!(health(folder.path(), &["--admin", &admin]), (0, format!("ready: {url}")));
    assert_eq!(health(folder.path(), &["--live", "--admin", &admin]), (0, format!("alive: {url}")));

    // The same address from the configuration that the process itself would read.
    fs::write(folder.path().join("waypost.toml"), format!("[listen]\nadmin = \"{admin}\"\n")).unwrap();
    assert_eq!(health(folder.path(), &[]), (0, format!("ready: {url}")));
}

#[test]
fn a_process_that_cannot_serve_is_alive_and_says_what_it_lacks() {
    let folder = tempdir().unwrap();
    // A gateway whose services are away.
    let mut gateway = Program::start(
        run(folder.path(), &["gateway"]).env("WAYPOST_GATEWAY__ORDER_SERVICE", "http://127.0.0.1:9"),
    );
    let admin = address_of(&mut gateway, "admin");
    let begun = std::time::Instant::now();
    let (code, line) = loop {
        // Until its checks have run it says that it starts.
        let (code, line) = health(folder.path(), &["--admin", &admin]);
        if line.contains("gateway/") || begun.elapsed() > super::program::PATIENCE {
            break (code, line);
        }
    };
    assert_eq!(code, 1, "{line}");
    assert!(line.starts_with(&format!("not ready: http://{admin}: ")), "{line}");
    assert!(line.contains("gateway/"), "{line}");
    assert_eq!(health(folder.path(), &["--live", "--admin", &admin]), (0, format!("alive: http://{admin}")));
}

#[test]
fn nobody_and_somebody_mute_are_both_unwell() {
    let folder = tempdir().unwrap();
    let free = format!("127.0.0.1:{}", free_port());
    let (code, line) = health(folder.path(), &["--admin", &free]);
    assert_eq!(code, 1, "{line}");
    assert!(line.starts_with(&format!("not ready: http://{free}: cannot connect: ")), "{line}");

    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap().to_string();
    let expected = (1, format!("not alive: http://{address}: no answer within 100ms"));
    assert_eq!(health(folder.path(), &["--live", "--timeout", "100ms", "--admin", &address]), expected);
}

#[test]
fn a_wrong_configuration_is_told_apart_from_a_process_that_is_unwell() {
    let folder = tempdir().unwrap();
    let ended = ended(waypost(folder.path()).arg("health").env("WAYPOST_LISTEN__ADMIN", "nowhere"));
    assert_eq!(ended.code, 64, "{ended:?}");
    assert!(ended.err.contains("listen.admin"), "{ended:?}");
}
