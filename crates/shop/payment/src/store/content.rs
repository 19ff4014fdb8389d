//! What of the store is moved from one database to another.

use waypost_durable::transfer::{Column, Content, Kind, Table};

/// Payments, refunds and the ledger.
pub const CONTENT: Content = Content {
    name: "payment",
    tables: &[
        Table::new(
            "payments",
            2,
            &[
                Column("order_id", Kind::Text),
                Column("generation", Kind::Number),
                Column("payment_id", Kind::Text),
                Column("step_key", Kind::Text),
                Column("user_id", Kind::Text),
                Column("payment_method", Kind::Text),
                Column("amount", Kind::Number),
                Column("currency", Kind::Text),
                Column("state", Kind::Text),
                Column("captured", Kind::Number),
                Column("refunded", Kind::Number),
                Column("transaction_id", Kind::Text),
                Column("decline_code", Kind::Text),
                Column("is_unwanted", Kind::Flag),
                Column("review_at", Kind::Time),
                Column("reviews", Kind::Number),
                Column("version", Kind::Number),
                Column("traceparent", Kind::Text),
                Column("created_at", Kind::Time),
                Column("updated_at", Kind::Time),
                Column("lease_epoch", Kind::Number),
                Column("contradicted_at", Kind::Time),
            ],
        ),
        Table::new(
            "voided_orders",
            1,
            &[
                Column("order_id", Kind::Text),
                Column("generation", Kind::Number),
                Column("voided_at", Kind::Time),
                Column("lease_epoch", Kind::Number),
            ],
        ),
        Table::new(
            "refunds",
            1,
            &[
                Column("step_key", Kind::Text),
                Column("order_id", Kind::Text),
                Column("generation", Kind::Number),
                Column("amount", Kind::Number),
                Column("state", Kind::Text),
                Column("number", Kind::Number),
                Column("review_at", Kind::Time),
                Column("reviews", Kind::Number),
                Column("created_at", Kind::Time),
                Column("updated_at", Kind::Time),
            ],
        ),
        Table::new(
            "ledger_entries",
            1,
            &[
                Column("entry_id", Kind::Position),
                Column("order_id", Kind::Text),
                Column("generation", Kind::Number),
                Column("version", Kind::Number),
                Column("posting", Kind::Text),
                Column("account", Kind::Text),
                Column("debit", Kind::Number),
                Column("credit", Kind::Number),
                Column("currency", Kind::Text),
                Column("at", Kind::Time),
            ],
        ),
        Table::new(
            "ledger_brought_forward",
            2,
            &[
                Column("account", Kind::Text),
                Column("currency", Kind::Text),
                Column("debit", Kind::Number),
                Column("credit", Kind::Number),
            ],
        ),
        Table::new(
            "payments_brought_forward",
            1,
            &[
                Column("currency", Kind::Text),
                Column("charges", Kind::Number),
                Column("captured", Kind::Number),
                Column("refunded", Kind::Number),
            ],
        ),
        Table::new("retention", 1, &[Column("one", Kind::Number), Column("before", Kind::Time)])
            .in_sqlite("payment_retention")
            .seeded(),
    ],
};
