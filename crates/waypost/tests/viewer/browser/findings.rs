//! Findings on the trace page: seen at once, opened, and followed to their spans, by pointer and by keyboard.

use serde_json::json;
use waypost_testkit::browser::key;

use super::{MILLISECOND, Scene, ago, service, span, text};

const TRACE: u128 = 0xf1d;

/// Twelve alike queries in a row, and a call that failed once.
async fn send_slow_page(scene: &Scene) {
    let start = ago(10_000);
    let at = |milliseconds: u64| start + milliseconds * MILLISECOND;
    let mut spans = vec![span(TRACE, 1, 0, "GET /basket", 2, at(0), 200 * MILLISECOND)];
    for number in 0..12 {
        let mut query = span(TRACE, 10 + number, 1, "SELECT prices", 3, at(5 * number), 5 * MILLISECOND);
        let statement = format!("SELECT price FROM prices WHERE product = {number}");
        query["attributes"] = json!([text("db.system.name", "sqlite"), text("db.query.text", &statement)]);
        spans.push(query);
    }
    let mut failed = span(TRACE, 30, 1, "POST /tax", 3, at(70), 50 * MILLISECOND);
    failed["status"] = json!({"code": 2, "message": "unavailable"});
    spans.extend([failed, span(TRACE, 31, 1, "POST /tax", 3, at(130), 10 * MILLISECOND)]);
    scene.send(&[service("basket", &spans)]).await;
}

#[tokio::test]
async fn findings_are_read_and_lead_to_their_spans() {
    let Some(scene) = Scene::start("findings").await else { return };
    send_slow_page(&scene).await;
    let browser = &scene.browser;
    scene.open(&format!("/trace/{TRACE:032x}")).await;
    browser.wait_for(".tr-findings > summary").await.unwrap();
    let line = browser.text(".tr-findings > summary").await.unwrap();
    assert!(line.contains("3 findings"), "{line}");

    // Open by keyboard; the list says kind, cost and sentence.
    browser.script("document.querySelector('.tr-findings > summary').focus()", &[]).await.unwrap();
    browser.press([key::ENTER]).await.unwrap();
    browser.wait_for(".tr-findings[open] .finding").await.unwrap();
    let shown = browser.text(".tr-findings .findings").await.unwrap();
    for part in [
        "Repeated call",
        "12 times the same call, 60 ms of 200 ms on the critical path",
        "up to 55 ms less",
        "Retries",
        "2 attempts of POST /tax, 1 failed and was tried again: without the failure, 60 ms of 200 ms less",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in {shown}");
    }

    // To the spans of the repeated call: marked as hits, the first one open.
    let queries = ".finding:nth-child(3) button";
    assert_eq!(browser.text(queries).await.unwrap(), "Show 12 spans");
    browser.click(queries).await.unwrap();
    browser
        .wait_until("document.querySelector('.tr-details')?.innerText.includes('WHERE product = 0')")
        .await
        .unwrap();
    browser.wait_until("document.querySelector('.tr-search-status').innerText.includes('12')").await.unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn a_trace_without_findings_says_so() {
    let Some(scene) = Scene::start("no findings").await else { return };
    scene.send(&[service("basket", &[span(TRACE, 1, 0, "GET /basket", 2, ago(5_000), MILLISECOND)])]).await;
    scene.open(&format!("/trace/{TRACE:032x}")).await;
    scene.wait_for_text("No findings").await;
    scene.assert_silent_console().await;
}
