//! Both services as they are started by hand, on ports of their own, with the kit's fake collector beside them.

#![allow(clippy::unwrap_used, reason = "what a helper cannot set up fails the test that asked for it")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use waypost_telemetry::testing::collector::FakeCollector;
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

#[tokio::test]
async fn an_order_is_one_trace_through_both_services() {
    let collector = FakeCollector::start();
    let endpoint = collector.endpoint();
    let common = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "20")];
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

        collector.wait_for(PATIENCE, |collector| collector.spans().len() >= 6).await;
        collector.tree().assert_matches_in_order(&format!(
            "{method} /order SERVER order-service http.route=/order order.id=order-12345
               Create Order INTERNAL order-service
               Process Payment INTERNAL order-service
                 payment.v1.PaymentService/ProcessPayment CLIENT order-service rpc.system.name=grpc
                   payment.v1.PaymentService/ProcessPayment SERVER payment-service
                     Payment Processing INTERNAL payment-service order.id=order-12345 payment.amount=99.99"
        ));
        collector.forget();
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
