//! Orders in PostgreSQL over a traced client: a unit of work that succeeds and one that the database refuses.
//!
//! `cargo run -p waypost-telemetry --features tokio-postgres,testing --example tokio_postgres -- postgres://postgres@127.0.0.1/test`;
//! with a PostgreSQL for the time of the run: `cargo xtask stack run sh -c 'cargo run ... -- $TEST_POSTGRES_URL'`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use tokio_postgres::{Client, Config, Error, NoTls};
use waypost_telemetry::testing::{SpanTree, TestTelemetry};
use waypost_telemetry::tokio_postgres::Traced;
use waypost_telemetry::{span, spawn, with_context};

/// Places an order and takes its goods from the stock; both or neither.
async fn place(client: &mut Traced<Client>, order: i64, quantity: i64) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    transaction.execute("INSERT INTO example_orders VALUES ($1, $2)", &[&order, &quantity]).await?;
    transaction.execute("UPDATE example_stock SET available = available - $1", &[&quantity]).await?;
    transaction.commit().await
}

/// What happened, as text.
pub(crate) async fn story(url: &str) -> Result<String, Error> {
    let config: Config = url.parse()?;
    let (client, connection) = config.connect(NoTls).await?;
    spawn(connection);
    let tables = "CREATE TEMPORARY TABLE example_orders (id bigint PRIMARY KEY, quantity bigint); \
                  CREATE TEMPORARY TABLE example_stock (available bigint CHECK (available >= 0)); \
                  INSERT INTO example_stock VALUES (5)";
    client.batch_execute(tables).await?;

    // A handle in memory, so that the spans can be shown; a service has one of `waypost_telemetry::init`.
    let telemetry = TestTelemetry::new("order-service");
    // The only change: the client is wrapped where it is made.
    let mut client = telemetry.tokio_postgres().config(&config).wrap(client);
    let mut story = String::new();
    for (order, quantity) in [(1, 3), (2, 3)] {
        let placing = span("place-order").run(place(&mut client, order, quantity));
        let told = match with_context(telemetry.context(), placing).await {
            Ok(()) => format!("order {order} is placed\n"),
            Err(error) => format!("order {order} is refused: {error}\n"),
        };
        story.push_str(&told);
    }
    for trace in SpanTree::all(&telemetry.finished_spans()) {
        story.push('\n');
        story.push_str(&trace.render_with(&["db.query.text", "db.response.status_code"]));
    }
    Ok(story)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("the URL of a PostgreSQL is needed")?;
    println!("{}", story(&url).await?);
    Ok(())
}
