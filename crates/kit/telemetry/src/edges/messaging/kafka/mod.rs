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
mod delivery;
mod headers;
mod producer;
mod shared;
mod statistics;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{ConsumerContext, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::producer::ThreadedProducer;

use super::Correlation;
use crate::core::handle::Telemetry;
pub use consumer::Consumer;
pub use context::Observing;
pub use delivery::DeliveryFuture;
pub use headers::extract;
pub use producer::Producer;
use shared::Shared;

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
        let shared = Shared::of(self, &config);
        let context = delivery::Reports::new(context, told, &shared);
        Ok(Producer::new(shared, ThreadedProducer::from_config_and_context(&config, context)?))
    }

    /// A consumer, which reads what librdkafka tells of it. It needs a tokio runtime.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn consumer(&self, config: &ClientConfig) -> KafkaResult<Consumer<Observing>> {
        let (config, _) = self.observed(config);
        let shared = Shared::of(self, &config);
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
        Consumer::new(Shared::of(self, config), consumer)
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
        Observing::new(&Shared::of(self, config).client)
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
}

impl Telemetry {
    /// Producers and consumers of Kafka whose operations are spans of this handle.
    pub fn kafka(&self) -> Kafka {
        Kafka::new(self)
    }
}
