//! One HTTP request over a connection of its own, for tests that block.

use std::sync::LazyLock;

use tokio::runtime::Runtime;
use waypost_testkit::{Answer, PATIENCE, Request};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Posts JSON to `http://host:port/path`.
pub fn post(url: &str, json: &str) -> Answer {
    post_with(url, &[], json)
}

/// The same with further headers.
pub fn post_with(url: &str, headers: &[(&str, &str)], json: &str) -> Answer {
    send(url, |path| {
        let request = Request::post(path).json(json);
        headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    })
}

pub fn get(url: &str) -> Answer {
    send(url, |path| Request::get(path))
}

fn send(url: &str, request: impl FnOnce(&str) -> Request) -> Answer {
    let rest = url.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap());
    let sending = request(path).header("host", authority).send(authority.parse().unwrap());
    RUNTIME.block_on(async { tokio::time::timeout(PATIENCE, sending).await }).unwrap()
}
