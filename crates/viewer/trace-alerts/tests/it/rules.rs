//! Rules as they are written, and what is refused.

use serde::Deserialize as _;
use waypost_trace_alerts::{Burn, Condition, FindingMeasure, Rule, RuleSettings, Scope};
use waypost_trace_analysis::FindingKind;
use waypost_trace_statistics::{Peer, PeerKind, Subject};

pub(crate) fn settings(rule: serde_json::Value) -> RuleSettings {
    RuleSettings::deserialize(rule).unwrap()
}

pub(crate) fn rule(rule: serde_json::Value) -> Rule {
    Rule::new(&settings(rule)).unwrap()
}

fn complaints(rule: serde_json::Value) -> Vec<&'static str> {
    Rule::new(&settings(rule)).unwrap_err().into_iter().map(|(key, _)| key).collect()
}

#[test]
fn thresholds_are_read_by_the_kind_of_the_rule() {
    let shares =
        rule(serde_json::json!({"name": "a", "kind": "error-share", "threshold": "5%", "resolve": 0.02}));
    assert_eq!(shares.condition, Condition::ErrorShare { above: 0.05, resolve: 0.02 });
    assert_eq!((shares.scope, shares.window), (Scope::EachService, 300_000_000_000));
    let slow = rule(serde_json::json!({
        "name": "b", "kind": "latency", "service": "shop", "operation": "POST /orders", "threshold": "1s", "quantile": 0.95,
        "for": "2m", "window": "10m", "min_calls": 5,
    }));
    let second = 1_000_000_000;
    assert_eq!(slow.condition, Condition::Latency { quantile: 0.95, above: second, resolve: second });
    assert_eq!((slow.timing.hold, slow.window, slow.min_calls), (120 * second, 600 * second, 5));
    let name = Some("POST /orders".into());
    assert_eq!(
        slow.scope,
        Scope::One(Subject::Operations { service: "shop".into(), name, kinds: Vec::new() })
    );
    let edge = rule(serde_json::json!({
        "name": "c", "kind": "no-data", "edge_from": "service:shop", "edge_to": "database:sqlite/orders",
    }));
    let (from, to) = (
        Peer { kind: PeerKind::Service, name: "shop".into() },
        Peer { kind: PeerKind::Database, name: "sqlite/orders".into() },
    );
    assert_eq!(edge.scope, Scope::One(Subject::Edge { from, to }));
    let slo =
        rule(serde_json::json!({"name": "d", "kind": "burn-rate", "service": "shop", "objective": "99.9%"}));
    let Condition::BurnRate { objective, latency: None, pairs } = slo.condition else { panic!("{slo:?}") };
    let minute = 60 * second;
    let pair = |long, short, factor| Burn { long: long * minute, short: short * minute, factor };
    assert_eq!(pairs, [pair(60, 5, 14.4), pair(360, 30, 6.0)]);
    assert!((objective - 0.999).abs() < 1e-12);
    let finding = |threshold: &str| {
        rule(serde_json::json!({"name": "f", "kind": "finding", "findings": ["retries"], "threshold": threshold})).condition
    };
    for (threshold, measure, above) in [
        ("20", FindingMeasure::Traces, 20.0),
        ("5%", FindingMeasure::Share, 0.05),
        ("10s", FindingMeasure::Lost, 1e10),
    ] {
        let kinds = vec![FindingKind::Retries];
        assert_eq!(finding(threshold), Condition::Finding { kinds, measure, above, resolve: above });
    }
    let each = rule(serde_json::json!({"name": "e", "kind": "anomaly", "service": "shop", "operation": "*"}));
    assert_eq!(each.scope, Scope::EachOperation("shop".into()));
}

#[test]
fn what_makes_no_sense_is_refused_by_its_key() {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    for (text, keys) in [
        (r#"{"name": "", "kind": "no-data"}"#, vec!["name"]),
        (r#"{"name": "a", "kind": "error-share"}"#, vec!["threshold"]),
        (r#"{"name": "a", "kind": "error-share", "threshold": "800ms"}"#, vec!["threshold"]),
        (r#"{"name": "a", "kind": "latency", "threshold": "5%"}"#, vec!["threshold"]),
        (r#"{"name": "a", "kind": "latency", "threshold": "1s", "quantile": 99}"#, vec!["quantile"]),
        (r#"{"name": "a", "kind": "error-share", "threshold": "5%", "resolve": "6%"}"#, vec!["resolve"]),
        (
            r#"{"name": "a", "kind": "no-data", "threshold": "5%", "quantile": 0.5}"#,
            vec!["threshold", "quantile"],
        ),
        (r#"{"name": "a", "kind": "burn-rate"}"#, vec!["objective"]),
        (r#"{"name": "a", "kind": "burn-rate", "objective": "100%"}"#, vec!["objective"]),
        (
            r#"{"name": "a", "kind": "burn-rate", "objective": 0.99, "burn": [{"long": "5m", "short": "1h", "factor": 2}]}"#,
            vec!["burn"],
        ),
        (r#"{"name": "a", "kind": "finding"}"#, vec!["threshold"]),
        (r#"{"name": "a", "kind": "finding", "threshold": "many"}"#, vec!["threshold"]),
        (r#"{"name": "a", "kind": "finding", "threshold": 5, "resolve": "5%"}"#, vec!["resolve"]),
        (
            r#"{"name": "a", "kind": "finding", "threshold": 5, "service": "x", "operation": "*"}"#,
            vec!["operation"],
        ),
        (r#"{"name": "a", "kind": "no-data", "findings": ["retries"]}"#, vec!["findings"]),
        (r#"{"name": "a", "kind": "no-data", "window": "30s"}"#, vec!["window"]),
        (r#"{"name": "a", "kind": "rate-drop", "threshold": 0.5, "window": "2h"}"#, vec!["window"]),
        (r#"{"name": "a", "kind": "no-data", "operation": "x"}"#, vec!["service"]),
        (r#"{"name": "a", "kind": "no-data", "edge_from": "service:x"}"#, vec!["edge_from"]),
        (
            r#"{"name": "a", "kind": "no-data", "edge_from": "service:x", "edge_to": "shelf:x"}"#,
            vec!["edge_to"],
        ),
        (r#"{"name": "a", "kind": "no-data", "runbook": "javascript:alert(1)"}"#, vec!["runbook"]),
    ] {
        assert_eq!(complaints(json(text)), keys, "{text}");
    }
}
