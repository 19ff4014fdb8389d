//! What Kafka adds to the contract: the wire form that other clients see, its limits, its topics.

use std::time::{Duration, SystemTime};

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use waypost_durable::Error;
use waypost_durable::broker::{Broker as _, PublishError, Record, Retention, TopicSpec, partition_of};
use waypost_kafka::{ID_HEADER, Kafka, KafkaOptions};

use crate::{kafka, options, suite, with_topics};

/// The configuration of a client that knows nothing of ours.
pub(crate) fn other_client(options: &KafkaOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", options.brokers.join(",")).set("group.id", "other");
    config
}

#[tokio::test]
async fn a_record_is_what_other_clients_expect() {
    let options = options();
    let broker = with_topics(options.clone()).await;
    let sent = suite::record("t", "order-1", 1);
    let acks = suite::publish(&broker, vec![sent.clone()]).await;
    assert_eq!(acks[0].partition, partition_of("order-1", 4));

    let consumer: BaseConsumer = other_client(&options).create().unwrap();
    let mut list = TopicPartitionList::new();
    let partition = i32::try_from(acks[0].partition).unwrap();
    list.add_partition_offset(&format!("{}t", options.prefix), partition, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let message = consumer.poll(Duration::from_secs(20)).unwrap().unwrap();
    assert_eq!((message.key(), message.payload()), (Some(&b"order-1"[..]), Some(&sent.payload[..])));
    assert_eq!(message.timestamp().to_millis(), Some(1_790_000_000_124));
    let headers: Vec<_> =
        message.headers().unwrap().iter().map(|header| (header.key, header.value)).collect();
    assert_eq!(
        headers,
        [(ID_HEADER, Some(&b"t-1"[..])), ("number", Some(&b"1"[..])), ("empty", Some(&b""[..]))]
    );
}

#[tokio::test]
async fn a_record_of_another_client_is_read() {
    let options = options();
    let broker = with_topics(options.clone()).await;
    let producer: BaseProducer = other_client(&options).create().unwrap();
    let topic = format!("{}t", options.prefix);
    let record = BaseRecord::<(), ()>::to(&topic).partition(2).timestamp(1_790_000_000_123);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(Duration::from_secs(20)).unwrap();

    let mut consumer = broker.subscribe("group", "t").await.unwrap();
    let taken = suite::take(&mut *consumer, 1).await.unwrap();
    let timestamp = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_123));
    let expected = Record { topic: "t".to_owned(), id: "t/2/0".to_owned(), timestamp, ..Record::default() };
    assert_eq!(taken[0].record, expected, "what has no id is known by its place");
    consumer.close().await.unwrap();
}

#[tokio::test]
async fn a_record_that_is_too_large_is_refused_for_good_and_alone() {
    let mut small = options();
    small.max_record = 20;
    let broker = with_topics(small.clone()).await;
    let sized = |number, bytes| Record { payload: vec![0; bytes], ..suite::record("t", "key", number) };
    let results = broker.publish(vec![sized(0, 17), sized(1, 18), sized(2, 17)]).await;
    assert!(matches!(&results[1], Err(PublishError::Refused(_))), "{results:?}");
    let offsets = [&results[0], &results[2]].map(|result| result.as_ref().unwrap().offset);
    assert_eq!(offsets, [0, 1]);

    // Kafka's own limit, which was set for the topic when it was made.
    let large = Kafka::new(KafkaOptions { max_record: 1024 * 1024, ..small }).unwrap();
    let results = large.publish(vec![sized(3, 17), sized(4, 200_000), sized(5, 17)]).await;
    let Err(PublishError::Refused(error)) = &results[1] else { panic!("{results:?}") };
    assert!(error.to_string().contains("max.message.bytes"), "{error}");
    assert!(results[2].is_ok(), "{results:?}");
}

#[tokio::test]
async fn a_closed_broker_says_so() {
    let broker = kafka().await;
    let mut consumer = broker.subscribe("group", "t").await.unwrap();
    broker.close().await;
    assert!(matches!(
        broker.publish_one(suite::record("t", "", 1)).await,
        Err(PublishError::Retryable(Error::Closed(_)))
    ));
    assert!(matches!(broker.ready().await, Err(Error::Closed(_))));
    assert!(matches!(broker.flush().await, Err(Error::Closed(_))));
    assert!(matches!(consumer.poll(1, Duration::from_secs(1)).await, Err(Error::Closed(_))));
}

#[tokio::test]
async fn one_call_publishes_to_several_topics() {
    let broker = kafka().await;
    let records = ["t", "order-events", "t"];
    let records =
        records.iter().enumerate().map(|(number, topic)| suite::record(topic, "k", number)).collect();
    let acks = suite::publish(&broker, records).await;
    assert_eq!(acks.iter().map(|ack| ack.offset).collect::<Vec<_>>(), [0, 0, 1]);
}

#[tokio::test]
async fn a_poll_that_is_given_up_loses_no_record() {
    let broker = kafka().await;
    let mut consumer = broker.subscribe("group", "t").await.unwrap();
    suite::settle(&mut [&mut consumer], &[4]).await.unwrap();
    suite::publish(&broker, (0..50).map(|number| suite::record("t", &number.to_string(), number)).collect())
        .await;
    let mut came = 0;
    for _ in 0..200 {
        let poll = consumer.poll(1, Duration::from_secs(1));
        came += poll_now(poll).map_or(0, |polled| polled.unwrap().records.len());
    }
    suite::take(&mut *consumer, 50 - came).await.unwrap();
    consumer.close().await.unwrap();
}

/// Polls a future once and drops it.
fn poll_now<T>(mut future: waypost_durable::BoxFuture<'_, T>) -> Option<T> {
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_flush_waits_for_what_nobody_waits_for() {
    let broker = kafka().await;
    for number in 0..20 {
        assert!(poll_now(broker.publish_one(suite::record("t", "key", number))).is_none());
    }
    broker.flush().await.unwrap();
    let acks = suite::publish(&broker, vec![suite::record("t", "key", 20)]).await;
    assert_eq!(acks[0].offset, 20);
}

/// A setting of a topic.
async fn setting(admin: &AdminClient<DefaultClientContext>, topic: &str, name: &str) -> Option<String> {
    let described = admin.describe_configs([&ResourceSpecifier::Topic(topic)], &AdminOptions::new()).await;
    let described = described.unwrap().pop().unwrap().unwrap();
    described.get(name).and_then(|entry| entry.value.clone())
}

#[tokio::test]
async fn a_topic_gets_its_retention_and_keeps_what_an_operator_set() {
    let options = options();
    let broker = with_topics(options.clone()).await;
    let admin: AdminClient<DefaultClientContext> = other_client(&options).create().unwrap();
    let topic = format!("{}t", options.prefix);
    assert_eq!(setting(&admin, &topic, "retention.ms").await.as_deref(), Some("-1"));
    let set = AlterConfig::new(ResourceSpecifier::Topic(&topic))
        .set("segment.ms", "123456")
        .set("retention.ms", "9");
    let altered = admin.alter_configs([&set], &AdminOptions::new()).await.unwrap();
    assert!(altered.iter().all(Result::is_ok), "{altered:?}");
    crate::eventually("it is known", || async {
        (setting(&admin, &topic, "segment.ms").await.as_deref() == Some("123456")).then_some(())
    })
    .await;

    let retention = Retention { age: Some(Duration::from_hours(1)), bytes: Some(1_000_000) };
    broker.ensure_topics(vec![TopicSpec { retention, ..TopicSpec::new("t") }]).await.unwrap();
    for (name, value) in [
        ("retention.ms", "3600000"),
        ("retention.bytes", "1000000"),
        ("segment.ms", "123456"),
        ("cleanup.policy", "delete"),
    ] {
        crate::eventually(name, || async {
            (setting(&admin, &topic, name).await.as_deref() == Some(value)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_topic_that_is_missing_and_not_to_be_made_is_named() {
    let mut options = options();
    options.create_topics = false;
    let broker = Kafka::new(options.clone()).unwrap();
    let error = broker.ensure_topics(vec![TopicSpec::new("t")]).await.unwrap_err();
    assert!(error.is_retryable());
    let topic = format!("topic {}t does not exist; make it (kafka-topics.sh", options.prefix);
    assert!(error.to_string().contains(&topic), "{error}");
    let error = broker.ready().await.unwrap_err();
    assert!(error.to_string().contains(&topic), "{error}");
    let error = broker.subscribe("group", "t").await.err().unwrap();
    assert!(error.to_string().contains(&topic), "{error}");
}

#[tokio::test]
async fn more_copies_than_brokers_are_refused_with_what_to_do() {
    let broker = Kafka::new(KafkaOptions { replication_factor: Some(3), ..options() }).unwrap();
    let error = broker.ensure_topics(vec![TopicSpec::new("t")]).await.unwrap_err();
    assert!(error.to_string().contains("fewer brokers than `replication_factor`"), "{error}");
}
