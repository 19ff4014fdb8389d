//! MongoDB over a server of its wire protocol: one span and one measurement for every command, under what is current where the
//! program waits; commands that are given up, a server that is killed; pools; names that stay few, and secrets that stay out.

mod bounds;
mod commands;
mod example;
mod pools;

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, Collection};
use waypost_telemetry::mongodb::{MongoDb, QueryText};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::testing::conventions::Conventions;
use waypost_telemetry::{FinishedSpan, metrics, span, with_context};
use waypost_test_servers::mongodb::{Database, Server};

use crate::http_server::net::{attribute, attributes, eventually, metric, outcome, series, spans};

/// A client that is seen, and a database of the test's own.
struct Own {
    database: Database,
    telemetry: TestTelemetry,
    client: Client,
}

impl Own {
    async fn new() -> Self {
        Self::with(|mongodb| mongodb).await
    }

    async fn with(settings: impl FnOnce(MongoDb) -> MongoDb) -> Self {
        let (database, telemetry) = (Database::own(), TestTelemetry::new("order-service"));
        let options = ClientOptions::parse(database.url()).await.unwrap();
        let client = Client::with_options(settings(telemetry.mongodb()).observe(options)).unwrap();
        Self { database, telemetry, client }
    }

    fn orders(&self) -> Collection<Document> {
        self.collection("orders")
    }

    fn collection(&self, name: &str) -> Collection<Document> {
        self.client.database(self.database.name()).collection(name)
    }
}

/// Nothing is left out.
fn follows_conventions(telemetry: &TestTelemetry) {
    Conventions::current().check(&[telemetry]).assert_clean();
}

/// Everything that leaves the process.
fn exported(telemetry: &TestTelemetry) -> String {
    let page = metrics::render_prometheus(&[telemetry.handle().clone()]);
    format!("{:?}\n{:?}\n{page}", telemetry.finished_spans(), telemetry.finished_logs())
}
