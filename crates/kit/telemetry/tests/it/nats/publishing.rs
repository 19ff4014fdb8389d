//! Messages and questions.

use async_nats::{HeaderMap, Request, RequestErrorKind};

use super::*;

#[tokio::test]
async fn a_message_carries_the_context_of_its_span() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("order-service");
    let template = own.subject("orders.{order}.placed");
    let client = own.client(&own.nats(&telemetry).subject_template(template.as_str())).await;
    let native = async_nats::connect(own.0.url()).await.unwrap();
    let subject = own.subject("orders.17.placed");
    let mut messages = native.subscribe(subject.clone()).await.unwrap();
    subscribed(&native).await;

    let mut headers = HeaderMap::new();
    headers.insert("kind", "books");
    headers.append("Traceparent", "no context");
    headers.insert("Nats-Msg-Id", "message-1");
    let sending = client.publish_with_headers(subject.clone(), headers, "placed".into());
    with_context(telemetry.context(), span("place").run(sending)).await.unwrap();
    telemetry.tree().assert_matches(&format!(
        "place INTERNAL order-service
           \"send {template}\" PRODUCER order-service"
    ));
    let send = telemetry.only_span(&format!("send {template}"));
    assert_eq!(
        attributes(&send),
        [
            "messaging.client.id=shop-1".to_owned(),
            format!("messaging.destination.name={subject}"),
            format!("messaging.destination.template={template}"),
            "messaging.message.id=message-1".to_owned(),
            "messaging.operation.name=send".to_owned(),
            "messaging.operation.type=send".to_owned(),
            "messaging.system=nats".to_owned(),
            "server.address=127.0.0.1".to_owned(),
        ]
    );
    let message = within("a message", messages.next()).await.unwrap();
    let headers = message.headers.unwrap();
    assert_eq!(headers.get("kind").map(AsRef::<str>::as_ref), Some("books"));
    let parents: Vec<&str> = headers
        .iter()
        .filter(|(name, _)| name.to_string().eq_ignore_ascii_case("traceparent"))
        .flat_map(|(_, values)| values.iter().map(AsRef::<str>::as_ref))
        .collect();
    let expected = format!("00-{}-{}-", send.trace_id(), send.span_id());
    assert!(matches!(&parents[..], [parent] if parent.starts_with(&expected)), "{parents:?}");

    let template = format!("messaging_destination_template=\"{template}\"");
    assert_eq!(metric(&telemetry, "messaging_client_sent_messages_total", &[&template]), 1);
    let shown = series(&telemetry, "messaging_client_sent_messages_total");
    assert!(shown.iter().all(|line| !line.contains("orders.17")), "{shown:?}");
    follows_conventions(&telemetry);
}

#[tokio::test]
async fn what_has_a_context_keeps_it() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("mail");
    let client = own.client(&own.nats(&telemetry)).await;
    let mut letters = client.subscribe(own.subject("dead")).await.unwrap();
    subscribed(&client).await;
    let mut headers = HeaderMap::new();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    headers.insert("traceparent", parent);
    client.publish_with_headers(own.subject("dead"), headers, "broken".into()).await.unwrap();
    let send = telemetry.only_span(&format!("send {}", own.subject("dead")));
    assert_eq!((send.kind(), linked(&send)), (SpanKind::Client, vec!["00f067aa0ba902b7".to_owned()]));
    let letter = next(&mut letters).await;
    assert_eq!(letter.headers.unwrap().get("traceparent").map(AsRef::<str>::as_ref), Some(parent));
    follows_conventions(&telemetry);
}

#[tokio::test]
async fn a_question_lasts_until_it_is_answered_and_inboxes_have_no_names() {
    let own = Own::new();
    let (shop, stock) = (TestTelemetry::new("shop"), TestTelemetry::new("stock"));
    let asking = own.client(&own.nats(&shop)).await;
    let answering = own.client(&own.nats(&stock).correlation(Correlation::Parent)).await;
    let mut questions =
        answering.queue_subscribe(own.subject("stock"), "stock-keepers".to_owned()).await.unwrap();
    subscribed(&answering).await;
    let answers = async {
        let question = next(&mut questions).await;
        let reply = question.reply.clone().unwrap();
        let answer = answering.publish(reply.clone(), "two".into());
        questions.process(&question, answer).await.unwrap();
        reply.to_string()
    };
    let question = asking.request(own.subject("stock"), "how many?".into());
    let asked = with_context(shop.context(), span("place").run(question));
    let (answer, inbox) = tokio::join!(asked, answers);
    assert_eq!(&*answer.unwrap().payload, b"two");

    let subject = own.subject("stock");
    shop.tree().assert_matches(&format!(
        "place INTERNAL shop
           \"request {subject}\" PRODUCER shop"
    ));
    let request = shop.only_span(&format!("request {subject}"));
    assert_eq!(attribute(&request, "messaging.operation.type").as_deref(), Some("send"));
    let process = stock.only_span(&format!("process {subject}"));
    assert_eq!((process.trace_id(), process.parent_id()), (request.trace_id(), Some(request.span_id())));
    assert_eq!(attribute(&process, "messaging.consumer.group.name").as_deref(), Some("stock-keepers"));
    let reply = stock.only_span("send _INBOX.>");
    assert_eq!((reply.trace_id(), reply.parent_id()), (request.trace_id(), Some(process.span_id())));
    assert_eq!(attribute(&reply, "messaging.destination.temporary").as_deref(), Some("true"));
    assert_eq!(attribute(&reply, "messaging.destination.name"), None);
    let operation = ["messaging_operation_name=\"request\"", "messaging_operation_type=\"send\""];
    assert_eq!(metric(&shop, "messaging_client_operation_duration_seconds_count", &operation), 1);
    for telemetry in [&shop, &stock] {
        assert!(!exported(telemetry).contains(&inbox), "{inbox}");
        follows_conventions(telemetry);
    }
}

#[tokio::test]
async fn a_question_that_fails_says_why() {
    let own = Own::new();
    let telemetry = TestTelemetry::new("shop");
    let client = own.client(&own.nats(&telemetry)).await;
    let nobody = client.request(own.subject("nobody"), "?".into()).await.unwrap_err();
    assert_eq!(nobody.kind(), RequestErrorKind::NoResponders);
    assert_eq!(outcome(&telemetry.only_span(&format!("request {}", own.subject("nobody")))), "no_responders");
    // Somebody is there and does not answer.
    let _silent = client.subscribe(own.subject("silent")).await.unwrap();
    subscribed(&client).await;
    let request = Request::new().timeout(Some(Duration::from_millis(20)));
    client.send_request(own.subject("silent"), request).await.unwrap_err();
    let silent = telemetry.only_span(&format!("request {}", own.subject("silent")));
    assert_eq!(outcome(&silent), "timed_out");
    let failed = ["error_type=\"timed_out\"", "messaging_operation_name=\"request\""];
    assert_eq!(metric(&telemetry, "messaging_client_sent_messages_total", &failed), 1);
    follows_conventions(&telemetry);

    // Whoever gives it up is seen, too.
    telemetry.forget();
    let pending = client.request(own.subject("silent"), "?".into());
    assert!(tokio::time::timeout(Duration::from_millis(1), pending).await.is_err());
    assert_eq!(outcome(&spans(&telemetry, 1).await[0]), "cancelled");
    // Too large for the server.
    telemetry.forget();
    let large = vec![0; client.max_payload() + 1];
    client.publish(own.subject("large"), large.into()).await.unwrap_err();
    assert_eq!(outcome(&spans(&telemetry, 1).await[0]), "max_payload_exceeded");
}
