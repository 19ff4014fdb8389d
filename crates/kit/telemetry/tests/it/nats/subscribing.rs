//! Subscriptions.

use std::io;

use super::*;

/// Publishes inside the span `place` of its own trace.
async fn placed(telemetry: &TestTelemetry, client: &Client, subject: String) {
    let sending = client.publish(subject, "placed".into());
    with_context(telemetry.context(), span("place").run(sending)).await.unwrap();
}

#[tokio::test]
async fn a_message_is_processed_with_a_link_to_its_sender() {
    let own = Own::new();
    let (shop, mail) = (TestTelemetry::new("shop"), TestTelemetry::new("mail"));
    let (sending, reading) = (own.client(&own.nats(&shop)).await, own.client(&own.nats(&mail)).await);
    let pattern = own.subject("orders.*.placed");
    let mut orders = reading.subscribe(pattern.clone()).await.unwrap();
    subscribed(&reading).await;
    placed(&shop, &sending, own.subject("orders.17.placed")).await;
    let message = next(&mut orders).await;
    let work = async {
        span("write-mail").observe(async {}).await;
        Ok::<_, io::Error>(message.payload.len())
    };
    let length = with_context(mail.context(), span("poll").run(orders.process(&message, work))).await;
    assert_eq!(length.unwrap(), 6);
    mail.tree().assert_matches(&format!(
        "poll INTERNAL mail
           \"process {pattern}\" CONSUMER mail
             write-mail INTERNAL mail"
    ));
    let send = shop.only_span(&format!("send {}", own.subject("orders.17.placed")));
    let process = mail.only_span(&format!("process {pattern}"));
    assert_eq!(linked(&process), [send.span_id().to_string()]);
    assert_ne!(process.trace_id(), send.trace_id());
    assert_eq!(attribute(&process, "messaging.destination.name"), Some(own.subject("orders.17.placed")));
    let template = format!("messaging_destination_template=\"{pattern}\"");
    assert_eq!(metric(&mail, "messaging_process_duration_seconds_count", &[&template]), 1);
    assert_eq!(metric(&mail, "messaging_client_consumed_messages_total", &[&template]), 1);
    follows_conventions(&mail);
}

#[tokio::test]
async fn a_message_is_processed_in_the_trace_of_its_sender_where_that_is_asked_for() {
    let own = Own::new();
    let (shop, mail) = (TestTelemetry::new("shop"), TestTelemetry::new("mail"));
    let sending = own.client(&own.nats(&shop)).await;
    let reading = own.client(&own.nats(&mail).correlation(Correlation::Parent)).await;
    let subject = own.subject("orders");
    let mut orders = reading.subscribe(subject.clone()).await.unwrap();
    subscribed(&reading).await;
    placed(&shop, &sending, subject.clone()).await;
    let message = next(&mut orders).await;
    with_context(mail.context(), span("poll").run(orders.process(&message, done()))).await.unwrap();
    let (send, process) =
        (shop.only_span(&format!("send {subject}")), mail.only_span(&format!("process {subject}")));
    assert_eq!((process.trace_id(), process.parent_id()), (send.trace_id(), Some(send.span_id())));
    assert_eq!(linked(&process), [mail.only_span("poll").span_id().to_string()]);
}

#[tokio::test]
async fn a_failure_is_that_of_the_work() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("shop");
    let client = own.client(&own.nats(&telemetry)).await;
    let mut orders = client.subscribe(own.subject("orders")).await.unwrap();
    placed(&telemetry, &client, own.subject("orders")).await;
    let message = next(&mut orders).await;
    let failed = async { Err::<(), _>(io::Error::from(io::ErrorKind::TimedOut)) };
    orders.process(&message, failed).await.unwrap_err();
    let process = telemetry.only_span(&format!("process {}", own.subject("orders")));
    assert_eq!(outcome(&process), "timed_out");
    let labels = ["error_type=\"timed_out\""];
    assert_eq!(metric(&telemetry, "messaging_process_duration_seconds_count", &labels), 1);
    telemetry.forget();
    let given_up = orders.process(&message, std::future::pending::<Result<(), io::Error>>());
    assert!(tokio::time::timeout(Duration::from_millis(1), given_up).await.is_err());
    assert_eq!(outcome(&spans(&telemetry, 1).await[0]), "cancelled");
}

#[tokio::test]
async fn each_message_goes_to_one_of_a_group() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("mail");
    let client = own.client(&own.nats(&telemetry)).await;
    let join = || client.queue_subscribe(own.subject("orders"), "mail".to_owned());
    let (mut first, mut second) = (join().await.unwrap(), join().await.unwrap());
    subscribed(&client).await;
    for _ in 0..10 {
        client.publish(own.subject("orders"), "placed".into()).await.unwrap();
    }
    for _ in 0..10 {
        let (member, message) = within("a message", async {
            tokio::select! {
                message = first.next() => (&first, message.unwrap()),
                message = second.next() => (&second, message.unwrap()),
            }
        })
        .await;
        member.process(&message, done()).await.unwrap();
    }
    let group = ["messaging_consumer_group_name=\"mail\""];
    assert_eq!(metric(&telemetry, "messaging_client_consumed_messages_total", &group), 10);
    assert_eq!(metric(&telemetry, "messaging_process_duration_seconds_count", &group), 10);
    first.unsubscribe().await.unwrap();
}
