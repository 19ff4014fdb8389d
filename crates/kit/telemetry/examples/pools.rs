//! A pool of deadpool with one client of PostgreSQL, and what its metrics say when two want it.
//!
//! `cargo run -p waypost-telemetry --features deadpool,tokio-postgres,testing --example pools -- postgres://postgres@127.0.0.1/test`;
//! with a PostgreSQL for the time of the run: `cargo xtask stack run sh -c 'cargo run ... -- $TEST_POSTGRES_URL'`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::fmt::Write as _;
use std::time::Duration;

use deadpool_postgres::{Manager, Pool, Runtime, Timeouts};
use tokio_postgres::{Config, NoTls};
use waypost_telemetry::metrics::render_prometheus;
use waypost_telemetry::testing::{SpanTree, TestTelemetry};
use waypost_telemetry::{span, with_context};

/// What happened, as text.
pub(crate) async fn story(url: &str) -> Result<String, Box<dyn std::error::Error>> {
    let config: Config = url.parse()?;
    // A handle in memory, so that the spans can be shown; a service has one of `waypost_telemetry::init`.
    let telemetry = TestTelemetry::new("order-service");
    let postgres = telemetry.tokio_postgres().config(&config);
    let pool = Pool::builder(Manager::new(config, NoTls)).max_size(1).runtime(Runtime::Tokio1).build()?;
    // The only change: the pool is wrapped where it is made.
    let pool = telemetry.deadpool("orders", pool);

    let work = async {
        let mut taken = pool.get().await?;
        let client = postgres.wrap(&mut **taken);
        client.query("SELECT 1", &[]).await?;
        // The only client is in use.
        let at_once = Timeouts { wait: Some(Duration::ZERO), ..Timeouts::default() };
        let refused = pool.timeout_get(&at_once).await.err();
        Ok::<_, Box<dyn std::error::Error>>(refused.map(|error| error.to_string()).unwrap_or_default())
    };
    let refused = with_context(telemetry.context(), span("unit").observe(work)).await?;
    let mut story = format!("who came second was told: {refused}\n\n");
    for trace in SpanTree::all(&telemetry.finished_spans()) {
        story.push_str(&trace.render_with(&["db.query.text"]));
    }
    let page = render_prometheus(&[telemetry.handle().clone()]);
    for line in
        page.lines().filter(|line| line.starts_with("db_client_connection") && !line.contains("_bucket"))
    {
        writeln!(story, "{line}")?;
    }
    Ok(story)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("the URL of a PostgreSQL is needed")?;
    println!("{}", story(&url).await?);
    Ok(())
}
