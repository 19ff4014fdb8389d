//! RabbitMQ over a real broker: confirms, returns, consumers that settle, a broker that is killed; names that stay few, and
//! secrets that stay out.

mod bounds;
mod consuming;
mod example;
mod publishing;

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions,
    BasicRejectOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties, ExchangeKind};
use waypost_telemetry::messaging::Correlation;
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::rabbitmq::{Channel, Consumer, RabbitMq};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::testing::conventions::Conventions;
use waypost_telemetry::{FinishedSpan, metrics, span, with_context};
use waypost_test_servers::rabbitmq::{Queues, Server};

use crate::http_server::net::{attribute, attributes, metric, outcome, series, spans};

/// How long RabbitMQ may take; a loaded machine is slow.
const TIMEOUT: Duration = Duration::from_mins(1);

/// An exchange of the test's own, and a queue that gets all of its orders.
struct Own {
    queues: Queues,
    exchange: String,
    queue: String,
}

impl Own {
    fn new() -> Self {
        let queues = Queues::own();
        let (exchange, queue) = (queues.name("shop"), queues.name("mails"));
        Self { queues, exchange, queue }
    }

    fn rabbitmq(&self, telemetry: &TestTelemetry) -> RabbitMq {
        telemetry.rabbitmq().server("127.0.0.1", self.queues.port()).client_id("shop-1")
    }

    /// A channel with confirms, and what is declared on it. The connection ends with it.
    async fn channel(&self, rabbitmq: &RabbitMq) -> Channel {
        let channel = rabbitmq.wrap(connected(self.queues.url()).await.create_channel().await.unwrap());
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        declared(&channel, &self.exchange, &self.queue).await;
        channel
    }

    async fn consumer(&self, channel: &Channel) -> Consumer {
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        channel.basic_consume(self.queue.as_str().into(), "".into(), options, none).await.unwrap()
    }

    /// Publishes and waits for the confirmation, inside the span `place` of its own trace.
    async fn placed(&self, telemetry: &TestTelemetry, channel: &Channel, key: &str) {
        let sending = async {
            let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
            let exchange = self.exchange.as_str().into();
            channel.basic_publish(exchange, key.into(), options, b"placed", properties).await?.await
        };
        let confirmed = with_context(telemetry.context(), span("place").run(sending)).await.unwrap();
        assert!(confirmed.is_ack(), "{confirmed:?}");
    }
}

async fn connected(url: &str) -> Connection {
    Connection::connect(url, ConnectionProperties::default()).await.unwrap()
}

async fn declared(channel: &lapin::Channel, exchange: &str, queue: &str) {
    let none = FieldTable::default;
    let options = ExchangeDeclareOptions::default();
    channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, none()).await.unwrap();
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), options, none()).await.unwrap();
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.into(), exchange.into(), "orders.#".into(), options, none()).await.unwrap();
}

async fn next(consumer: &mut Consumer) -> Delivery {
    tokio::time::timeout(TIMEOUT, consumer.next()).await.unwrap().unwrap().unwrap()
}

fn done() -> std::future::Ready<Result<(), std::io::Error>> {
    std::future::ready(Ok(()))
}

/// Checks all but what would make a series of each partition, which RabbitMQ has none of.
fn follows_conventions(telemetry: &TestTelemetry) {
    let conventions = Conventions::current()
        .exception("messaging.*/messaging.destination.partition.id", "queues have no partitions")
        .exception("messaging.*/network.peer.address", "the client does not tell whom it has reached");
    conventions.check(&[telemetry]).assert_clean();
}

fn linked(span: &FinishedSpan) -> Vec<String> {
    span.links().iter().map(|link| link.span_context().span_id().to_string()).collect()
}

/// Everything that leaves the process.
fn exported(telemetry: &TestTelemetry) -> String {
    let page = metrics::render_prometheus(&[telemetry.handle().clone()]);
    format!("{:?}\n{:?}\n{page}", telemetry.finished_spans(), telemetry.finished_logs())
}
