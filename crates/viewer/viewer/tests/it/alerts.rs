//! Alerts through the real intake, API, file and network.

use crate::{
    fixture::resource,
    http::{ReplyExt as _, Request},
    receiver::Receiver,
    tls::Identity,
    viewer::{Viewer, in_time},
};
use hmac::{Hmac, Mac as _};
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::{fs, net::SocketAddr};
use tempfile::TempDir;
use waypost_trace_alerts::RuleSettings;
use waypost_viewer::{Config, ReceiverKind, ReceiverSettings};

const KEY: &str = "a key that both know";

fn failing() -> RuleSettings {
    let rule = json!({
        "name": "payments fail", "kind": "error-share", "service": "till", "threshold": "10%", "window": "1h", "min_calls": 10,
        "severity": "page", "summary": "Cards are refused.", "runbook": "https://example.org/till",
    });
    RuleSettings::deserialize(rule).unwrap()
}

fn told_at(address: SocketAddr, secret: Option<&TempDir>) -> ReceiverSettings {
    ReceiverSettings {
        url: format!("http://{address}/alerts"),
        secret_file: secret.map(|folder| folder.path().join("key")),
        timeout: std::time::Duration::from_secs(30).into(),
        ..ReceiverSettings::new("pager", ReceiverKind::Webhook)
    }
}

pub(crate) fn quickly(config: &mut Config, receivers: Vec<ReceiverSettings>) {
    config.alerts.every = std::time::Duration::from_millis(20).into();
    config.alerts.rules = vec![failing()];
    config.alerts.receivers = receivers;
}

/// Spans of `till`, from a number on, that fail or not.
pub(crate) async fn send(viewer: &Viewer, numbers: std::ops::Range<u64>, has_failed: bool) {
    let span = |number: u64| {
        json!({
            "traceId": format!("{number:032x}"), "spanId": format!("{number:016x}"), "name": "pay", "kind": 2,
            "startTimeUnixNano": "1000", "endTimeUnixNano": "2000", "status": {"code": if has_failed { 2 } else { 0 }},
        })
    };
    let spans: Value = numbers.map(span).collect();
    viewer.import(&json!({"resourceSpans": [resource("till", &spans)]})).await;
}

pub(crate) fn state(answer: &Value) -> Option<&str> {
    answer["alerts"][0]["state"].as_str()
}

#[tokio::test]
async fn a_receiver_that_was_away_is_told_once_across_a_restart() {
    let (folder, receiver) = (TempDir::new().unwrap(), Receiver::answering(503));
    let address = receiver.address;
    fs::write(folder.path().join("key"), format!("{KEY}\n")).unwrap();
    let open = || {
        Viewer::kept_and_configured(&folder, |config| quickly(config, vec![told_at(address, Some(&folder))]))
    };
    let has_failed = |answer: &Value| answer["receivers"][0]["failed"].as_u64().unwrap() > 0;

    let viewer = open();
    send(&viewer, 1..31, true).await;
    let before = viewer.api_until("/alerts", has_failed).await;
    assert_eq!(state(&before), Some("firing"));
    let trouble = before["receivers"][0]["trouble"].as_str().unwrap();
    assert_eq!(trouble, "answered 503 Service Unavailable");
    assert_eq!(before["receivers"][0]["waiting"], 1);
    in_time(viewer.close()).await;

    let viewer = open();
    let after = viewer.api_until("/alerts", has_failed).await;
    for member in ["fingerprint", "state", "since", "fired", "examples", "labels"] {
        assert_eq!(after["alerts"][0][member], before["alerts"][0][member], "{member}");
    }
    receiver.comes_back();
    let delivered = viewer.api_until("/alerts", |answer| answer["receivers"][0]["delivered"] == 1).await;
    assert_eq!(delivered["receivers"][0]["waiting"], 0);

    // It goes on to fire, and nobody is told again until it is over.
    send(&viewer, 31..61, true).await;
    send(&viewer, 100..1000, false).await;
    viewer.api_until("/alerts", |answer| state(answer).is_none()).await;
    viewer.api_until("/alerts", |answer| answer["receivers"][0]["delivered"] == 2).await;
    in_time(viewer.close()).await;
    let viewer = open();
    let quiet = viewer.api_until("/alerts", |answer| answer["evaluated"].is_string()).await;
    assert_eq!((state(&quiet), quiet["receivers"][0]["waiting"].as_u64()), (None, Some(0)));
    let states: Vec<&Value> =
        quiet["history"].as_array().unwrap().iter().map(|entry| &entry["state"]).collect();
    assert_eq!(states, ["resolved", "firing"]);
    in_time(viewer.close()).await;

    let told = receiver.told();
    let statuses: Vec<&Value> = told.iter().map(|told| &told.body["status"]).collect();
    assert_eq!(statuses, ["firing", "resolved"]);
    assert_ne!(told[0].headers["x-waypost-delivery"], told[1].headers["x-waypost-delivery"]);
    let alert = &told[0].body["alerts"][0];
    assert_eq!(
        (&alert["labels"]["alertname"], &alert["labels"]["severity"]),
        (&json!("payments fail"), &json!("page"))
    );
    assert_eq!(alert["fingerprint"], told[1].body["alerts"][0]["fingerprint"]);
    assert_eq!(
        alert["annotations"]["description"],
        "till: 100 % errors in the last 1 hour (30 of 30); threshold 10 %"
    );
    for told in &told {
        let time = told.headers["x-waypost-timestamp"].to_str().unwrap();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
        mac.update(format!("{time}.").as_bytes());
        mac.update(&told.raw);
        let signature =
            mac.finalize().into_bytes().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        assert_eq!(told.headers["x-waypost-signature"], format!("sha256={signature}"));
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_want_it_does_not_hold_up_what_follows() {
    let receiver = Receiver::answering(404);
    let viewer = Viewer::configured(|config| quickly(config, vec![told_at(receiver.address, None)]));
    send(&viewer, 1..31, true).await;
    let answer = viewer.api_until("/alerts", |answer| answer["receivers"][0]["refused"] == 1).await;
    assert_eq!(answer["receivers"][0]["waiting"], 0);
    assert_eq!(answer["receivers"][0]["trouble"], "answered 404 Not Found");
    assert_eq!(receiver.told().len(), 1);
    let scraped = viewer.get("/metrics").await;
    for line in [
        "# TYPE waypost_viewer_notification_attempts_total counter\n",
        "\nwaypost_viewer_notification_attempts_total{receiver=\"pager\",outcome=\"refused\"} 1\n",
        "\nwaypost_viewer_notifications_waiting{receiver=\"pager\"} 0\n",
        "\nwaypost_viewer_alerts{state=\"firing\"} 1\n",
    ] {
        assert!(scraped.text().contains(line), "{line:?} is missing in {}", scraped.text());
    }
    in_time(viewer.close()).await;
}

#[tokio::test]
async fn a_webhook_over_https_trusts_its_own_authority_and_brings_its_token() {
    let (folder, other, identity) = (TempDir::new().unwrap(), TempDir::new().unwrap(), Identity::new());
    let receiver = Receiver::in_tls(&identity).await;
    fs::write(folder.path().join("token"), "first\n").unwrap();
    let secure = |ca_file| ReceiverSettings {
        url: format!("https://localhost:{}/alerts", receiver.address.port()),
        bearer_file: Some(folder.path().join("token")),
        ca_file: Some(ca_file),
        ..told_at(receiver.address, None)
    };
    let strange = secure(Identity::new().written_to(other.path()));
    let viewer = Viewer::configured(|config| quickly(config, vec![strange]));
    send(&viewer, 1..31, true).await;
    let answer = viewer.api_until("/alerts", |answer| answer["receivers"][0]["trouble"].is_string()).await;
    assert!(answer["receivers"][0]["trouble"].as_str().unwrap().starts_with("no TLS: "), "{answer}");
    in_time(viewer.close()).await;
    assert_eq!(receiver.told().len(), 0);

    let known = secure(identity.written_to(folder.path()));
    let viewer = Viewer::configured(|config| quickly(config, vec![known]));
    send(&viewer, 1..31, true).await;
    viewer.api_until("/alerts", |answer| answer["receivers"][0]["delivered"] == 1).await;
    // A token that was replaced is found in its file.
    fs::write(folder.path().join("token"), "second").unwrap();
    send(&viewer, 100..1000, false).await;
    viewer.api_until("/alerts", |answer| answer["receivers"][0]["delivered"] == 2).await;
    in_time(viewer.close()).await;
    let told = receiver.told();
    let tokens: Vec<&str> = told.iter().map(|told| told.headers["authorization"].to_str().unwrap()).collect();
    assert_eq!(tokens, ["Bearer first", "Bearer second"]);
}

#[tokio::test]
async fn what_fires_is_shown_with_its_examples_which_are_pinned() {
    let viewer = Viewer::configured(|config| quickly(config, Vec::new()));
    send(&viewer, 1..31, true).await;
    let answer = viewer.api_until("/alerts", |answer| state(answer) == Some("firing")).await;
    let alert = &answer["alerts"][0];
    assert_eq!(alert["sentence"], "till: 100 % errors in the last 1 hour (30 of 30); threshold 10 %");
    assert_eq!(
        (&alert["value"], &alert["threshold"], &alert["unit"]),
        (&json!(1.0), &json!(0.1), &json!("share"))
    );
    let rule = &answer["rules"][0];
    assert_eq!((&rule["kind"], &rule["places"]), (&json!("error-share"), &json!(1)));
    assert_eq!(
        (&rule["readings"][0]["state"], &rule["readings"][0]["calls"]),
        (&json!("firing"), &json!(30))
    );
    let summary = viewer.api("/alerts/summary").await;
    assert_eq!(summary, json!({"firing": 1, "pending": 0, "silenced": 0, "anomalies": 0}));
    let examples = alert["examples"].as_array().unwrap();
    assert!(!examples.is_empty());
    let pins =
        viewer.api_until("/pins", |pins| pins["pins"].as_array().unwrap().len() == examples.len()).await;
    for pin in pins["pins"].as_array().unwrap() {
        assert!(examples.contains(&pin["trace_id"]));
        assert_eq!(
            (&pin["by"], &pin["service"], &pin["spans"]),
            (&json!("alert"), &json!("till"), &json!(1))
        );
        assert!(pin["reason"].as_str().unwrap().starts_with("payments fail: till: 100 % errors"));
    }
    assert_eq!(viewer.api("/anomalies?service=till").await, json!({"active": [], "ended": []}));
    in_time(viewer.close()).await;
}

#[tokio::test]
async fn a_silence_is_begun_and_ended_and_wrong_ones_are_refused() {
    let receiver = Receiver::answering(200);
    let viewer = Viewer::configured(|config| quickly(config, vec![told_at(receiver.address, None)]));
    let ask = |body: Value| viewer.send(Request::post("/api/v1/silences").json(body.to_string()));
    let silence =
        ask(json!({"rule": "payments fail", "labels": {"service": "till"}, "reason": "moving", "for": "1h"}))
            .await;
    assert_eq!(silence.status, 200, "{}", silence.text());
    send(&viewer, 1..31, true).await;
    let answer = viewer.api_until("/alerts", |answer| state(answer) == Some("firing")).await;
    assert_eq!(answer["alerts"][0]["silence"], silence.json);
    assert_eq!(viewer.api("/alerts/summary").await["silenced"], 1);
    assert_eq!(answer["history"][0]["is_silenced"], true);
    let before = answer["evaluated"].clone();
    let later = viewer.api_until("/alerts", |answer| answer["evaluated"] != before).await;
    assert_eq!((later["receivers"][0]["waiting"].as_u64(), receiver.told().len()), (Some(0), 0));

    let path = format!("/api/v1/silences/{}", silence.json["id"].as_str().unwrap());
    assert_eq!(viewer.send(Request::new("DELETE", &path)).await.status, 204);
    assert_eq!(viewer.send(Request::new("DELETE", &path)).await.problem_name(), "not-found");
    viewer.api_until("/alerts", |answer| answer["receivers"][0]["delivered"] == 1).await;

    for (body, name) in [
        (json!({"reason": "x", "for": "1h"}), "bad-parameter"),
        (json!({"rule": "a", "reason": " ", "for": "1h"}), "bad-parameter"),
        (json!({"rule": "a", "reason": "x", "for": "long"}), "bad-parameter"),
        (json!({"rule": "a", "reason": "x", "for": "0s"}), "bad-parameter"),
        (json!({"rule": "a", "reason": "x", "for": "1h", "until": "ever"}), "bad-body"),
        (json!({"rule": "a", "reason": "x".repeat(501), "for": "1h"}), "bad-body"),
    ] {
        let reply = ask(body.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.problem_name()), (400, name), "{body}");
    }
    in_time(viewer.close()).await;
}

#[tokio::test]
async fn a_damaged_file_of_alerts_is_set_aside() {
    let folder = TempDir::new().unwrap();
    let viewer = Viewer::kept_and_configured(&folder, |config| quickly(config, Vec::new()));
    send(&viewer, 1..31, true).await;
    viewer.api_until("/alerts", |answer| state(answer) == Some("firing")).await;
    in_time(viewer.close()).await;
    let file = folder.path().join("viewer/alerts.json");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 10]).unwrap();
    let viewer = Viewer::kept_and_configured(&folder, |config| quickly(config, Vec::new()));
    assert!(folder.path().join("viewer/alerts.json.damaged-1").is_file());
    let answer = viewer.api_until("/alerts", |answer| state(answer) == Some("firing")).await;
    assert_eq!(answer["history"].as_array().unwrap().len(), 1, "it begins anew");
    in_time(viewer.close()).await;
}
