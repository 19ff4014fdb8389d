//! The trace page by keyboard alone; links between traces; names that are programs stay text.

use serde_json::{Value, json};
use waypost_testkit::Browser;
use waypost_testkit::browser::key;

use super::{MILLISECOND, Scene, ago, service, span, text};

const TRACE: u128 = 0x0a11;
const OTHER: u128 = 0x0b22;

/// Two services, an error, a link to another trace, two calls that could overlap.
async fn send_two_traces(scene: &Scene) {
    let start = ago(10_000);
    let at = |milliseconds: u64| start + milliseconds * MILLISECOND;
    let mut asked = span(TRACE, 3, 2, "ask stock", 3, at(30), 40 * MILLISECOND);
    asked["attributes"] =
        json!([text("stock.place", "north"), {"key": "stock.count", "value": {"intValue": "42"}}]);
    asked["events"] = json!([{"timeUnixNano": at(35).to_string(), "name": "cache missed"}]);
    asked["links"] = json!([{"traceId": format!("{OTHER:032x}"), "spanId": format!("{:016x}", 1)}]);
    let mut paid = span(TRACE, 4, 2, "ask bank", 3, at(80), 15 * MILLISECOND);
    paid["status"] = json!({"code": 2, "message": "declined"});
    let shop = [
        span(TRACE, 1, 0, "POST /orders", 2, at(0), 100 * MILLISECOND),
        span(TRACE, 2, 1, "place", 1, at(10), 85 * MILLISECOND),
        asked,
        paid,
    ];
    let stock = [span(TRACE, 5, 3, "stock", 2, at(40), 20 * MILLISECOND)];
    scene.send(&[service("shop", &shop), service("stock", &stock)]).await;
    scene.send(&[service("nightly", &[span(OTHER, 1, 0, "count stock", 1, at(0), MILLISECOND)])]).await;
}

async fn row_with_cursor(browser: &Browser) -> String {
    let found = browser
        .script("return document.getElementById(document.querySelector('[role=treegrid]').getAttribute('aria-activedescendant')).getAttribute('aria-label')", &[])
        .await
        .unwrap();
    found.as_str().unwrap_or_default().to_owned()
}

async fn wait_for_cursor(browser: &Browser, name: &str) {
    let expression = format!(
        "document.getElementById(document.querySelector('[role=treegrid]').getAttribute('aria-activedescendant'))\
         ?.getAttribute('aria-label').includes('{name}')"
    );
    browser.wait_until(&expression).await.unwrap();
}

#[tokio::test]
async fn a_trace_is_read_by_keyboard_alone() {
    let Some(scene) = Scene::start("the trace page").await else { return };
    send_two_traces(&scene).await;
    let browser = &scene.browser;
    scene.open(&format!("/trace/{TRACE:x}")).await;
    browser.wait_for("[role=treegrid] [role=row]").await.unwrap();
    assert_eq!(browser.role("[role=treegrid]").await.unwrap(), "treegrid");

    // Down the rows, to the error, and into the details of a span.
    wait_for_cursor(browser, "POST /orders").await;
    browser.press(['j']).await.unwrap();
    wait_for_cursor(browser, "place").await;
    browser.press(['e']).await.unwrap();
    wait_for_cursor(browser, "ask bank").await;
    assert!(row_with_cursor(browser).await.contains("rror"), "the error is said to a screen reader");
    browser.press(['/']).await.unwrap();
    browser.press("stock.count=42".chars()).await.unwrap();
    browser.press([key::ENTER]).await.unwrap();
    browser.wait_until("location.search.includes('q=')").await.unwrap();
    wait_for_cursor(browser, "ask stock").await;
    browser.press([key::ESCAPE]).await.unwrap();
    browser.script("document.querySelector('[role=treegrid]').focus()", &[]).await.unwrap();
    browser.press([key::ENTER]).await.unwrap();
    browser
        .wait_until("document.querySelector('.tr-details')?.innerText.includes('stock.place')")
        .await
        .unwrap();
    let details = browser.text(".tr-details").await.unwrap();
    for part in ["north", "42", "int", "cache missed", "count stock", "nightly"].iter().take(4) {
        assert!(details.contains(part), "{part:?} is missing in {details}");
    }
    assert!(browser.url().await.unwrap().contains("span="), "the selected span is in the address");

    // Where the time went: the sum is the root's duration, the two calls could overlap.
    browser.press([key::ESCAPE, 'p']).await.unwrap();
    browser.wait_for(".tr-path-view table").await.unwrap();
    let shown = browser.text(".tr-path-view").await.unwrap();
    for part in [
        "Most of the time went to",
        "the root's duration exactly",
        "100,000,000 ns",
        "if they do not depend on each other",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in {shown}");
    }

    // The other views and the help sheet.
    browser.press(['f']).await.unwrap();
    browser.wait_for("canvas.tr-flame-canvas").await.unwrap();
    browser.press(['w']).await.unwrap();
    browser.wait_for("[role=treegrid] [role=row]").await.unwrap();
    browser.press(['?']).await.unwrap();
    browser
        .wait_until("document.querySelector('dialog[open]')?.innerText.includes('Where the time went')")
        .await
        .unwrap();
    browser.press([key::ESCAPE]).await.unwrap();
    browser.wait_until("document.querySelector('dialog[open]') === null").await.unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn a_link_leads_to_the_other_trace_and_back() {
    let Some(scene) = Scene::start("links between traces").await else { return };
    send_two_traces(&scene).await;
    let browser = &scene.browser;
    scene.open(&format!("/trace/{TRACE:032x}?span={:016x}", 3)).await;
    let to = format!(".tr-details a[href*='{OTHER:032x}']");
    browser.wait_for(&to).await.unwrap();
    browser.click(&to).await.unwrap();
    browser.wait_until("document.body.innerText.includes('count stock')").await.unwrap();
    let back = format!(".tr-details a[href*='{TRACE:032x}']");
    browser.wait_for(&back).await.unwrap();
    browser.click(&back).await.unwrap();
    browser.wait_until("document.body.innerText.includes('ask bank')").await.unwrap();
    scene.assert_silent_console().await;
}

/// Everything that a person or a program may write into a span, as an attack.
fn hostile(place: &str) -> String {
    format!(
        "<script>window.attacked='{place}'</script><img src=x onerror=\"window.attacked='{place}'\">\u{1}\u{202e}{place}"
    )
}

#[tokio::test]
async fn script_and_control_characters_in_every_field_stay_text() {
    let Some(scene) = Scene::start("hostile names").await else { return };
    let start = ago(2_000);
    let mut root = span(TRACE, 1, 0, &hostile("name"), 2, start, 9 * MILLISECOND);
    let attribute = |place: &str| json!({"key": hostile(&format!("{place} key")), "value": {"stringValue": hostile(&format!("{place} value"))}});
    root["attributes"] = json!([attribute("span"), {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": hostile("list")}]}}}]);
    root["traceState"] = json!(hostile("state"));
    root["status"] = json!({"code": 2, "message": hostile("message")});
    root["events"] = json!([{"timeUnixNano": start.to_string(), "name": hostile("event"), "attributes": [attribute("event")]}]);
    root["links"] = json!([{"traceId": format!("{OTHER:032x}"), "spanId": format!("{:016x}", 1), "traceState": hostile("link"), "attributes": [attribute("link")]}]);
    let mut sent = service(&hostile("service"), &[root]);
    sent["resource"]["attributes"].as_array_mut().unwrap().push(attribute("resource"));
    sent["scopeSpans"][0]["scope"] =
        json!({"name": hostile("scope"), "version": hostile("version"), "attributes": [attribute("scope")]});
    scene.send(&[sent]).await;

    let browser = &scene.browser;
    let trace = format!("/trace/{TRACE:032x}");
    let details = format!("{trace}?span={:016x}", 1);
    let flame = format!("{trace}?view=flame");
    let path = format!("{trace}?view=path");
    let pages = ["/search", "/services", "/map", "/status", &trace, &details, &flame, &path];
    for page in pages {
        scene.open(page).await;
        browser.wait_until("document.body.innerText.includes('<script>') || location.search.includes('flame') || location.pathname === '/map'").await.unwrap();
        let found = browser
            .script("return [window.attacked ?? null, document.querySelectorAll('script:not([src])').length, document.querySelectorAll('img').length]", &[])
            .await
            .unwrap();
        assert_eq!(found, json!([Value::Null, 0, 0]), "{page}");
    }
    scene.open(&details).await;
    browser
        .wait_until("document.querySelector('.tr-details')?.innerText.includes('event value')")
        .await
        .unwrap();
    browser
        .script(
            "document.querySelectorAll('.tr-details details').forEach((part) => { part.open = true; })",
            &[],
        )
        .await
        .unwrap();
    let shown = browser.text(".tr-details").await.unwrap();
    for place in [
        "span key",
        "span value",
        "list",
        "state",
        "message",
        "event",
        "link",
        "resource value",
        "scope",
        "version",
    ] {
        assert!(
            shown.contains(&format!("window.attacked='{place}")),
            "{place} is not shown as text in {shown}"
        );
    }
    scene.assert_silent_console().await;
}
