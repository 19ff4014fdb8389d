//! The order whose services call each other over Unix-domain sockets.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use http::StatusCode;
use tempfile::TempDir;
use waypost_telemetry::FinishedSpan;

use crate::success::FIRST_ORDER;
use crate::{Traced, seed_order, trace_of};

fn text(span: &FinishedSpan, key: &str) -> Option<String> {
    span.attribute(key).map(ToString::to_string)
}

/// What a span of a call between services shows of the way.
fn assert_shows_the_socket(span: &FinishedSpan, folder: &Path) {
    let service = span.name().split('.').nth(1).unwrap();
    let path = folder.join(format!("{service}.sock")).display().to_string();
    assert_eq!(text(span, "server.address").as_ref(), Some(&path), "{}", span.name());
    assert_eq!(text(span, "network.transport").as_deref(), Some("unix"), "{}", span.name());
    assert_eq!(text(span, "server.port"), None, "{}", span.name());
    assert_eq!(text(span, "network.peer.address"), Some(path), "{}", span.name());
    assert_eq!(text(span, "network.peer.port"), None, "{}", span.name());
}

#[tokio::test]
async fn an_order_over_unix_sockets_is_the_same_trace_but_for_the_network() {
    let sockets = TempDir::new().unwrap();
    let traced = Traced::with(|shop| shop.services_at(sockets.path())).await;
    let answer = traced.post("/api/orders", &[], &seed_order()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    let trace = trace_of(&answer);
    traced.assert_tree(&trace, FIRST_ORDER).await;
    let spans = traced.collector.trace(&trace);
    let calls: Vec<&FinishedSpan> = spans.iter().filter(|span| span.name().starts_with("waypost.")).collect();
    assert_eq!(calls.len(), 14, "both ends of seven calls");
    for span in calls {
        assert_shows_the_socket(span, sockets.path());
    }
    traced.shop.stop().await.unwrap();
    assert_eq!(std::fs::read_dir(sockets.path()).unwrap().count(), 0, "the files of the sockets are gone");
}

/// The order of a shop, with the spans of the calls between its services.
async fn calls_of_an_order(traced: &Traced) -> Vec<FinishedSpan> {
    let answer = traced.post("/api/orders", &[], &seed_order()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    let trace = trace_of(&answer);
    traced.assert_tree(&trace, FIRST_ORDER).await;
    let spans = traced.collector.trace(&trace);
    let calls: Vec<_> = spans.into_iter().filter(|span| span.name().starts_with("waypost.")).collect();
    assert_eq!(calls.len(), 14, "both ends of seven calls");
    calls
}

#[tokio::test]
async fn roles_of_one_process_call_each_other_by_private_sockets() {
    let data = TempDir::new().unwrap();
    let traced = Traced::with(|shop| shop.data(data.path())).await;
    let folder = data.path().join("sockets");
    for span in calls_of_an_order(&traced).await {
        assert_shows_the_socket(&span, &folder);
    }
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    // Others call the addresses as before.
    for service in ["order", "user", "inventory", "payment"] {
        tokio::net::TcpStream::connect(traced.shop.address(service)).await.unwrap();
    }
}

#[tokio::test]
async fn roles_call_each_other_over_tcp_where_they_shall_have_no_sockets() {
    let traced = Traced::with(|shop| shop.set("listen.sockets", false)).await;
    for span in calls_of_an_order(&traced).await {
        assert_eq!(text(&span, "server.address").as_deref(), Some("127.0.0.1"), "{}", span.name());
    }
}

#[tokio::test]
async fn roles_call_each_other_over_tcp_where_they_can_have_no_sockets() {
    let data = TempDir::new().unwrap();
    // As where the system of the folder knows none.
    std::fs::write(data.path().join("sockets"), "not a folder").unwrap();
    let traced = Traced::with(|shop| shop.data(data.path())).await;
    for span in calls_of_an_order(&traced).await {
        assert_eq!(text(&span, "server.address").as_deref(), Some("127.0.0.1"), "{}", span.name());
    }
}

#[tokio::test]
async fn a_shop_that_was_killed_starts_again_at_its_sockets() {
    let (sockets, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let start = async || Traced::with(|shop| shop.data(data.path()).services_at(sockets.path())).await;
    let key = [("Idempotency-Key", "before-and-after")];
    let traced = start().await;
    let first = traced.post("/api/orders", &key, &seed_order()).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.json);
    traced.shop.kill().await.unwrap();
    assert_eq!(std::fs::read_dir(sockets.path()).unwrap().count(), 8, "four sockets and their locks");
    let traced = start().await;
    let again = traced.post("/api/orders", &key, &seed_order()).await;
    assert_eq!((again.status, &again.json["order_id"]), (first.status, &first.json["order_id"]));
    let new = traced.post("/api/orders", &[("Idempotency-Key", "after")], &seed_order()).await;
    assert_eq!(new.status, StatusCode::CREATED, "{}", new.json);
}
