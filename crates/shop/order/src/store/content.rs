//! What of the store is moved from one database to another.

use waypost_durable::transfer::{Column, Content, Kind, Table};
use waypost_durable::{idempotency, outbox};

/// Orders, their sagas, the keys of clients and the events.
pub const CONTENT: Content = Content {
    name: "order",
    tables: &[
        Table::new(
            "orders",
            1,
            &[
                Column("order_id", Kind::Text),
                Column("user_id", Kind::Text),
                Column("product_id", Kind::Text),
                Column("quantity", Kind::Number),
                Column("unit_price", Kind::Number),
                Column("amount", Kind::Number),
                Column("currency", Kind::Text),
                Column("payment_method", Kind::Text),
                Column("status", Kind::Text),
                Column("failure_code", Kind::Text),
                Column("decline_code", Kind::Text),
                Column("transaction_id", Kind::Text),
                Column("created_at", Kind::Time),
                Column("updated_at", Kind::Time),
                Column("version", Kind::Number),
                Column("trace_id", Kind::Text),
                Column("traceparent", Kind::Text),
                Column("tracestate", Kind::Text),
                Column("phase", Kind::Text),
                Column("journal_rows", Kind::Number),
                Column("runner", Kind::Text),
                Column("lease_until", Kind::Time),
                Column("lease_epoch", Kind::Number),
                Column("charge", Kind::Text),
                Column("ended_at", Kind::Time),
            ],
        ),
        Table::new(
            "order_history",
            2,
            &[
                Column("order_id", Kind::Text),
                Column("version", Kind::Number),
                Column("status", Kind::Text),
                Column("reason", Kind::Text),
                Column("at", Kind::Time),
            ],
        ),
        Table::new(
            "order_journal",
            2,
            &[
                Column("order_id", Kind::Text),
                Column("row", Kind::Number),
                Column("facts", Kind::Json),
                Column("at", Kind::Time),
            ],
        ),
        Table::new(
            "operator_actions",
            2,
            &[
                Column("order_id", Kind::Text),
                Column("number", Kind::Number),
                Column("action", Kind::Text),
                Column("outcome", Kind::Text),
                Column("asked_by", Kind::Text),
                Column("reason", Kind::Text),
                Column("refund", Kind::Number),
                Column("amount", Kind::Number),
                Column("notes", Kind::Text),
                Column("at", Kind::Time),
            ],
        ),
        Table::new(
            "retention",
            1,
            &[Column("what", Kind::Text), Column("before", Kind::Time), Column("done_until", Kind::Time)],
        )
        .in_sqlite("order_retention")
        .seeded(),
        Table::new("page_token_key", 1, &[Column("id", Kind::Number), Column("key", Kind::Bytes)]),
        idempotency::TABLE,
        outbox::TABLE,
    ],
};
