//! Spans and metrics of Kafka, around the producers and consumers of `rdkafka`.
//!
//! [`Kafka`] says what is shown and makes both. A [`Producer`] sends records of `rdkafka` with the context of their span in
//! the headers; the span ends when the broker's answer is there, also if nobody waits for it. A [`Consumer`] runs the
//! processing of a message in a span that is linked to it or continues its trace, one or several at a time, and commits
//! in spans. What librdkafka counts by itself, lag above all, is shown as metrics.
//! Bodies are never recorded, keys only where asked for.
//! Left out: transactions, and spans for asking the broker, which librdkafka does beside the program.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use rdkafka::ClientConfig;
//! use rdkafka::consumer::{CommitMode, Consumer as _};
//! use rdkafka::producer::FutureRecord;
//!
//! let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
//! let mut config = ClientConfig::new();
//! config.set("bootstrap.servers", "127.0.0.1:9092");
//!
//! let producer = telemetry.kafka().producer(&config)?;
//! let record = FutureRecord::to("orders").key("order-1").payload("placed");
//! producer.send(record, Duration::from_secs(5)).await.map_err(|(error, _)| error)?;
//!
//! let consumer = telemetry.kafka().consumer(config.set("group.id", "mail"))?;
//! consumer.subscribe(&["orders"])?;
//! let message = consumer.recv().await?;
//! consumer.process(&message, async { Ok::<(), std::io::Error>(()) }).await?;
//! consumer.commit_message(&message, CommitMode::Async)?;
//! # Ok(())
//! # }
//! ```

mod consumer;
mod context;
mod headers;
mod producer;
mod statistics;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Context;
use rdkafka::ClientConfig;
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{ConsumerContext, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::Message;
use rdkafka::producer::ThreadedProducer;

use super::{Correlation, MessageSpan, Metrics};
use crate::core::handle::Telemetry;
pub use consumer::Consumer;
pub use context::Observing;
pub use headers::extract;
pub use producer::{DeliveryFuture, Producer};
use statistics::{Client, Statistics};

/// `messaging.system`.
const SYSTEM: &str = "kafka";

/// How often librdkafka tells its statistics, if its configuration does not say.
const STATISTICS: Duration = Duration::from_secs(15);

/// The option of librdkafka that says so.
const STATISTICS_INTERVAL: &str = "statistics.interval.ms";

/// What is shown of Kafka, and what makes producers and consumers. Cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use waypost_telemetry::messaging::Correlation;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("mail");
/// let kafka = telemetry
///     .kafka()
///     .server("kafka.internal", 9092)
///     .correlation(Correlation::Parent)
///     .record_keys(true)
///     .statistics(Duration::from_secs(5));
/// assert!(format!("{kafka:?}").contains("kafka.internal"));
/// ```
#[derive(Clone, Debug)]
pub struct Kafka {
    telemetry: Telemetry,
    server: Option<(Arc<str>, Option<u16>)>,
    correlation: Correlation,
    records_keys: bool,
    statistics: Duration,
}

/// What the spans and metrics of one client have in common.
#[derive(Debug)]
struct Shared {
    kafka: Kafka,
    client: Arc<Client>,
    metrics: Metrics,
}

impl Kafka {
    /// Clients whose operations are spans of this handle; the same as [`Telemetry::kafka`].
    pub fn new(telemetry: &Telemetry) -> Self {
        Self {
            telemetry: telemetry.clone(),
            server: None,
            correlation: Correlation::default(),
            records_keys: false,
            statistics: STATISTICS,
        }
    }

    /// `server.address` and `server.port`, if they are not to be those of the first bootstrap server.
    #[must_use]
    pub fn server(mut self, address: impl Into<Arc<str>>, port: u16) -> Self {
        self.server = Some((address.into(), Some(port)));
        self
    }

    /// How the processing of a message belongs to the message's trace. [`Correlation::Link`] unless said.
    #[must_use]
    pub fn correlation(mut self, correlation: Correlation) -> Self {
        self.correlation = correlation;
        self
    }

    /// Whether spans show the keys of messages. Not unless said: keys often hold ids of persons.
    #[must_use]
    pub fn record_keys(mut self, records_keys: bool) -> Self {
        self.records_keys = records_keys;
        self
    }

    /// How often librdkafka tells its statistics where its option `statistics.interval.ms` is not set, 15 seconds unless
    /// said; [`Duration::ZERO`] is never.
    #[must_use]
    pub fn statistics(mut self, every: Duration) -> Self {
        self.statistics = every;
        self
    }

    /// A producer.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn producer(&self, config: &ClientConfig) -> KafkaResult<Producer> {
        self.producer_with_context(config, DefaultClientContext)
    }

    /// A producer that tells its errors, log lines and statistics to a context of one's own, too.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn producer_with_context<C: ClientContext + 'static>(
        &self,
        config: &ClientConfig,
        context: C,
    ) -> KafkaResult<Producer<C>> {
        let (config, told) = self.observed(config);
        let shared = self.shared(&config);
        let context = producer::Reports::new(context, told, &shared);
        Ok(Producer::new(shared, ThreadedProducer::from_config_and_context(&config, context)?))
    }

    /// A consumer, which reads what librdkafka tells of it. It needs a tokio runtime.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn consumer(&self, config: &ClientConfig) -> KafkaResult<Consumer<Observing>> {
        let (config, _) = self.observed(config);
        let shared = self.shared(&config);
        let context = Observing::new(&shared.client);
        Ok(Consumer::new(shared, StreamConsumer::from_config_and_context(&config, context)?))
    }

    /// A consumer that was made with a context of one's own, and with this configuration. Its statistics reach only that
    /// context; [`Observing`] shows them as metrics if it is told.
    pub fn wrap<C: ConsumerContext + 'static>(
        &self,
        consumer: StreamConsumer<C>,
        config: &ClientConfig,
    ) -> Consumer<C> {
        Consumer::new(self.shared(config), consumer)
    }

    /// For a context of one's own: told of the statistics of a client with this configuration, it shows them as metrics.
    ///
    /// ```
    /// use rdkafka::{ClientConfig, Statistics};
    ///
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("mail");
    /// let observing = telemetry.kafka().observing(ClientConfig::new().set("client.id", "mail-1"));
    /// // In `ClientContext::stats`:
    /// observing.observe(&Statistics { msg_cnt: 3, client_type: "producer".to_owned(), ..Statistics::default() });
    /// let page = waypost_telemetry::metrics::render_prometheus(&[telemetry.handle().clone()]);
    /// assert!(page.contains("waypost_kafka_producer_queue_messages"));
    /// ```
    pub fn observing(&self, config: &ClientConfig) -> Observing {
        Observing::new(&self.shared(config).client)
    }

    /// The configuration with statistics, and whether the program asked for them itself.
    fn observed(&self, config: &ClientConfig) -> (ClientConfig, bool) {
        let mut config = config.clone();
        let is_set = config.get(STATISTICS_INTERVAL).is_some();
        if !is_set && !self.statistics.is_zero() {
            config.set(STATISTICS_INTERVAL, self.statistics.as_millis().to_string());
        }
        (config, is_set)
    }

    fn shared(&self, config: &ClientConfig) -> Arc<Shared> {
        let servers = config.get("bootstrap.servers").or_else(|| config.get("metadata.broker.list"));
        let server = self.server.clone().or_else(|| servers.and_then(first_server));
        let mut metrics = Metrics::new(&self.telemetry, SYSTEM);
        if let Some((address, port)) = &server {
            metrics = metrics.server(&**address, *port);
        }
        let client = Client {
            id: config.get("client.id").unwrap_or("rdkafka").into(),
            group: config.get("group.id").map(Into::into),
            statistics: Statistics::default(),
        };
        let client = statistics::observed(&self.telemetry, client);
        Arc::new(Shared { kafka: Self { server, ..self.clone() }, client, metrics })
    }
}

impl Shared {
    fn telemetry(&self) -> &Telemetry {
        &self.kafka.telemetry
    }

    /// What is current, as far as it is known to this handle.
    fn current(&self) -> Context {
        self.telemetry().carried_by(Context::current())
    }

    /// A span with what all of this client have in common.
    fn completed(&self, span: MessageSpan) -> MessageSpan {
        let span = span.attr("messaging.client.id", self.client.id.to_string());
        match &self.kafka.server {
            Some((address, port)) => span.server(&**address, *port),
            None => span,
        }
    }

    /// With what a message says of itself.
    fn of_message(&self, span: MessageSpan, key: Option<&[u8]>, is_tombstone: bool) -> MessageSpan {
        let span = if is_tombstone { span.tombstone() } else { span };
        match key.filter(|_| self.kafka.records_keys) {
            Some(key) => span.key(String::from_utf8_lossy(key).into_owned()),
            None => span,
        }
    }

    /// With where a message is, and the group that it is read in.
    fn of_received(&self, span: MessageSpan, message: &impl Message) -> MessageSpan {
        let span = span.partition(message.partition()).offset(message.offset());
        self.of_message(span, message.key(), message.payload().is_none())
    }

    fn group(&self) -> &str {
        self.client.group.as_deref().unwrap_or_default()
    }

    fn in_group(&self, span: MessageSpan) -> MessageSpan {
        match &self.client.group {
            Some(group) => span.group(group.to_string()),
            None => span,
        }
    }
}

impl Telemetry {
    /// Producers and consumers of Kafka whose operations are spans of this handle.
    pub fn kafka(&self) -> Kafka {
        Kafka::new(self)
    }
}

/// The first of `a:9092,b:9092`, which may have a protocol in front.
fn first_server(servers: &str) -> Option<(Arc<str>, Option<u16>)> {
    let first = servers.split(',').next()?.trim();
    let first = first.split_once("://").map_or(first, |(_, address)| address);
    let (address, port) = match first.rsplit_once(':') {
        Some((address, port)) => (address, port.parse().ok()),
        None => (first, None),
    };
    let address = address.trim_matches(['[', ']']);
    (!address.is_empty()).then(|| (address.into(), port))
}

/// What several messages come from: their topic, or all of them.
fn topics<'a>(topics: impl Iterator<Item = &'a str>) -> Cow<'a, str> {
    let mut names: Vec<&str> = topics.collect();
    names.sort_unstable();
    names.dedup();
    match names.as_slice() {
        [only] => Cow::Borrowed(only),
        several => Cow::Owned(several.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bootstrap_server_is_the_server() {
        assert_eq!(first_server("a:9092, b:9093"), Some(("a".into(), Some(9092))));
        assert_eq!(first_server("SSL://[::1]:9093"), Some(("::1".into(), Some(9093))));
        assert_eq!(first_server("kafka"), Some(("kafka".into(), None)));
        assert_eq!(first_server(""), None);
    }

    #[test]
    fn topics_are_named_once() {
        assert_eq!(topics(["b", "a", "b"].into_iter()), "a,b");
        assert_eq!(topics(["a", "a"].into_iter()), "a");
    }
}
