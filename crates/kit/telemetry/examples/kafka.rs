//! An order from its producer to its consumer, and the spans of it.
//!
//! `cargo run -p waypost-telemetry --features kafka,testing --example kafka -- 127.0.0.1:9092`; with a Kafka for the time of
//! the run: `cargo xtask stack run sh -c 'cargo run ... --example kafka -- $TEST_KAFKA'`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::FutureRecord;
use waypost_telemetry::messaging::Correlation;
use waypost_telemetry::testing::{SpanTree, TestTelemetry};
use waypost_telemetry::{span, with_context};

const TOPIC: &str = "waypost-example-orders";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", server).set("auto.offset.reset", "earliest");
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // That it is there already is fine.
    admin.create_topics([&NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1))], &AdminOptions::new()).await?;

    // Handles in memory, so that the spans can be shown; a service has one of `waypost_telemetry::init`.
    let (shop, mail) = (TestTelemetry::new("order-service"), TestTelemetry::new("mail-service"));
    let producer = shop.kafka().producer(&config)?;
    let order = FutureRecord::to(TOPIC).key("order-1").payload("placed");
    let sending = async { producer.send(order, Duration::from_secs(30)).await.map_err(|(error, _)| error) };
    let delivery = with_context(shop.context(), span("place-order").run(sending)).await?;
    println!("order-1 is at offset {}", delivery.offset);

    let consumer =
        mail.kafka().correlation(Correlation::Parent).consumer(config.set("group.id", "waypost-example"))?;
    consumer.subscribe(&[TOPIC])?;
    loop {
        let message = consumer.recv().await?;
        let writing = async {
            span("write-mail").observe(async { println!("mail for {:?}", message.key_view::<str>()) }).await;
            Ok::<_, KafkaError>(())
        };
        consumer.process(&message, writing).await?;
        consumer.commit_message(&message, CommitMode::Sync)?;
        if message.offset() >= delivery.offset {
            break;
        }
    }
    let spans = [shop.finished_spans(), mail.finished_spans()].concat();
    for trace in SpanTree::all(&spans) {
        println!(
            "\n{}",
            trace.render_with(&["messaging.destination.partition.id", "messaging.kafka.offset"])
        );
    }
    Ok(())
}
