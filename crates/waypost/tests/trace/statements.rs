//! What an order costs in statements, by the texts on its spans.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;
use tempfile::tempdir;
use waypost_durable::testing::trees_of;
use waypost_telemetry::FinishedSpan;

use crate::{Traced, order_of, seed_order, trace_of};

/// The statements of the databases that a trace has, in the order of the units that ran them.
fn statements(spans: &[FinishedSpan]) -> Vec<String> {
    let texts = spans.iter().filter_map(|span| span.attribute("db.query.text"));
    let each = texts.flat_map(|text| {
        text.to_string().split(";\n").map(|statement| statement.trim().to_owned()).collect::<Vec<_>>()
    });
    each.collect()
}

/// What gives stock back of an order that comes to nothing changes rows by what another table has, which takes a tree.
fn joins(statement: &str) -> bool {
    statement.starts_with("UPDATE stock SET reserved = reserved - line.quantity FROM")
}

async fn all_statements(data: &Path) -> Vec<Vec<String>> {
    let traced = Traced::with(|shop| shop.data(data)).await;
    let mut traces = Vec::new();
    // Twice, as the first order fills what is kept in memory.
    let bodies = [seed_order(), seed_order(), order_of("user-declined", "prod456", 2, "99.99")];
    for (number, body) in bodies.iter().enumerate() {
        let key = format!("order-{number}");
        let answer = traced.post("/api/orders", &[("idempotency-key", &key)], body).await;
        traces.push(trace_of(&answer));
        traced.trace_with(&traces[number], "process order-events").await;
    }
    // Only then has every span come: of one without children nothing tells that it is missing.
    assert!(traced.shop.stop().await.unwrap().status.success());
    traces.iter().map(|trace| statements(&traced.collector.trace(trace))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_condition_of_an_orders_statements_builds_a_tree() {
    let data = tempdir().unwrap();
    let of_orders = all_statements(data.path()).await;
    let database = Connection::open(data.path().join("waypost.db")).unwrap();
    let distinct: BTreeSet<&String> = of_orders.iter().flatten().collect();
    for part in
        ["INSERT INTO orders", "UPDATE orders", "UPDATE payments", "INSERT INTO charges", "INSERT INTO inbox"]
    {
        assert!(distinct.iter().any(|statement| statement.contains(part)), "no {part} in {distinct:#?}");
    }
    for statement in distinct {
        let trees = trees_of(&database, statement).unwrap();
        let expected = usize::from(joins(statement));
        assert!(trees <= expected, "{trees} trees: {statement}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_goes_well_takes_no_more_statements_than_it_did() {
    let data = tempdir().unwrap();
    let of_orders = all_statements(data.path()).await;
    assert_eq!(of_orders[1].len(), STATEMENTS, "{:#?}", of_orders[1]);
}

/// Of an order with a key whose user and price are known, all roles together. Whoever adds one to every order says why here.
const STATEMENTS: usize = 40;
