//! What of the store is moved from one database to another.

use waypost_durable::transfer::{Column, Content, Kind, Table};

/// Users.
pub const CONTENT: Content = Content {
    name: "user",
    tables: &[Table::new(
        "users",
        1,
        &[
            Column("user_id", Kind::Text),
            Column("name", Kind::Text),
            Column("email", Kind::Text),
            Column("password_hash", Kind::Text),
            Column("is_admin", Kind::Flag),
            Column("is_active", Kind::Flag),
            Column("payment_method", Kind::Text),
            Column("tenant_id", Kind::Text),
        ],
    )],
};
