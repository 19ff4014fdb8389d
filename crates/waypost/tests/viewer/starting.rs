//! How the viewer is started, found, and left out: `up`, `up --no-viewer`, `viewer`.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;

use http::Method;
use waypost_testkit::{Client, Process, Stopped, Viewer, program, until};

use crate::{BINARY, shop};

const LISTENERS: [&str; 4] = ["--viewer", "--otlp-grpc", "--otlp-http", "--zipkin"];
const ROLES: [&str; 7] =
    ["--gateway", "--order", "--user", "--inventory", "--payment", "--provider", "--admin"];

/// `up` with its roles on free ports.
fn up(arguments: &[&str], folder: &Path) -> Process {
    let mut all = vec!["up", "--ephemeral", "--plain"];
    for role in ROLES {
        all.extend([role, "127.0.0.1:0"]);
    }
    all.extend(arguments);
    start(&all, folder)
}

fn start(arguments: &[&str], folder: &Path) -> Process {
    Process::start(program::command(BINARY, folder).args(arguments)).unwrap()
}

async fn ended(process: Process) -> Stopped {
    process.ended().await.unwrap()
}

fn port(address: &str) -> &str {
    address.rsplit_once(':').unwrap().1
}

/// The viewer's flags, each with a free port.
fn free_ports() -> Vec<&'static str> {
    LISTENERS.iter().flat_map(|listener| [*listener, "127.0.0.1:0"]).collect()
}

#[tokio::test]
async fn the_printed_link_of_the_first_order_leads_to_its_whole_trace() {
    let folder = tempfile::tempdir().unwrap();
    let mut up = up(&free_ports(), folder.path());
    let found = |line: &str| line.strip_prefix("Its trace, to look into: ").map(str::to_owned);
    let link = up.line("the link", found).await.unwrap();
    let (address, id) = link.strip_prefix("http://").unwrap().split_once("/trace/").unwrap();
    assert!(up.output().contains(&format!("Its trace {id}: ")), "{}", up.output());

    let viewer = Client::new(address.parse().unwrap());
    // As a browser opens it.
    let browser = [("accept", "text/html")];
    let page = viewer.send(Method::GET, &format!("/trace/{id}"), &browser, None).await.unwrap();
    assert_eq!(
        (page.status.as_u16(), &page.headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    let trace = shop::whole_trace(&viewer, id).await;
    let services: BTreeSet<&str> =
        trace["services"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(services, BTreeSet::from(shop::SERVICES));
    let told = format!("Its trace {id}: {} spans of 7 services", trace["spans"]);
    assert!(up.output().contains(&told), "{told:?} is missing in {}", up.output());
}

#[tokio::test]
async fn without_its_viewer_up_opens_none_of_its_ports_and_speaks_of_none() {
    let folder = tempfile::tempdir().unwrap();
    // They are taken: whoever opened one would end.
    let taken: Vec<TcpListener> =
        LISTENERS.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<String> = taken.iter().map(|taken| taken.local_addr().unwrap().to_string()).collect();
    let mut arguments = vec!["--no-viewer"];
    arguments.extend(LISTENERS.iter().zip(&addresses).flat_map(|(flag, address)| [*flag, address.as_str()]));
    let mut up = up(&arguments, folder.path());
    up.line("the end of the page", |line| line.contains("Ctrl-C stops").then_some(())).await.unwrap();
    let page = up.output();
    assert!(page.contains("Its trace ") && page.contains("Order created"), "the first order is told: {page}");
    let ports = addresses.iter().map(|address| port(address));
    for word in ports.chain(["to look into", "the viewer", "/trace/", "  viewer "]) {
        assert!(!page.contains(word), "{word:?} is in {page}");
    }
    let stopped = up.interrupt().await.unwrap();
    assert!(stopped.status.success(), "{}", stopped.output);
}

#[tokio::test]
async fn a_taken_port_of_the_viewer_is_named_with_the_ways_out() {
    let folder = tempfile::tempdir().unwrap();
    // If this fails, somebody else has the viewer's port, which is as good.
    let holder = TcpListener::bind("127.0.0.1:16686");
    let others: Vec<&str> = free_ports().split_off(2);
    let stopped = ended(up(&others, folder.path())).await;
    drop(holder);
    assert_eq!(stopped.status.code(), Some(69), "{}", stopped.output);
    for part in
        ["viewer", "16686", "taken", "--viewer", "--no-viewer", "--port-offset", "WAYPOST_LISTEN__VIEWER"]
    {
        assert!(stopped.output.contains(part), "{part:?} is missing in {}", stopped.output);
    }

    // With another one beside it both are named, of `up` and of `viewer` alone.
    let (one, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let [one, other] = [&one, &other].map(|taken| taken.local_addr().unwrap().to_string());
    let listeners =
        ["--viewer", &one, "--zipkin", &other, "--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0"];
    let alone = ["viewer", "--ephemeral", "--admin", "127.0.0.1:0"].iter().chain(&listeners).copied();
    let alone: Vec<&str> = alone.collect();
    for process in [up(&listeners, folder.path()), start(&alone, folder.path())] {
        let stopped = ended(process).await;
        assert_eq!(stopped.status.code(), Some(69), "{}", stopped.output);
        for part in [port(&one), port(&other), "--viewer", "--zipkin"] {
            assert!(stopped.output.contains(part), "{part:?} is missing in {}", stopped.output);
        }
    }
}

#[tokio::test]
async fn the_help_of_the_viewer_teaches_by_example() {
    let folder = tempfile::tempdir().unwrap();
    let stopped = ended(start(&["viewer", "--help"], folder.path())).await;
    assert!(stopped.status.success(), "{}", stopped.output);
    for part in [
        "Usage: waypost viewer",
        "--viewer <ADDR>",
        "127.0.0.1:16686",
        "--otlp-grpc <ADDR>",
        "127.0.0.1:4317",
        "--otlp-http <ADDR>",
        "127.0.0.1:4318",
        "--zipkin <ADDR>",
        "127.0.0.1:9411",
        "--data <DIR>",
        "--ephemeral",
        "waypost viewer --data /var/lib/waypost --set viewer.store.budget=50GiB",
    ] {
        assert!(stopped.output.contains(part), "{part:?} is missing in {}", stopped.output);
    }
}

#[tokio::test]
async fn a_folder_belongs_to_one_viewer_and_the_next_one_has_what_it_kept() {
    let data = tempfile::tempdir().unwrap();
    let first = Viewer::start(BINARY, data.path(), &[]).await.unwrap();
    let mut arguments = vec!["viewer", "--data", data.path().to_str().unwrap(), "--admin", "127.0.0.1:0"];
    arguments.extend(free_ports());
    let folder = tempfile::tempdir().unwrap();
    let stopped = ended(start(&arguments, folder.path())).await;
    assert_eq!(stopped.status.code(), Some(69), "{}", stopped.output);
    assert!(stopped.output.contains("in use"), "{}", stopped.output);
    // The first one did not notice.
    assert_eq!(first.client("viewer").get("/api/v1/status").await.unwrap().status, 200);
    assert!(first.stop().await.unwrap().status.success());
    let second = Viewer::start(BINARY, data.path(), &[]).await.unwrap();
    until("readiness", async || second.client("admin").get("/readyz").await.unwrap().status == 200).await;
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_named_with_its_folder() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("viewer"), "a file").unwrap();
    let mut arguments = vec!["viewer", "--data", data.path().to_str().unwrap(), "--admin", "127.0.0.1:0"];
    arguments.extend(free_ports());
    let stopped = ended(start(&arguments, data.path())).await;
    assert_eq!(stopped.status.code(), Some(73), "{}", stopped.output);
    let store = data.path().join("viewer");
    assert!(stopped.output.contains(store.to_str().unwrap()), "{}", stopped.output);
}

#[tokio::test]
async fn a_viewer_that_is_told_to_end_does_not_wait_for_a_balancer_to_notice() {
    let data = tempfile::tempdir().unwrap();
    let settings = [("drain.notice", "10m")];
    let viewer = Viewer::start(BINARY, data.path(), &settings).await.unwrap();
    let stopped = viewer.stop().await.unwrap();
    assert!(stopped.status.success(), "{}", stopped.output);
}
