//! What of the store is moved from one database to another.

use waypost_durable::transfer::{Column, Content, Kind, Table};

/// Products, stock and holds.
pub const CONTENT: Content = Content {
    name: "inventory",
    tables: &[
        Table::new(
            "products",
            1,
            &[
                Column("product_id", Kind::Text),
                Column("name", Kind::Text),
                Column("unit_price", Kind::Number),
                Column("currency", Kind::Text),
            ],
        ),
        Table::new(
            "stock",
            1,
            &[
                Column("product_id", Kind::Text),
                Column("on_hand", Kind::Number),
                Column("reserved", Kind::Number),
            ],
        ),
        Table::new(
            "reservations",
            2,
            &[
                Column("order_id", Kind::Text),
                Column("generation", Kind::Number),
                Column("state", Kind::Text),
                Column("expires_at", Kind::Time),
                Column("created_at", Kind::Time),
                Column("updated_at", Kind::Time),
                Column("lease_epoch", Kind::Number),
            ],
        ),
        Table::new(
            "reservation_lines",
            3,
            &[
                Column("order_id", Kind::Text),
                Column("generation", Kind::Number),
                Column("product_id", Kind::Text),
                Column("quantity", Kind::Number),
            ],
        ),
        Table::new(
            "stock_movements",
            1,
            &[
                Column("movement_id", Kind::Position),
                Column("product_id", Kind::Text),
                Column("kind", Kind::Text),
                Column("quantity", Kind::Number),
                Column("order_id", Kind::Text),
                Column("generation", Kind::Number),
                Column("at", Kind::Time),
            ],
        ),
        Table::new(
            "stock_brought_forward",
            1,
            &[Column("product_id", Kind::Text), Column("committed", Kind::Number)],
        ),
        Table::new("retention", 1, &[Column("one", Kind::Number), Column("before", Kind::Time)])
            .in_sqlite("inventory_retention")
            .seeded(),
    ],
};
