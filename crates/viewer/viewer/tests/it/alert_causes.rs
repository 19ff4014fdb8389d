//! Rules about findings, and the instance that is named when something begins: over the spans of the running viewer.

use crate::{
    alerts::{quickly, state},
    viewer::{Viewer, in_time},
};
use serde::Deserialize as _;
use serde_json::{Value, json};
use waypost_trace_alerts::RuleSettings;
use waypost_trace_store::now;
use waypost_viewer::Config;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;

fn of_rule(config: &mut Config, rule: Value) {
    quickly(config, Vec::new());
    config.alerts.rules = vec![RuleSettings::deserialize(rule).unwrap()];
}

/// Spans of one instance of `shop`.
fn from_instance(instance: &str, spans: &[Value]) -> Value {
    let attributes = json!([
        {"key": "service.name", "value": {"stringValue": "shop"}},
        {"key": "service.instance.id", "value": {"stringValue": instance}},
        {"key": "host.name", "value": {"stringValue": "one host for all"}},
    ]);
    json!({"resource": {"attributes": attributes}, "scopeSpans": [{"spans": spans}]})
}

/// An order of 100 ms, half a minute ago, that asks for prices so many times, one after the other.
fn order(number: u64, questions: u64) -> Vec<Value> {
    let begin = now() - 30 * SECOND + number;
    let span = |id: u64, name: &str, kind: u64, from: u64, to: u64| {
        json!({
            "traceId": format!("{number:032x}"), "spanId": format!("{id:016x}"), "name": name, "kind": kind,
            "startTimeUnixNano": (begin + from * MILLISECOND).to_string(), "endTimeUnixNano": (begin + to * MILLISECOND).to_string(),
        })
    };
    let question = |question: u64| {
        let mut span = span(2 + question, "SELECT", 3, 10 + question * 10, 20 + question * 10);
        span["parentSpanId"] = json!(format!("{:016x}", 1));
        span["attributes"] = json!([
            {"key": "db.system.name", "value": {"stringValue": "sqlite"}},
            {"key": "db.query.text", "value": {"stringValue": "SELECT price FROM prices WHERE id = 1"}},
        ]);
        span
    };
    std::iter::once(span(1, "POST /orders", 2, 0, 100)).chain((0..questions).map(question)).collect()
}

async fn orders(viewer: &Viewer, instance: &str, numbers: std::ops::Range<u64>, questions: u64) {
    let spans: Vec<Value> = numbers.flat_map(|number| order(number, questions)).collect();
    viewer.import(&json!({"resourceSpans": [from_instance(instance, &spans)]})).await;
}

#[tokio::test]
async fn a_rule_about_findings_counts_traces_and_names_the_instance() {
    let viewer = Viewer::configured(|config| {
        of_rule(
            config,
            json!({
                "name": "loops", "kind": "finding", "service": "shop", "findings": ["repeated_call"], "threshold": "20%", "resolve": "10%",
            }),
        );
    });
    orders(&viewer, "shop-1", 1..21, 1).await;
    let quiet = viewer.api_until("/alerts", |answer| answer["rules"][0]["readings"][0]["calls"] == 20).await;
    assert_eq!(state(&quiet), None);
    assert_eq!(quiet["rules"][0]["readings"][0]["value"], 0.0);
    assert_eq!(
        (&quiet["rules"][0]["kind"], &quiet["rules"][0]["unit"]),
        (&json!("finding"), &json!("share"))
    );

    orders(&viewer, "shop-2", 21..41, 6).await;
    let answer = viewer
        .api_until("/alerts", |answer| {
            state(answer) == Some("firing") && answer["rules"][0]["readings"][0]["calls"] == 40
        })
        .await;
    let told = answer["alerts"][0]["sentence"].as_str().unwrap();
    let begins = "shop: 20 of 40 traces in the last 5 min have a repeated call, 1 s lost; threshold 20 %; \
                  instance shop-2: 20 of 20 traces show it, of all others 0 of 20. The worst: 6 times the same call, 60 ms of 100 ms";
    assert!(told.starts_with(begins), "{told}");
    let examples = answer["alerts"][0]["examples"].as_array().unwrap();
    assert_eq!(examples.len(), 3);
    viewer.api_until("/pins", |pins| pins["pins"].as_array().unwrap().len() == 3).await;

    orders(&viewer, "shop-1", 41..241, 1).await;
    let answer = viewer.api_until("/alerts", |answer| state(answer).is_none()).await;
    assert_eq!(answer["history"][0]["state"], "resolved");
    let sentence = answer["history"][0]["sentence"].as_str().unwrap();
    assert!(
        sentence.contains("traces looked at, of 240 in the last 5 min, have a repeated call, about "),
        "{sentence}"
    );
    in_time(viewer.close()).await;
}

#[tokio::test]
async fn a_rule_about_findings_of_an_operation_counts_what_is_lost() {
    let rule = |threshold: &str| {
        json!({
            "name": "loops", "kind": "finding", "service": "shop", "operation": "POST /orders", "threshold": threshold,
        })
    };
    for (threshold, fires) in [("900ms", true), ("1100ms", false), ("19", true), ("20", false)] {
        let viewer = Viewer::configured(|config| of_rule(config, rule(threshold)));
        orders(&viewer, "shop-1", 1..21, 6).await;
        let read = |answer: &Value| answer["rules"][0]["readings"][0]["calls"] == 20;
        let answer = viewer.api_until("/alerts", read).await;
        assert_eq!(state(&answer), fires.then_some("firing"), "{threshold}: {answer}");
        in_time(viewer.close()).await;
    }
}

/// Calls of `pay` a moment ago that fail or take so long.
async fn calls(
    viewer: &Viewer,
    instance: &str,
    numbers: std::ops::Range<u64>,
    (has_failed, milliseconds): (bool, u64),
) {
    let begin = now() - 2 * SECOND;
    let span = |number: u64| {
        json!({
            "traceId": format!("{number:032x}"), "spanId": format!("{number:016x}"), "name": "pay", "kind": 2,
            "startTimeUnixNano": begin.to_string(), "endTimeUnixNano": (begin + milliseconds * MILLISECOND).to_string(),
            "status": {"code": if has_failed { 2 } else { 0 }},
        })
    };
    let spans: Vec<Value> = numbers.map(span).collect();
    viewer.import(&json!({"resourceSpans": [from_instance(instance, &spans)]})).await;
}

#[tokio::test]
async fn an_alert_names_the_instance_that_has_the_errors_or_is_slow() {
    let errors = json!({"name": "fail", "kind": "error-share", "service": "shop", "operation": "pay", "threshold": "10%"});
    let slow = json!({
        "name": "slow", "kind": "latency", "service": "shop", "quantile": 0.9, "threshold": "50ms",
    });
    for (rule, bad, told) in [
        (
            errors.clone(),
            (true, 10),
            "shop pay: 28.6 % errors in the last 5 min (20 of 70); threshold 10 %; instance shop-2: 20 of 20 failed, of all others 0 of 50",
        ),
        (
            slow,
            (false, 100),
            "threshold 50 ms; instance shop-2: 20 of 20 took longer than 50 ms, of all others 0 of 50",
        ),
    ] {
        let viewer = Viewer::configured(|config| of_rule(config, rule));
        calls(&viewer, "shop-1", 1..26, (false, 10)).await;
        calls(&viewer, "shop-3", 26..51, (false, 10)).await;
        calls(&viewer, "shop-2", 51..71, bad).await;
        let answer = viewer.api_until("/alerts", |answer| state(answer) == Some("firing")).await;
        let sentence = answer["alerts"][0]["sentence"].as_str().unwrap();
        assert!(sentence.ends_with(told), "{sentence}");
        in_time(viewer.close()).await;
    }

    // Where all fail alike none is named.
    let viewer = Viewer::configured(|config| of_rule(config, errors));
    for (instance, number) in [("shop-1", 1), ("shop-2", 101), ("shop-3", 201)] {
        let both = |from: u64, has_failed| calls(&viewer, instance, from..from + 20, (has_failed, 10));
        both(number, false).await;
        both(number + 20, true).await;
    }
    let answer = viewer.api_until("/alerts", |answer| state(answer) == Some("firing")).await;
    let sentence = answer["alerts"][0]["sentence"].as_str().unwrap();
    assert!(sentence.ends_with("threshold 10 %"), "{sentence}");
    in_time(viewer.close()).await;
}

#[tokio::test]
async fn a_finding_over_many_traces_names_the_instance_that_has_it() {
    let viewer = Viewer::open();
    orders(&viewer, "shop-1", 1..21, 1).await;
    orders(&viewer, "shop-2", 21..41, 6).await;
    let answer = viewer.api("/aggregate?service=shop&operation=POST+%2Forders").await;
    let findings = answer["findings"].as_array().unwrap();
    let repeated = findings.iter().find(|finding| finding["kind"] == "repeated_call").unwrap();
    assert_eq!(repeated["instance"], "instance shop-2: 20 of 20 traces have it, of all others 0 of 20");
    in_time(viewer.close()).await;
}
