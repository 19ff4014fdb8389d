//! Many traces at once: from a search and from an operation of a service, by pointer and by keyboard.

use serde_json::json;
use waypost_testkit::browser::key;

use super::{MILLISECOND, Scene, ago, service, span, text};

/// Ten requests; the stock takes 40 of 100 ms, prices are asked for twelve times.
async fn send_requests(scene: &Scene) {
    for number in 0..10 {
        let trace = 0x0b0 + u128::from(number);
        let start = ago(120_000 - 1_000 * number);
        let at = |milliseconds: u64| start + milliseconds * MILLISECOND;
        let mut shop = vec![
            span(trace, 1, 0, "GET /basket", 2, start, 100 * MILLISECOND),
            span(trace, 2, 1, "ask stock", 3, at(1), 40 * MILLISECOND),
        ];
        for price in 0..12 {
            let mut query =
                span(trace, 10 + price, 1, "SELECT prices", 3, at(50 + 2 * price), 2 * MILLISECOND);
            let statement = format!("SELECT price FROM prices WHERE id = {price}");
            query["attributes"] =
                json!([text("db.system.name", "sqlite"), text("db.query.text", &statement)]);
            shop.push(query);
        }
        let stock = [span(trace, 3, 2, "GET /stock", 2, at(1), 40 * MILLISECOND)];
        scene.send(&[service("basket", &shop), service("stock", &stock)]).await;
    }
}

#[tokio::test]
async fn many_traces_of_a_search_say_where_their_time_goes_and_what_is_wrong() {
    let Some(scene) = Scene::start("many traces").await else { return };
    send_requests(&scene).await;
    let browser = &scene.browser;
    scene.open("/search?service=basket&operation=GET+%2Fbasket").await;
    browser.wait_for(".overview-together a[href*='/operation']").await.unwrap();
    browser.click(".overview-together a[href*='/operation']").await.unwrap();
    browser.wait_for(".operation table tbody tr").await.unwrap();
    assert!(browser.text(".op-facts").await.unwrap().contains("all 10 traces"));
    let first = browser.text(".operation tbody tr:first-child").await.unwrap();
    assert!(first.contains("stock") && first.contains("40 %") && first.contains("10 of 10"), "{first}");
    // The basket has its own work and the database that it waits for.
    let faster = browser.text(".op-what-if").await.unwrap();
    for part in ["30 ms less", "20 ms less", "10 of 10 traces would end sooner"] {
        assert!(faster.contains(part), "{part:?} is missing in {faster}");
    }

    // The merged tree by keyboard: a part becomes the whole and back.
    browser.press(['2']).await.unwrap();
    browser.wait_for(".op-box").await.unwrap();
    browser.wait_until("location.search.includes('view=flame')").await.unwrap();
    browser.script("document.querySelectorAll('.op-box')[1].focus()", &[]).await.unwrap();
    browser
        .wait_until("document.querySelector('.op-details').innerText.includes('10 spans in 10 of 10 traces')")
        .await
        .unwrap();
    browser.press([key::ENTER]).await.unwrap();
    browser.wait_until("document.querySelector('.op-box').innerText.includes('ask stock')").await.unwrap();
    browser.click(".op-crumbs button:first-child").await.unwrap();
    browser.wait_until("document.querySelector('.op-box').innerText.includes('GET /basket')").await.unwrap();

    browser.press(['3']).await.unwrap();
    scene.wait_for_text("Calls a trace, p50").await;
    let calls = browser.text(".operation tbody").await.unwrap();
    assert!(calls.contains("12") && calls.contains("chatty"), "{calls}");

    browser.press(['4']).await.unwrap();
    browser.wait_for(".op-findings .finding").await.unwrap();
    let finding = browser.text(".op-findings .finding:first-child").await.unwrap();
    for part in [
        "Repeated call",
        "10 of 10 traces",
        "12 times the same call",
        "SELECT price FROM prices WHERE id = ?",
    ] {
        assert!(finding.contains(part), "{part:?} is missing in {finding}");
    }
    browser.click(".op-examples a").await.unwrap();
    browser.wait_for(".tr-findings > summary").await.unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn an_operation_of_a_service_is_looked_at_from_its_spans_on() {
    let Some(scene) = Scene::start("an operation").await else { return };
    send_requests(&scene).await;
    let browser = &scene.browser;
    scene.open("/services/stock").await;
    browser.wait_for("td a[href*='/operation?']").await.unwrap();
    browser.click("td a[href*='/operation?']").await.unwrap();
    browser.wait_for(".operation table tbody tr").await.unwrap();
    let facts = browser.text(".op-facts").await.unwrap();
    assert!(facts.contains("all 10 traces") && facts.contains("p50 40 ms"), "{facts}");
    // The whole traces, by the switch.
    browser.click(".op-check input").await.unwrap();
    browser.wait_until("document.querySelector('.op-facts').innerText.includes('p50 100 ms')").await.unwrap();
    browser.wait_until("!location.search.includes('from_match')").await.unwrap();
    scene.assert_silent_console().await;
}
