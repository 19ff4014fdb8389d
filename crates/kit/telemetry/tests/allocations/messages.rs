//! A message on its way to a broker: by hand, and to real brokers.

use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};
use waypost_telemetry::messaging;
use waypost_telemetry::with_context;
use waypost_test_servers::kafka::Topics;
use waypost_test_servers::nats::Subjects;
use waypost_test_servers::rabbitmq::Queues;

use super::{Bench, assert_adds_at_most};

const TIMEOUT: Duration = Duration::from_mins(1);

#[test]
fn a_message_by_hand() {
    let bench = Bench::new();
    let traced = bench.least(async || {
        let sending = messaging::send_span("pulsar", "orders").observe(async {});
        with_context(bench.telemetry.context(), sending).await;
    });
    assert_adds_at_most(BY_HAND, 0, traced);
}

async fn create(config: &ClientConfig, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
    let created = admin.create_topics([&new], &AdminOptions::new()).await.unwrap();
    assert!(created.iter().all(Result::is_ok), "{created:?}");
}

#[test]
fn a_record_of_kafka() {
    let (bench, topics) = (Bench::new(), Topics::own());
    let topic = topics.name("orders");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", topics.bootstrap()).set("linger.ms", "0");
    bench.runtime.block_on(create(&config, &topic));
    let record = || FutureRecord::to(&topic).key("order-17").payload("placed");
    let producer: FutureProducer = bench.runtime.block_on(async { config.create().unwrap() });
    let bare = bench.least(async || _ = producer.send(record(), TIMEOUT).await.unwrap());
    let producer = bench.runtime.block_on(async { bench.telemetry.kafka().producer(&config).unwrap() });
    let traced = bench.least(async || _ = producer.send(record(), TIMEOUT).await.unwrap());
    assert_adds_at_most(KAFKA, bare, traced);
}

#[test]
fn a_message_of_nats() {
    let (bench, own) = (Bench::new(), Subjects::own());
    let subject = own.subject("orders.placed");
    let client = bench.runtime.block_on(async_nats::connect(own.url())).unwrap();
    let bare = bench.least(async || client.publish(subject.clone(), "placed".into()).await.unwrap());
    let client = bench.telemetry.nats().server("127.0.0.1", own.port()).wrap(client);
    let traced = bench.least(async || client.publish(subject.clone(), "placed".into()).await.unwrap());
    assert_adds_at_most(NATS, bare, traced);
}

#[test]
fn a_message_of_rabbitmq() {
    let (bench, own) = (Bench::new(), Queues::own());
    let channel = bench.runtime.block_on(async {
        let connection = Connection::connect(own.url(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        channel
    });
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    // Nobody has bound a queue, so the broker confirms and forgets.
    let bare = bench.least(async || {
        let sent = channel.basic_publish(
            "amq.topic".into(),
            "orders".into(),
            options,
            b"placed",
            properties.clone(),
        );
        drop(sent.await.unwrap().await.unwrap());
    });
    let channel = bench.telemetry.rabbitmq().server("127.0.0.1", own.port()).wrap(channel);
    let traced = bench.least(async || {
        let sent = channel.basic_publish(
            "amq.topic".into(),
            "orders".into(),
            options,
            b"placed",
            properties.clone(),
        );
        drop(sent.await.unwrap().await.unwrap());
    });
    assert_adds_at_most(RABBITMQ, bare, traced);
}

const BY_HAND: u64 = 7;
const KAFKA: u64 = 12;
const NATS: u64 = 17;
/// Twenty-two, and one that the bare library saves when the broker's answer is there before it is asked for: its
/// connection lives on a thread of its own, so that happens now and then on one side only.
const RABBITMQ: u64 = 23;
