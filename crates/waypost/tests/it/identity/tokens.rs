//! Gateways that share the keys of their tokens.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tempfile::tempdir;

use super::{readiness_line, wait_until};
use crate::http::{get, get_with, post};
use crate::program::{Program, ended};
use crate::run::{address_of, run};

fn keys(kids: &[&str]) -> String {
    let key = |kid: &&str| format!("[[keys]]\nkid = \"{kid}\"\nsecret = \"{}\"\n", kid.repeat(40));
    kids.iter().map(key).collect()
}

/// Written beside and moved over, so that nobody reads half of it.
fn put(file: &Path, text: &str) {
    let beside = file.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, file).unwrap();
}

struct Gateway {
    program: Program,
    url: String,
    admin: String,
}

fn gateway(folder: &Path, user: &str, inventory: &str, keys_file: &Path) -> Gateway {
    let mut program = Program::start(
        run(folder, &["gateway"])
            .env("WAYPOST_GATEWAY__USER_SERVICE", user)
            .env("WAYPOST_GATEWAY__INVENTORY_SERVICE", inventory)
            .env("WAYPOST_GATEWAY__TOKENS__KEYS_FILE", keys_file)
            .env("WAYPOST_GATEWAY__TOKENS__KEYS_REFRESH_INTERVAL", "20ms")
            .env("WAYPOST_GATEWAY__TOKENS__KEY_DELAY", "1s")
            .env("WAYPOST_GATEWAY__RATE_LIMIT__ENABLED", "false")
            .env("WAYPOST_GATEWAY__LOGIN_LIMIT__ENABLED", "false"),
    );
    let url = format!("http://{}", address_of(&mut program, "gateway"));
    let admin = address_of(&mut program, "admin");
    program.line_with("\"ready\"");
    Gateway { program, url, admin }
}

impl Gateway {
    fn token(&self) -> String {
        let login = r#"{"user_id": "user123", "password": "waypost-demo"}"#;
        let answer = post(&format!("{}/api/login", self.url), login);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json["access_token"].as_str().unwrap().to_owned()
    }

    /// The answer to whoever has the token.
    fn answer_to(&self, token: &str) -> u16 {
        let url = format!("{}/api/users/user123", self.url);
        get_with(&url, &[("authorization", &format!("Bearer {token}"))]).status.as_u16()
    }
}

/// The key that a token names.
fn kid(token: &str) -> String {
    let header: serde_json::Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

#[test]
fn a_token_of_one_gateway_is_good_at_the_other_while_keys_are_rotated() {
    let folder = tempdir().unwrap();
    let mut services = Program::start(&mut run(folder.path(), &["user", "inventory"]));
    let user = format!("http://{}", address_of(&mut services, "user"));
    let inventory = format!("http://{}", address_of(&mut services, "inventory"));
    services.line_with("\"ready\"");
    let file = folder.path().join("keys.toml");
    put(&file, &keys(&["a"]));
    let one = gateway(folder.path(), &user, &inventory, &file);
    let other = gateway(folder.path(), &user, &inventory, &file);

    let old = one.token();
    assert_eq!((kid(&old).as_str(), one.answer_to(&old), other.answer_to(&old)), ("a", 200, 200));

    // Log-ins at one and requests at the other go on, while the key changes under them.
    let is_over = AtomicBool::new(false);
    let (answers, kids) = std::thread::scope(|threads| {
        let asking = threads.spawn(|| {
            let (mut answers, mut kids) = (Vec::new(), Vec::new());
            while !is_over.load(Ordering::Relaxed) {
                let (from, to) = if answers.len() % 2 == 0 { (&one, &other) } else { (&other, &one) };
                let token = from.token();
                answers.push(to.answer_to(&token));
                answers.push(to.answer_to(&old));
                kids.push(kid(&token));
            }
            (answers, kids)
        });
        put(&file, &keys(&["b", "a"]));
        wait_until("the new key signs", || [&one, &other].iter().all(|gateway| kid(&gateway.token()) == "b"));
        is_over.store(true, Ordering::Relaxed);
        asking.join().unwrap()
    });
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert!(kids.contains(&"a".to_owned()), "the old key signs until the new one is known: {kids:?}");

    // The old key goes, and with it its tokens; a file that cannot be used changes nothing.
    let new = one.token();
    put(&file, &keys(&["b"]));
    wait_until("the old key is gone", || [&one, &other].iter().all(|gateway| gateway.answer_to(&old) == 401));
    put(&file, "[[keys]]\nkid = \"c\"\nsecret = \"hunter2\"\n");
    let line = readiness_line(&other.admin, "warn gateway/token-keys: ");
    assert!(line.contains("the secret of `c` is shorter than 32 bytes"), "{line}");
    assert_eq!((one.answer_to(&new), other.answer_to(&new)), (200, 200));
    assert!(!other.program.seen().contains("hunter2"));
}

#[test]
fn a_keys_file_that_cannot_be_used_ends_the_start() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    let start = || ended(run(folder.path(), &["gateway"]).env("WAYPOST_GATEWAY__TOKENS__KEYS_FILE", &file));
    let missing = start();
    assert_eq!(missing.code, 64, "{missing:?}");
    assert!(missing.err.contains("gateway.tokens.keys_file, "), "{}", missing.err);
    put(&file, "keys = []\n");
    let empty = start();
    assert_eq!(empty.code, 64, "{empty:?}");
    assert!(empty.err.contains("it holds no key"), "{}", empty.err);
}

#[test]
fn a_gateway_for_others_without_common_keys_warns() {
    let folder = tempdir().unwrap();
    let mut gateway =
        Program::start(run(folder.path(), &["gateway"]).env("WAYPOST_LISTEN__GATEWAY", "0.0.0.0:0"));
    gateway.line_with("strangers to any other one");
    let admin = address_of(&mut gateway, "admin");
    assert_eq!(get(&format!("http://{admin}/livez")).status, 200);
}
