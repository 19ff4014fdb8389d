//! The broker section's part about Kafka. It is read and documented in every build; using it takes the feature `kafka`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use waypost_settings::{Complaint, Duration, settings};

use super::BrokerKind;

settings! {
    /// Kafka, for `kind = "kafka"`.
    pub(crate) struct Kafka {
        /// Addresses of the cluster to begin with, `host:port`, separated by commas.
        pub(crate) brokers: String = "127.0.0.1:9092".to_owned(),
        /// What this program is called in Kafka's logs and quotas.
        pub(crate) client_id: String = "waypost".to_owned(),
        /// What names of topics and consumer groups begin with, so that several installations can share a cluster.
        pub(crate) prefix: String = String::new(),
        /// Makes the topics that are missing and gives them their retention. Without it they are only looked for.
        pub(crate) create_topics: bool = true,
        /// Copies of each record in a topic that is made; 0 takes the cluster's default.
        pub(crate) replication_factor: u16 = 0,
        /// How long Kafka keeps an event, read or not: longer than any consumer is ever away. Dead letters are kept for ever.
        pub(crate) retention: Duration = Duration::from_secs(7 * 24 * 3600),
        /// How long a consumer may be out of reach before others take over. Kafka allows 6 s to 30 min as it comes.
        pub(crate) session_timeout: Duration = Duration::from_secs(10),
        /// How long a consumer that is in reach may go without asking for records before others take over
        /// (`max.poll.interval.ms`). A handler may take longer than that.
        pub(crate) poll_timeout: Duration = Duration::from_secs(30),
        /// How long an event may wait to be taken before it is tried anew. Less than 5 s, so that no event of a relay comes
        /// after those of its successor.
        pub(crate) publish_timeout: Duration = Duration::from_secs(4),
        /// How long any other answer of Kafka is waited for.
        pub(crate) request_timeout: Duration = Duration::from_secs(5),
        /// TLS to the cluster.
        pub(crate) tls: KafkaTls = KafkaTls::default(),
        /// How this program logs in to the cluster.
        pub(crate) sasl: KafkaSasl = KafkaSasl::default(),
    }
}

settings! {
    /// TLS to Kafka. Certificates and names of the cluster are always checked.
    pub(crate) struct KafkaTls {
        /// Whether connections are encrypted.
        pub(crate) enabled: bool = false,
        /// Certificates of the authorities that are trusted, a PEM file; those of the system when there is none.
        pub(crate) ca_file: Option<PathBuf> = None,
        /// This program's own certificate chain, a PEM file, where the cluster asks for one; with `key_file`.
        pub(crate) certificate_file: Option<PathBuf> = None,
        /// The private key of that certificate, a PEM file.
        pub(crate) key_file: Option<PathBuf> = None,
    }
}

settings! {
    /// How this program logs in to Kafka.
    pub(crate) struct KafkaSasl {
        /// `none`: it does not. `plain`: the password is sent, so TLS should be on. `scram-sha-256`, `scram-sha-512`: it is
        /// proven.
        pub(crate) mechanism: KafkaMechanism = KafkaMechanism::None,
        /// The user.
        pub(crate) user: String = String::new(),
        /// The file that holds the user's password. A line break at its end does not belong to it.
        pub(crate) password_file: Option<PathBuf> = None,
    }
}

/// How a user and a password are shown to Kafka.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KafkaMechanism {
    /// Not at all.
    #[default]
    None,
    /// The password itself.
    Plain,
    /// Proof of the password.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// Proof of the password.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

/// Half the lease of a relay.
const MAX_PUBLISH_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

impl Kafka {
    /// What cannot be used, for a broker of this kind.
    pub(super) fn check(&self, kind: BrokerKind) -> Vec<Complaint> {
        if kind != BrokerKind::Kafka {
            return Vec::new();
        }
        let mut complaints = Vec::new();
        let mut complain =
            |key: &str, reason: &str| complaints.push(Complaint::new(format!("broker.{key}"), reason));
        if cfg!(not(feature = "kafka")) {
            complain(
                "kind",
                "this program was built without Kafka; build it with `cargo build --release --features kafka`, which \
                 needs a C++ compiler and OpenSSL's headers (docs/operations.md, \"Kafka\"), or use `embedded`",
            );
        }
        if self.brokers.split(',').any(|broker| !is_address(broker.trim())) {
            complain("kafka.brokers", "must be `host:port`, several separated by commas");
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !self.prefix.chars().all(is_name) || self.prefix.len() > 100 {
            complain(
                "kafka.prefix",
                "must be up to 100 letters, digits and `._-`, as in the names of topics",
            );
        }
        if self.publish_timeout.get() >= MAX_PUBLISH_TIMEOUT || self.publish_timeout.get().is_zero() {
            complain("kafka.publish_timeout", "must be more than 0s and less than 5s");
        }
        if self.poll_timeout < self.session_timeout {
            complain("kafka.poll_timeout", "must be at least kafka.session_timeout");
        }
        if self.tls.certificate_file.is_some() != self.tls.key_file.is_some() {
            complain("kafka.tls.certificate_file", "a certificate and its key go together");
        }
        if !self.tls.enabled && (self.tls.ca_file.is_some() || self.tls.certificate_file.is_some()) {
            complain("kafka.tls.enabled", "files are given and TLS is off");
        }
        let logs_in = self.sasl.mechanism != KafkaMechanism::None;
        if logs_in && (self.sasl.user.is_empty() || self.sasl.password_file.is_none()) {
            complain("kafka.sasl.mechanism", "a mechanism takes a user and a password_file");
        }
        if !logs_in && !self.sasl.user.is_empty() {
            complain("kafka.sasl.user", "a user takes a mechanism");
        }
        complaints
    }
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}
