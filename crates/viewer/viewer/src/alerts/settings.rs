//! What can be set of alerts, receivers and pinned traces.

use super::receivers::ReceiverSettings;
use std::collections::BTreeSet;
use waypost_settings::{ByteSize, Complaint, Duration, settings};
use waypost_trace_alerts::{Receiver, Rule, RuleSettings};

settings! {
    /// Alerts, anomalies and pinned traces.
    pub struct AlertSettings {
        /// Time between two evaluations of the rules.
        pub every: Duration = Duration::from_secs(15),
        /// Rules, one `[[viewer.alerts.rules]]` each: `name`, `kind` (`error-share`, `latency`, `rate-drop`, `no-data`, `burn-rate`,
        /// `anomaly`, `finding`), what it is about (`service`, `operation`, `span_kind`, or `edge_from` and `edge_to`), `threshold`, `resolve`,
        /// `window`, `for`, `min_calls`, `quantile`, `objective`, `latency`, `burn`, `findings`, `severity`, `summary`, `runbook`, `labels`.
        /// docs/alerts.md says what they mean.
        pub rules: Vec<RuleSettings> = Vec::new(),
        /// Who is told, one `[[viewer.alerts.receivers]]` each: `name`, `kind` (`webhook`, `mail` or `log`), `severities`,
        /// `timeout`, `ca_file`; for a webhook `url`, `secret_file`, `bearer_file`; for mails `server`, `port`, `tls`, `from`, `to`,
        /// `username`, `password_file`. docs/alerts.md says what they mean.
        pub receivers: Vec<ReceiverSettings> = Vec::new(),
        /// The viewer's address as whoever is told reaches it, without a slash at its end; empty: where it listens.
        pub external_url: String = String::new(),
        /// Example traces of an alert, which are pinned when it begins to fire.
        pub examples: usize = 3,
        /// Pinned traces at most. At the bound an alert's oldest makes room; a person is refused.
        pub pins: usize = 200,
        /// Bytes of pinned traces at most.
        pub pin_size: ByteSize = ByteSize::mib(64),
    }
}

impl AlertSettings {
    /// Rules between values that types cannot state.
    pub(crate) fn check(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let mut complain = |key: String, reason: String| complaints.push(Complaint::new(&key, reason));
        if self.every.get().is_zero() {
            complain("every".to_owned(), "must be more than nothing".to_owned());
        }
        let mut names = BTreeSet::new();
        for (settings, number) in self.rules.iter().zip(1..) {
            let name = &settings.name;
            if !names.insert(name) {
                complain("rules".to_owned(), format!("rule {number} has the name `{name}` of another rule"));
            }
            for (key, reason) in Rule::new(settings).err().unwrap_or_default() {
                complain("rules".to_owned(), format!("rule {number} (`{name}`): `{key}` {reason}"));
            }
        }
        let mut names = BTreeSet::new();
        for (settings, number) in self.receivers.iter().zip(1..) {
            let name = &settings.name;
            if name.is_empty() || !names.insert(name) {
                let reason = format!("receiver {number} must have a name that no other receiver has");
                complain("receivers".to_owned(), reason);
            }
            for (key, reason) in settings.wrong() {
                complain("receivers".to_owned(), format!("receiver {number} (`{name}`): `{key}` {reason}"));
            }
        }
        let url = &self.external_url;
        let is_address = url.starts_with("http://") || url.starts_with("https://");
        if !url.is_empty() && (!is_address || url.ends_with('/')) {
            let reason = "must begin with http:// or https:// and not end with a slash";
            complain("external_url".to_owned(), reason.to_owned());
        }
        complaints
    }

    /// The rules that make sense: all of them, once the configuration was checked.
    pub(crate) fn rules(&self) -> Vec<Rule> {
        self.rules.iter().filter_map(|settings| Rule::new(settings).ok()).collect()
    }

    pub(crate) fn receivers(&self) -> Vec<Receiver> {
        let receiver = |settings: &ReceiverSettings| Receiver {
            name: settings.name.clone(),
            severities: settings.severities.clone(),
        };
        self.receivers.iter().map(receiver).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::receivers::ReceiverKind, *};

    #[test]
    fn rules_and_receivers_that_make_no_sense_are_named() {
        let rule = |text: &str| serde_json::from_str::<RuleSettings>(text).unwrap();
        let settings = AlertSettings {
            rules: vec![
                rule(r#"{"name": "a", "kind": "no-data"}"#),
                rule(r#"{"name": "a", "kind": "error-share"}"#),
            ],
            receivers: vec![
                ReceiverSettings {
                    url: "https://user:password@example.org/".to_owned(),
                    ..ReceiverSettings::new("pager", ReceiverKind::Webhook)
                },
                ReceiverSettings::new("pager", ReceiverKind::Log),
            ],
            external_url: "http://viewer/".to_owned(),
            ..AlertSettings::default()
        };
        let said: Vec<String> = settings
            .check()
            .into_iter()
            .map(|complaint| format!("{}: {}", complaint.key, complaint.reason))
            .collect();
        let begins = [
            "rules: rule 2 has the name `a`",
            "rules: rule 2 (`a`): `threshold` must be given",
            "receivers: receiver 1 (`pager`): `url` must be an address",
            "receivers: receiver 2 must have a name",
            "external_url: must begin",
        ];
        assert_eq!(said.len(), begins.len(), "{said:?}");
        assert!(said.iter().zip(begins).all(|(said, begin)| said.starts_with(begin)), "{said:?}");
        assert_eq!(AlertSettings::default().check(), []);
    }
}
