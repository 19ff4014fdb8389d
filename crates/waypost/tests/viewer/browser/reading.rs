//! What the trace page says of a trace: repeats, where the time went, clocks, errors.

use serde_json::{Value, json};

use super::{MILLISECOND, Scene, ago, service, span};

const TRACE: u128 = 0x0d44;

/// A request that asks for each of 60 prices by itself, and once for something that takes a little longer.
async fn send_repeated_queries(scene: &Scene) {
    let start = ago(5_000);
    let at = |milliseconds: u64| start + milliseconds * MILLISECOND;
    let mut shop = vec![
        span(TRACE, 1, 0, "GET /cart", 2, at(0), 420 * MILLISECOND),
        span(TRACE, 2, 1, "SELECT products", 3, at(5), 8 * MILLISECOND),
    ];
    shop.extend(
        (0..60).map(|number| {
            span(TRACE, 10 + number, 1, "SELECT prices", 3, at(20 + 6 * number), 5 * MILLISECOND)
        }),
    );
    scene.send(&[service("shop", &shop)]).await;
}

#[tokio::test]
async fn repeats_on_the_critical_path_are_one_row_with_the_path_on_it() {
    let Some(scene) = Scene::start("repeated queries").await else { return };
    send_repeated_queries(&scene).await;
    let browser = &scene.browser;
    scene.open(&format!("/trace/{TRACE:032x}")).await;
    browser.wait_for(".tr-heading").await.unwrap();
    let fold = browser.text(".tr-heading").await.unwrap();
    for part in ["60 × SELECT prices", "300 ms of 420 ms", "median 5 ms"] {
        assert!(fold.contains(part), "{part:?} is missing in {fold}");
    }
    let drawn = "getComputedStyle(document.querySelector('.tr-heading .tr-path')).backgroundImage.includes('gradient')";
    assert_eq!(browser.script(&format!("return {drawn}"), &[]).await.unwrap(), true);
    // The line has a name and can be turned off; the address keeps that.
    let toggle = "[...document.querySelectorAll('.tr-tools button')].find((one) => one.innerText.includes('Critical path'))";
    browser.script(&format!("{toggle}.click()"), &[]).await.unwrap();
    browser
        .wait_until("getComputedStyle(document.querySelector('.tr-path')).display === 'none'")
        .await
        .unwrap();
    browser.wait_until("location.search.includes('path=off')").await.unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn the_time_of_repeated_queries_is_said_as_one() {
    let Some(scene) = Scene::start("where the time went").await else { return };
    send_repeated_queries(&scene).await;
    let browser = &scene.browser;
    scene.open(&format!("/trace/{TRACE:032x}?view=path")).await;
    browser.wait_for(".tr-slowest").await.unwrap();
    let sentence = browser.text(".tr-slowest").await.unwrap();
    for part in ["SELECT prices", "300 ms", "60 spans", "71 % of 420 ms", "N+1"] {
        assert!(sentence.contains(part), "{part:?} is missing in {sentence}");
    }
    let first = browser.text(".tr-parts tbody tr").await.unwrap();
    assert!(first.contains("60 spans"), "by service and name, as a name repeats: {first}");
    // All calls that could run in parallel can be seen.
    let more = "[...document.querySelectorAll('.tr-overlaps button')].find((one) => /^and \\d+ more/.test(one.innerText))";
    browser.script(&format!("{more}.click()"), &[]).await.unwrap();
    browser.wait_until("document.querySelectorAll('.tr-overlaps li li').length === 61").await.unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn clocks_that_differ_are_said_at_the_top_and_can_be_aligned() {
    let Some(scene) = Scene::start("clocks that differ").await else { return };
    let start = ago(5_000);
    let at = |milliseconds: u64| start + milliseconds * MILLISECOND;
    let call = span(TRACE, 1, 0, "call", 3, at(500), 100 * MILLISECOND);
    let answer = span(TRACE, 2, 1, "answer", 2, at(30), 80 * MILLISECOND);
    scene.send(&[service("shop", &[call]), service("stock", &[answer])]).await;
    let browser = &scene.browser;
    scene.open(&format!("/trace/{TRACE:032x}")).await;
    browser.wait_for(".tr-clocks").await.unwrap();
    assert!(browser.text(".tr-clocks").await.unwrap().contains("clocks differ by 480 ms"));
    let facts = browser.text(".tr-facts-line").await.unwrap();
    assert!(facts.contains("570 ms"), "as it was sent: {facts}");
    browser.click(".tr-clocks").await.unwrap();
    browser
        .wait_until("document.querySelector('.tr-clocks')?.getAttribute('aria-pressed') === 'true'")
        .await
        .unwrap();
    let facts = browser.text(".tr-facts-line").await.unwrap();
    assert!(facts.contains("100 ms") && !facts.contains("570 ms"), "as long as the call: {facts}");
    assert!(browser.url().await.unwrap().contains("align=1"));
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn the_key_of_errors_opens_each_of_them_and_the_first_where_the_cursor_is() {
    let Some(scene) = Scene::start("errors by key").await else { return };
    let start = ago(5_000);
    let failed = |mut span: Value| {
        span["status"] = json!({"code": 2, "message": "declined"});
        span
    };
    let root = failed(span(TRACE, 1, 0, "POST /orders", 2, start, 9 * MILLISECOND));
    let step = span(TRACE, 2, 1, "check", 1, start, MILLISECOND);
    let pay = failed(span(TRACE, 3, 1, "pay", 3, start, MILLISECOND));
    scene.send(&[service("shop", &[root, step, pay])]).await;
    let browser = &scene.browser;
    scene.open(&format!("/trace/{TRACE:032x}")).await;
    browser.wait_for("[role=treegrid] [role=row]").await.unwrap();
    for name in ["POST /orders", "pay", "POST /orders"] {
        browser.press(['e']).await.unwrap();
        let opened =
            format!("document.querySelector('.tr-details:not([hidden]) h2')?.innerText === '{name}'");
        browser.wait_until(&opened).await.unwrap();
    }
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn a_trace_of_one_span_shows_its_details_by_itself() {
    let Some(scene) = Scene::start("a single span").await else { return };
    scene.send(&[service("shop", &[span(TRACE, 1, 0, "tick", 1, ago(99), MILLISECOND)])]).await;
    scene.open(&format!("/trace/{TRACE:032x}")).await;
    scene.browser.wait_for(".tr-details:not([hidden]) .tr-section").await.unwrap();
    scene.assert_silent_console().await;
}
