//! The producer.

use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use waypost_telemetry::messaging::Correlation;
use waypost_telemetry::tenant;

use super::*;

#[tokio::test]
async fn a_record_has_a_span_until_the_broker_has_answered() {
    let topic = Topic::own().await;
    let telemetry = TestTelemetry::new("order-service");
    let producer = topic.producer(&telemetry.kafka());
    placed(&telemetry, &producer, topic.record("order-1", "secret body")).await;
    let name = &topic.name;
    telemetry.tree().assert_matches(&format!(
        "place INTERNAL order-service
           \"send {name}\" PRODUCER order-service"
    ));
    let send = telemetry.only_span(&format!("send {name}"));
    assert_eq!((send.kind(), outcome(&send).as_str()), (SpanKind::Producer, "ok"));
    assert_eq!(
        attributes(&send),
        [
            "messaging.client.id=shop-1".to_owned(),
            format!("messaging.destination.name={name}"),
            "messaging.destination.partition.id=0".to_owned(),
            "messaging.kafka.offset=0".to_owned(),
            "messaging.operation.name=send".to_owned(),
            "messaging.operation.type=send".to_owned(),
            "messaging.system=kafka".to_owned(),
            format!("server.address={}", topic.server().0),
        ]
    );
    assert_eq!(attribute(&send, "server.port").as_deref(), Some(topic.server().1));
    let labels = [format!("messaging_destination_name=\"{name}\""), "messaging_system=\"kafka\"".to_owned()];
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    assert_eq!(metric(&telemetry, "messaging_client_sent_messages_total", &labels), 1);
    assert_eq!(metric(&telemetry, "messaging_client_operation_duration_seconds_count", &labels), 1);
    let seen = format!("{:?}", telemetry.finished_spans());
    assert!(!seen.contains("secret") && !seen.contains("order-1"), "neither body nor key: {seen}");
    follows_conventions(&telemetry);
}

#[tokio::test]
async fn a_span_ends_with_the_report_that_nobody_waits_for() {
    let topic = Topic::own().await;
    let telemetry = TestTelemetry::new("order-service");
    let producer = topic.producer(&telemetry.kafka());
    let report = producer.send_result(topic.record("order-1", "placed")).map_err(|(error, _)| error).unwrap();
    drop(report);
    let send = spans(&telemetry, 1).await.remove(0);
    assert_eq!(outcome(&send), "ok");
    assert_eq!(attribute(&send, "messaging.kafka.offset").as_deref(), Some("0"));
    eventually("nothing to be on its way", || (producer.in_flight() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_key_is_shown_to_those_who_ask_for_it() {
    let topic = Topic::own().await;
    let telemetry = TestTelemetry::new("order-service");
    let producer = topic.producer(&telemetry.kafka().record_keys(true));
    placed(&telemetry, &producer, topic.record("order-1", "placed")).await;
    let send = telemetry.only_span(&format!("send {}", topic.name));
    assert_eq!(attribute(&send, "messaging.kafka.message.key").as_deref(), Some("order-1"));
    assert_eq!(attribute(&send, "messaging.kafka.message.tombstone"), None);
}

#[tokio::test]
async fn a_record_without_a_value_is_a_tombstone_on_both_sides() {
    let topic = Topic::own().await;
    let telemetry = TestTelemetry::new("shop");
    let producer = topic.producer(&telemetry.kafka());
    let tombstone: FutureRecord<'_, str, str> = FutureRecord::to(&topic.name).key("order-1");
    placed(&telemetry, &producer, tombstone).await;
    let consumer = topic.consumer(&telemetry.kafka());
    let message = next(&consumer).await;
    assert_eq!(message.payload(), None);
    consumer.process(&message, async { Ok::<(), std::io::Error>(()) }).await.unwrap();
    for operation in ["send", "process"] {
        let span = telemetry.only_span(&format!("{operation} {}", topic.name));
        assert_eq!(
            attribute(&span, "messaging.kafka.message.tombstone").as_deref(),
            Some("true"),
            "{operation}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_delivered_says_why() {
    let topic = Topic::own().await;
    let telemetry = TestTelemetry::new("order-service");
    let producer = topic.producer(&telemetry.kafka());
    let absent = topic.topics.name("absent");
    let record: FutureRecord<'_, str, str> = FutureRecord::to(&absent).payload("placed").partition(7);
    let (_, message) = producer.send(record, TIMEOUT).await.unwrap_err();
    assert_eq!(message.payload(), Some(&b"placed"[..]), "the record comes back");
    let send = telemetry.only_span(&format!("send {absent}"));
    let reason = outcome(&send);
    assert!(
        ["unknown_topic_or_partition", "unknown_topic", "unknown_partition"].contains(&&*reason),
        "{reason}"
    );
    let label = format!("error_type=\"{reason}\"");
    assert_eq!(metric(&telemetry, "messaging_client_sent_messages_total", &[&label]), 1);

    // Nobody is there.
    let mut away = topic.config();
    away.set("bootstrap.servers", "127.0.0.1:1").set("message.timeout.ms", "300");
    let producer = telemetry.kafka().producer(&away).unwrap();
    telemetry.forget();
    producer.send(topic.record("order-1", "placed"), TIMEOUT).await.unwrap_err();
    let send = spans(&telemetry, 1).await.remove(0);
    assert_eq!(outcome(&send), "message_timed_out");
    assert_eq!(attribute(&send, "server.port").as_deref(), Some("1"));
}

#[tokio::test]
async fn headers_of_the_program_stay_and_the_context_is_added() {
    let topic = Topic::own().await;
    let telemetry = TestTelemetry::new("shop");
    let producer = topic.producer(&telemetry.kafka());
    let headers = OwnedHeaders::new()
        .insert(Header { key: "kind", value: Some("order") })
        .insert(Header { key: "empty", value: None::<&str> })
        .insert(Header { key: "Traceparent", value: Some("no context at all") });
    let _attached =
        tenant::with_tenant(&telemetry.context(), &tenant::TenantId::new("acme").unwrap()).attach();
    producer
        .send(topic.record("order-1", "placed").headers(headers), TIMEOUT)
        .await
        .map_err(|(error, _)| error)
        .unwrap();
    let send = telemetry.only_span(&format!("send {}", topic.name));

    let consumer = topic.consumer(&telemetry.kafka().correlation(Correlation::Parent));
    let message = next(&consumer).await;
    let headers: Vec<(String, Option<String>)> = message
        .headers()
        .unwrap()
        .iter()
        .map(|header| {
            (header.key.to_owned(), header.value.map(|value| String::from_utf8_lossy(value).into_owned()))
        })
        .collect();
    let parent = format!("00-{}-{}-", send.trace_id(), send.span_id());
    assert_eq!(headers[..2], [("kind".to_owned(), Some("order".to_owned())), ("empty".to_owned(), None)]);
    assert_eq!(headers[2].0, "traceparent");
    assert!(headers[2].1.as_ref().unwrap().starts_with(&parent), "{headers:?}");
    assert_eq!(headers.len(), 4, "baggage is the last: {headers:?}");
    let tenant =
        consumer.process(&message, async { Ok::<_, std::io::Error>(tenant::current()) }).await.unwrap();
    assert_eq!(tenant.unwrap().as_str(), "acme");
}

#[tokio::test]
async fn several_records_are_created_each_and_sent_together() {
    let topic = Topic::own().await;
    let telemetry = TestTelemetry::new("order-service");
    let producer = topic.producer(&telemetry.kafka());
    let sending = async {
        let records = vec![topic.record("order-1", "placed"), topic.record("order-2", "placed")];
        producer.send_batch(&topic.name, records, TIMEOUT).await
    };
    let answers = with_context(telemetry.context(), span("relay").observe(sending)).await;
    let offsets: Vec<i64> = answers.into_iter().map(|answer| answer.unwrap().offset).collect();
    assert_eq!(offsets, [0, 1]);
    let name = &topic.name;
    telemetry.tree().assert_matches(&format!(
        "relay INTERNAL order-service
           \"create {name}\" PRODUCER order-service
           \"create {name}\" PRODUCER order-service
           \"send {name}\" CLIENT order-service messaging.batch.message_count=2"
    ));
    let finished = spans(&telemetry, 4).await;
    let created: Vec<String> = finished[..2].iter().map(|span| span.span_id().to_string()).collect();
    assert_eq!(linked(&telemetry.only_span(&format!("send {name}"))), created);
    assert_eq!(metric(&telemetry, "messaging_client_sent_messages_total", &[]), 2);
    follows_conventions(&telemetry);

    // Each is known to its reader by its own span.
    let consumer = topic.consumer(&telemetry.kafka());
    telemetry.forget();
    for _ in 0..2 {
        let message = next(&consumer).await;
        consumer.process(&message, async { Ok::<(), std::io::Error>(()) }).await.unwrap();
    }
    let links: Vec<String> = spans(&telemetry, 2).await.iter().flat_map(linked).collect();
    assert_eq!(links, created);
}

#[tokio::test]
async fn a_dead_letter_keeps_the_context_of_its_message() {
    let topic = Topic::own().await;
    let dead = topic.topics.name("orders.dead");
    topic.create(&dead).await;
    let (shop, mail) = (TestTelemetry::new("shop"), TestTelemetry::new("mail"));
    placed(&shop, &topic.producer(&shop.kafka()), topic.record("order-1", "broken")).await;
    let send = shop.only_span(&format!("send {}", topic.name));

    let kafka = mail.kafka().correlation(Correlation::Parent);
    let (consumer, producer) = (topic.consumer(&kafka), topic.producer(&kafka));
    let message = next(&consumer).await;
    let giving_up = async {
        let headers = message.headers().unwrap().detach();
        let letter = FutureRecord::to(&dead).key(message.key().unwrap()).payload(message.payload().unwrap());
        producer.send(letter.headers(headers), TIMEOUT).await.map(drop).map_err(|(error, _)| error)
    };
    consumer.process(&message, giving_up).await.unwrap();
    let process = mail.only_span(&format!("process {}", topic.name));
    assert_eq!(process.parent_id(), Some(send.span_id()));
    let handed_on = mail.only_span(&format!("send {dead}"));
    assert_eq!((handed_on.kind(), handed_on.parent_id()), (SpanKind::Client, Some(process.span_id())));
    assert_eq!(linked(&handed_on), [send.span_id().to_string()]);

    // Whoever looks at it later is in the trace of the order.
    let graves = topic.consumer_of(&kafka, &dead, "graves");
    let letter = next(&graves).await;
    graves.process(&letter, async { Ok::<(), std::io::Error>(()) }).await.unwrap();
    let looked_at = mail.only_span(&format!("process {dead}"));
    assert_eq!((looked_at.trace_id(), looked_at.parent_id()), (send.trace_id(), Some(send.span_id())));
}
