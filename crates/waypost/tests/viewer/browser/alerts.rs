//! The view of alerts: what fires first, silenced by a person; anomalies there and in the charts; pins.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use waypost_testkit::{Browser, Viewer};

use super::{MILLISECOND, Scene, ago, service, span};
use crate::BINARY;

const RULE: &str = "viewer.alerts.rules=[{name='orders fail', kind='error-share', service='shop', threshold='10%', \
                    window='1h', min_calls=5, severity='page', runbook='https://example.org/orders'}]";

/// What a viewer had found before it was started again.
fn anomaly(since: u64, until: Option<u64>, sentence: &str) -> Value {
    let phase = match until {
        None => json!({"state": "firing", "since": since, "fired": since, "unknown_since": null}),
        Some(_) => json!({"state": "inactive"}),
    };
    json!({
        "what": "latency", "place": {"service": "shop", "operation": "GET /things", "kind": "server"}, "since": since,
        "until": until, "sentence": sentence, "worst": sentence, "value": 9e8, "worst_value": 9e8, "usual": 1e8, "calls": 100,
        "examples": [format!("{:032x}", 1)], "phase": phase,
    })
}

async fn scene(what: &str) -> Option<Scene> {
    let browser = Browser::start_or_leave_out(what).await.unwrap()?;
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("viewer");
    std::fs::create_dir_all(&folder).unwrap();
    let now = ago(0);
    let minute = 60_000 * MILLISECOND;
    let slow = "shop GET /things: p95 900 ms in the last 10 min, 60 % of calls above 125 ms (60 of 100); p95 was 100 ms in the last 3 hours";
    let saved = json!({"watch": {
        "open": [anomaly(now - 5 * minute, None, slow)],
        "ended": [anomaly(now - 40 * minute, Some(now - 30 * minute), "shop GET /things: it was slow before")],
        "minute": 0,
    }});
    let body = saved.to_string();
    let digest = Sha256::digest(&body).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    std::fs::write(folder.join("alerts.json"), format!("waypost-alerts-1 {digest}\n{body}")).unwrap();
    let (key, rule) = RULE.split_once('=').unwrap();
    let settings = [(key, rule), ("viewer.alerts.every", "100ms")];
    let viewer = Viewer::start(BINARY, data.path(), &settings).await.unwrap();
    let scene = Scene { browser, viewer, _data: data };
    for number in 1..=20_u64 {
        let mut order = span(number.into(), 1, 0, "GET /things", 2, ago(100), 10 * MILLISECOND);
        if number % 2 == 0 {
            order["status"] = json!({"code": 2, "message": "sold out"});
        }
        scene.send(&[service("shop", &[order])]).await;
    }
    Some(scene)
}

#[tokio::test]
async fn an_alert_is_seen_followed_to_a_pinned_trace_and_silenced() {
    let Some(scene) = scene("the view of alerts").await else { return };
    let browser = &scene.browser;
    scene.open("/alerts").await;
    browser.wait_for(".alert-card[data-rule='orders fail'][data-state=firing]").await.unwrap();
    let card = browser.text(".alert-card[data-rule='orders fail']").await.unwrap();
    assert!(card.contains("% errors in the last 1 hour (") && card.contains("threshold 10 %"), "{card}");
    assert!(card.contains("page") && card.contains("Run-book"), "{card}");
    let rules = browser.text("[aria-label=Rules] tbody").await.unwrap();
    assert!(rules.contains("orders fail") && rules.contains("firing") && rules.contains("10 %"), "{rules}");
    let anomalies = browser.text("section[aria-label=Anomalies]").await.unwrap();
    assert!(anomalies.contains("60 % of calls above 125 ms (60 of 100)"), "{anomalies}");

    // The badge is there on every view.
    scene.open("/search").await;
    browser.wait_until("document.querySelector('.nav-badge')?.innerText === '1'").await.unwrap();

    scene.open("/alerts").await;
    browser.wait_for(".alert-card[data-state=firing] .examples a").await.unwrap();
    browser.click(".alert-card[data-state=firing] .examples a").await.unwrap();
    browser
        .wait_until("document.querySelector('.tr-pin')?.getAttribute('aria-pressed') === 'true'")
        .await
        .unwrap();

    scene.open("/alerts").await;
    browser.wait_for(".alert-card[data-state=firing] button.textual").await.unwrap();
    browser.click(".alert-card[data-state=firing] button.textual").await.unwrap();
    browser.wait_for("dialog input[name=reason]").await.unwrap();
    browser.type_into("dialog input[name=reason]", "the shelves are being filled").await.unwrap();
    // Every rule at this place, of this severity: what is chosen is what the silence says.
    let checked =
        "[...document.querySelectorAll('dialog input[name=part]:checked')].map((box) => box.value).join()";
    browser.wait_until(&format!("{checked} === 'rule,service'")).await.unwrap();
    browser.click("dialog input[name=part][value=rule]").await.unwrap();
    browser.click("dialog input[name=part][value=severity]").await.unwrap();
    browser.click("dialog button[type=submit]").await.unwrap();
    browser.wait_for(".alert-card.is-silenced").await.unwrap();
    scene.wait_for_text("the shelves are being filled").await;
    let silences = browser.text("[aria-label=Silences] tbody").await.unwrap();
    assert!(silences.contains("every rule") && silences.contains("severity=page"), "{silences}");
    assert!(silences.contains("service=shop"), "{silences}");
    scene.open("/search").await;
    browser.wait_for(".nav-badge[hidden]").await.unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn an_anomaly_is_a_stretch_of_the_chart_of_its_operation() {
    let Some(scene) = scene("anomalies in charts").await else { return };
    scene.open("/services/shop").await;
    scene.browser.wait_for(".chart-anomalies a").await.unwrap();
    let told = scene.browser.text(".chart-anomalies").await.unwrap();
    assert!(told.contains("60 % of calls above 125 ms") && told.contains("it was slow before"), "{told}");
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn a_trace_is_pinned_by_its_button_and_unpinned_on_the_list() {
    let Some(scene) = scene("pins").await else { return };
    let browser = &scene.browser;
    let trace = format!("{:032x}", 3);
    scene.open(&format!("/trace/{trace}")).await;
    browser.wait_for(".tr-pin").await.unwrap();
    browser.click(".tr-pin").await.unwrap();
    browser
        .wait_until("document.querySelector('.tr-pin').getAttribute('aria-pressed') === 'true'")
        .await
        .unwrap();
    scene.open("/alerts").await;
    let row = format!("[aria-label='Pinned traces'] a[href$='{trace}']");
    browser.wait_for(&row).await.unwrap();
    let script = format!("document.querySelector(\"{row}\").closest('tr').querySelector('button').click()");
    browser.script(&script, &[]).await.unwrap();
    browser.wait_until(&format!("document.querySelector(\"{row}\") === null")).await.unwrap();
    scene.assert_silent_console().await;
}
