//! A notification in the form of Alertmanager's webhook, version 4.

use crate::{
    saved::{Notification, Status},
    words,
};
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use waypost_trace_model::TraceId;

/// The body for a receiver. `external_url` is the address of the viewer, without a slash at its end.
///
/// Each notification is a group of its own, of one alert. `startsAt` is when it began to fire, `endsAt` when it was resolved;
/// while it fires `endsAt` is the time of the year 1 that stands for none.
pub fn webhook(notification: &Notification, receiver: &str, external_url: &str) -> Value {
    let Notification { status, labels, fingerprint, fired, at, .. } = notification;
    let status_name = match status {
        Status::Firing => "firing",
        Status::Resolved => "resolved",
    };
    let ends_at = match status {
        Status::Firing => "0001-01-01T00:00:00Z".to_owned(),
        Status::Resolved => rfc3339(*at),
    };
    let annotations = annotations(notification, external_url);
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    json!({
        "version": "4",
        "groupKey": format!("{{}}:{{{}}}", pairs.join(", ")),
        "truncatedAlerts": 0,
        "status": status_name,
        "receiver": receiver,
        "groupLabels": labels,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": external_url,
        "alerts": [{
            "status": status_name,
            "labels": labels,
            "annotations": annotations,
            "startsAt": rfc3339(*fired),
            "endsAt": ends_at,
            "generatorURL": format!("{external_url}/alerts"),
            "fingerprint": fingerprint,
        }],
    })
}

fn annotations(notification: &Notification, external_url: &str) -> Value {
    let Notification { sentence, summary, runbook, examples, .. } = notification;
    let trace = |id: &TraceId| format!("{external_url}/trace/{id}");
    let traces: Vec<String> = examples.iter().map(trace).collect();
    let all = [
        ("description", sentence.clone()),
        ("summary", summary.clone()),
        ("runbook_url", runbook.clone()),
        ("traces", traces.join(" ")),
    ];
    let there = all.into_iter().filter(|(_, text)| !text.is_empty());
    there.map(|(name, text)| (name.to_owned(), Value::from(text))).collect::<Map<_, _>>().into()
}

/// In UTC, with as many decimals as there are.
fn rfc3339(nanoseconds: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds.into()).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

impl Notification {
    /// One line: `FIRING orders fail: api-gateway: 7.1 % errors ...`.
    pub fn headline(&self) -> String {
        let status = match self.status {
            Status::Firing => "FIRING",
            Status::Resolved => "RESOLVED",
        };
        format!("{status} {}: {}", self.rule, self.sentence)
    }

    /// The whole, in lines.
    pub fn text(&self, external_url: &str) -> String {
        let mut lines = vec![self.headline(), String::new()];
        if !self.summary.is_empty() {
            lines.extend([self.summary.clone(), String::new()]);
        }
        lines.push(format!("Firing since: {}", rfc3339(self.fired)));
        if self.status == Status::Resolved {
            let lasted = words::time(self.at.saturating_sub(self.fired));
            lines.push(format!("Resolved:     {} (after {lasted})", rfc3339(self.at)));
        }
        lines.extend(self.labels.iter().map(|(name, value)| format!("{name}: {value}")));
        if !self.runbook.is_empty() {
            lines.push(format!("Run-book: {}", self.runbook));
        }
        lines.extend(self.examples.iter().map(|id| format!("Trace: {external_url}/trace/{id}")));
        lines.push(format!("All alerts: {external_url}/alerts"));
        lines.join("\n")
    }
}
