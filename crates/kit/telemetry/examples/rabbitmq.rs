//! An order from its publisher to its consumer, and the spans of it.
//!
//! `cargo run -p waypost-telemetry --features rabbitmq,testing --example rabbitmq -- amqp://127.0.0.1:5672`; with a RabbitMQ for the
//! time of the run: `cargo xtask stack run sh -c 'cargo run ... --example rabbitmq -- $TEST_RABBITMQ_URL'`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties, ExchangeKind};
use waypost_telemetry::messaging::Correlation;
use waypost_telemetry::testing::{SpanTree, TestTelemetry};
use waypost_telemetry::{span, with_context};

const EXCHANGE: &str = "waypost-example";
const QUEUE: &str = "waypost-example-mails";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "amqp://127.0.0.1:5672".to_owned());
    println!("{}", traces(&url).await?);
    Ok(())
}

/// Sends and reads, and gives the traces of it as text.
pub(crate) async fn traces(url: &str) -> Result<String, Box<dyn Error>> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let none = FieldTable::default;

    // Handles in memory, so that the spans can be shown; a service has one of `waypost_telemetry::init`.
    let (shop, mail) = (TestTelemetry::new("order-service"), TestTelemetry::new("mail-service"));
    let template = "orders.{order}.placed";
    let channel = shop.rabbitmq().routing_key_template(template).wrap(connection.create_channel().await?);
    let reader = mail.rabbitmq().routing_key_template(template).correlation(Correlation::Parent);
    let reader = reader.wrap(connection.create_channel().await?);

    let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, options, none()).await?;
    let options = QueueDeclareOptions { auto_delete: true, ..Default::default() };
    channel.queue_declare(QUEUE.into(), options, none()).await?;
    let options = QueueBindOptions::default();
    channel.queue_bind(QUEUE.into(), EXCHANGE.into(), "orders.*.placed".into(), options, none()).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;

    let placing = async {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let key = "orders.17.placed".into();
        channel.basic_publish(EXCHANGE.into(), key, options, b"two books", properties).await?.await
    };
    with_context(shop.context(), span("place-order").run(placing)).await?;

    let options = BasicConsumeOptions::default();
    let mut mails = reader.basic_consume(QUEUE.into(), "".into(), options, none()).await?;
    let delivery = mails.next().await.ok_or("the consumer was ended")??;
    let writing = async {
        span("write-mail").observe(async {}).await;
        Ok::<_, std::io::Error>(())
    };
    mails.process(&delivery, writing).await?;
    mails.ack(&delivery, BasicAckOptions::default()).await?;

    let spans = [shop.finished_spans(), mail.finished_spans()].concat();
    let shown = ["messaging.rabbitmq.destination.routing_key"];
    let trees: Vec<String> = SpanTree::all(&spans).iter().map(|trace| trace.render_with(&shown)).collect();
    Ok(trees.join("\n"))
}
