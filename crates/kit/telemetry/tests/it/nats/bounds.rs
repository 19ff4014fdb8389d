//! What is not to grow, and not to be seen.

use std::collections::BTreeSet;

use async_nats::HeaderMap;

use super::*;

#[tokio::test]
async fn a_flood_of_subjects_keeps_names_and_series_few() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("shop");
    let client = own.client(&own.nats(&telemetry)).await;
    for number in 0..1_000 {
        client.publish(own.subject(&format!("device-{number}")), "on".into()).await.unwrap();
    }
    let names: BTreeSet<String> =
        telemetry.finished_spans().iter().map(|span| span.name().to_owned()).collect();
    assert_eq!(names.len(), 257, "256 and one for the rest");
    assert!(names.contains("send _OTHER"));
    assert_eq!(series(&telemetry, "messaging_client_sent_messages_total").len(), 257);
    let rest = ["messaging_destination_template=\"_OTHER\""];
    assert_eq!(metric(&telemetry, "messaging_client_sent_messages_total", &rest), 744);
    let last = telemetry.finished_spans().pop().unwrap();
    assert_eq!(attribute(&last, "messaging.destination.name"), Some(own.subject("device-999")));
    follows_conventions(&telemetry);
}

#[tokio::test]
async fn secrets_are_not_seen() {
    const SECRET: &str = "s3cret";
    let server = Server::start(SECRET);
    let telemetry = TestTelemetry::new("shop");
    let nats = telemetry.nats().server("127.0.0.1", server.port()).client_id("shop-1");
    let client = nats.wrap(connected(&server, SECRET).await);
    let jetstream = client.jetstream(async_nats::jetstream::new((*client).clone()));
    let config = stream::Config {
        name: "ORDERS".to_owned(),
        subjects: vec!["orders".to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(config).await.unwrap();
    let config = pull::Config { durable_name: Some("mail".to_owned()), ..pull::Config::default() };
    let consumer = jetstream.consumer(jetstream.create_consumer_on_stream(config, "ORDERS").await.unwrap());
    let mut readings = client.subscribe("readings").await.unwrap();

    let mut headers = HeaderMap::new();
    headers.insert("authorization", SECRET);
    headers.insert(format!("x-{SECRET}"), "1");
    let published = jetstream.publish_with_headers("orders", headers.clone(), SECRET.into()).await.unwrap();
    published.await.unwrap();
    for message in consumer.fetch(1, TIMEOUT).await.unwrap() {
        consumer
            .process(&message, async { Err::<(), _>(std::io::Error::from(std::io::ErrorKind::NotFound)) })
            .await
            .unwrap_err();
        consumer.double_ack(&message).await.unwrap();
    }
    let inbox = format!("_INBOX.{SECRET}");
    client
        .publish_with_reply_and_headers("readings", inbox.clone(), headers.clone(), SECRET.into())
        .await
        .unwrap();
    let reading = next(&mut readings).await;
    readings.process(&reading, client.publish(reading.reply.clone().unwrap(), SECRET.into())).await.unwrap();
    client.request_with_headers("nobody", headers, SECRET.into()).await.unwrap_err();
    let large = SECRET.repeat(client.max_payload() / SECRET.len() + 1);
    client.publish("large", large.into()).await.unwrap_err();
    let exported = exported(&telemetry);
    assert!(
        exported.contains("receive orders") && exported.contains("messaging_process_duration"),
        "{exported}"
    );
    assert!(!exported.contains(SECRET), "{exported}");
}
