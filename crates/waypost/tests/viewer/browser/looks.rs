//! What the page tells at first sight: why a trace failed and where its time went, how services and the map are, where to look
//! first; and that on a phone the rows come first.

use serde_json::{Value, json};
use waypost_testkit::browser::{Window, key};

use super::{MILLISECOND, Scene, ago, service, span, text};

const TRACE: u128 = 0x0e55;

/// An order that is answered with 402, as the bank says no to a call two services below; a query and an event beside it.
async fn send_declined_order(scene: &Scene) {
    let start = ago(3_000);
    let at = |milliseconds: u64| start + milliseconds * MILLISECOND;
    let mut root = span(TRACE, 1, 0, "POST /orders", 2, at(0), 100 * MILLISECOND);
    root["attributes"] = json!([{"key": "http.response.status_code", "value": {"intValue": "402"}}]);
    let mut asked = span(TRACE, 2, 1, "pay.Pay/Charge", 3, at(10), 85 * MILLISECOND);
    asked["status"] = json!({"code": 2});
    asked["attributes"] = json!([
        text("rpc.response.status_code", "FAILED_PRECONDITION"),
        text("error.type", "FAILED_PRECONDITION")
    ]);
    let mut charged = span(TRACE, 3, 2, "charge", 1, at(20), 60 * MILLISECOND);
    charged["status"] = json!({"code": 2, "message": "the bank declined"});
    // It begins last, and says less.
    let mut sent = span(TRACE, 4, 3, "POST /v1/charges", 3, at(30), 10 * MILLISECOND);
    sent["status"] = json!({"code": 2});
    let mut stored = span(TRACE, 5, 3, "INSERT charges", 3, at(50), 5 * MILLISECOND);
    stored["attributes"] = json!([text("db.system.name", "postgresql")]);
    let told = span(TRACE, 6, 3, "send charges", 4, at(60), 5 * MILLISECOND);
    scene
        .send(&[service("api-gateway", &[root, asked]), service("payment", &[charged, sent, stored, told])])
        .await;
}

#[tokio::test]
async fn a_trace_says_why_it_failed_and_where_its_time_went() {
    let Some(scene) = Scene::start("the head of a trace").await else { return };
    send_declined_order(&scene).await;
    let browser = &scene.browser;
    scene.open(&format!("/trace/{TRACE:032x}")).await;
    browser.wait_for(".tr-reason").await.unwrap();
    assert_eq!(browser.text(".tr-failure").await.unwrap(), "✕ payment charge: the bank declined");
    let parts = "[...document.querySelectorAll('.tr-strip > i')].map((one) => one.title)";
    let parts: Vec<String> =
        serde_json::from_value(browser.script(&format!("return {parts}"), &[]).await.unwrap()).unwrap();
    // 60 of 100 ms are the payment's.
    assert_eq!(parts, ["payment: 60 ms, 60 %", "api-gateway: 40 ms, 40 %"]);
    // The strip leads to the whole division, which says the sentence itself.
    browser.click(".tr-strip").await.unwrap();
    browser.wait_until("location.search.includes('view=path')").await.unwrap();
    browser.wait_until("document.querySelectorAll('.tr-slowest').length === 1").await.unwrap();
    // Its link leads to the row.
    browser.click(".tr-failure a").await.unwrap();
    browser.wait_until("location.search.includes('span=0000000000000003')").await.unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn rows_of_a_trace_show_how_calls_ended_and_what_they_went_to() {
    let Some(scene) = Scene::start("rows of a trace").await else { return };
    send_declined_order(&scene).await;
    let browser = &scene.browser;
    scene.open(&format!("/trace/{TRACE:032x}")).await;
    browser.wait_for(".tr-result.warn").await.unwrap();
    let rows = "[...document.querySelectorAll('.tr-row')].map((row) => [row.querySelector('.tr-op').innerText, \
                row.querySelector('.tr-kind').dataset.kind ?? '', row.querySelector('.tr-result').innerText, \
                row.classList.contains('has-error')].join(' | '))";
    let rows: Vec<String> =
        serde_json::from_value(browser.script(&format!("return {rows}"), &[]).await.unwrap()).unwrap();
    assert_eq!(
        rows,
        [
            "POST /orders | server | 402 | false",
            "pay.Pay/Charge | client | FAILED_PRECONDITION | true",
            "charge |  |  | true",
            "POST /v1/charges | client |  | true",
            "INSERT charges | database |  | false",
            "send charges | queue |  | false",
        ]
    );
    let tinted = "getComputedStyle(document.querySelector('.tr-row.has-error')).backgroundColor !== \
                  getComputedStyle(document.querySelector('.tr-row:not(.has-error)')).backgroundColor";
    assert_eq!(browser.script(&format!("return {tinted}"), &[]).await.unwrap(), true);
    // No ring before a key is pressed.
    let ring =
        "getComputedStyle(document.querySelector('.tr-row.is-cursor')).boxShadow.includes('0px 0px 0px 2px')";
    assert_eq!(browser.script(&format!("return {ring}"), &[]).await.unwrap(), false);
    browser.press(['j']).await.unwrap();
    browser.wait_until(ring).await.unwrap();
    scene.assert_silent_console().await;
}

/// Forty calls of `api-gateway`, of which a tenth fails at `payment`, which has another failure now and then.
async fn send_calls(scene: &Scene) {
    for number in 0..40_u64 {
        let trace = u128::from(number + 1);
        let root = span(trace, 1, 0, "GET /", 2, ago(20_000), 20 * MILLISECOND);
        let called = span(trace, 2, 1, "ask", 3, ago(19_990), 10 * MILLISECOND);
        let mut paid = span(trace, 3, 2, "ask", 2, ago(19_989), 8 * MILLISECOND);
        if number % 10 == 0 {
            paid["status"] = json!({"code": 2, "message": "declined"});
        }
        scene.send(&[service("api-gateway", &[root, called]), service("payment", &[paid])]).await;
    }
}

#[tokio::test]
async fn what_is_ill_comes_first_and_has_the_colour_of_it() {
    let Some(scene) = Scene::start("health").await else { return };
    send_calls(&scene).await;
    let browser = &scene.browser;
    scene.open("/search").await;
    browser.wait_for(".hint-line").await.unwrap();
    let said = browser.text(".hint-line").await.unwrap();
    assert!(
        said.starts_with("1 of 2 services with failed calls: payment 10 %. Slowest: api-gateway, p95 20"),
        "{said}"
    );
    browser.click(".hint-line a").await.unwrap();
    browser.wait_until("document.querySelectorAll('.results tbody tr').length === 4").await.unwrap();
    browser.wait_until("document.querySelector('.hint-line') === null").await.unwrap();

    scene.open("/services").await;
    browser.wait_for(".figures tbody tr").await.unwrap();
    assert!(browser.text(".figures tbody tr").await.unwrap().contains("payment"), "the worst is first");
    browser.wait_until("document.querySelectorAll('.sparkline .sparkline-line').length === 2").await.unwrap();
    let drawn = "[...document.querySelectorAll('.figures tbody tr')].map((row) => row.querySelector('.sparkline-errors') !== null)";
    assert_eq!(browser.script(&format!("return {drawn}"), &[]).await.unwrap(), json!([true, false]));
    let words = browser
        .script("return document.querySelector('.sparkline svg').getAttribute('aria-label')", &[])
        .await
        .unwrap();
    assert!(words.as_str().unwrap().contains("10 % failed"), "{words}");

    scene.open("/map").await;
    browser.wait_for(".map-node").await.unwrap();
    let health = "Object.fromEntries([...document.querySelectorAll('.map-service')].map((node) => \
                  [node.querySelector('.map-name').innerText, node.classList.contains('is-bad')]))";
    assert_eq!(
        browser.script(&format!("return {health}"), &[]).await.unwrap(),
        json!({"api-gateway": false, "payment": true})
    );
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn calls_that_were_refused_stand_beside_the_errors() {
    let Some(scene) = Scene::start("refused calls").await else { return };
    send_declined_order(&scene).await;
    let browser = &scene.browser;
    scene.open("/services").await;
    let cell = "[...document.querySelectorAll('.figures tbody tr')].find((row) => row.innerText.includes('api-gateway'))\
                ?.querySelector('[data-key=refused] a')";
    browser.wait_until(&format!("{cell}?.innerText === '100 %'")).await.unwrap();
    let errors = "document.querySelector('.figures tbody tr [data-key=errors]').innerText";
    assert_eq!(
        browser.script(&format!("return {errors}"), &[]).await.unwrap(),
        "0 %",
        "a 402 is no error of the server"
    );
    browser.script(&format!("{cell}.click()"), &[]).await.unwrap();
    browser.wait_until("document.querySelectorAll('.results tbody tr').length === 1").await.unwrap();
    scene.open("/services/api-gateway").await;
    let cell = "document.querySelector('.figures [data-key=refused] a')?.innerText === '100 %'";
    browser.wait_until(cell).await.unwrap();
    // Over time too, as a line of its own beside the errors.
    let line = "document.querySelector('[data-chart=errors]').plot.data.length === 3";
    browser.wait_until(line).await.unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn a_time_of_ones_own_is_chosen_without_moving_the_page() {
    let Some(scene) = Scene::start("a time of one's own").await else { return };
    send_calls(&scene).await;
    let browser = &scene.browser;
    scene.open("/search").await;
    browser.wait_for(".results tbody tr").await.unwrap();
    let top = "return document.querySelector('.query-bar').getBoundingClientRect().top";
    let before = browser.script(top, &[]).await.unwrap();
    browser.click("[aria-label='Custom time']").await.unwrap();
    browser.wait_until("document.activeElement.name === 'from'").await.unwrap();
    assert_eq!(browser.script(top, &[]).await.unwrap(), before);
    browser.press([key::ESCAPE]).await.unwrap();
    browser.wait_until("document.activeElement.getAttribute('aria-label') === 'Custom time'").await.unwrap();
    browser.click("[aria-label='Custom time']").await.unwrap();
    browser.wait_until("document.activeElement.name === 'from'").await.unwrap();
    browser.press([key::ENTER]).await.unwrap();
    browser.wait_until("/from=\\d{19}&to=\\d{19}/.test(location.search)").await.unwrap();
    browser.wait_until("document.querySelector('.custom-range').hidden").await.unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn on_a_phone_rows_come_first_and_figures_stand_below_their_names() {
    let Some(scene) = Scene::start("a phone").await else { return };
    send_declined_order(&scene).await;
    send_calls(&scene).await;
    let browser = &scene.browser;
    browser.resize(Window::PHONE).await.unwrap();
    scene.open(&format!("/trace/{TRACE:032x}")).await;
    browser.wait_for(".tr-reason").await.unwrap();
    browser.wait_for(".tr-row").await.unwrap();
    let top = "document.querySelector('.tr-row').getBoundingClientRect().top";
    let top = browser.script(&format!("return {top}"), &[]).await.unwrap().as_f64().unwrap();
    assert!(top < 440.0, "the first row begins at {top} of 844 px");
    let legend = "getComputedStyle(document.querySelector('.tr-legend')).display";
    assert_eq!(browser.script(&format!("return {legend}"), &[]).await.unwrap(), "none");
    browser.click(".tr-all").await.unwrap();
    browser.wait_until(&format!("{legend} !== 'none'")).await.unwrap();

    scene.open("/services").await;
    browser.wait_for(".figures tbody tr").await.unwrap();
    let within: Value = browser
        .script(
            "return [...document.querySelectorAll('.figures tbody tr')].every((row) => \
             [...row.querySelectorAll('td[data-key=errors], td[data-key=p95]')].every((cell) => \
             cell.getBoundingClientRect().right <= innerWidth))",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(within, true);
    scene.open("/map").await;
    browser.wait_for(".figures tbody tr").await.unwrap();
    scene.assert_silent_console().await;
}
