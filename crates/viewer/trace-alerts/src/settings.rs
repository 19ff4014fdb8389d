//! Rules as they are written in the configuration.

use serde::{Deserialize, Deserializer, Serialize, de};
use std::{collections::BTreeMap, fmt};
use waypost_settings::{Duration, Ratio};
use waypost_trace_analysis::FindingKind;
use waypost_trace_model::Kind;

/// What a rule measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleKind {
    /// The part of the calls that failed.
    ErrorShare,
    /// A quantile of latencies.
    Latency,
    /// By which part there are fewer calls than in the hour before.
    RateDrop,
    /// No call at all.
    NoData,
    /// How fast the error budget of an objective is used up, over two windows each.
    BurnRate,
    /// A change against the usual that the viewer found by itself.
    Anomaly,
    /// Traces that show something that is worth changing.
    Finding,
}

/// A number, a share such as `5%` or a duration such as `800ms`: which one is said by the kind of the rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Threshold(pub String);

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Threshold, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Threshold;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share such as \"5%\" or a duration such as \"800ms\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Threshold, E> {
                Ok(Threshold(text.to_owned()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Threshold, E> {
                Ok(Threshold(number.to_string()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Threshold, E> {
                Ok(Threshold(number.to_string()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Threshold, E> {
                Ok(Threshold(number.to_string()))
            }
        }

        from.deserialize_any(Text)
    }
}

/// Two windows over which the budget must burn faster than a factor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BurnSettings {
    /// The window that shows that it matters.
    pub long: Duration,
    /// The window that shows that it goes on.
    pub short: Duration,
    /// How many times faster than the objective allows.
    pub factor: f64,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSettings {
    /// Its name, unique among the rules.
    pub name: String,
    /// What it measures.
    pub kind: RuleKind,
    /// The service; without it and without an edge each service is an alert of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The operation of that service; `*`: each operation that is entered from outside is an alert of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The kind of the operation's spans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_kind: Option<Kind>,
    /// Who calls, as the map names it: `service:order-service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge_from: Option<String>,
    /// Who is called: `database:sqlite/orders`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge_to: Option<String>,
    /// The time that is looked at, up to now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Duration>,
    /// Beyond it the rule holds: a share, for latencies a duration, for findings also a number of traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// At or below it a firing alert is resolved; by default at the threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve: Option<Threshold>,
    /// How long it must hold before it fires.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
    /// With fewer calls in the window nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_calls: Option<u64>,
    /// Of latencies, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,
    /// The part of the calls that must be good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<Ratio>,
    /// A call that takes longer is not good; without it a good call is one that did not fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Duration>,
    /// The windows of a burn rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub burn: Vec<BurnSettings>,
    /// The kinds of findings; without them all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingKind>,
    /// A word for whoever is told, such as `page` or `ticket`.
    #[serde(default = "warning")]
    pub severity: String,
    /// What it means and what to do first.
    #[serde(default)]
    pub summary: String,
    /// Address of the run-book.
    #[serde(default)]
    pub runbook: String,
    /// Labels beside those of the place.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

fn warning() -> String {
    "warning".to_owned()
}
