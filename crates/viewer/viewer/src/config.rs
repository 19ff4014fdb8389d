//! What can be set.

use crate::alerts::AlertSettings;
use serde::{Deserialize, Serialize};
use waypost_settings::{ByteSize, Complaint, Duration, Secret, settings};
use waypost_trace_intake as intake;
use waypost_trace_store as store;

/// A token that somebody chose is at least this long.
const SHORTEST_TOKEN: usize = 16;

/// The files of the store have some hundred KiB before there is a span in them.
const SMALLEST_BUDGET: u64 = 1 << 20;

settings! {
    /// The viewer: intake, store, query APIs and page.
    pub struct Config {
        /// The token that is asked for on every listener beyond loopback, at least 16 characters. Unset: a random one is
        /// made at the start, and the link that holds it is printed.
        pub token: Option<Secret<String>> = None,
        /// Names beside `localhost` and the bound address by which browsers and tools may call a listener on loopback,
        /// for example the name that a proxy passes on. Other names are refused, as a page of another origin can make
        /// its own name point to this machine (DNS rebinding).
        pub hosts: Vec<String> = Vec::new(),
        /// The path below which a proxy serves the page and takes it off again, such as `/traces`; empty: at the root. The
        /// page's own addresses, its files and its API are asked for below it.
        pub base_path: String = String::new(),
        /// Whether spans are taken without the token on listeners beyond loopback. Reading needs it always.
        pub open_intake: bool = false,
        /// What is kept, and for how long.
        pub store: StoreSettings = StoreSettings::default(),
        /// What is taken.
        pub intake: intake::Settings = intake::Settings::default(),
        /// How much is answered at once.
        pub limits: AnswerLimits = AnswerLimits::default(),
        /// Alerts, anomalies and pinned traces.
        pub alerts: AlertSettings = AlertSettings::default(),
    }
}

/// When what was written is forced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Before each answer: a power cut loses nothing that was acknowledged.
    #[default]
    Always,
    /// Once a second: a power cut may lose the last second; the end of the process, however sudden, loses nothing.
    EverySecond,
}

settings! {
    /// What is kept, and for how long.
    pub struct StoreSettings {
        /// Bytes on the disk; the oldest spans of the services that take the most room go first. Without a data folder
        /// spans are kept in memory, at most 256 MiB of them.
        pub budget: ByteSize = ByteSize::mib(10 * 1024),
        /// Time after which spans are dropped; 0: they are kept while there is room.
        pub keep: Duration = Duration::from_secs(0),
        /// Spans of one trace; more are refused and counted.
        pub spans_per_trace: u64 = 1_000_000,
        /// Spans that are gathered in memory before they are written as one block.
        pub head_spans: usize = 8192,
        /// Bytes on their way to the disk; more are refused with the request to try again.
        pub pending: ByteSize = ByteSize::mib(64),
        /// `always` or `every-second`: when what was written is forced to the disk. Either way nothing that was
        /// acknowledged is lost when the process is killed; with `always` also when the power fails.
        pub sync: Durability = Durability::Always,
    }
}

settings! {
    /// How much is answered at once.
    pub struct AnswerLimits {
        /// Reads of the store at once, over all query APIs and the page; further ones wait.
        pub reads: usize = 4,
        /// Time that a read waits for its turn; one that has none by then is answered 503.
        pub read_wait: Duration = Duration::from_secs(5),
        /// Time for one read; longer ones are answered 503.
        pub read_time: Duration = Duration::from_secs(30),
        /// Bytes of large answers that are made and not read yet, together; one that does not fit beside the others is
        /// answered 503. An answer that is larger than this has to be the only one.
        pub unread: ByteSize = ByteSize::mib(128),
        /// Live tails at once.
        pub tails: usize = 64,
        /// Imports and exports at once.
        pub transfers: usize = 2,
        /// Bytes of one import.
        pub import_size: ByteSize = ByteSize::mib(64),
        /// Time for an import's body to arrive.
        pub import_time: Duration = Duration::from_secs(60),
    }
}

impl Config {
    /// Rules between values that types cannot state.
    pub fn check(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let token = self.token.as_ref().map(Secret::expose);
        if token.is_some_and(|token| token.chars().count() < SHORTEST_TOKEN) {
            let reason = format!("has fewer than {SHORTEST_TOKEN} characters; leave it out to have one made");
            complaints.push(Complaint::new("token", reason));
        }
        for host in &self.hosts {
            if host.is_empty() || host.contains(['/', ' ', '*', '@']) {
                let reason =
                    format!("`{host}` is not a host name; write it without scheme, path and wildcard");
                complaints.push(Complaint::new("hosts", reason));
            }
        }
        if !is_base_path(&self.base_path) {
            let reason = "must be empty, or begin with `/`, not end with one, and have only letters, digits and `-._~/`";
            complaints.push(Complaint::new("base_path", reason));
        }
        let none = self.must_be_something().into_iter().filter(|(_, is_nothing)| *is_nothing);
        complaints.extend(none.map(|(key, _)| Complaint::new(key, "must be more than nothing")));
        if self.store.budget.get() < SMALLEST_BUDGET {
            let reason = "must be at least 1MiB; with less, spans are dropped as they come";
            complaints.push(Complaint::new("store.budget", reason));
        }
        complaints.extend(self.alerts.check().into_iter().map(|complaint| complaint.under("alerts")));
        complaints
    }

    /// What refuses every request when it is nothing, and whether it is.
    fn must_be_something(&self) -> [(&'static str, bool); 15] {
        let Config { store, intake, limits, .. } = self;
        [
            ("store.head_spans", store.head_spans == 0),
            ("store.pending", store.pending.get() == 0),
            ("store.spans_per_trace", store.spans_per_trace == 0),
            ("intake.body_size", intake.body_size.get() == 0),
            ("intake.body_timeout", intake.body_timeout.get().is_zero()),
            ("intake.in_flight", intake.in_flight.get() == 0),
            ("intake.calls", intake.calls == 0),
            ("intake.limits.records", intake.limits.records == 0),
            ("limits.reads", limits.reads == 0),
            ("limits.read_time", limits.read_time.get().is_zero()),
            ("limits.unread", limits.unread.get() == 0),
            ("limits.tails", limits.tails == 0),
            ("limits.transfers", limits.transfers == 0),
            ("limits.import_size", limits.import_size.get() == 0),
            ("limits.import_time", limits.import_time.get().is_zero()),
        ]
    }
}

/// What can be written into an address and a page as it is.
fn is_base_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.is_empty()
        || path.starts_with('/') && !path.ends_with('/') && !path.contains("//") && path.bytes().all(is_plain)
}

impl StoreSettings {
    /// As the store takes them.
    pub(crate) fn settings(&self) -> store::Settings {
        store::Settings {
            budget_bytes: self.budget.get(),
            keeps_for: self.keep.get(),
            spans_per_trace: self.spans_per_trace,
            head_spans: self.head_spans,
            pending_bytes: self.pending.as_usize(),
            sync: match self.sync {
                Durability::Always => store::Durability::Always,
                Durability::EverySecond => store::Durability::EverySecond,
            },
            ..store::Settings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_configuration_has_nothing_to_complain_about() {
        assert_eq!(Config::default().check(), []);
    }

    #[test]
    fn a_short_token_a_wildcard_host_and_a_limit_of_nothing_are_named() {
        let config = Config {
            token: Some(Secret::new("fifteen letters".to_owned())),
            hosts: vec!["*.example.org".to_owned(), "traces.example.org".to_owned()],
            limits: AnswerLimits { tails: 0, ..AnswerLimits::default() },
            ..Config::default()
        };
        let keys: Vec<String> = config.check().into_iter().map(|complaint| complaint.key).collect();
        assert_eq!(keys, ["token", "hosts", "limits.tails"]);
    }

    #[test]
    fn a_base_path_is_one_that_can_stand_in_an_address() {
        for path in ["", "/traces", "/a/b-c.d_e~f"] {
            assert!(is_base_path(path), "{path}");
        }
        for path in ["/", "traces", "/traces/", "//evil.example", "/a//b", "/a b", "/\"><script>", "/a?b"] {
            assert!(!is_base_path(path), "{path}");
        }
    }

    #[test]
    fn a_viewer_that_could_take_or_answer_nothing_is_not_started() {
        let config = Config {
            store: StoreSettings {
                budget: ByteSize::kib(1023),
                spans_per_trace: 0,
                pending: ByteSize::bytes(0),
                ..StoreSettings::default()
            },
            intake: intake::Settings {
                calls: 0,
                in_flight: ByteSize::bytes(0),
                body_timeout: Duration::from_secs(0),
                ..intake::Settings::default()
            },
            limits: AnswerLimits { read_time: Duration::from_secs(0), ..AnswerLimits::default() },
            ..Config::default()
        };
        let keys: Vec<String> = config.check().into_iter().map(|complaint| complaint.key).collect();
        let wrong = [
            "store.pending",
            "store.spans_per_trace",
            "intake.body_timeout",
            "intake.in_flight",
            "intake.calls",
            "limits.read_time",
            "store.budget",
        ];
        assert_eq!(keys, wrong);
    }
}
