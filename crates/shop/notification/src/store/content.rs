//! What of the store is moved from one database to another.

use waypost_durable::inbox;
use waypost_durable::transfer::{Column, Content, Kind, Table};

/// What was told to whom, and which events were handled.
pub const CONTENT: Content = Content {
    name: "notification",
    tables: &[
        Table::new(
            "notifications",
            3,
            &[
                Column("order_id", Kind::Text),
                Column("kind", Kind::Text),
                Column("channel", Kind::Text),
                Column("user_id", Kind::Text),
                Column("subject", Kind::Text),
                Column("event_id", Kind::Text),
                Column("sent_at", Kind::Time),
            ],
        ),
        inbox::TABLE,
    ],
};
