//! Log records on the page: of a span, of a trace, of everything.

use waypost_testkit::browser::key;

use super::{MILLISECOND, Scene, ago, log, service, span};

const TRACE: u128 = 0x0c33;

async fn send(scene: &Scene) -> u64 {
    let start = ago(5_000);
    let at = |milliseconds: u64| start + milliseconds * MILLISECOND;
    let shop = [
        span(TRACE, 1, 0, "POST /orders", 2, at(0), 100 * MILLISECOND),
        span(TRACE, 2, 1, "charge", 3, at(10), 50 * MILLISECOND),
    ];
    scene.send(&[service("shop", &shop)]).await;
    let records = [
        log(TRACE, 2, at(20), 17, "PAYMENT EXPLODED on span\nand a second line"),
        log(TRACE, 0, at(30), 9, "of the trace and of no span"),
        log(0, 0, at(40), 13, "of no trace at all"),
    ];
    scene.send_logs("shop", &records).await;
    start
}

#[tokio::test]
async fn the_body_of_a_log_record_is_shown_and_filtered() {
    let Some(scene) = Scene::start("log records of a span").await else { return };
    send(&scene).await;
    scene.open(&format!("/trace/{TRACE:032x}?span={:016x}", 2)).await;
    scene.wait_for_text("PAYMENT EXPLODED on span").await;
    let details = scene.browser.text(".tr-details").await.unwrap();
    assert!(!details.contains("empty"), "{details}");
    scene.browser.type_into(".tr-details input[type=search]", "exploded").await.unwrap();
    let shown = "[...document.querySelectorAll('.tr-details [data-filter]:not([hidden])')].map((row) => row.innerText)";
    let left = scene.browser.wait_until(&format!("(({shown}).length === 1) && ({shown})[0]")).await.unwrap();
    assert!(left.as_str().is_some_and(|row| row.contains("PAYMENT EXPLODED")), "{left}");
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn the_ledger_on_the_page_counts_refused_log_records() {
    let Some(scene) = Scene::start("refused log records").await else { return };
    let records = [log(0, 0, ago(5_000), 9, "once"), log(0, 0, ago(5_000), 9, "and again")];
    // The same request once more is refused as a repeat.
    for _ in 0..2 {
        scene.send_logs("shop", &records).await;
    }
    scene.open("/status").await;
    let cell = |name: &str| format!("document.querySelector('td[data-key={name}]')?.innerText");
    scene.browser.wait_until(&format!("{} === '4'", cell("logs"))).await.unwrap();
    for (name, expected) in [("logs-stored", "2"), ("logs-refused", "2"), ("logs-evicted", "0")] {
        let shown = scene.browser.script(&format!("return {}", cell(name)), &[]).await.unwrap();
        assert_eq!(shown, expected, "{name}");
    }
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn all_log_records_of_a_trace_stand_in_order_and_lead_to_their_spans() {
    let Some(scene) = Scene::start("log records of a trace").await else { return };
    send(&scene).await;
    let browser = &scene.browser;
    scene.open(&format!("/trace/{TRACE:032x}")).await;
    browser.wait_for("[role=treegrid] [role=row]").await.unwrap();
    browser.press(['l']).await.unwrap();
    browser.wait_until("document.querySelectorAll('.tr-logs .log').length === 2").await.unwrap();
    browser.wait_until("location.search.includes('view=logs')").await.unwrap();
    let shown = browser.text(".tr-logs .logs").await.unwrap();
    let places = ["PAYMENT EXPLODED", "of the trace and of no span"].map(|part| shown.find(part).unwrap());
    assert!(places[0] < places[1] && !shown.contains("of no trace at all"), "{shown}");

    // Opened, a record shows all of its body.
    browser.click(".tr-logs .log summary").await.unwrap();
    scene.wait_for_text("and a second line").await;

    let choose = "const choice = document.querySelector('.tr-logs select'); choice.value = 'error'; \
                  choice.dispatchEvent(new Event('change', {bubbles: true}));";
    browser.script(choose, &[]).await.unwrap();
    browser.wait_until("document.querySelectorAll('.tr-logs .log').length === 1").await.unwrap();
    browser.click(".tr-logs .log-trace").await.unwrap();
    browser
        .wait_until("document.querySelector('.tr-details h2')?.innerText.includes('charge')")
        .await
        .unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn log_records_are_searched_with_and_without_a_trace() {
    let Some(scene) = Scene::start("the logs view").await else { return };
    send(&scene).await;
    scene.send_logs("clerk", &[log(0, 0, ago(1), 9, "nothing to do")]).await;
    let browser = &scene.browser;
    scene.open("/logs").await;
    browser.wait_until("document.querySelectorAll('.log').length === 4").await.unwrap();
    let first = browser.text(".log").await.unwrap();
    assert!(first.contains("nothing to do") && first.contains("no trace"), "{first}");

    browser.type_into("input[name=text]", "payment exploded").await.unwrap();
    browser.press([key::ENTER]).await.unwrap();
    browser.wait_until("document.querySelectorAll('.log').length === 1").await.unwrap();
    assert!(browser.url().await.unwrap().contains("text=payment"));
    browser.click(".log a.log-trace").await.unwrap();
    browser
        .wait_until("document.querySelector('.tr-details h2')?.innerText.includes('charge')")
        .await
        .unwrap();

    // A service that has only logs is known too; the address alone brings a search back.
    scene.open("/logs?severity=warn").await;
    browser.wait_until("document.querySelectorAll('.log').length === 2").await.unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn a_search_for_text_says_what_log_records_have_it() {
    let Some(scene) = Scene::start("text in logs").await else { return };
    send(&scene).await;
    let browser = &scene.browser;
    scene.open("/search?text=of%20no%20trace").await;
    browser.wait_for(".log-note a").await.unwrap();
    assert!(browser.text(".log-note").await.unwrap().contains("1 log record"), "found in logs only");
    browser.click(".log-note a").await.unwrap();
    browser
        .wait_until("document.querySelector('.log')?.innerText.includes('of no trace at all')")
        .await
        .unwrap();
    // Within a trace the text leads to the span.
    scene.open(&format!("/trace/{TRACE:032x}?q=exploded")).await;
    browser.wait_until("document.querySelectorAll('.tr-row.is-hit').length === 1").await.unwrap();
    assert!(browser.text(".tr-row.is-hit").await.unwrap().contains("charge"));
    scene.assert_silent_console().await;
}
