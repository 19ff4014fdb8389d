//! Orders in SQLite over a traced connection: a unit of work that succeeds and one that the database refuses.
//!
//! `cargo run -p waypost-telemetry --features rusqlite,testing --example rusqlite`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use rusqlite::{Connection, Result};
use waypost_telemetry::rusqlite::Traced;
use waypost_telemetry::testing::{SpanTree, TestTelemetry};
use waypost_telemetry::{in_context, span};

/// Places an order and takes its goods from the stock; both or neither.
fn place(connection: &mut Traced<Connection>, order: i64, quantity: i64) -> Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute("INSERT INTO orders (id, quantity) VALUES (?1, ?2)", (order, quantity))?;
    transaction.execute("UPDATE stock SET available = available - ?1", [quantity])?;
    transaction.commit()
}

/// What happened, as text.
pub(crate) fn story() -> Result<String> {
    // A handle in memory, so that the spans can be shown; a service has one of `waypost_telemetry::init`.
    let telemetry = TestTelemetry::new("order-service");
    // The only change: the connection is wrapped where it is made.
    let mut connection = telemetry.rusqlite().wrap(Connection::open_in_memory()?);
    let tables = "CREATE TABLE orders (id INTEGER PRIMARY KEY, quantity INTEGER); \
                  CREATE TABLE stock (available INTEGER CHECK (available >= 0)); INSERT INTO stock VALUES (5)";
    connection.inner().execute_batch(tables)?;

    let mut story = String::new();
    for (order, quantity) in [(1, 3), (2, 3)] {
        // A service does this in `waypost_telemetry::spawn_blocking`, which takes the current span along.
        let placing = || span("place-order").in_scope(|| place(&mut connection, order, quantity));
        let told = match in_context(telemetry.context(), placing)() {
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

fn main() -> Result<()> {
    println!("{}", story()?);
    Ok(())
}
