//! What is not to grow, and not to be seen.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn a_flood_of_routing_keys_keeps_names_and_series_few() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("shop");
    let channel = own.channel(&own.rabbitmq(&telemetry)).await;
    for number in 0..600 {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let (exchange, key) = (own.exchange.as_str().into(), format!("device-{number}"));
        let confirm = channel.basic_publish(exchange, key.into(), options, b"on", properties).await.unwrap();
        confirm.await.unwrap();
    }
    let names: BTreeSet<String> =
        telemetry.finished_spans().iter().map(|span| span.name().to_owned()).collect();
    assert_eq!(names.len(), 257, "256 and one for the rest");
    assert_eq!(series(&telemetry, "messaging_client_sent_messages_total").len(), 257);
    let rest = ["messaging_destination_template=\"_OTHER\""];
    assert_eq!(metric(&telemetry, "messaging_client_sent_messages_total", &rest), 344);
    follows_conventions(&telemetry);
}

#[tokio::test]
async fn queues_that_the_broker_names_have_no_names() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("shop");
    let channel = own.channel(&own.rabbitmq(&telemetry)).await;
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let answers = channel.queue_declare("".into(), options, FieldTable::default()).await.unwrap();
    let queue = answers.name().clone();
    assert!(queue.as_str().starts_with("amq.gen-"), "{queue}");
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let confirm = channel.basic_publish("".into(), queue.clone(), options, b"two", properties).await.unwrap();
    confirm.await.unwrap();
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = channel.basic_consume(queue.clone(), "".into(), options, none).await.unwrap();
    let answer = next(&mut consumer).await;
    consumer.process(&answer, done()).await.unwrap();
    consumer.ack(&answer, BasicAckOptions::default()).await.unwrap();
    for operation in ["send", "process", "ack"] {
        let span = telemetry.only_span(&format!("{operation} amq.gen-*"));
        assert_eq!(attribute(&span, "messaging.destination.temporary").as_deref(), Some("true"));
    }
    assert!(!exported(&telemetry).contains(queue.as_str()), "{queue}");
}

#[tokio::test]
async fn secrets_are_not_seen() {
    const SECRET: &str = "s3cret";
    let server = Server::start(SECRET);
    let telemetry = TestTelemetry::new("shop");
    let rabbitmq = telemetry.rabbitmq().server("127.0.0.1", server.port()).client_id("shop-1");
    let channel = rabbitmq.wrap(connected(&server.url()).await.create_channel().await.unwrap());
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    declared(&channel, "shop", "mails").await;
    let mut headers = FieldTable::default();
    headers.insert("authorization".into(), AMQPValue::LongString(SECRET.into()));
    headers.insert(format!("x-{SECRET}").into(), AMQPValue::Boolean(true));
    let properties = BasicProperties::default().with_headers(headers).with_app_id(SECRET.into());
    for mandatory in [false, true] {
        let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
        let key = if mandatory { "nobody" } else { "orders.1" };
        let properties = properties.clone();
        let sending =
            channel.basic_publish("shop".into(), key.into(), options, SECRET.as_bytes(), properties);
        sending.await.unwrap().await.unwrap();
    }
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = channel.basic_consume("mails".into(), SECRET.into(), options, none).await.unwrap();
    let delivery = next(&mut consumer).await;
    let failed = async { Err::<(), _>(std::io::Error::from(std::io::ErrorKind::NotFound)) };
    consumer.process(&delivery, failed).await.unwrap_err();
    consumer.ack(&delivery, BasicAckOptions::default()).await.unwrap();
    let exported = exported(&telemetry);
    assert!(exported.contains("process shop:orders.1:mails") && exported.contains("no_route"), "{exported}");
    assert!(!exported.contains(SECRET), "{exported}");
}
