//! Kafka over a real broker: a span that ends at the delivery report, processing by link and by parent, batches, commits,
//! tombstones, dead letters, metrics.

mod consuming;
mod other_clients;
mod sending;
mod statistics;

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::FutureRecord;
use waypost_telemetry::kafka::{Consumer, Kafka, Producer};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::testing::conventions::Conventions;
use waypost_telemetry::{FinishedSpan, span, with_context};
use waypost_test_servers::kafka::Topics;

use crate::http_server::net::{attribute, attributes, eventually, metric, outcome, series, spans, within};

/// How long Kafka may take; a loaded machine is slow.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A topic of the test's own, which there is.
pub(crate) struct Topic {
    topics: Topics,
    name: String,
}

impl Topic {
    pub(crate) async fn own() -> Self {
        let topics = Topics::own();
        let name = topics.name("orders");
        let topic = Self { topics, name };
        topic.create(&topic.name).await;
        topic
    }

    async fn create(&self, name: &str) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let new = NewTopic::new(name, 1, TopicReplication::Fixed(1));
        let created = admin.create_topics([&new], &AdminOptions::new()).await.unwrap();
        assert!(created.iter().all(Result::is_ok), "{created:?}");
        // Its leader is chosen a little later.
        let client = admin.inner();
        eventually("the topic to have a leader", || {
            let metadata = client.fetch_metadata(Some(name), TIMEOUT).ok()?;
            let partition = metadata.topics().first()?.partitions().first()?;
            (partition.leader() >= 0 && partition.error().is_none()).then_some(())
        })
        .await;
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.topics.bootstrap()).set("client.id", "shop-1");
        config
    }

    /// The address of the broker, and its port.
    fn server(&self) -> (&str, &str) {
        self.topics.bootstrap().rsplit_once(':').unwrap()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn bootstrap(&self) -> &str {
        self.topics.bootstrap()
    }

    pub(crate) fn producer(&self, kafka: &Kafka) -> Producer {
        kafka.producer(&self.config()).unwrap()
    }

    /// A member of the group `mail` that reads this topic from its beginning.
    pub(crate) fn consumer(&self, kafka: &Kafka) -> Consumer {
        self.consumer_of(kafka, &self.name, "mail")
    }

    fn consumer_of(&self, kafka: &Kafka, name: &str, group: &str) -> Consumer {
        let mut config = self.config();
        config
            .set("group.id", self.topics.name(group))
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false");
        let consumer = kafka.consumer(&config).unwrap();
        consumer.subscribe(&[name]).unwrap();
        consumer
    }

    fn group(&self) -> String {
        self.topics.name("mail")
    }

    pub(crate) fn record<'a>(&'a self, key: &'a str, payload: &'a str) -> FutureRecord<'a, str, str> {
        FutureRecord::to(&self.name).key(key).payload(payload)
    }
}

pub(crate) async fn next(consumer: &Consumer) -> BorrowedMessage<'_> {
    tokio::time::timeout(TIMEOUT, consumer.recv()).await.unwrap().unwrap()
}

/// Sends a record inside the span `place` of its own trace.
pub(crate) async fn placed(
    telemetry: &TestTelemetry,
    producer: &Producer,
    record: FutureRecord<'_, str, str>,
) {
    let sending = async { producer.send(record, TIMEOUT).await.map_err(|(error, _)| error) };
    with_context(telemetry.context(), span("place").run(sending)).await.unwrap();
}

/// Checks all but what rdkafka does not tell, and what would make a series of each partition.
fn follows_conventions(telemetry: &TestTelemetry) {
    let conventions = Conventions::current()
        .exception("*/messaging.kafka.cluster.id", "only a request of its own would tell")
        .exception(
            "messaging.*/messaging.destination.partition.id",
            "one series a partition, and a batch may be of several",
        );
    conventions.check(&[telemetry]).assert_clean();
}

fn linked(span: &FinishedSpan) -> Vec<String> {
    span.links().iter().map(|link| link.span_context().span_id().to_string()).collect()
}
