//! The viewer's page in headless Chromium: searched, read and walked through as a person does, by pointer and by
//! keyboard, and never a word on the console.
//!
//! Without Chromium (`cargo xtask test` finds or installs it) each test says what it leaves out.

mod appearance;
mod large;
mod search;
mod trace;

use std::net::SocketAddr;

use serde_json::{Value, json};
use waypost_testkit::{Browser, Client, Viewer};

use crate::BINARY;

const MILLISECOND: u64 = 1_000_000;

/// A viewer with nothing in it, and a browser.
pub(crate) struct Scene {
    pub(crate) browser: Browser,
    pub(crate) viewer: Viewer,
    _data: tempfile::TempDir,
}

impl Scene {
    /// `None` without a browser, said so.
    pub(crate) async fn start(what: &str) -> Option<Scene> {
        let browser = Browser::start_or_leave_out(what).await.unwrap()?;
        let data = tempfile::tempdir().unwrap();
        let viewer = Viewer::start(BINARY, data.path(), &[]).await.unwrap();
        Some(Scene { browser, viewer, _data: data })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.viewer.address("viewer")
    }

    pub(crate) async fn open(&self, path: &str) {
        self.browser.goto(&format!("http://{}{path}", self.address())).await.unwrap();
    }

    /// Sends spans as OTLP JSON.
    pub(crate) async fn send(&self, resource_spans: &[Value]) {
        send(&self.viewer.client("otlp-http"), resource_spans).await;
    }

    pub(crate) async fn assert_silent_console(&self) {
        assert_silent_console(&self.browser).await;
    }
}

/// The page has complained about nothing so far.
pub(crate) async fn assert_silent_console(browser: &Browser) {
    let said = browser.console().await.unwrap();
    assert!(said.is_empty(), "{said:?}");
}

pub(crate) async fn send(client: &Client, resource_spans: &[Value]) {
    let body = json!({ "resourceSpans": resource_spans }).to_string();
    let answer = client.post("/v1/traces", &[], &body).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.json), (200, &json!({})));
}

/// Nanoseconds since 1970, some milliseconds ago.
pub(crate) fn ago(milliseconds: u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos()).unwrap() - milliseconds * MILLISECOND
}

/// A span of OTLP JSON: times in nanoseconds, parent 0 for a root.
pub(crate) fn span(trace: u128, id: u64, parent: u64, name: &str, kind: u32, start: u64, took: u64) -> Value {
    let parent = if parent == 0 { String::new() } else { format!("{parent:016x}") };
    json!({
        "traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": name,
        "kind": kind, "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + took).to_string(),
    })
}

/// Spans of one service.
pub(crate) fn service(name: &str, spans: &[Value]) -> Value {
    let resource = json!({"attributes": [text("service.name", name)]});
    json!({"resource": resource, "scopeSpans": [{"scope": {"name": "test"}, "spans": spans}]})
}

pub(crate) fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}
