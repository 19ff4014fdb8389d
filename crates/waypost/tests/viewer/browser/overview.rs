//! Above the list of a search: groups, differences and charts of all that was found, and the way from each into the search.

use serde_json::json;

use super::charts::{drag, sum_of_column};
use super::{MILLISECOND, Scene, ago, service, span, text};

/// Sixty orders, one every half second, and when the first began. Every fifth is declined, in the region `south`, for one
/// of two reasons.
async fn scene(what: &str) -> Option<(Scene, u64)> {
    let scene = Scene::start(what).await?;
    let begin = ago(50_000);
    for number in 0..60_u64 {
        let is_declined = number % 5 == 0;
        let start = begin + number * 500 * MILLISECOND;
        let mut order = span(u128::from(number + 1), 1, 0, "POST /orders", 2, start, 10 * MILLISECOND);
        let region = if is_declined || number % 7 == 0 { "south" } else { "north" };
        order["attributes"] = json!([text("region", region)]);
        if is_declined {
            let reason = if number % 4 == 0 { "insufficient_funds" } else { "expired_card" };
            order["status"] = json!({"code": 2, "message": reason});
        }
        let mut stored = span(u128::from(number + 1), 2, 1, "INSERT", 3, start + MILLISECOND, MILLISECOND);
        stored["attributes"] = json!([text("db.system.name", "sqlite")]);
        scene.send(&[service("shop", &[order, stored])]).await;
    }
    Some((scene, begin))
}

#[tokio::test]
async fn failed_orders_are_grouped_by_reason_in_three_clicks() {
    let Some((scene, _)) = scene("groups").await else { return };
    let browser = &scene.browser;
    scene.open("/search?from=15m").await;
    browser.wait_for(".results tbody tr").await.unwrap();
    browser.click("[data-look=groups]").await.unwrap();
    browser.wait_until("document.querySelectorAll('.groups tbody tr').length === 2").await.unwrap();
    let groups = browser.text(".groups").await.unwrap();
    for part in [
        "insufficient_funds",
        "expired_card",
        "120 spans, 2 different values. 108 without.",
        "Only root spans",
    ] {
        assert!(groups.contains(part), "{part} is missing in {groups}");
    }
    browser.wait_for(".group-value").await.unwrap();
    browser.click(".group-value").await.unwrap();
    browser.wait_until("location.search.includes('status=error')").await.unwrap();
    browser.wait_until("document.querySelectorAll('.results tbody tr').length < 12").await.unwrap();
    browser.wait_for(".results tbody tr").await.unwrap();

    // Any attribute, from the address.
    scene.open("/search?from=15m&look=groups&by=region").await;
    browser.wait_until("document.querySelectorAll('.groups tbody tr').length === 2").await.unwrap();
    assert_eq!(
        browser.script("return document.querySelector('input[name=by]').value", &[]).await.unwrap(),
        "region"
    );
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn what_is_different_about_failed_orders_is_told_first() {
    let Some((scene, _)) = scene("differences").await else { return };
    let browser = &scene.browser;
    scene.open("/search?from=15m&look=differences").await;
    browser.wait_for(".differences tbody tr").await.unwrap();
    let first = browser.text(".differences tbody tr").await.unwrap();
    for part in ["span:region", "south", "100 % (12)", "(7)"] {
        assert!(first.contains(part), "{part} is missing in {first}");
    }
    browser.click(".differences .group-value").await.unwrap();
    browser.wait_until("location.search.includes('attr=')").await.unwrap();
    browser.wait_until("document.querySelectorAll('.results tbody tr').length === 19").await.unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn the_search_over_time_narrows_by_a_drag() {
    let Some((scene, begin)) = scene("search over time").await else { return };
    let browser = &scene.browser;
    let (from, to) = (begin - 10_000 * MILLISECOND, begin + 50_000 * MILLISECOND);
    scene.open(&format!("/search?from={from}&to={to}&look=time")).await;
    browser.wait_for("[data-chart=rate] canvas").await.unwrap();
    assert_eq!((sum_of_column(browser, 1).await, sum_of_column(browser, 3).await), (60, 12));
    // The first half of the minute has twenty seconds of orders.
    drag(browser, "rate", (0.02, 0.5), (0.5, 0.5)).await;
    browser.wait_until(&format!("!location.search.includes('to={to}')")).await.unwrap();
    browser
        .wait_until("[...document.querySelectorAll('.results tbody tr')].length > 0 && document.querySelectorAll('.results tbody tr').length < 50")
        .await
        .unwrap();
    scene.assert_silent_console().await;
}
