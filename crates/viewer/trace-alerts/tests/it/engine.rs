//! What follows from rules and figures: states, sentences, notifications, silences.

use crate::{
    rules::rule,
    shop::{Call, HOUR, MIDNIGHT, MINUTE, SECOND, Shop},
};
use serde_json::json;
use std::collections::BTreeMap;
use waypost_trace_alerts::{Engine, Evaluated, Receiver, Rule, Saved, Silenced, Status, webhook};

const NOON: u64 = MIDNIGHT + 12 * HOUR;

fn order() -> Call {
    Call::server("shop", "POST /orders", 20_000_000)
}

fn failing() -> Rule {
    rule(json!({
        "name": "orders fail", "kind": "error-share", "service": "shop", "operation": "POST /orders", "threshold": "10%",
        "resolve": "5%", "window": "3m", "for": "2m", "severity": "page", "runbook": "https://example.org/orders",
        "labels": {"team": "checkout"},
    }))
}

fn engine(rules: Vec<Rule>, saved: Saved) -> Engine {
    let receiver = |name: &str, severities: &[&str]| Receiver {
        name: name.to_owned(),
        severities: severities.iter().map(ToString::to_string).collect(),
    };
    let receivers =
        vec![receiver("pager", &["page"]), receiver("mail", &[]), receiver("tickets", &["ticket"])];
    Engine::new(rules, receivers, 3, saved, NOON - HOUR)
}

/// A minute of fifty orders of which so many fail, and an evaluation at its end.
fn minute(engine: &mut Engine, shop: &mut Shop, number: u64, failed: u64) -> Evaluated {
    shop.minute(order(), (50, failed), NOON + number * MINUTE);
    engine.evaluate(&shop.statistics, &(), NOON + number * MINUTE + 59 * SECOND)
}

/// The changes of an evaluation.
fn turns(evaluated: &Evaluated) -> Vec<Status> {
    evaluated.changes.iter().map(|change| change.entry.status).collect()
}

fn restarted(engine: &Engine) -> Engine {
    let written = serde_json::to_vec(engine.saved()).unwrap();
    self::engine(vec![failing()], serde_json::from_slice(&written).unwrap())
}

#[test]
fn an_alert_waits_fires_stays_between_the_thresholds_and_is_resolved() {
    let (mut engine, mut shop) = (engine(vec![failing()], Saved::default()), Shop::default());
    // Failed of fifty in each minute, and the state after it.
    let course = [
        (0, "inactive"),
        (25, "pending"),
        (25, "pending"),
        (25, "firing"),
        (3, "firing"),
        (3, "firing"),
        (3, "firing"),
        // Now 6 % of the last minutes: between the thresholds.
        (3, "firing"),
        (0, "inactive"),
    ];
    let mut changes = Vec::new();
    for (number, (failed, state)) in course.into_iter().enumerate() {
        changes.extend(minute(&mut engine, &mut shop, number as u64, failed).changes);
        let states: Vec<&str> = engine.alerts().map(|(_, alert)| alert.phase.name()).collect();
        assert_eq!(states, if state == "inactive" { vec![] } else { vec![state] }, "minute {number}");
        engine = restarted(&engine);
    }
    let statuses: Vec<Status> = changes.iter().map(|change| change.entry.status).collect();
    assert_eq!(statuses, [Status::Firing, Status::Resolved]);
    assert_eq!(
        changes[0].entry.sentence,
        "shop POST /orders: 37.5 % errors in the last 3 min (75 of 200); threshold 10 %"
    );
    assert!(!changes[0].entry.examples.is_empty());
    assert_eq!(engine.history().count(), 2);
}

#[test]
fn each_receiver_is_told_once_of_each_change_whatever_restarts() {
    let (mut engine, mut shop) = (engine(vec![failing()], Saved::default()), Shop::default());
    let mut told = Vec::new();
    for number in 0..30 {
        let failed = if (5..12).contains(&number) { 40 } else { 0 };
        minute(&mut engine, &mut shop, number, failed);
        engine = restarted(&engine);
        // The pager is down at first; the mail never comes back.
        while number > 15
            && let Some(next) = engine.next("pager").cloned()
        {
            told.push((next.status, next.id.clone()));
            engine.delivered("pager", &next.id);
        }
    }
    let statuses: Vec<Status> = told.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [Status::Firing, Status::Resolved]);
    assert_ne!(told[0].1, told[1].1);
    let waiting = ["pager", "mail", "tickets"].map(|receiver| engine.waiting(receiver));
    assert_eq!(waiting, [0, 2, 0], "nobody asked for pages beside tickets");
}

#[test]
fn nobody_is_told_of_a_silenced_alert_until_the_silence_ends() {
    let (mut engine, mut shop) = (engine(vec![failing()], Saved::default()), Shop::default());
    let team = BTreeMap::from([("team".to_owned(), "checkout".to_owned())]);
    let times = (NOON, NOON + 10 * MINUTE);
    let silence = engine.silence(None, team, "deploying".to_owned(), times).unwrap();
    for number in 0..8 {
        minute(&mut engine, &mut shop, number, 40);
    }
    assert_eq!((engine.alerts().count(), engine.waiting("pager")), (1, 0), "it fires, and nobody is told");
    assert!(engine.history().next().unwrap().is_silenced);
    let (_, alert) = engine.alerts().next().unwrap();
    assert_eq!(engine.silence_of(&alert.rule, &alert.labels), Some(&silence));
    assert_eq!(turns(&minute(&mut engine, &mut shop, 9, 40)), []);
    assert_eq!(engine.waiting("pager"), 0);
    minute(&mut engine, &mut shop, 10, 40);
    assert_eq!(engine.waiting("pager"), 1, "the silence is over and it still fires");
    minute(&mut engine, &mut shop, 11, 40);
    assert_eq!((engine.waiting("pager"), engine.silences().len()), (1, 0));

    let refused = |engine: &mut Engine, rule: Option<&str>, until: u64| {
        engine.silence(rule.map(str::to_owned), BTreeMap::new(), String::new(), (NOON, until)).unwrap_err()
    };
    assert_eq!(refused(&mut engine, None, NOON + 1), Silenced::FitsAll);
    assert_eq!(refused(&mut engine, Some("x"), NOON), Silenced::Over);
    let silence =
        engine.silence(Some("x".to_owned()), BTreeMap::new(), String::new(), (NOON, NOON + 1)).unwrap();
    assert!(engine.end_silence(&silence.id) && !engine.end_silence(&silence.id));
}

#[test]
fn an_alert_of_two_requests_is_none() {
    let (mut engine, mut shop) = (engine(vec![failing()], Saved::default()), Shop::default());
    for number in 0..10 {
        shop.minute(order(), (2, 2), NOON + number * MINUTE);
        engine.evaluate(&shop.statistics, &(), NOON + number * MINUTE + 59 * SECOND);
    }
    assert_eq!(engine.alerts().count(), 0);
}

#[test]
fn an_alert_of_a_rule_that_was_removed_is_resolved() {
    let (mut engine, mut shop) = (engine(vec![failing()], Saved::default()), Shop::default());
    for number in 0..5 {
        minute(&mut engine, &mut shop, number, 40);
    }
    assert_eq!(engine.waiting("pager"), 1);
    let mut engine = self::engine(Vec::new(), engine.saved().clone());
    let evaluated = engine.evaluate(&shop.statistics, &(), NOON + 5 * MINUTE);
    assert_eq!(turns(&evaluated), [Status::Resolved]);
    assert!(evaluated.changes[0].entry.sentence.contains("its rule was removed"));
    assert_eq!((engine.waiting("pager"), engine.alerts().count()), (2, 0));
}

#[test]
fn latency_rate_silence_of_data_and_budget_are_measured() {
    let slow =
        json!({"name": "slow", "kind": "latency", "service": "shop", "threshold": "100ms", "window": "5m"});
    let fewer =
        json!({"name": "fewer", "kind": "rate-drop", "service": "shop", "threshold": "50%", "window": "5m"});
    let silent = json!({"name": "silent", "kind": "no-data", "service": "shop", "window": "5m"});
    let never = json!({"name": "never", "kind": "no-data", "service": "ghost", "window": "5m"});
    let budget = json!({"name": "budget", "kind": "burn-rate", "service": "shop", "objective": "99%", "latency": "100ms", "burn": [{"long": "1h", "short": "5m", "factor": 14.4}]});
    let rules: Vec<Rule> = [slow, fewer, silent, never, budget].into_iter().map(rule).collect();
    let (mut engine, mut shop) = (engine(rules, Saved::default()), Shop::default());
    let firing = |engine: &Engine| -> Vec<String> {
        let firing = engine.alerts().filter(|(_, alert)| alert.phase.is_firing());
        let mut names: Vec<String> = firing.map(|(_, alert)| alert.rule.clone()).collect();
        names.sort();
        names
    };
    let mut at = NOON;
    let mut pass = |engine: &mut Engine, shop: &mut Shop, minutes: u64, calls: u64, duration: u64| {
        for _ in 0..minutes {
            shop.minute(Call { duration, ..order() }, (calls, 0), at);
            engine.evaluate(&shop.statistics, &(), at + 59 * SECOND);
            at += MINUTE;
        }
    };
    pass(&mut engine, &mut shop, 90, 30, 20_000_000);
    assert_eq!(firing(&engine), ["never"]);
    // Slow: each call beyond 100 ms is a bad one. 14.4 times 1 % of the last hour are bad after nine minutes.
    pass(&mut engine, &mut shop, 10, 30, 300_000_000);
    assert_eq!(firing(&engine), ["budget", "never", "slow"]);
    let sentence = |engine: &Engine, rule: &str| -> String {
        let mut found = engine.alerts().filter(|(_, alert)| alert.rule == rule);
        found.next().unwrap().1.sentence.clone()
    };
    let slow = sentence(&engine, "slow");
    assert!(
        slow.starts_with("shop: p99 298 ms in the last 5 min (180 calls)")
            && slow.ends_with("threshold 100 ms"),
        "{slow}"
    );
    let burn = sentence(&engine, "budget");
    assert!(burn.contains("the error budget of 99 % burns 16") && burn.contains("(300 bad of 1,8"), "{burn}");
    // The short window ends what the long one would go on with.
    pass(&mut engine, &mut shop, 6, 30, 20_000_000);
    assert_eq!(firing(&engine), ["never"]);
    pass(&mut engine, &mut shop, 5, 5, 20_000_000);
    assert_eq!(firing(&engine), ["fewer", "never"]);
    let fewer = sentence(&engine, "fewer");
    assert!(
        fewer.contains("fewer calls in the last 5 min than in the hour before (55 instead of 1"),
        "{fewer}"
    );
    for _ in 0..7 {
        engine.evaluate(&shop.statistics, &(), at + 59 * SECOND);
        at += MINUTE;
    }
    assert_eq!(firing(&engine), ["fewer", "never", "silent"]);
    let silent = sentence(&engine, "silent");
    assert_eq!(silent, "shop: no call in the last 5 min");
}

#[test]
fn a_process_that_was_away_does_not_take_its_own_absence_for_silence() {
    let silent = json!({"name": "silent", "kind": "no-data", "service": "shop", "window": "5m"});
    let mut shop = Shop::default();
    shop.minute(order(), (10, 0), NOON);
    let started = NOON + HOUR;
    let mut engine = Engine::new(vec![rule(silent)], Vec::new(), 3, Saved::default(), started);
    engine.evaluate(&shop.statistics, &(), started + 4 * MINUTE);
    assert_eq!(engine.alerts().count(), 0);
    engine.evaluate(&shop.statistics, &(), started + 5 * MINUTE);
    assert_eq!(engine.alerts().count(), 1);
}

#[test]
fn a_notification_is_written_as_alertmanager_writes_it() {
    let (mut engine, mut shop) = (engine(vec![failing()], Saved::default()), Shop::default());
    for number in 0..4 {
        minute(&mut engine, &mut shop, number, 40);
    }
    let notification = engine.next("pager").unwrap();
    let body = webhook(notification, "pager", "http://viewer:16686");
    let labels = json!({
        "alertname": "orders fail", "operation": "POST /orders", "service": "shop", "severity": "page", "team": "checkout",
    });
    assert_eq!(
        (&body["version"], &body["status"], &body["receiver"]),
        (&json!("4"), &json!("firing"), &json!("pager"))
    );
    assert_eq!((&body["commonLabels"], &body["truncatedAlerts"]), (&labels, &json!(0)));
    assert!(body["groupKey"].as_str().unwrap().starts_with("{}:{alertname=\"orders fail\", operation="));
    let alert = &body["alerts"][0];
    assert_eq!(alert["labels"], labels);
    assert_eq!(alert["fingerprint"].as_str().unwrap().len(), 16);
    assert_eq!(alert["startsAt"], "2026-09-04T12:02:59Z");
    assert_eq!(alert["endsAt"], "0001-01-01T00:00:00Z");
    assert_eq!(alert["annotations"]["runbook_url"], "https://example.org/orders");
    let traces = alert["annotations"]["traces"].as_str().unwrap();
    assert!(traces.starts_with("http://viewer:16686/trace/0000"), "{traces}");
    let text = notification.text("http://viewer:16686");
    assert!(text.starts_with("FIRING orders fail: shop POST /orders: 80 % errors"), "{text}");
}
