//! Silences: alerts of which nobody is told for a time.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Nobody is told of alerts that fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its id.
    pub id: String,
    /// Alerts of this rule; `None`: of every rule.
    pub rule: Option<String>,
    /// That have all these labels.
    pub labels: BTreeMap<String, String>,
    /// Why.
    pub reason: String,
    /// Since when, in nanoseconds since 1970.
    pub created: u64,
    /// Until when.
    pub until: u64,
}

impl Silence {
    /// Whether an alert of this rule with these labels fits.
    pub fn fits(&self, rule: &str, labels: &BTreeMap<String, String>) -> bool {
        self.rule.as_deref().is_none_or(|wanted| wanted == rule)
            && self.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}
