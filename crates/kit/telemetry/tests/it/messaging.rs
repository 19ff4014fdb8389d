//! Messaging: from the producer through the headers of a message to the consumer.

#![allow(clippy::unwrap_used, reason = "what a helper cannot set up fails the test that asked for it")]

use std::io;
use std::time::Duration;

use waypost_telemetry::messaging::{
    Correlation, HeaderCarrier, Metrics, create_span, process_batch_span, process_span, receive_span,
    send_batch_span, send_span, settle_span,
};
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::opentelemetry::trace::{SpanKind, TraceContextExt as _};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{FinishedSpan, Outcome, propagation, tenant, with_context};

use crate::http_server::net::{attribute, attributes, metric, outcome, series, spans};

type Headers = Vec<(String, Vec<u8>)>;

/// Sends a message for a tenant; returns its headers.
fn sent(telemetry: &TestTelemetry) -> Headers {
    let tenant = tenant::TenantId::new("acme").unwrap();
    let _attached = tenant::with_tenant(&telemetry.context(), &tenant).attach();
    let sending = send_span("kafka", "order-events").message_id("event-1").start();
    let mut headers = Headers::new();
    propagation::inject(sending.context(), &mut HeaderCarrier(&mut headers));
    sending.end(Outcome::Ok);
    headers
}

/// The context in the headers, as a consumer finds it.
fn stored(telemetry: &TestTelemetry, headers: &Headers) -> Context {
    let _attached = telemetry.context().attach();
    propagation::extract(&HeaderCarrier(headers))
}

fn linked(span: &FinishedSpan) -> Vec<String> {
    span.links().iter().map(|link| link.span_context().span_id().to_string()).collect()
}

#[tokio::test]
async fn each_operation_has_its_name_kind_and_type() {
    let telemetry = TestTelemetry::new("order");
    let _attached = telemetry.context().attach();
    let none = Context::new();
    for (started, name, kind) in [
        (send_span("kafka", "orders"), "send orders", SpanKind::Producer),
        (create_span("kafka", "orders"), "create orders", SpanKind::Producer),
        (receive_span("kafka", "orders"), "receive orders", SpanKind::Client),
        (process_span("kafka", "orders", &none, Correlation::Link), "process orders", SpanKind::Consumer),
        (settle_span("kafka", "orders"), "settle orders", SpanKind::Client),
    ] {
        telemetry.forget();
        started.in_scope(|| ());
        let span = spans(&telemetry, 1).await.remove(0);
        assert_eq!((span.name(), span.kind()), (name, kind));
        let operation = name.split(' ').next().unwrap();
        assert_eq!(
            attributes(&span),
            [
                "messaging.destination.name=orders",
                &format!("messaging.operation.name={operation}"),
                &format!("messaging.operation.type={operation}"),
                "messaging.system=kafka",
            ]
        );
    }
}

#[tokio::test]
async fn positions_and_keys_are_recorded_where_the_conventions_have_a_place_for_them() {
    let telemetry = TestTelemetry::new("order");
    let _attached = telemetry.context().attach();
    for system in ["kafka", "waypost"] {
        let process = process_span(system, "orders", &Context::new(), Correlation::Link);
        let process =
            process.partition(3).offset(41).key("order-1").group("notification").message_id("event-1");
        process.body_size(120).batch(1).attr("order.id", "order-1").in_scope(|| ());
    }
    let spans = spans(&telemetry, 2).await;
    for span in &spans {
        for (key, value) in [
            ("messaging.destination.partition.id", "3"),
            ("messaging.consumer.group.name", "notification"),
            ("messaging.message.id", "event-1"),
            ("messaging.message.body.size", "120"),
            ("messaging.batch.message_count", "1"),
            ("order.id", "order-1"),
        ] {
            assert_eq!(attribute(span, key).as_deref(), Some(value), "{key}");
        }
    }
    assert_eq!(attribute(&spans[0], "messaging.kafka.offset").as_deref(), Some("41"));
    assert_eq!(attribute(&spans[0], "messaging.kafka.message.key").as_deref(), Some("order-1"));
    assert_eq!(attribute(&spans[1], "messaging.kafka.offset"), None);
    assert_eq!(attribute(&spans[1], "messaging.kafka.message.key"), None);
}

#[tokio::test]
async fn a_consumer_with_a_parent_continues_the_producers_trace() {
    let (producer, consumer) = (TestTelemetry::new("order"), TestTelemetry::new("notification"));
    let stored = stored(&consumer, &sent(&producer));
    let work = async {
        let process = process_span("kafka", "order-events", &stored, Correlation::Parent);
        process.observe(async { assert_eq!(tenant::current().unwrap().as_str(), "acme") }).await;
    };
    with_context(consumer.context(), consumer.span("poll").observe(work)).await;
    let send = spans(&producer, 1).await.remove(0);
    let [processed, polled] = &spans(&consumer, 2).await[..] else { unreachable!() };
    assert_eq!(processed.trace_id(), send.trace_id());
    assert_eq!(processed.parent_id(), Some(send.span_id()));
    assert_eq!(processed.service_name(), "notification");
    assert_eq!(attribute(processed, "tenant.id").as_deref(), Some("acme"));
    // What was current is not lost.
    assert_eq!(linked(processed), [polled.span_id().to_string()]);
}

#[tokio::test]
async fn a_consumer_with_a_link_stays_in_its_own_trace() {
    let (producer, consumer) = (TestTelemetry::new("order"), TestTelemetry::new("notification"));
    let stored = stored(&consumer, &sent(&producer));
    let work = async {
        process_span("kafka", "order-events", &stored, Correlation::Link).observe(async {}).await;
    };
    with_context(consumer.context(), consumer.span("poll").observe(work)).await;
    let send = spans(&producer, 1).await.remove(0);
    let [processed, polled] = &spans(&consumer, 2).await[..] else { unreachable!() };
    assert_eq!(processed.parent_id(), Some(polled.span_id()));
    assert_eq!(linked(processed), [send.span_id().to_string()]);
    assert_eq!(attribute(processed, "tenant.id").as_deref(), Some("acme"));
}

#[tokio::test]
async fn a_message_without_a_trace_begins_one() {
    for correlation in [Correlation::Parent, Correlation::Link] {
        let consumer = TestTelemetry::new("notification");
        let broken = vec![("traceparent".to_owned(), b"broken".to_vec()), ("note".to_owned(), vec![0xff])];
        let stored = stored(&consumer, &broken);
        let work =
            async { process_span("kafka", "order-events", &stored, correlation).observe(async {}).await };
        with_context(consumer.context(), work).await;
        let processed = spans(&consumer, 1).await.remove(0);
        assert_eq!(processed.parent_id(), None);
        assert!(processed.links().is_empty());
    }
}

#[tokio::test]
async fn a_batch_links_to_the_context_of_each_message() {
    let (producer, consumer) = (TestTelemetry::new("order"), TestTelemetry::new("notification"));
    let stored: Vec<Context> = (0..3).map(|_| stored(&consumer, &sent(&producer))).collect();
    let work = async { process_batch_span("kafka", "order-events", &stored).observe(async {}).await };
    with_context(consumer.context(), work).await;
    let batch = spans(&consumer, 1).await.remove(0);
    let sent: Vec<_> = spans(&producer, 3).await.iter().map(|span| span.span_id().to_string()).collect();
    assert_eq!(linked(&batch), sent);
    assert_eq!(attribute(&batch, "messaging.batch.message_count").as_deref(), Some("3"));
}

#[tokio::test]
async fn a_batch_is_sent_by_a_client_that_links_to_its_messages() {
    let producer = TestTelemetry::new("order");
    let _attached = producer.context().attach();
    let created: Vec<Context> = (0..2)
        .map(|_| {
            let creating = create_span("kafka", "order-events").start();
            let context = creating.context().clone();
            creating.end(Outcome::Ok);
            context
        })
        .collect();
    send_batch_span("kafka", "order-events", &created).in_scope(|| ());
    let spans = spans(&producer, 3).await;
    let sent = &spans[2];
    assert_eq!((sent.name(), sent.kind()), ("send order-events", SpanKind::Client));
    let messages: Vec<_> = spans[..2].iter().map(|span| span.span_id().to_string()).collect();
    assert_eq!(linked(sent), messages);
    assert_eq!(attribute(sent, "messaging.batch.message_count").as_deref(), Some("2"));
}

#[tokio::test]
async fn a_template_names_the_span_and_a_broker_has_an_address() {
    let telemetry = TestTelemetry::new("order");
    let _attached = telemetry.context().attach();
    for system in ["kafka", "waypost"] {
        send_span(system, "reply-4711")
            .destination_template("reply-{client}")
            .server("broker.example", Some(9092))
            .tombstone()
            .in_scope(|| ());
    }
    let spans = spans(&telemetry, 2).await;
    for span in &spans {
        assert_eq!(span.name(), "send reply-{client}");
        for (key, value) in [
            ("messaging.destination.name", "reply-4711"),
            ("messaging.destination.template", "reply-{client}"),
            ("server.address", "broker.example"),
            ("server.port", "9092"),
        ] {
            assert_eq!(attribute(span, key).as_deref(), Some(value), "{key}");
        }
    }
    let tombstones = spans.iter().map(|span| attribute(span, "messaging.kafka.message.tombstone"));
    assert_eq!(tombstones.collect::<Vec<_>>(), [Some("true".to_owned()), None]);
}

#[tokio::test]
async fn a_state_that_the_api_cannot_hold_reaches_the_consumer() {
    let consumer = TestTelemetry::new("notification");
    let parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03".to_vec();
    let headers = vec![("traceparent".to_owned(), parent), ("tracestate".to_owned(), b"foo@@bar=1".to_vec())];
    let stored = stored(&consumer, &headers);
    let process = process_span("kafka", "order-events", &stored, Correlation::Parent).start();
    assert_eq!(propagation::tracestate(process.context()).as_deref(), Some("foo@@bar=1"));
    assert!(propagation::traceparent(process.context()).unwrap().ends_with("-03"));
}

#[tokio::test]
async fn sending_again_replaces_the_context_in_the_headers() {
    let producer = TestTelemetry::new("order");
    let mut headers = sent(&producer);
    let first = headers.len();
    let _attached = producer.context().attach();
    let again = send_span("kafka", "dead-letters").start();
    propagation::inject(again.context(), &mut HeaderCarrier(&mut headers));
    assert_eq!(headers.len(), first);
    let stored = stored(&producer, &headers);
    assert_eq!(stored.span().span_context().span_id(), again.span_context().span_id());
}

#[tokio::test]
async fn a_handler_that_fails_fails_its_span() {
    let consumer = TestTelemetry::new("notification");
    let work = async {
        let process = process_span("kafka", "order-events", &Context::new(), Correlation::Link);
        process.run(async { Err::<(), _>(io::Error::from(io::ErrorKind::TimedOut)) }).await
    };
    with_context(consumer.context(), work).await.unwrap_err();
    let failed = consumer.only_span("process order-events");
    assert_eq!(attribute(&failed, "error.type").as_deref(), Some("timed_out"));
    assert!(failed.is_error());
    let _attached = consumer.context().attach();
    consumer.forget();
    drop(
        process_span("kafka", "order-events", &Context::new(), Correlation::Link).start().cancelled_on_drop(),
    );
    assert_eq!(outcome(&spans(&consumer, 1).await[0]), "cancelled");
}

#[test]
fn messages_are_counted_and_timed_by_system_destination_and_group() {
    let telemetry = TestTelemetry::new("order");
    let metrics = Metrics::new(&telemetry, "kafka").server("broker.example", Some(9092));
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    let elapsed = Duration::from_millis(3);
    metrics.sent("order-events", 2, elapsed, None);
    metrics.sent("order-events", 1, elapsed, Some(&refused));
    metrics.received("order-events", "notification", 5, elapsed, None);
    metrics.processed("order-events", "notification", elapsed, None);
    metrics.processed("order-events", "notification", elapsed, Some(&refused));

    let labels = ["messaging_system=\"kafka\"", "messaging_destination_name=\"order-events\""];
    assert_eq!(metric(&telemetry, "messaging_client_sent_messages_total", &labels), 3);
    assert_eq!(metric(&telemetry, "messaging_client_sent_messages_total", &["error_type="]), 1);
    let broker = ["server_address=\"broker.example\"", "server_port=\"9092\""];
    assert_eq!(metric(&telemetry, "messaging_process_duration_seconds_count", &broker), 2);
    for (kind, count) in [("send", 2), ("receive", 1)] {
        let labels = [&format!("messaging_operation_type=\"{kind}\"")[..], broker[0]];
        let counted = metric(&telemetry, "messaging_client_operation_duration_seconds_count", &labels);
        assert_eq!(counted, count, "{kind}");
    }
    let group = ["messaging_consumer_group_name=\"notification\""];
    assert_eq!(metric(&telemetry, "messaging_client_consumed_messages_total", &group), 5);
    assert_eq!(metric(&telemetry, "messaging_process_duration_seconds_count", &group), 2);
    assert_eq!(metric(&telemetry, "messaging_client_operation_duration_seconds_count", &[]), 3);
    assert_eq!(series(&telemetry, "messaging_process_duration_seconds_bucket").len(), 30);
}
