//! Messages, confirms and returns.

use lapin::Confirmation;

use super::*;

#[tokio::test]
async fn a_span_lasts_until_the_broker_has_confirmed() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("order-service");
    let channel = own.channel(&own.rabbitmq(&telemetry).routing_key_template("orders.{order}.placed")).await;
    let mut headers = FieldTable::default();
    headers.insert("kind".into(), AMQPValue::LongString("books".into()));
    headers.insert("weight".into(), AMQPValue::LongInt(3));
    headers.insert("Traceparent".into(), AMQPValue::LongString("no context".into()));
    let properties = BasicProperties::default()
        .with_headers(headers)
        .with_message_id("message-1".into())
        .with_correlation_id("basket-7".into());
    let placing = async {
        let (exchange, options) = (own.exchange.as_str().into(), BasicPublishOptions::default());
        let confirm = channel
            .basic_publish(exchange, "orders.17.placed".into(), options, b"placed", properties)
            .await?;
        assert_eq!(telemetry.finished_spans().len(), 0, "it is open until it is confirmed");
        confirm.await
    };
    let confirmed = with_context(telemetry.context(), span("place").run(placing)).await.unwrap();
    assert!(confirmed.is_ack());
    let (exchange, template) = (&own.exchange, format!("{}:orders.{{order}}.placed", own.exchange));
    telemetry.tree().assert_matches(&format!(
        "place INTERNAL order-service
           \"send {template}\" PRODUCER order-service"
    ));
    let send = telemetry.only_span(&format!("send {template}"));
    assert_eq!(
        attributes(&send),
        [
            "messaging.client.id=shop-1".to_owned(),
            format!("messaging.destination.name={exchange}:orders.17.placed"),
            format!("messaging.destination.template={template}"),
            "messaging.message.conversation_id=basket-7".to_owned(),
            "messaging.message.id=message-1".to_owned(),
            "messaging.operation.name=send".to_owned(),
            "messaging.operation.type=send".to_owned(),
            "messaging.rabbitmq.destination.routing_key=orders.17.placed".to_owned(),
            "messaging.system=rabbitmq".to_owned(),
            "server.address=127.0.0.1".to_owned(),
        ]
    );
    let labels = [format!("messaging_destination_template=\"{template}\"")];
    assert_eq!(metric(&telemetry, "messaging_client_sent_messages_total", &[&labels[0]]), 1);
    follows_conventions(&telemetry);

    // What the message carries, as the client has it.
    let channel = channel.into_inner();
    let message = channel.basic_get(own.queue.as_str().into(), BasicGetOptions::default()).await;
    let message = message.unwrap().unwrap();
    let headers = message.properties.headers().clone().unwrap();
    let expected = format!("00-{}-{}-", send.trace_id(), send.span_id());
    let parent = match headers.inner().get("traceparent") {
        Some(AMQPValue::LongString(parent)) => parent.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(parent.starts_with(&expected), "{parent}");
    assert_eq!(headers.inner().get("weight"), Some(&AMQPValue::LongInt(3)));
    assert_eq!(headers.inner().len(), 3, "{headers:?}");
}

#[tokio::test]
async fn a_span_ends_with_the_confirmation_that_nobody_waits_for() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("order-service");
    let channel = own.channel(&own.rabbitmq(&telemetry)).await;
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let exchange = own.exchange.as_str().into();
    drop(channel.basic_publish(exchange, "orders.1".into(), options, b"placed", properties).await.unwrap());
    let send = spans(&telemetry, 1).await.remove(0);
    assert_eq!(outcome(&send), "ok");
    assert_eq!(send.name(), format!("send {}:orders.1", own.exchange));
}

#[tokio::test]
async fn a_message_that_comes_back_is_a_failure_of_its_span() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("order-service");
    let channel = own.channel(&own.rabbitmq(&telemetry)).await;
    own.placed(&telemetry, &channel, "orders.1").await;
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let exchange = own.exchange.as_str().into();
    let sending =
        channel.basic_publish(exchange, "nobody".into(), options, b"placed", BasicProperties::default());
    let confirmed = sending.await.unwrap().await.unwrap();
    assert!(
        matches!(&confirmed, Confirmation::Ack(Some(returned)) if returned.reply_code == 312),
        "{confirmed:?}"
    );
    let send = telemetry.only_span(&format!("send {}:nobody", own.exchange));
    assert_eq!(outcome(&send), "no_route");
    let failed = ["error_type=\"no_route\""];
    assert_eq!(metric(&telemetry, "messaging_client_sent_messages_total", &failed), 1);
    follows_conventions(&telemetry);

    // An exchange that is not there ends the channel.
    telemetry.forget();
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let absent = own.queues.name("absent");
    let confirm =
        channel.basic_publish(absent.as_str().into(), "x".into(), options, b"placed", properties).await;
    confirm.unwrap().await.unwrap_err();
    assert_eq!(outcome(&spans(&telemetry, 1).await[0]), "not_found");
}

#[tokio::test]
async fn a_dead_letter_keeps_the_context_of_its_message() {
    let own = Own::new();
    let (shop, mail) = (TestTelemetry::new("shop"), TestTelemetry::new("mail"));
    let sending = own.channel(&own.rabbitmq(&shop)).await;
    let reading = own.channel(&own.rabbitmq(&mail).correlation(Correlation::Parent)).await;
    own.placed(&shop, &sending, "orders.1").await;
    let mut consumer = own.consumer(&reading).await;
    let message = next(&mut consumer).await;
    let giving_up = async {
        let options = BasicPublishOptions::default();
        let exchange = own.exchange.as_str().into();
        let properties = message.properties.clone();
        reading.basic_publish(exchange, "dead".into(), options, &message.data, properties).await?.await
    };
    consumer.process(&message, giving_up).await.unwrap();
    let send = shop.only_span(&format!("send {}:orders.1", own.exchange));
    let handed_on = mail.only_span(&format!("send {}:dead", own.exchange));
    assert_eq!((handed_on.kind(), linked(&handed_on)), (SpanKind::Client, vec![send.span_id().to_string()]));
    assert_eq!(handed_on.trace_id(), send.trace_id());
}

#[tokio::test]
async fn a_broker_that_was_killed_is_an_error_until_it_is_back() {
    let mut server = Server::start("pass-word");
    let telemetry = TestTelemetry::new("order-service");
    let rabbitmq = telemetry.rabbitmq().server("127.0.0.1", server.port()).client_id("shop-1");
    let opened = async |url: String| {
        let channel = rabbitmq.wrap(connected(&url).await.create_channel().await.unwrap());
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        declared(&channel, "shop", "mails").await;
        channel
    };
    let publish = async |channel: &Channel| {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        channel.basic_publish("".into(), "mails".into(), options, b"placed", properties).await?.await
    };
    let channel = opened(server.url()).await;
    publish(&channel).await.unwrap();
    server.kill();
    publish(&channel).await.unwrap_err();
    let finished = spans(&telemetry, 2).await;
    assert_eq!((finished[1].name(), outcome(&finished[0]).as_str()), ("send mails", "ok"));
    assert!(!["ok", "cancelled"].contains(&outcome(&finished[1]).as_str()), "{:?}", finished[1]);

    server.restart();
    let channel = opened(server.url()).await;
    publish(&channel).await.unwrap();
    let message = channel.basic_get("mails".into(), BasicGetOptions::default()).await.unwrap().unwrap();
    channel.process("mails", &message, done()).await.unwrap();
    assert!(channel.ack("mails", &message, BasicAckOptions::default()).await.unwrap());
    // It may have kept the first one.
    let finished = spans(&telemetry, 6).await;
    let sent = [&finished[0], &finished[2]].map(|span| span.span_id().to_string());
    assert!(linked(&telemetry.only_span("process mails")).iter().all(|link| sent.contains(link)));
    assert_eq!(outcome(&finished[2]), "ok");
}
