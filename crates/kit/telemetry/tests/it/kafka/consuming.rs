//! The consumer.

use std::io;

use rdkafka::consumer::CommitMode;
use rdkafka::{Offset, TopicPartitionList};
use waypost_telemetry::messaging::Correlation;

use super::*;

fn done() -> std::future::Ready<Result<(), io::Error>> {
    std::future::ready(Ok(()))
}

#[tokio::test]
async fn a_message_is_processed_with_a_link_to_its_sender() {
    let topic = Topic::own().await;
    let (shop, mail) = (TestTelemetry::new("shop"), TestTelemetry::new("mail"));
    placed(&shop, &topic.producer(&shop.kafka()), topic.record("order-1", "placed")).await;
    let consumer = topic.consumer(&mail.kafka());
    let message = next(&consumer).await;
    let work = async {
        let inside = span("write-mail").observe(async { message.payload().unwrap().len() });
        Ok::<_, io::Error>(inside.await)
    };
    assert_eq!(
        with_context(mail.context(), span("poll").run(consumer.process(&message, work))).await.unwrap(),
        6
    );
    let name = &topic.name;
    mail.tree().assert_matches(&format!(
        "poll INTERNAL mail
           \"process {name}\" CONSUMER mail
             write-mail INTERNAL mail"
    ));
    let (send, process) =
        (shop.only_span(&format!("send {name}")), mail.only_span(&format!("process {name}")));
    assert_eq!(linked(&process), [send.span_id().to_string()]);
    assert_ne!(process.trace_id(), send.trace_id());
    assert_eq!(
        attributes(&process),
        [
            "messaging.client.id=shop-1".to_owned(),
            format!("messaging.consumer.group.name={}", topic.group()),
            format!("messaging.destination.name={name}"),
            "messaging.destination.partition.id=0".to_owned(),
            "messaging.kafka.offset=0".to_owned(),
            "messaging.operation.name=process".to_owned(),
            "messaging.operation.type=process".to_owned(),
            "messaging.system=kafka".to_owned(),
            format!("server.address={}", topic.server().0),
        ]
    );
    let group = format!("messaging_consumer_group_name=\"{}\"", topic.group());
    assert_eq!(metric(&mail, "messaging_process_duration_seconds_count", &[&group]), 1);
    assert_eq!(metric(&mail, "messaging_client_consumed_messages_total", &[&group]), 1);
    follows_conventions(&mail);
}

#[tokio::test]
async fn a_message_is_processed_in_the_trace_of_its_sender_where_that_is_asked_for() {
    let topic = Topic::own().await;
    let (shop, mail) = (TestTelemetry::new("shop"), TestTelemetry::new("mail"));
    placed(&shop, &topic.producer(&shop.kafka()), topic.record("order-1", "placed")).await;
    let consumer = topic.consumer(&mail.kafka().correlation(Correlation::Parent));
    let message = next(&consumer).await;
    with_context(mail.context(), span("poll").run(consumer.process(&message, done()))).await.unwrap();
    let send = shop.only_span(&format!("send {}", topic.name));
    let process = mail.only_span(&format!("process {}", topic.name));
    assert_eq!((process.trace_id(), process.parent_id()), (send.trace_id(), Some(send.span_id())));
    assert_eq!(linked(&process), [mail.only_span("poll").span_id().to_string()]);
}

#[tokio::test]
async fn a_failure_is_that_of_the_work() {
    let topic = Topic::own().await;
    let telemetry = TestTelemetry::new("shop");
    placed(&telemetry, &topic.producer(&telemetry.kafka()), topic.record("order-1", "placed")).await;
    let consumer = topic.consumer(&telemetry.kafka());
    let message = next(&consumer).await;
    let failed = async { Err::<(), _>(io::Error::from(io::ErrorKind::TimedOut)) };
    consumer.process(&message, failed).await.unwrap_err();
    let process = telemetry.only_span(&format!("process {}", topic.name));
    assert_eq!(outcome(&process), "timed_out");
    assert_eq!(
        metric(&telemetry, "messaging_process_duration_seconds_count", &["error_type=\"timed_out\""]),
        1
    );
    // Whoever gives it up is seen, too.
    telemetry.forget();
    let given_up = consumer.process(&message, std::future::pending::<Result<(), io::Error>>());
    assert!(tokio::time::timeout(Duration::from_millis(1), given_up).await.is_err());
    assert_eq!(outcome(&spans(&telemetry, 1).await[0]), "cancelled");
}

#[tokio::test]
async fn several_messages_are_received_and_processed_at_once() {
    let topic = Topic::own().await;
    let (shop, mail) = (TestTelemetry::new("shop"), TestTelemetry::new("mail"));
    let producer = topic.producer(&shop.kafka());
    for key in ["order-1", "order-2", "order-3"] {
        placed(&shop, &producer, topic.record(key, "placed")).await;
    }
    let consumer = topic.consumer(&mail.kafka());
    let work = async {
        let first = within("a batch", consumer.receive_batch(2, TIMEOUT)).await.unwrap();
        consumer.process_batch(&first, done()).await.unwrap();
        // No more than there are, within the time.
        let rest = within("the rest", consumer.receive_batch(9, Duration::from_millis(50))).await.unwrap();
        (first.len(), rest.len())
    };
    assert_eq!(with_context(mail.context(), span("poll").observe(work)).await, (2, 1));
    let name = &topic.name;
    mail.tree().assert_matches(&format!(
        "poll INTERNAL mail
           \"receive {name}\" CLIENT mail messaging.batch.message_count=2
           \"process {name}\" CONSUMER mail messaging.batch.message_count=2
           \"receive {name}\" CLIENT mail messaging.batch.message_count=1"
    ));
    let sent: Vec<String> = shop
        .finished_spans()
        .iter()
        .filter(|span| span.kind() == SpanKind::Producer)
        .map(|span| span.span_id().to_string())
        .collect();
    let finished = spans(&mail, 4).await;
    assert_eq!((linked(&finished[0]), linked(&finished[1])), (sent[..2].to_vec(), sent[..2].to_vec()));
    assert_eq!(linked(&finished[2]), sent[2..]);
    assert_eq!(metric(&mail, "messaging_client_consumed_messages_total", &[]), 3);
    let received = ["messaging_operation_type=\"receive\""];
    assert_eq!(metric(&mail, "messaging_client_operation_duration_seconds_count", &received), 2);
    follows_conventions(&mail);
}

#[tokio::test]
async fn a_commit_is_a_span_and_what_was_committed_stays_so() {
    let topic = Topic::own().await;
    let telemetry = TestTelemetry::new("shop");
    let producer = topic.producer(&telemetry.kafka());
    for key in ["order-1", "order-2"] {
        placed(&telemetry, &producer, topic.record(key, "placed")).await;
    }
    telemetry.forget();
    let consumer = topic.consumer(&telemetry.kafka());
    let message = next(&consumer).await;
    consumer.commit_message(&message, CommitMode::Sync).unwrap();
    let commit = spans(&telemetry, 1).await.remove(0);
    assert_eq!((commit.name(), commit.kind()), (format!("commit {}", topic.name).as_str(), SpanKind::Client));
    for (key, value) in [
        ("messaging.operation.name", "commit"),
        ("messaging.operation.type", "settle"),
        ("messaging.kafka.offset", "0"),
        ("messaging.consumer.group.name", &topic.group()),
    ] {
        assert_eq!(attribute(&commit, key).as_deref(), Some(value), "{key}");
    }
    let settled = ["messaging_operation_name=\"commit\"", "messaging_operation_type=\"settle\""];
    assert_eq!(metric(&telemetry, "messaging_client_operation_duration_seconds_count", &settled), 1);
    follows_conventions(&telemetry);

    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&topic.name, 0, Offset::Offset(2)).unwrap();
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
    let committed = consumer.committed(TIMEOUT).unwrap();
    assert_eq!(committed.elements()[0].offset(), Offset::Offset(2));
    assert_eq!(metric(&telemetry, "messaging_client_operation_duration_seconds_count", &settled), 2);
}

#[tokio::test]
async fn a_consumer_of_the_programs_own_is_wrapped() {
    let topic = Topic::own().await;
    let telemetry = TestTelemetry::new("shop");
    placed(&telemetry, &topic.producer(&telemetry.kafka()), topic.record("order-1", "placed")).await;
    let mut config = topic.config();
    config.set("group.id", topic.group()).set("auto.offset.reset", "earliest");
    let own: rdkafka::consumer::StreamConsumer = config.create().unwrap();
    let consumer = telemetry.kafka().wrap(own, &config);
    consumer.subscribe(&[&topic.name]).unwrap();
    let message = within("a message", consumer.recv()).await.unwrap();
    consumer.process(&message, done()).await.unwrap();
    let process = telemetry.only_span(&format!("process {}", topic.name));
    assert_eq!(attribute(&process, "messaging.consumer.group.name"), Some(topic.group()));
}
