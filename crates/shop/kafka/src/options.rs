//! How Kafka is reached, and what librdkafka is told about it.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;

/// How Kafka is reached and used.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// Addresses to begin with, `host:port` each; the cluster names the rest. At least one.
    pub brokers: Vec<String>,
    /// What this program is called in Kafka's logs and quotas. Default `waypost`.
    pub client_id: String,
    /// What the names of topics and consumer groups begin with in Kafka, so that several installations can share a
    /// cluster. Whoever uses the broker does not see it. Default: nothing.
    pub prefix: String,
    /// TLS; `None`: connections are not encrypted.
    pub tls: Option<Tls>,
    /// Who this program is; `None`: it does not log in.
    pub sasl: Option<Sasl>,
    /// Whether missing topics are made and settings of existing ones changed. Otherwise they are looked for and their
    /// absence is an error. Default true.
    pub create_topics: bool,
    /// Copies of each record in a topic that is made; `None`: the cluster's default.
    pub replication_factor: Option<u16>,
    /// How long a consumer may be out of reach before others take its partitions. Kafka allows 6 s to 30 min unless it is
    /// set up otherwise. Default 10 s.
    pub session_timeout: Duration,
    /// How long a consumer that is in reach may go without polling before others take its partitions
    /// (`max.poll.interval.ms`). At least the session time-out. Default 30 s.
    pub lease: Duration,
    /// How long a record may wait to be taken before it counts as not taken; it may be in the topic all the same. Keep it
    /// below half the lease of relays ([`waypost_durable::relay::RelayOptions::lease`]), so that no record of a relay
    /// comes after those of the one that took over from it. Default 4 s.
    pub publish_timeout: Duration,
    /// How long any other answer of Kafka is waited for. Default 5 s.
    pub request_timeout: Duration,
    /// Bytes of key and payload of one record; a larger one is refused for good. Default 1 MiB.
    pub max_record: usize,
}

impl KafkaOptions {
    /// The defaults for a cluster with these addresses.
    pub fn new(brokers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            brokers: brokers.into_iter().map(Into::into).collect(),
            client_id: "waypost".to_owned(),
            prefix: String::new(),
            tls: None,
            sasl: None,
            create_topics: true,
            replication_factor: None,
            session_timeout: Duration::from_secs(10),
            lease: Duration::from_secs(30),
            publish_timeout: Duration::from_secs(4),
            request_timeout: Duration::from_secs(5),
            max_record: 1024 * 1024,
        }
    }

    /// What every client of the cluster is told.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.brokers.join(","))
            .set("client.id", &self.client_id)
            .set("socket.keepalive.enable", "true")
            .set("socket.connection.setup.timeout.ms", millis(self.request_timeout.max(ONE_SECOND)))
            // A cluster that is back is found within a second, not within ten.
            .set("reconnect.backoff.max.ms", "1000")
            // A partition that was added is used within a minute, by every client.
            .set("topic.metadata.refresh.interval.ms", "60000")
            .set("message.max.bytes", self.max_message().to_string());
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(tls) = &self.tls {
            tls.apply(&mut config);
        }
        if let Some(sasl) = &self.sasl {
            sasl.apply(&mut config);
        }
        config
    }

    /// The producer of events.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            // Order by key over retries, and no record twice because of one.
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", millis(self.publish_timeout))
            // Batches form while earlier ones are on their way; nobody waits for company.
            .set("linger.ms", "0")
            // A topic that does not exist is said to be missing, and not waited for half a minute.
            .set("topic.metadata.propagation.max.ms", "1000")
            // Records without a key are asked about as well.
            .set("sticky.partitioning.linger.ms", "0");
        config
    }

    /// The producer of records that were refused: in a batch of several, one that is too large lets all of them be refused.
    pub(crate) fn single_producer(&self) -> ClientConfig {
        let mut config = self.producer();
        config.set("batch.num.messages", "1");
        config
    }

    /// A member of a consumer group.
    pub(crate) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.reader();
        config
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", millis(self.session_timeout))
            .set("heartbeat.interval.ms", millis(self.session_timeout / 4))
            .set("max.poll.interval.ms", millis(self.lease.max(self.session_timeout)))
            // A coordinator that is away is looked for every second (a tenth of this), not every minute.
            .set("coordinator.query.interval.ms", "10000");
        config
    }

    /// Whoever reads or looks without being a member of a group.
    pub(crate) fn reader(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            .set("isolation.level", "read_committed")
            .set("fetch.error.backoff.ms", "100")
            .set("fetch.queue.backoff.ms", "100")
            // Records that wait in memory, of each partition.
            .set("queued.min.messages", "1000")
            .set("queued.max.messages.kbytes", "8192");
        config
    }

    /// Whoever reads partitions from one end to the other.
    pub(crate) fn scanner(&self, group: &str) -> ClientConfig {
        let mut config = self.reader();
        config
            .set("group.id", group)
            .set("enable.partition.eof", "true")
            // The end is told at once.
            .set("fetch.wait.max.ms", "10");
        config
    }

    /// A producer of transactions; Kafka lets the newest of a name through.
    pub(crate) fn transactional(&self, name: &str) -> ClientConfig {
        let mut config = self.producer();
        // Readers of a topic wait for a transaction that its producer died in, so not for long.
        let timeout = self.publish_timeout.max(Duration::from_secs(10));
        config.set("transactional.id", name).set("transaction.timeout.ms", millis(timeout));
        config
    }

    /// Bytes of a record as Kafka counts them: with its headers and what the format adds.
    pub(crate) fn max_message(&self) -> usize {
        const HEADERS: usize = 64 * 1024;
        self.max_record.saturating_add(HEADERS).min(1_000_000_000)
    }
}

const ONE_SECOND: Duration = Duration::from_secs(1);

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// TLS to the brokers. Their certificates and names are always checked.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Certificates of those that are trusted, PEM; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// This program's own certificate chain, PEM, where the cluster asks for one. Goes with `key`.
    pub certificate: Option<PathBuf>,
    /// The private key of `certificate`, PEM, without a password.
    pub key: Option<PathBuf>,
}

impl Tls {
    /// librdkafka says only that a file is of no use, not which one.
    pub(crate) fn readable(&self) -> Result<(), String> {
        for file in [&self.ca, &self.certificate, &self.key].into_iter().flatten() {
            File::open(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        }
        Ok(())
    }

    fn apply(&self, config: &mut ClientConfig) {
        config.set("ssl.endpoint.identification.algorithm", "https");
        let files = [
            ("ssl.ca.location", &self.ca),
            ("ssl.certificate.location", &self.certificate),
            ("ssl.key.location", &self.key),
        ];
        for (name, file) in files {
            if let Some(file) = file {
                config.set(name, file.display().to_string());
            }
        }
    }
}

/// How a program logs in.
#[derive(Clone)]
pub struct Sasl {
    /// By which mechanism.
    pub mechanism: Mechanism,
    /// Its user.
    pub user: String,
    /// Its password.
    pub password: String,
}

impl Sasl {
    fn apply(&self, config: &mut ClientConfig) {
        config
            .set("sasl.mechanism", self.mechanism.name())
            .set("sasl.username", &self.user)
            .set("sasl.password", &self.password);
    }
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl")
            .field("mechanism", &self.mechanism)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// The mechanisms by which a user and a password are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// The password itself; only sensible with TLS.
    Plain,
    /// Proof of the password by SHA-256.
    ScramSha256,
    /// Proof of the password by SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}
