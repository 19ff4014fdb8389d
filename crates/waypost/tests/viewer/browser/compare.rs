//! Two traces side by side, reached from a trace and from two rows of a search.

use super::{MILLISECOND, Scene, ago, service, span};

/// A request that asks the stock `calls` times, for `took` milliseconds each.
async fn send_request(scene: &Scene, trace: u128, calls: u64, took: u64) {
    let start = ago(60_000 - 1_000 * u64::try_from(trace % 16).unwrap());
    let total = (20 + calls * took) * MILLISECOND;
    let mut spans = vec![span(trace, 1, 0, "GET /basket", 2, start, total)];
    for call in 0..calls {
        let at = start + (5 + call * took) * MILLISECOND;
        spans.push(span(trace, 2 + call, 1, "GET /stock", 3, at, took * MILLISECOND));
    }
    if calls > 1 {
        spans.push(span(trace, 90, 1, "GET /tax", 3, start + MILLISECOND, 2 * MILLISECOND));
    }
    scene.send(&[service("basket", &spans)]).await;
}

const FAST: u128 = 0xc0;
const SLOW: u128 = 0xc9;

async fn send_requests(scene: &Scene) {
    for number in 0..3 {
        send_request(scene, FAST + number, 1, 10).await;
    }
    send_request(scene, SLOW, 3, 30).await;
}

#[tokio::test]
async fn a_trace_is_compared_with_what_is_typical_and_the_sides_exchanged() {
    let Some(scene) = Scene::start("comparison").await else { return };
    send_requests(&scene).await;
    let browser = &scene.browser;
    scene.open(&format!("/trace/{SLOW:032x}")).await;
    browser.wait_for("a[href*='/compare']").await.unwrap();
    browser.click("a[href*='/compare']").await.unwrap();
    browser.wait_for(".compare-tree tbody tr").await.unwrap();
    let heads = browser.text(".compare-heads").await.unwrap();
    for part in
        ["110 ms", "30 ms", "−80 ms", "Of 3 traces with this root that were looked at, 3 did the same things"]
    {
        assert!(heads.contains(part), "{part:?} is missing in {heads}");
    }
    let changes = browser.text(".compare-changes tbody tr:first-child").await.unwrap();
    assert!(
        changes.contains("GET /stock") && changes.contains("90 ms") && changes.contains("−80 ms"),
        "{changes}"
    );
    let tree = browser.text(".compare-tree").await.unwrap();
    for part in ["3 × 90 ms", "another number", "GET /tax", "only left"] {
        assert!(tree.contains(part), "{part:?} is missing in {tree}");
    }

    // By keyboard to the other side.
    browser.press(['x']).await.unwrap();
    browser.wait_until("document.querySelector('.compare-by')?.innerText.includes('+80 ms')").await.unwrap();
    scene.wait_for_text("only right").await;
    // What differs alone stays in the address.
    browser.click(".compare [data-value=differing]").await.unwrap();
    browser.wait_until("location.search.includes('show=differing')").await.unwrap();
    // A line leads to its span.
    browser.click(".compare-tree tbody tr:nth-child(2) a").await.unwrap();
    browser
        .wait_until("location.pathname.startsWith('/trace/') && location.search.includes('span=')")
        .await
        .unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn two_rows_of_a_search_are_compared() {
    let Some(scene) = Scene::start("comparison from a search").await else { return };
    send_requests(&scene).await;
    let browser = &scene.browser;
    scene.open("/search?service=basket&operation=GET+%2Fbasket&order=longest").await;
    browser.wait_for(".results tbody tr:nth-child(4)").await.unwrap();
    browser.click(".results tbody tr:nth-child(1) .compare-choose").await.unwrap();
    browser.wait_for(".compare-bar:not([hidden])").await.unwrap();
    assert!(browser.text(".compare-bar").await.unwrap().contains("To be compared: GET /basket"));
    browser.click(".results tbody tr:nth-child(4) .compare-choose").await.unwrap();
    browser.wait_for(".compare-tree tbody tr").await.unwrap();
    let heads = browser.text(".compare-heads").await.unwrap();
    assert!(heads.contains("110 ms") && heads.contains("30 ms") && !heads.contains("typical"), "{heads}");
    browser.wait_until("document.querySelector('.compare-bar').hidden").await.unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn a_trace_that_is_the_only_one_of_its_kind_says_so() {
    let Some(scene) = Scene::start("nothing typical").await else { return };
    send_request(&scene, SLOW, 1, 1).await;
    scene.open(&format!("/compare?left={SLOW:032x}&right=typical")).await;
    scene.wait_for_text("no other trace with this root").await;
}
