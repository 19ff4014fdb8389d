//! The viewer's page in headless Chromium: searched, read and walked through as a person does, by pointer and by
//! keyboard, and never a word on the console.
//!
//! Without Chromium (`cargo xtask test` finds or installs it) each test says what it leaves out.

mod alerts;
mod appearance;
mod charts;
mod compare;
mod finding;
mod findings;
mod large;
mod logs;
mod looks;
mod map;
mod operation;
mod overview;
mod query;
mod reading;
mod search;
mod tasks;
mod trace;

use std::net::SocketAddr;

use serde_json::Value;
use waypost_testkit::{Browser, Viewer};

use crate::BINARY;
pub(crate) use crate::otlp::{MILLISECOND, ago, log, send, send_logs, service, span, text};

/// A viewer with nothing in it, and a browser.
pub(crate) struct Scene {
    pub(crate) browser: Browser,
    pub(crate) viewer: Viewer,
    _data: tempfile::TempDir,
}

impl Scene {
    /// `None` without a browser, said so.
    pub(crate) async fn start(what: &str) -> Option<Scene> {
        Scene::start_with(what, &[]).await
    }

    /// The same with settings of the viewer.
    pub(crate) async fn start_with(what: &str, settings: &[(&str, &str)]) -> Option<Scene> {
        let browser = Browser::start_or_leave_out(what).await.unwrap()?;
        let data = tempfile::tempdir().unwrap();
        let viewer = Viewer::start(BINARY, data.path(), settings).await.unwrap();
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

    /// Sends log records of one service as OTLP JSON.
    pub(crate) async fn send_logs(&self, service: &str, records: &[Value]) {
        send_logs(&self.viewer.client("otlp-http"), service, records).await;
    }

    /// Waits until the page has a text somewhere.
    pub(crate) async fn wait_for_text(&self, text: &str) {
        let expression = format!("document.body.innerText.includes({})", Value::from(text));
        self.browser.wait_until(&expression).await.unwrap();
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
