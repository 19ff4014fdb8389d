//! The schema of the embedded store.

use waypost_durable::Migration;

/// Its steps, in the order in which they are applied.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration::new("0001_stock", include_str!("../../../migrations/sqlite/0001_stock.sql")),
    Migration::new("0002_retention", include_str!("../../../migrations/sqlite/0002_retention.sql")),
    Migration::new("0003_lease_epoch", include_str!("../../../migrations/sqlite/0003_lease_epoch.sql")),
    Migration::new("0004_own_names", include_str!("../../../migrations/sqlite/0004_own_names.sql")),
    Migration::new(
        "0005_conditions_without_lists",
        include_str!("../../../migrations/sqlite/0005_conditions_without_lists.sql"),
    ),
];

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;
    use waypost_durable::testing::assert_step_keeps_rows_and_rules;

    /// A database of before.
    const BEFORE: &str = "
        INSERT INTO reservations (order_id, generation, state, expires_at, created_at, updated_at)
        VALUES ('one', 0, 'held', 9, 1, 1), ('two', 0, 'committed', 9, 1, 1);";

    const REFUSED: &[&str] = &[
        "INSERT INTO reservations (order_id, generation, state, expires_at, created_at, updated_at) VALUES ('three', 0, 'lost', 9, 1, 1)",
        "UPDATE reservations SET state = 'lost' WHERE order_id = 'one'",
        "UPDATE reservations SET state = 'released' WHERE order_id = 'two'",
    ];

    #[test]
    fn conditions_are_the_same_without_lists() {
        assert_step_keeps_rows_and_rules(MIGRATIONS, "0005_conditions_without_lists", BEFORE, REFUSED);
    }
}
