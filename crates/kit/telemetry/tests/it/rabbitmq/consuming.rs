//! Consumers.

use std::io;

use super::*;

#[tokio::test]
async fn a_message_is_processed_with_a_link_to_its_sender_and_settled() {
    let own = Own::new();
    let (shop, mail) = (TestTelemetry::new("shop"), TestTelemetry::new("mail"));
    let (sending, reading) =
        (own.channel(&own.rabbitmq(&shop)).await, own.channel(&own.rabbitmq(&mail)).await);
    own.placed(&shop, &sending, "orders.17").await;
    let mut consumer = own.consumer(&reading).await;
    let delivery = next(&mut consumer).await;
    let work = async {
        let inside = async {
            span("write-mail").observe(async {}).await;
            Ok::<_, io::Error>(delivery.data.len())
        };
        assert_eq!(consumer.process(&delivery, inside).await.unwrap(), 6);
        assert!(consumer.ack(&delivery, BasicAckOptions::default()).await.unwrap());
    };
    with_context(mail.context(), span("poll").observe(work)).await;
    let place = format!("{}:orders.17:{}", own.exchange, own.queue);
    mail.tree().assert_matches(&format!(
        "poll INTERNAL mail
           \"process {place}\" CONSUMER mail messaging.rabbitmq.message.delivery_tag=1
             write-mail INTERNAL mail
           \"ack {place}\" CLIENT mail messaging.operation.type=settle messaging.rabbitmq.message.delivery_tag=1"
    ));
    let send = shop.only_span(&format!("send {}:orders.17", own.exchange));
    let process = mail.only_span(&format!("process {place}"));
    assert_eq!(linked(&process), [send.span_id().to_string()]);
    assert_ne!(process.trace_id(), send.trace_id());
    assert_eq!(attribute(&process, "waypost.rabbitmq.redelivered"), None);
    let name = [format!("messaging_destination_name=\"{place}\"")];
    assert_eq!(metric(&mail, "messaging_process_duration_seconds_count", &[&name[0]]), 1);
    assert_eq!(metric(&mail, "messaging_client_consumed_messages_total", &[&name[0]]), 1);
    let settled = ["messaging_operation_name=\"ack\"", "messaging_operation_type=\"settle\""];
    assert_eq!(metric(&mail, "messaging_client_operation_duration_seconds_count", &settled), 1);
    follows_conventions(&mail);

    // Once only.
    mail.forget();
    assert!(!consumer.ack(&delivery, BasicAckOptions::default()).await.unwrap());
    assert_eq!(outcome(&spans(&mail, 1).await[0]), "not_settled");
}

#[tokio::test]
async fn a_message_is_processed_in_the_trace_of_its_sender_where_that_is_asked_for() {
    let own = Own::new();
    let (shop, mail) = (TestTelemetry::new("shop"), TestTelemetry::new("mail"));
    let sending = own.channel(&own.rabbitmq(&shop)).await;
    let reading = own.channel(&own.rabbitmq(&mail).correlation(Correlation::Parent)).await;
    own.placed(&shop, &sending, "orders.17").await;
    let mut consumer = own.consumer(&reading).await;
    let delivery = next(&mut consumer).await;
    with_context(mail.context(), span("poll").run(consumer.process(&delivery, done()))).await.unwrap();
    let send = shop.only_span(&format!("send {}:orders.17", own.exchange));
    let process = mail.only_span(&format!("process {}:orders.17:{}", own.exchange, own.queue));
    assert_eq!((process.trace_id(), process.parent_id()), (send.trace_id(), Some(send.span_id())));
    assert_eq!(linked(&process), [mail.only_span("poll").span_id().to_string()]);
}

#[tokio::test]
async fn a_failure_is_that_of_the_work_and_the_message_comes_again() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("shop");
    let channel = own.channel(&own.rabbitmq(&telemetry)).await;
    own.placed(&telemetry, &channel, "orders.17").await;
    let mut consumer = own.consumer(&channel).await;
    let delivery = next(&mut consumer).await;
    let failed = async { Err::<(), _>(io::Error::from(io::ErrorKind::TimedOut)) };
    consumer.process(&delivery, failed).await.unwrap_err();
    let place = format!("{}:orders.17:{}", own.exchange, own.queue);
    assert_eq!(outcome(&telemetry.only_span(&format!("process {place}"))), "timed_out");
    consumer.nack(&delivery, BasicNackOptions { requeue: true, multiple: false }).await.unwrap();
    assert_eq!(telemetry.only_span(&format!("nack {place}")).kind(), SpanKind::Client);

    telemetry.forget();
    let again = next(&mut consumer).await;
    let given_up = consumer.process(&again, std::future::pending::<Result<(), io::Error>>());
    assert!(tokio::time::timeout(Duration::from_millis(1), given_up).await.is_err());
    let process = spans(&telemetry, 1).await.remove(0);
    assert_eq!(outcome(&process), "cancelled");
    assert_eq!(attribute(&process, "waypost.rabbitmq.redelivered").as_deref(), Some("true"));
    consumer.reject(&again, BasicRejectOptions { requeue: false }).await.unwrap();
    assert_eq!(telemetry.only_span(&format!("reject {place}")).kind(), SpanKind::Client);
    follows_conventions(&telemetry);
}

#[tokio::test]
async fn a_message_that_is_asked_for_is_received_in_a_span() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("mail");
    let channel = own.channel(&own.rabbitmq(&telemetry)).await;
    own.placed(&telemetry, &channel, "orders.17").await;
    let send = telemetry.only_span(&format!("send {}:orders.17", own.exchange));
    telemetry.forget();
    let get =
        async || channel.basic_get(own.queue.as_str().into(), BasicGetOptions::default()).await.unwrap();
    let message = get().await.unwrap();
    let receive = spans(&telemetry, 1).await.remove(0);
    assert_eq!(receive.name(), format!("receive {}:orders.17:{}", own.exchange, own.queue));
    assert_eq!((receive.kind(), linked(&receive)), (SpanKind::Client, vec![send.span_id().to_string()]));
    channel.process(&own.queue, &message, done()).await.unwrap();
    channel.ack(&own.queue, &message, BasicAckOptions::default()).await.unwrap();
    assert!(get().await.is_none());
    assert_eq!(telemetry.finished_spans().len(), 3, "nothing came, nothing is shown");
    assert_eq!(metric(&telemetry, "messaging_client_consumed_messages_total", &[]), 1);
    follows_conventions(&telemetry);
}
