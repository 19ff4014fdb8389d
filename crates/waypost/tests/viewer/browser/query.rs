//! The query of a search: typed, as chips and as the form, always the same; the counts beside the list; the columns that a
//! reader chooses; what is kept in the browser.

use serde_json::{Value, json};
use waypost_testkit::browser::key;

use super::{MILLISECOND, Scene, ago, service, span, text};

const ROWS: &str = "document.querySelectorAll('.results tbody tr')";

/// Seventy orders: every seventh is declined with 402, its payment fails; every tenth of the plan `gold`.
async fn scene(what: &str) -> Option<Scene> {
    let scene = Scene::start(what).await?;
    for number in 0..70_u64 {
        let trace = u128::from(number + 1);
        let start = ago(60_000 - 500 * number);
        let is_declined = number % 7 == 0;
        let mut order = span(trace, 1, 0, "POST /orders", 2, start, (number + 1) * MILLISECOND);
        order["attributes"] = json!([
            text("order.id", &format!("order-{number}")),
            text("plan.name", if number % 10 == 0 { "gold" } else { "tin" }),
            {"key": "http.response.status_code", "value": {"intValue": if is_declined { "402" } else { "201" }}},
        ]);
        let mut payment = span(trace, 2, 1, "charge", 3, start, MILLISECOND);
        if is_declined {
            payment["status"] = json!({"code": 2});
            payment["attributes"] = json!([text("error.type", "card_declined")]);
        }
        scene.send(&[service("api-gateway", &[order]), service("till", &[payment])]).await;
    }
    Some(scene)
}

/// The typed query, the words of the chips, and what the form says.
async fn said(scene: &Scene) -> [Value; 3] {
    let script = "const value = (name) => document.querySelector(`.filter [name=${name}]`).value; \
                  return [document.querySelector('input[name=query]').value, \
                  [...document.querySelectorAll('.query-chips .chip bdi')].map((chip) => chip.innerText).join('; '), \
                  ['service', 'status', 'min_duration', 'text', 'not'].map(value).join('|')]";
    let said = scene.browser.script(script, &[]).await.unwrap();
    [0, 1, 2].map(|place: usize| said[place].clone())
}

async fn wait_for_rows(scene: &Scene, count: usize) {
    scene.browser.wait_until(&format!("{ROWS}.length === {count}")).await.unwrap();
}

#[tokio::test]
async fn a_typed_query_is_completed_and_is_the_same_as_chips_form_and_address() {
    let Some(scene) = scene("a typed query").await else { return };
    let browser = &scene.browser;
    // For all that is typed, not for a part of it.
    let offered = |text: &str| {
        format!(
            "(document.querySelector('.query-line .completions').dataset.of === document.querySelector('input[name=query]').value \
             && [...document.querySelectorAll('[role=option] bdi')].some((one) => one.innerText === '{text}'))"
        )
    };
    scene.open("/search").await;
    wait_for_rows(&scene, 50).await;
    // A name, and then its value, both by keyboard.
    browser.click("input[name=query]").await.unwrap();
    browser.type_into("input[name=query]", "serv").await.unwrap();
    browser.wait_until(&offered("service")).await.unwrap();
    browser.press([key::DOWN, key::ENTER]).await.unwrap();
    browser.wait_until(&offered("api-gateway")).await.unwrap();
    browser.press([key::DOWN, key::ENTER]).await.unwrap();
    // A key and its value, both from the store.
    browser.type_into("input[name=query]", "plan").await.unwrap();
    browser.wait_until(&offered("plan.name")).await.unwrap();
    browser.press([key::DOWN, key::ENTER]).await.unwrap();
    browser.wait_until(&offered("gold")).await.unwrap();
    browser.type_into("input[name=query]", "go").await.unwrap();
    browser.wait_until(&format!("{} && !{}", offered("gold"), offered("tin"))).await.unwrap();
    browser.press([key::DOWN, key::ENTER]).await.unwrap();
    browser
        .type_into("input[name=query]", "duration>10ms -http.response.status_code:402 POST")
        .await
        .unwrap();
    browser.press([key::ENTER]).await.unwrap();
    // Gold are 0, 10, .. 60; 0 is too short, and 0 and 70 would be declined.
    wait_for_rows(&scene, 6).await;
    let address = browser.url().await.unwrap();
    let expected = [
        "service:api-gateway duration>=10ms plan.name:gold \"POST\" -http.response.status_code:402",
        "service = api-gateway; duration ≥ 10ms; plan.name = gold; text “POST”; not http.response.status_code = 402",
        "api-gateway||10ms|POST|http.response.status_code:402",
    ];
    assert_eq!(said(&scene).await, expected);
    assert!(address.contains("service=api-gateway") && address.contains("not="), "{address}");
    // The address alone brings back the same.
    scene.open("/status").await;
    browser.goto(&address).await.unwrap();
    wait_for_rows(&scene, 6).await;
    assert_eq!(said(&scene).await, expected);
    // What the form changes, the query says.
    browser.click(".filter-box > summary").await.unwrap();
    browser.script("const one = document.querySelector('.filter [name=text]'); one.value = ''; one.dispatchEvent(new Event('change', {bubbles: true}))", &[]).await.unwrap();
    browser.wait_until("!location.search.includes('text=')").await.unwrap();
    assert_eq!(
        said(&scene).await[0],
        "service:api-gateway duration>=10ms plan.name:gold -http.response.status_code:402"
    );
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn a_query_that_cannot_be_read_says_the_column_and_searches_nothing() {
    let Some(scene) = scene("a wrong query").await else { return };
    let browser = &scene.browser;
    scene.open("/search").await;
    wait_for_rows(&scene, 50).await;
    browser.type_into("input[name=query]", "service:till duration>fast").await.unwrap();
    browser.press([key::ENTER]).await.unwrap();
    browser.wait_until("!document.querySelector('.query-problem').hidden").await.unwrap();
    let problem = browser.text(".query-problem").await.unwrap();
    assert!(problem.starts_with("Column 23: expected a duration"), "{problem}");
    assert_eq!(browser.text(".query-problem mark").await.unwrap(), "fast");
    let marked = "return document.querySelector('input[name=query]').value.slice(...['selectionStart', 'selectionEnd']\
                  .map((end) => document.querySelector('input[name=query]')[end]))";
    assert_eq!(
        browser.script(marked, &[]).await.unwrap(),
        "fast",
        "what is wrong is selected, to be typed over"
    );
    assert!(!browser.url().await.unwrap().contains("service"));
    browser.type_into("input[name=query]", &key::BACKSPACE.to_string()).await.unwrap();
    browser.wait_until("document.querySelector('.query-problem').hidden").await.unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn chips_are_added_changed_and_taken_out() {
    let Some(scene) = scene("chips").await else { return };
    let browser = &scene.browser;
    let pick = async |text: &str| {
        let found = format!(
            "[...document.querySelectorAll('[role=option]')].find((one) => one.querySelector('bdi')?.innerText === '{text}')"
        );
        browser.wait_until(&found).await.unwrap();
        browser.script(&format!("{found}.click()"), &[]).await.unwrap();
    };
    scene.open("/search").await;
    wait_for_rows(&scene, 50).await;
    // By pointer alone: the name, then its value.
    browser.click(".add-filter").await.unwrap();
    pick("status").await;
    pick("error").await;
    wait_for_rows(&scene, 10).await;
    browser.wait_until("location.search === '?status=error'").await.unwrap();
    browser.click(".add-filter").await.unwrap();
    browser.type_into(".chip-edit input", "duration>=2s").await.unwrap();
    browser.press([key::ENTER]).await.unwrap();
    scene.wait_for_text("No trace meets these conditions").await;
    // Where it stands, it is changed.
    browser.click(".query-chips li:nth-child(2) .textual").await.unwrap();
    let held = "document.querySelector('.chip-edit input')?.value === 'duration>=2s'";
    browser.wait_until(held).await.unwrap();
    browser.press("duration<1s".chars()).await.unwrap();
    browser.press([key::ENTER]).await.unwrap();
    wait_for_rows(&scene, 10).await;
    assert_eq!(said(&scene).await[0], "status:error duration<=1s");
    browser.click(".query-chips li:nth-child(1) .quiet").await.unwrap();
    browser.wait_until("location.search === '?max_duration=1s'").await.unwrap();
    wait_for_rows(&scene, 50).await;
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn counts_are_of_all_matches_and_narrow_or_leave_out() {
    let Some(scene) = scene("counts").await else { return };
    let browser = &scene.browser;
    scene.open("/search?facet=plan.name").await;
    wait_for_rows(&scene, 50).await;
    let line = |label: &str, value: &str| {
        format!(
            "[...document.querySelectorAll('.facet[aria-label=\"{label}\"] .facet-line')].find((one) => one.querySelector('bdi').innerText === '{value}')"
        )
    };
    let count = async |label: &str, value: &str, expected: u64| {
        let wanted = format!("{}?.querySelector('.num').innerText === '{expected}'", line(label, value));
        browser.wait_until(&wanted).await.unwrap();
    };
    count("Service", "till", 70).await;
    count("Operation", "POST /orders", 70).await;
    count("Status", "error", 10).await;
    count("HTTP status", "402", 10).await;
    count("plan.name", "gold", 7).await;
    let total = browser.text(".facet-total").await.unwrap();
    assert!(total.contains("140 spans") && total.contains("10 failed"), "{total}");
    browser
        .script(&format!("{}.querySelector('.facet-value').click()", line("plan.name", "gold")), &[])
        .await
        .unwrap();
    wait_for_rows(&scene, 7).await;
    browser.wait_until("location.search.includes('attr=plan.name%3Dgold')").await.unwrap();
    // Orders 0 and 70 of those would be declined; the first is.
    count("HTTP status", "402", 1).await;
    browser
        .script(&format!("{}.querySelector('.facet-exclude').click()", line("HTTP status", "402")), &[])
        .await
        .unwrap();
    wait_for_rows(&scene, 6).await;
    assert_eq!(said(&scene).await[0], "plan.name:gold -http.response.status_code:402");
    // Pressed again it asks no more.
    browser
        .script(&format!("{}.querySelector('.facet-value').click()", line("plan.name", "gold")), &[])
        .await
        .unwrap();
    browser.wait_until("!location.search.includes('attr=')").await.unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn rows_tell_reason_and_status_and_have_the_columns_that_were_chosen() {
    let Some(scene) = scene("columns").await else { return };
    let browser = &scene.browser;
    scene.open("/search?status=error").await;
    wait_for_rows(&scene, 10).await;
    let row = browser.text(".results tbody tr").await.unwrap();
    assert!(row.contains("402") && row.contains("till charge: card_declined"), "{row}");
    assert!(!row.contains("order-63"), "{row}");
    browser.click(".columns summary").await.unwrap();
    browser.type_into(".columns input", "order.id").await.unwrap();
    browser.press([key::ENTER]).await.unwrap();
    browser
        .wait_until("document.querySelector('.results td.attribute')?.innerText === 'order-63'")
        .await
        .unwrap();
    assert!(browser.url().await.unwrap().contains("col=order.id"));
    // Kept in this browser, also without the link.
    scene.open("/search?status=error").await;
    browser
        .wait_until("document.querySelector('.results td.attribute')?.innerText === 'order-63'")
        .await
        .unwrap();
    browser.click(".columns summary").await.unwrap();
    browser.click(".columns .saved-list button").await.unwrap();
    browser.wait_until("document.querySelector('.results td.attribute') === null").await.unwrap();
    // A link brings its own.
    scene.open("/search?status=error&col=plan.name").await;
    browser.wait_until("document.querySelector('.results td.attribute')?.innerText === 'tin'").await.unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn searches_are_kept_by_name_and_those_of_late_are_offered() {
    let Some(scene) = scene("saved searches").await else { return };
    let browser = &scene.browser;
    scene.open("/search?from=15m").await;
    wait_for_rows(&scene, 50).await;
    browser.type_into("input[name=query]", "plan.name:gold").await.unwrap();
    browser.press([key::ENTER]).await.unwrap();
    wait_for_rows(&scene, 7).await;
    browser.click(".saved > summary").await.unwrap();
    browser
        .wait_until("document.querySelector('.save-search input')?.value === 'plan.name:gold'")
        .await
        .unwrap();
    browser.press("gold orders".chars()).await.unwrap();
    browser.press([key::ENTER]).await.unwrap();
    browser.wait_for(".saved-list a").await.unwrap();

    // Another day: from the menu, and from what was asked of late.
    scene.open("/search").await;
    wait_for_rows(&scene, 50).await;
    browser.click("input[name=query]").await.unwrap();
    browser
        .wait_until("[...document.querySelectorAll('[role=option]')].some((one) => one.innerText.includes('plan.name:gold'))")
        .await
        .unwrap();
    browser.press([key::DOWN, key::ENTER]).await.unwrap();
    wait_for_rows(&scene, 7).await;
    scene.open("/search").await;
    wait_for_rows(&scene, 50).await;
    browser.click(".saved > summary").await.unwrap();
    browser.wait_for(".saved-list a").await.unwrap();
    assert_eq!(browser.text(".saved-list a").await.unwrap(), "gold orders");
    browser.click(".saved-list a").await.unwrap();
    wait_for_rows(&scene, 7).await;
    assert!(browser.url().await.unwrap().contains("from=15m"));
    scene.assert_silent_console().await;
}
