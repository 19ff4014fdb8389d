//! An order from its publisher through a stream to its consumer, a question with its answer, and the spans of both.
//!
//! `cargo run -p waypost-telemetry --features nats,testing,tls-ring --example nats -- nats://127.0.0.1:4222`; with a NATS for the
//! time of the run: `cargo xtask stack run sh -c 'cargo run ... --example nats -- $TEST_NATS_URL'`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull;
use futures_util::StreamExt as _;
use waypost_telemetry::messaging::Correlation;
use waypost_telemetry::testing::{SpanTree, TestTelemetry};
use waypost_telemetry::{span, with_context};

const STREAM: &str = "WAYPOST-EXAMPLE";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned());
    println!("{}", traces(&url).await?);
    Ok(())
}

/// Sends and reads, and gives the traces of it as text.
pub(crate) async fn traces(url: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    // Handles in memory, so that the spans can be shown; a service has one of `waypost_telemetry::init`.
    let (shop, mail) = (TestTelemetry::new("order-service"), TestTelemetry::new("mail-service"));
    let client = shop.nats().subject_template("example.{order}.placed").wrap(async_nats::connect(url).await?);
    let reader = mail.nats().correlation(Correlation::Parent).wrap(async_nats::connect(url).await?);

    // The server knows of it as soon as it has answered something that came later over this connection.
    let mut questions = reader.queue_subscribe("example.mails", "mail".to_owned()).await?;

    // A stream keeps the orders until the mails are written.
    let stream = client.jetstream(jetstream::new((*client).clone()));
    let subjects = vec!["example.*.placed".to_owned()];
    let config = jetstream::stream::Config { name: STREAM.to_owned(), subjects, ..Default::default() };
    stream.get_or_create_stream(config).await?;
    let placing = async { stream.publish("example.17.placed", "two books".into()).await?.await };
    let ack = with_context(shop.context(), span("place-order").run(placing)).await?;

    let streams = reader.jetstream(jetstream::new((*reader).clone()));
    let config = pull::Config {
        durable_name: Some("mail".to_owned()),
        filter_subject: "example.*.placed".to_owned(),
        ..Default::default()
    };
    let consumer = streams.consumer(streams.create_consumer_on_stream(config, STREAM).await?);
    let mut is_there = false;
    while !is_there {
        for message in consumer.fetch(10, Duration::from_secs(5)).await? {
            let writing = async {
                span("write-mail").observe(async {}).await;
                Ok::<_, std::io::Error>(())
            };
            consumer.process(&message, writing).await?;
            consumer.double_ack(&message).await?;
            is_there |= message.info()?.stream_sequence >= ack.sequence;
        }
    }

    // A question goes to one of those who answer.
    let answering = async {
        let question = questions.next().await.ok_or("the connection ended")?;
        let reply = question.reply.clone().ok_or("nobody waits for an answer")?;
        questions.process(&question, reader.publish(reply, "one".into())).await?;
        Ok::<_, Box<dyn Error + Send + Sync>>(())
    };
    let question = async { Ok(client.request("example.mails", "".into()).await?) };
    let asking = with_context(shop.context(), span("count-mails").run(question));
    tokio::try_join!(asking, answering)?;

    let spans = [shop.finished_spans(), mail.finished_spans()].concat();
    let shown = ["waypost.nats.stream", "messaging.consumer.group.name"];
    let trees: Vec<String> = SpanTree::all(&spans).iter().map(|trace| trace.render_with(&shown)).collect();
    Ok(trees.join("\n"))
}
