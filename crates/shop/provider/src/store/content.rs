//! What of the store is moved from one database to another.

use waypost_durable::transfer::{Column, Content, Kind, Table};

/// Charges, the ledger of the provider and the answers of keys.
pub const CONTENT: Content = Content {
    name: "provider",
    tables: &[
        Table::new(
            "charges",
            1,
            &[
                Column("id", Kind::Text),
                Column("reference", Kind::Text),
                Column("payment_method", Kind::Text),
                Column("currency", Kind::Text),
                Column("amount", Kind::Number),
                Column("status", Kind::Text),
                Column("decline_code", Kind::Text),
                Column("captured", Kind::Number),
                Column("refunded", Kind::Number),
                Column("created_at", Kind::Time),
            ],
        )
        .by_arrival("rowid", "position"),
        Table::new(
            "ledger",
            1,
            &[
                Column("position", Kind::Position),
                Column("charge_id", Kind::Text),
                Column("kind", Kind::Text),
                Column("amount", Kind::Number),
                Column("at", Kind::Time),
            ],
        ),
        Table::new(
            "requests",
            1,
            &[
                Column("key", Kind::Text),
                Column("fingerprint", Kind::Bytes),
                Column("charge_id", Kind::Text),
                Column("answer", Kind::Json),
                Column("at", Kind::Time),
            ],
        ),
        Table::new(
            "brought_forward",
            1,
            &[
                Column("one", Kind::Number),
                Column("charges", Kind::Number),
                Column("captured", Kind::Number),
                Column("refunded", Kind::Number),
            ],
        )
        .seeded(),
        Table::new(
            "late_work",
            1,
            &[
                Column("key", Kind::Text),
                Column("fingerprint", Kind::Bytes),
                Column("operation", Kind::Json),
                Column("due_at", Kind::Time),
            ],
        ),
    ],
};
