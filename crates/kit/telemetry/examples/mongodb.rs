//! An order that is kept and found, and the spans of it.
//!
//! `cargo run -p waypost-telemetry --features mongodb,testing,tls-ring --example mongodb -- mongodb://127.0.0.1:27017`; with a server
//! for the time of the run: `cargo xtask stack run sh -c 'cargo run ... --example mongodb -- $TEST_MONGODB_URL'`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, Collection};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{span, with_context};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "mongodb://127.0.0.1:27017".to_owned());
    println!("{}", trace(&url).await?);
    Ok(())
}

/// Keeps an order and finds it, and gives the trace of it as text.
pub(crate) async fn trace(url: &str) -> Result<String, Box<dyn Error>> {
    // A handle in memory, so that the spans can be shown; a service has one of `waypost_telemetry::init`.
    let telemetry = TestTelemetry::new("order-service");
    let options = ClientOptions::parse(url).await?;
    let client = Client::with_options(telemetry.mongodb().observe(options))?;
    let orders: Collection<Document> = client.database("waypost-example").collection("orders");
    let placing = async {
        orders.insert_one(doc! { "customer": "u-1", "total": 1999 }).await?;
        orders.find_one(doc! { "customer": "u-1", "total": { "$gt": 1000 } }).await
    };
    let found = with_context(telemetry.context(), span("place-order").run(placing)).await?;
    assert!(found.is_some(), "the order is there");
    Ok(telemetry.tree().render_with(&["db.namespace", "db.query.text"]))
}
