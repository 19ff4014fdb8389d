//! One HTTP request over a connection of its own, for tests that block.

use std::net::SocketAddr;
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
    let (address, path) = parts(url);
    let request = Request::post(path).json(json);
    send(headers.iter().fold(request, |request, (name, value)| request.header(name, value)), address)
}

pub fn get(url: &str) -> Answer {
    get_with(url, &[])
}

/// [`get`] with headers.
pub fn get_with(url: &str, headers: &[(&str, &str)]) -> Answer {
    let (address, path) = parts(url);
    let request = Request::get(path);
    send(headers.iter().fold(request, |request, (name, value)| request.header(name, value)), address)
}

fn parts(url: &str) -> (SocketAddr, &str) {
    let rest = url.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap());
    (authority.parse().unwrap(), path)
}

fn send(request: Request, address: SocketAddr) -> Answer {
    let sending = request.header("host", &address.to_string()).send(address);
    let sent = || RUNTIME.block_on(async { tokio::time::timeout(PATIENCE, sending).await }).unwrap();
    // On a thread of its own, so that tests with a runtime can block as well.
    std::thread::scope(|threads| threads.spawn(sent).join()).unwrap()
}
