//! The expressions of `deploy/`: what rules record, what alerts watch, what panels show.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{deploy, yaml};
use crate::observability::list;

/// An expression, with where it stands.
pub(super) struct Expression {
    pub(super) place: String,
    pub(super) text: String,
    /// Labels that its legend or summary names.
    pub(super) names: BTreeSet<String>,
}

/// Every rule that records, and every alert.
pub(super) fn rules() -> Vec<Expression> {
    let files = ["prometheus/rules/recording.yml", "prometheus/rules/alerts.yml"].map(yaml);
    let groups = files.iter().flat_map(|file| list(&file["groups"]));
    let rules = groups.flat_map(|group| list(&group["rules"])).map(|rule| {
        let name = rule["record"].as_str().or(rule["alert"].as_str()).unwrap();
        let summary = rule["annotations"]["summary"].as_str().unwrap_or_default();
        Expression {
            place: name.to_owned(),
            text: rule["expr"].as_str().unwrap().to_owned(),
            names: labels_in(summary, "$labels."),
        }
    });
    rules.collect()
}

/// Every query of every panel, with the choices that a reader has made at its top.
pub(super) fn panels() -> Vec<Vec<Expression>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(deploy("grafana/dashboards")).unwrap() {
        let board: Value =
            serde_json::from_str(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
        for panel in list(&board["panels"]).iter().filter(|panel| panel["type"] != "row") {
            let place = format!("{}: {}", board["uid"].as_str().unwrap(), panel["title"].as_str().unwrap());
            let queries = list(&panel["targets"]).iter().map(|target| Expression {
                place: place.clone(),
                text: target["expr"]
                    .as_str()
                    .unwrap()
                    .replace("$__rate_interval", "5m")
                    .replace("$service", ".*"),
                names: labels_in(target["legendFormat"].as_str().unwrap(), "{{"),
            });
            found.push(queries.collect());
        }
    }
    found
}

/// The names behind a mark.
fn labels_in(text: &str, mark: &str) -> BTreeSet<String> {
    let names = text.split(mark).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest[..end].to_owned()
    });
    names.filter(|name| !name.is_empty()).collect()
}
