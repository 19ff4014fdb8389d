//! What outlives the process.

use crate::{machine::Phase, place::Place, silence::Silence, watch::Watch};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use waypost_trace_model::TraceId;

/// Everything that outlives the process. Serialises as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// Alerts that are pending or firing, by fingerprint.
    pub alerts: BTreeMap<String, Alert>,
    /// Silences that are not over.
    pub silences: Vec<Silence>,
    /// What fired and was resolved, the oldest first.
    pub history: VecDeque<Entry>,
    /// What each receiver has yet to be told, in order.
    pub queues: BTreeMap<String, VecDeque<Notification>>,
    /// Notifications that were given up because a queue was full, by receiver.
    pub given_up: BTreeMap<String, u64>,
    /// Anomalies.
    pub watch: Watch,
    /// Of the next id.
    pub sequence: u64,
}

/// An alert that is pending or firing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The name of its rule.
    pub rule: String,
    /// What it is about.
    pub place: Place,
    /// Names of rule and place, severity, and labels of the rule.
    pub labels: BTreeMap<String, String>,
    /// Its state.
    pub phase: Phase,
    /// The last figure; `None` when there is none.
    pub value: Option<f64>,
    /// The last figure in words.
    pub sentence: String,
    /// Example traces, of the moment when it began to fire.
    pub examples: Vec<TraceId>,
    /// Whether receivers were told that it fires.
    pub is_told: bool,
    /// The instance that had most of what was wrong when it began to fire, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// Whether an alert fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It does.
    Firing,
    /// It did.
    Resolved,
}

/// A change of an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When, in nanoseconds since 1970.
    pub at: u64,
    /// What it is now.
    pub status: Status,
    /// The name of its rule.
    pub rule: String,
    /// What it is about.
    pub place: Place,
    /// The figure in words.
    pub sentence: String,
    /// When it began to fire.
    pub fired: u64,
    /// Whether a silence kept it from receivers.
    pub is_silenced: bool,
    /// Example traces.
    pub examples: Vec<TraceId>,
}

/// What a receiver is to be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// The same each time that it is sent.
    pub id: String,
    /// Of the change, in nanoseconds since 1970.
    pub at: u64,
    /// What the alert is now.
    pub status: Status,
    /// 16 hexadecimal digits that stand for the labels.
    pub fingerprint: String,
    /// Names of rule and place, severity, and labels of the rule.
    pub labels: BTreeMap<String, String>,
    /// The name of its rule.
    pub rule: String,
    /// The figure in words.
    pub sentence: String,
    /// What it means.
    pub summary: String,
    /// Address of the run-book, or nothing.
    pub runbook: String,
    /// When it began to fire, in nanoseconds since 1970.
    pub fired: u64,
    /// Example traces.
    pub examples: Vec<TraceId>,
}
