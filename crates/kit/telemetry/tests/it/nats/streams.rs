//! JetStream.

use async_nats::jetstream::AckKind;
use async_nats::jetstream::message::PublishMessage;

use super::*;

#[tokio::test]
async fn a_span_lasts_until_the_stream_has_the_message() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("order-service");
    let client = own.client(&own.nats(&telemetry)).await;
    let jetstream = own.stream(&client).await;
    let subject = own.subject("orders.17.placed");
    let placing = async {
        let ack = jetstream.publish(subject.clone(), "placed".into()).await?;
        assert_eq!(telemetry.finished_spans().len(), 0, "it is open until the acknowledgement");
        ack.await
    };
    let ack = with_context(telemetry.context(), span("place").run(placing)).await.unwrap();
    assert_eq!((ack.stream.as_str(), ack.sequence), (own.0.word(), 1));
    telemetry.tree().assert_matches(&format!(
        "place INTERNAL order-service
           \"send {subject}\" PRODUCER order-service waypost.nats.stream={} waypost.nats.stream.sequence=1",
        own.0.word()
    ));
    // The same id is in the stream once.
    for _ in 0..2 {
        let message = PublishMessage::build().payload("placed".into()).message_id("order-18");
        let message = message.outbound_message(own.subject("orders.18.placed"));
        jetstream.publish_message(message).await.unwrap().await.unwrap();
    }
    let again = spans(&telemetry, 4).await.remove(3);
    assert_eq!(attribute(&again, "waypost.nats.duplicate").as_deref(), Some("true"));
    assert_eq!(attribute(&again, "messaging.message.id").as_deref(), Some("order-18"));
    follows_conventions(&telemetry);
}

#[tokio::test]
async fn a_span_ends_with_the_acknowledgement_that_nobody_waits_for() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("order-service");
    let client = own.client(&own.nats(&telemetry)).await;
    let jetstream = own.stream(&client).await;
    drop(jetstream.publish(own.subject("orders"), "placed".into()).await.unwrap());
    let send = spans(&telemetry, 1).await.remove(0);
    assert_eq!(outcome(&send), "ok");
    assert_eq!(attribute(&send, "waypost.nats.stream.sequence").as_deref(), Some("1"));
}

#[tokio::test]
async fn a_subject_of_no_stream_is_an_error() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("order-service");
    let client = own.client(&own.nats(&telemetry)).await;
    let jetstream = client.jetstream(async_nats::jetstream::new((*client).clone()));
    let ack = jetstream.publish(own.subject("orders"), "placed".into()).await.unwrap();
    ack.await.unwrap_err();
    assert_eq!(outcome(&telemetry.only_span(&format!("send {}", own.subject("orders")))), "stream_not_found");
    let failed = ["error_type=\"stream_not_found\""];
    assert_eq!(metric(&telemetry, "messaging_client_sent_messages_total", &failed), 1);
    follows_conventions(&telemetry);
}

#[tokio::test]
async fn messages_are_received_processed_and_settled_in_spans() {
    let own = Own::new();
    let (shop, mail) = (TestTelemetry::new("shop"), TestTelemetry::new("mail"));
    let (sending, reading) = (own.client(&own.nats(&shop)).await, own.client(&own.nats(&mail)).await);
    let (jetstream, streams) =
        (own.stream(&sending).await, reading.jetstream(async_nats::jetstream::new((*reading).clone())));
    for order in ["1", "2", "3"] {
        let subject = own.subject(&format!("orders.{order}.placed"));
        jetstream.publish(subject, "placed".into()).await.unwrap().await.unwrap();
    }
    let consumer = own.consumer(&streams).await;
    let work = async {
        let messages = consumer.fetch(3, TIMEOUT).await.unwrap();
        for message in &messages {
            consumer.process(message, done()).await.unwrap();
            consumer.double_ack(message).await.unwrap();
        }
        assert!(consumer.fetch(1, Duration::from_millis(20)).await.unwrap().is_empty());
    };
    with_context(mail.context(), span("poll").observe(within("messages", work))).await;
    let pattern = own.subject("orders.*.placed");
    mail.tree().assert_matches_in_order(&format!(
        "poll INTERNAL mail
           \"receive {pattern}\" CLIENT mail messaging.batch.message_count=3
           \"process {pattern}\" CONSUMER mail waypost.nats.stream.sequence=1
           \"ack {pattern}\" CLIENT mail messaging.operation.type=settle
           \"process {pattern}\" CONSUMER mail
           \"ack {pattern}\" CLIENT mail
           \"process {pattern}\" CONSUMER mail
           \"ack {pattern}\" CLIENT mail waypost.nats.stream.sequence=3"
    ));
    let sent: Vec<String> = shop.finished_spans().iter().map(|span| span.span_id().to_string()).collect();
    assert_eq!(linked(&mail.only_span(&format!("receive {pattern}"))), sent);
    let group = ["messaging_consumer_group_name=\"mail\""];
    assert_eq!(metric(&mail, "messaging_client_consumed_messages_total", &group), 3);
    let settled = ["messaging_operation_name=\"ack\"", "messaging_operation_type=\"settle\""];
    assert_eq!(metric(&mail, "messaging_client_operation_duration_seconds_count", &settled), 3);
    follows_conventions(&mail);
    let info = consumer.get_info().await.unwrap();
    assert_eq!((info.num_ack_pending, info.num_pending), (0, 0), "the stream knows");
}

#[tokio::test]
async fn what_is_not_wanted_comes_again_or_never_again() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("mail");
    let client = own.client(&own.nats(&telemetry)).await;
    let jetstream = own.stream(&client).await;
    let consumer = own.consumer(&jetstream).await;
    let subject = own.subject("orders.17.placed");
    jetstream.publish(subject, "placed".into()).await.unwrap().await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let first = within("a message", messages.next()).await.unwrap().unwrap();
    consumer.ack_with(&first, AckKind::Progress).await.unwrap();
    consumer.ack_with(&first, AckKind::Nak(None)).await.unwrap();
    let again = within("it again", messages.next()).await.unwrap().unwrap();
    telemetry.forget();
    consumer.process(&again, done()).await.unwrap();
    consumer.ack_with(&again, AckKind::Term).await.unwrap();
    let finished = spans(&telemetry, 2).await;
    let pattern = own.subject("orders.*.placed");
    assert_eq!(finished[0].name(), format!("process {pattern}"));
    assert_eq!(attribute(&finished[0], "waypost.nats.deliveries").as_deref(), Some("2"));
    assert_eq!(finished[1].name(), format!("term {pattern}"));
    for operation in ["progress", "nak", "term"] {
        let label = format!("messaging_operation_name=\"{operation}\"");
        let family = "messaging_client_operation_duration_seconds_count";
        assert_eq!(metric(&telemetry, family, &[&label]), 1, "{operation}");
    }
    follows_conventions(&telemetry);
    within("the stream to know", async { while consumer.get_info().await.unwrap().num_ack_pending > 0 {} })
        .await;
}

#[tokio::test]
async fn a_server_that_was_killed_is_an_error_until_it_is_back() {
    let mut server = Server::start("pass-word");
    let telemetry = TestTelemetry::new("order-service");
    let native = connected(&server, "pass-word").await;
    let client = telemetry.nats().server("127.0.0.1", server.port()).client_id("shop-1").wrap(native.clone());
    let context =
        async_nats::jetstream::ContextBuilder::new().timeout(Duration::from_millis(200)).build(native);
    let jetstream = client.jetstream(context);
    let config = stream::Config {
        name: "ORDERS".to_owned(),
        subjects: vec!["orders".to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(config).await.unwrap();
    let publish = async || jetstream.publish("orders", "placed".into()).await?.await;
    publish().await.unwrap();

    server.kill();
    let away = publish().await.unwrap_err();
    assert_eq!(outcome(&spans(&telemetry, 2).await[1]), waypost_telemetry::ErrorType::error_type(&away));
    server.restart();
    let back = async {
        loop {
            if let Ok(ack) = publish().await {
                return ack;
            }
        }
    };
    let ack = tokio::time::timeout(TIMEOUT, back).await.unwrap();
    assert!(ack.sequence > 1, "the stream kept what it had");
    let last = telemetry.finished_spans().pop().unwrap();
    assert_eq!(outcome(&last), "ok");
    assert_eq!(attribute(&last, "waypost.nats.stream.sequence"), Some(ack.sequence.to_string()));
}
