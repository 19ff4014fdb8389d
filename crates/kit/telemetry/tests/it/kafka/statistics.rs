//! What librdkafka counts by itself.

use rdkafka::consumer::CommitMode;

use super::*;

#[tokio::test]
async fn the_lag_of_a_consumer_is_shown_until_it_is_gone() {
    let topic = Topic::own().await;
    let telemetry = TestTelemetry::new("shop");
    let kafka = telemetry.kafka().statistics(Duration::from_millis(100));
    let producer = topic.producer(&kafka);
    for key in ["order-1", "order-2", "order-3"] {
        placed(&telemetry, &producer, topic.record(key, "placed")).await;
    }
    let consumer = topic.consumer(&kafka);
    let message = next(&consumer).await;
    consumer.commit_message(&message, CommitMode::Sync).unwrap();
    // librdkafka does not end while somebody has a message.
    drop(message);
    let labels = [
        format!("messaging_destination_name=\"{}\"", topic.name),
        "messaging_destination_partition_id=\"0\"".to_owned(),
        format!("messaging_consumer_group_name=\"{}\"", topic.group()),
        "messaging_client_id=\"shop-1\"".to_owned(),
    ];
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let lag = || metric(&telemetry, "waypost_kafka_consumer_lag", &labels);
    // Statistics are served where messages are asked for.
    let asking = async {
        loop {
            drop(consumer.recv().await);
        }
    };
    tokio::select! {
        () = asking => unreachable!("it asks for ever"),
        () = eventually("two messages that are not committed", || (lag() == 2).then_some(())) => {}
    }
    for family in [
        "waypost_kafka_consumer_partitions",
        "waypost_kafka_consumer_rebalances_total",
        "waypost_kafka_io_bytes_total",
    ] {
        assert!(metric(&telemetry, family, &[labels[3]]) > 0, "{family}");
    }
    assert!(!series(&telemetry, "waypost_kafka_producer_queue_messages").is_empty(), "the producer's");
    follows_conventions(&telemetry);
    drop(consumer);
    assert!(series(&telemetry, "waypost_kafka_consumer_lag").is_empty());
}

#[tokio::test]
async fn a_program_may_have_no_statistics() {
    let topic = Topic::own().await;
    let telemetry = TestTelemetry::new("shop");
    let producer = topic.producer(&telemetry.kafka().statistics(Duration::ZERO));
    placed(&telemetry, &producer, topic.record("order-1", "placed")).await;
    assert!(series(&telemetry, "waypost_kafka_io_bytes_total").is_empty());
}
