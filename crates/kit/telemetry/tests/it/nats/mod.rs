//! NATS over a real server: messages, questions and answers, groups, streams that acknowledge and deliver again; a server that
//! is killed; names that stay few, and secrets that stay out.

mod bounds;
mod example;
mod publishing;
mod streams;
mod subscribing;

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream;
use futures_util::StreamExt as _;
use waypost_telemetry::messaging::Correlation;
use waypost_telemetry::nats::{Client, Consumer, JetStream, Nats, Subscriber};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::testing::conventions::Conventions;
use waypost_telemetry::{FinishedSpan, metrics, span, with_context};
use waypost_test_servers::nats::{Server, Subjects};

use crate::http_server::net::{attribute, attributes, metric, outcome, series, spans, within};

/// How long NATS may take; a loaded machine is slow.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A word of the test's own on the tests' NATS.
struct Own(Subjects);

impl Own {
    fn new() -> Self {
        Self(Subjects::own())
    }

    fn subject(&self, rest: &str) -> String {
        self.0.subject(rest)
    }

    fn nats(&self, telemetry: &TestTelemetry) -> Nats {
        telemetry.nats().server("127.0.0.1", self.0.port()).client_id("shop-1")
    }

    async fn client(&self, nats: &Nats) -> Client {
        nats.wrap(async_nats::connect(self.0.url()).await.unwrap())
    }

    /// A stream with all subjects of this word, and the wrapper that leads to it.
    async fn stream(&self, client: &Client) -> JetStream {
        let jetstream = client.jetstream(async_nats::jetstream::new((**client).clone()));
        let config = stream::Config {
            name: self.0.word().to_owned(),
            subjects: vec![self.subject(">")],
            ..stream::Config::default()
        };
        jetstream.create_stream(config).await.unwrap();
        jetstream
    }

    /// A durable consumer of the orders of this word.
    async fn consumer(&self, jetstream: &JetStream) -> Consumer {
        let config = pull::Config {
            durable_name: Some("mail".to_owned()),
            ack_policy: AckPolicy::Explicit,
            filter_subject: self.subject("orders.*.placed"),
            ..pull::Config::default()
        };
        let native = jetstream.create_consumer_on_stream(config, self.0.word()).await.unwrap();
        jetstream.consumer(native)
    }
}

/// A connection to a server of one's own.
async fn connected(server: &Server, password: &str) -> async_nats::Client {
    let options = async_nats::ConnectOptions::with_user_and_password("shop".to_owned(), password.to_owned());
    options.connect(server.url()).await.unwrap()
}

async fn next(subscriber: &mut Subscriber) -> async_nats::Message {
    within("a message", subscriber.next()).await.unwrap()
}

/// What was subscribed to is known to the server once it has answered something that came after it.
async fn subscribed(client: &async_nats::Client) {
    let answered = within("the server to answer", client.request("nobody.answers", "".into())).await;
    assert_eq!(answered.unwrap_err().kind(), async_nats::RequestErrorKind::NoResponders);
}

fn done() -> std::future::Ready<Result<(), std::io::Error>> {
    std::future::ready(Ok(()))
}

/// Checks all but what would make a series of each partition, which NATS has none of.
fn follows_conventions(telemetry: &TestTelemetry) {
    let conventions = Conventions::current()
        .exception("messaging.*/messaging.destination.partition.id", "subjects have no partitions");
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
