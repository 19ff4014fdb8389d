//! The search page: empty, then with traces; completion, conditions, links; services and the map of a real shop.

use serde_json::Value;
use waypost_testkit::browser::key;
use waypost_testkit::{Browser, Shop};

use super::{MILLISECOND, Scene, ago, assert_silent_console, service, span, text};
use crate::BINARY;

#[tokio::test]
async fn an_empty_viewer_says_how_to_send_a_trace_and_shows_the_first_one_by_itself() {
    let Some(scene) = Scene::start("the empty page").await else { return };
    scene.open("/").await;
    let otlp = scene.viewer.address("otlp-http").to_string();
    scene.browser.wait_until(&format!("document.body.innerText.includes('{otlp}')")).await.unwrap();
    let shown = scene.browser.text("main").await.unwrap();
    for part in [&otlp, &scene.viewer.address("otlp-grpc").to_string(), "OTEL_EXPORTER_OTLP_ENDPOINT", "curl"]
    {
        assert!(shown.contains(part), "{part:?} is missing in {shown}");
    }
    scene.send(&[service("shop", &[span(7, 1, 0, "GET /first", 2, ago(1), MILLISECOND)])]).await;
    scene.browser.wait_for(".results tbody tr").await.unwrap();
    assert!(scene.browser.text(".results tbody tr").await.unwrap().contains("GET /first"));
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn a_search_completes_names_finds_by_conditions_and_has_a_link_of_its_own() {
    let Some(scene) = Scene::start("the search page").await else { return };
    for number in 1..=30_u64 {
        let start = ago(5_000 - number);
        let mut root = span(u128::from(number), 1, 0, "GET /things", 2, start, number * MILLISECOND);
        root["attributes"] =
            Value::from(vec![text("plan.name", if number % 10 == 0 { "gold" } else { "tin" })]);
        let mut child = span(u128::from(number), 2, 1, "pay", 3, start, MILLISECOND);
        if number % 15 == 0 {
            child["status"] = serde_json::json!({"code": 2, "message": "declined"});
        }
        scene.send(&[service("shop", &[root]), service("till", &[child])]).await;
    }
    let browser = &scene.browser;
    scene.open("/search").await;
    browser.wait_for(".results tbody tr").await.unwrap();

    // The form of all conditions; the service is completed from a part of its name, picked by keyboard.
    browser.click(".filter-box > summary").await.unwrap();
    browser.type_into("input[name=service]", "sho").await.unwrap();
    browser
        .wait_until("[...document.querySelectorAll('[role=option]')].some((o) => o.innerText === 'shop')")
        .await
        .unwrap();
    browser.press([key::DOWN, key::ENTER]).await.unwrap();
    browser.wait_until("location.search.includes('service=shop')").await.unwrap();

    // The key and the value of an attribute are completed too.
    browser.type_into("input[aria-label='Attribute key']", "plan").await.unwrap();
    browser
        .wait_until(
            "[...document.querySelectorAll('[role=option]')].some((o) => o.innerText.includes('plan.name'))",
        )
        .await
        .unwrap();
    browser.press([key::DOWN, key::ENTER]).await.unwrap();
    browser.type_into("input[aria-label='Attribute value']", "go").await.unwrap();
    browser
        .wait_until(
            "[...document.querySelectorAll('[role=option]')].some((o) => o.innerText.includes('gold'))",
        )
        .await
        .unwrap();
    browser.press([key::DOWN, key::ENTER]).await.unwrap();
    if browser.url().await.unwrap().find("attr=").is_none() {
        browser.click("button[aria-label='Add this condition']").await.unwrap();
    }
    browser.wait_until("location.search.includes('attr=')").await.unwrap();
    browser.wait_until("document.querySelectorAll('.results tbody tr').length === 3").await.unwrap();

    // The address alone brings the same back; a condition on another span of the trace narrows it to one.
    let address = browser.url().await.unwrap();
    browser.goto(&format!("{address}&with=service%3Dtill%26status%3Derror")).await.unwrap();
    browser.wait_until("document.querySelectorAll('.results tbody tr').length === 1").await.unwrap();
    let row = browser.text(".results tbody tr").await.unwrap();
    assert!(row.contains("GET /things") && row.contains("30"), "{row}");
    assert_eq!(
        browser.script("return document.querySelector('input[name=service]').value", &[]).await.unwrap(),
        "shop"
    );

    // A wrong value marks its field with the API's words, and loses nothing.
    scene.open("/search?min_duration=soon").await;
    browser.wait_for("[aria-invalid=true]").await.unwrap();
    let said = browser.text("#field-error").await.unwrap();
    assert!(said.contains("soon") || said.contains("duration"), "{said}");
    let console = browser.console().await.unwrap();
    // The browser itself notes an answer of 400.
    assert!(console.iter().all(|entry| format!("{entry:?}").contains("400")), "{console:?}");
}

#[tokio::test]
async fn services_and_map_show_the_shop_and_lead_to_traces() {
    let Some(browser) = Browser::start_or_leave_out("services and map").await.unwrap() else { return };
    let shop = Shop::of(BINARY).viewer().start().await.unwrap();
    let order = r#"{"user_id":"user123","product_id":"prod456","quantity":2,"amount":99.99}"#;
    for _ in 0..3 {
        assert_eq!(shop.client("gateway").post("/api/orders", &[], order).await.unwrap().status, 201);
    }
    let viewer = format!("http://{}", shop.address("viewer"));
    browser.goto(&format!("{viewer}/services")).await.unwrap();
    browser.wait_until("document.body.innerText.includes('notification-service')").await.unwrap();
    let services = browser.text("main").await.unwrap();
    for name in [
        "api-gateway",
        "order-service",
        "payment-service",
        "inventory-service",
        "user-service",
        "payment-provider",
    ] {
        assert!(services.contains(name), "{name} is missing in {services}");
    }

    browser.goto(&format!("{viewer}/map")).await.unwrap();
    for (name, kind) in [
        ("order-service", "service"),
        ("sqlite", "database"),
        ("order-ev", "messaging"),
        ("outside", "caller"),
    ] {
        let drawn = format!(
            "[...document.querySelectorAll('.map-drawing [role=button]')].some((node) => \
             (node.getAttribute('aria-label') ?? '').includes('{name}') && node.getAttribute('aria-label').includes('{kind}'))"
        );
        browser.wait_until(&drawn).await.unwrap();
    }
    // By keyboard: a point of the map is chosen, and its panel leads to a trace.
    browser
        .script(
            "[...document.querySelectorAll('.map-drawing [role=button]')].find((node) => \
             node.getAttribute('aria-label').startsWith('service order-service')).focus()",
            &[],
        )
        .await
        .unwrap();
    browser.press([key::ENTER]).await.unwrap();
    browser.wait_for(".map-panel a[href*='/trace/']").await.unwrap();
    browser.script("document.querySelector(\".map-panel a[href*='/trace/']\").focus()", &[]).await.unwrap();
    browser.press([key::ENTER]).await.unwrap();
    browser.wait_for("[role=treegrid] [role=row]").await.unwrap();
    assert!(browser.url().await.unwrap().contains("/trace/"));
    assert_silent_console(&browser).await;
}
