//! Orders in SQLite over a connection of diesel: how it connects, a unit of work that succeeds and one that the database refuses.
//!
//! `cargo run -p waypost-telemetry --features diesel,testing --example diesel`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::cell::RefCell;

use diesel::connection::{SimpleConnection as _, set_default_instrumentation};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use waypost_telemetry::diesel::Diesel;
use waypost_telemetry::testing::{SpanTree, TestTelemetry};
use waypost_telemetry::{in_context, span};

thread_local! {
    /// diesel asks a plain function for the instrumentation of a new connection; a service keeps this in a static `OnceLock`.
    static DIESEL: RefCell<Option<Diesel>> = const { RefCell::new(None) };
}

/// Places an order and takes its goods from the stock; both or neither.
fn place(connection: &mut SqliteConnection, order: i64, quantity: i64) -> QueryResult<()> {
    connection.transaction(|connection| {
        let insert = diesel::sql_query("INSERT INTO orders (id, quantity) VALUES (?, ?)");
        insert.bind::<BigInt, _>(order).bind::<BigInt, _>(quantity).execute(connection)?;
        let take = diesel::sql_query("UPDATE stock SET available = available - ?");
        take.bind::<BigInt, _>(quantity).execute(connection)?;
        Ok(())
    })
}

/// What happened, as text.
pub(crate) fn story() -> Result<String, Box<dyn std::error::Error>> {
    // A handle in memory, so that the spans can be shown; a service has one of `waypost_telemetry::init`.
    let telemetry = TestTelemetry::new("order-service");
    // The only change: connections are given an instrumentation. One that is there already is given it by `set_instrumentation`.
    DIESEL.with_borrow_mut(|diesel| *diesel = Some(telemetry.diesel("sqlite")));
    set_default_instrumentation(|| {
        DIESEL.with_borrow(|diesel| diesel.as_ref().map(|diesel| Box::new(diesel.instrumentation()) as _))
    })?;
    let mut connection = SqliteConnection::establish(":memory:")?;
    let tables = "CREATE TABLE orders (id INTEGER PRIMARY KEY, quantity INTEGER); \
                  CREATE TABLE stock (available INTEGER CHECK (available >= 0)); INSERT INTO stock VALUES (5)";
    connection.batch_execute(tables)?;

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
        story.push_str(&trace.render_with(&["db.query.text"]));
    }
    Ok(story)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", story()?);
    Ok(())
}
