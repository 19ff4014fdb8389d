//! Both services as they are started by hand, on ports of their own, with a small OTLP receiver beside them.

#![allow(clippy::unwrap_used, reason = "what a helper cannot set up fails the test that asked for it")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use waypost_test_client::{Answer, Request};
use waypost_test_process::Process;

const PATIENCE: Duration = Duration::from_secs(20);

/// A service under test; ends with the test.
struct Service {
    process: Process,
    address: SocketAddr,
}

impl Service {
    /// Starts a service and waits until it says on which port it listens.
    async fn start(program: &str, announcement: &str, settings: &[(&str, &str)]) -> Self {
        let mut process = Process::start(Command::new(program).envs(settings.iter().copied())).unwrap();
        let port = |line: &str| line.split_once(announcement)?.1.trim_end_matches('.').parse::<u16>().ok();
        let port = process.line("its port", port).await.unwrap();
        Self { process, address: (Ipv4Addr::LOCALHOST, port).into() }
    }

    /// Waits until it has said this so often.
    fn has_said(&mut self, text: &str, times: usize) {
        self.process.wait_for_lines(times, text, |line| line.contains(text).then_some(())).unwrap();
    }

    async fn ask(&self, method: &str, path: &str) -> Answer {
        Request::new(method, path).send(self.address).await
    }
}

/// Takes what the services export over OTLP, as pairs of service and span.
fn receiver() -> (SocketAddr, Receiver<(String, Span)>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = channel();
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            thread::spawn(move || take_exports(connection, &sender));
        }
    });
    (address, received)
}

fn take_exports(connection: TcpStream, received: &Sender<(String, Span)>) {
    let mut reader = BufReader::new(connection);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        for resource in ExportTraceServiceRequest::decode(&body[..]).unwrap().resource_spans {
            let service = attribute(&resource.resource.unwrap().attributes, "service.name").unwrap();
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                received.send((service.clone(), span)).unwrap();
            }
        }
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}

fn attribute(attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue], key: &str) -> Option<String> {
    let value = &attributes.iter().find(|attribute| attribute.key == key)?.value;
    match value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{key} is {other:?}"),
    }
}

/// The trace as lines `service: name`, children below their parent and further in.
fn tree(spans: &[(String, Span)], parent: &[u8], depth: usize) -> Vec<String> {
    let mut children: Vec<_> = spans.iter().filter(|(_, span)| span.parent_span_id == parent).collect();
    children.sort_by_key(|(_, span)| span.start_time_unix_nano);
    let mut lines = Vec::new();
    for (service, span) in children {
        lines.push(format!("{}{service}: {}", "  ".repeat(depth), span.name));
        lines.extend(tree(spans, &span.span_id, depth + 1));
    }
    lines
}

#[tokio::test]
async fn an_order_is_one_trace_through_both_services() {
    let (collector, received) = receiver();
    let collector = format!("http://{collector}");
    let common = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "20")];
    let b = Service::start(
        env!("CARGO_BIN_EXE_service-b"),
        "Service B (Payment) starting on :",
        &[&common[..], &[("SERVICE_B_ADDR", "127.0.0.1:0")]].concat(),
    )
    .await;
    let payment_url = format!("http://{}", b.address);
    let mut a = Service::start(
        env!("CARGO_BIN_EXE_service-a"),
        "Service A (Order) starting on :",
        &[&common[..], &[("SERVICE_A_ADDR", "127.0.0.1:0"), ("PAYMENT_URL", &payment_url)]].concat(),
    )
    .await;

    let health = a.ask("GET", "/health").await;
    assert_eq!((health.status.as_u16(), health.text()), (200, "OK"));
    for (times, method) in [(1, "GET"), (2, "POST")] {
        let answer = a.ask(method, "/order").await;
        assert_eq!((answer.status.as_u16(), &answer.json["order_id"]), (200, &"order-12345".into()));
        assert!(answer.json["transaction_id"].as_str().unwrap().starts_with("txn-"), "{answer:?}");
        for said in ["Creating order...", "Processing payment for order-12345...", "Payment successful!"] {
            a.has_said(said, times);
        }

        let deadline = Instant::now() + PATIENCE;
        let mut spans: Vec<(String, Span)> = Vec::new();
        while spans.len() < 6 {
            let left = deadline.saturating_duration_since(Instant::now());
            spans.push(received.recv_timeout(left).unwrap_or_else(|_| panic!("only these came: {spans:#?}")));
        }
        assert_eq!(
            tree(&spans, &[], 0),
            [
                &format!("order-service: {method} /order"),
                "  order-service: Create Order",
                "  order-service: Process Payment",
                "    order-service: payment.v1.PaymentService/ProcessPayment",
                "      payment-service: payment.v1.PaymentService/ProcessPayment",
                "        payment-service: Payment Processing",
            ]
        );
        assert!(spans.iter().all(|(_, span)| span.trace_id == spans[0].1.trace_id));
        for (name, key, value) in [
            (format!("{method} /order").as_str(), "http.route", "/order"),
            (&format!("{method} /order"), "order.id", "order-12345"),
            ("payment.v1.PaymentService/ProcessPayment", "rpc.system.name", "grpc"),
            ("Payment Processing", "order.id", "order-12345"),
            ("Payment Processing", "payment.amount", "99.99"),
        ] {
            let (_, span) = spans.iter().find(|(_, span)| span.name == name).unwrap();
            assert_eq!(attribute(&span.attributes, key).as_deref(), Some(value), "{name}: {key}");
        }
    }
}

#[tokio::test]
async fn without_service_b_and_without_a_collector_the_answer_says_that_payment_failed() {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let nobody = format!("http://{nobody}");
    let a = Service::start(
        env!("CARGO_BIN_EXE_service-a"),
        "Service A (Order) starting on :",
        &[
            ("SERVICE_A_ADDR", "127.0.0.1:0"),
            ("PAYMENT_URL", &nobody),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &nobody),
        ],
    )
    .await;
    let answer = a.ask("POST", "/order").await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("payment failed"), "{answer:?}");
}

#[tokio::test]
async fn a_platforms_variables_stop_neither_service() {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let nobody = format!("http://{nobody}");
    let platform = [
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_PROPAGATORS", "tracecontext,baggage,b3"),
        ("OTEL_TRACES_SAMPLER_ARG", "x"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &nobody),
    ];
    let b = Service::start(
        env!("CARGO_BIN_EXE_service-b"),
        "Service B (Payment) starting on :",
        &[&platform[..], &[("SERVICE_B_ADDR", "127.0.0.1:0")]].concat(),
    )
    .await;
    let payment_url = format!("http://{}", b.address);
    let a = Service::start(
        env!("CARGO_BIN_EXE_service-a"),
        "Service A (Order) starting on :",
        &[&platform[..], &[("SERVICE_A_ADDR", "127.0.0.1:0"), ("PAYMENT_URL", &payment_url)]].concat(),
    )
    .await;
    let answer = a.ask("POST", "/order").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}
