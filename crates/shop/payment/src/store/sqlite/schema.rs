//! The schema of the embedded store.

use waypost_durable::Migration;

/// Its steps, in the order in which they are applied.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration::new("0001_payments", include_str!("../../../migrations/sqlite/0001_payments.sql")),
    Migration::new("0002_refunds_anew", include_str!("../../../migrations/sqlite/0002_refunds_anew.sql")),
    Migration::new("0003_retention", include_str!("../../../migrations/sqlite/0003_retention.sql")),
    Migration::new("0004_lease_epoch", include_str!("../../../migrations/sqlite/0004_lease_epoch.sql")),
    Migration::new("0005_contradictions", include_str!("../../../migrations/sqlite/0005_contradictions.sql")),
    Migration::new("0006_own_names", include_str!("../../../migrations/sqlite/0006_own_names.sql")),
    Migration::new(
        "0007_conditions_without_lists",
        include_str!("../../../migrations/sqlite/0007_conditions_without_lists.sql"),
    ),
];

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;
    use waypost_durable::testing::assert_step_keeps_rows_and_rules;

    /// A database of before.
    const BEFORE: &str = "
        INSERT INTO payments (order_id, generation, payment_id, step_key, user_id, payment_method, amount, currency, state,
            version, created_at, updated_at)
        VALUES ('one', 0, 'pay-1', 'key-1', 'user123', 'pm', 10, 'USD', 'authorized', 1, 1, 1),
            ('two', 0, 'pay-2', 'key-2', 'user123', 'pm', 10, 'USD', 'declined', 1, 1, 1);
        INSERT INTO refunds (step_key, order_id, generation, amount, state, created_at, updated_at)
        VALUES ('refund-1', 'one', 0, 1, 'rejected', 1, 1);";

    const REFUSED: &[&str] = &[
        "UPDATE payments SET state = 'lost' WHERE order_id = 'one'",
        "UPDATE payments SET state = 'unknown' WHERE order_id = 'one'",
        "UPDATE payments SET state = 'authorized' WHERE order_id = 'two'",
        "UPDATE payments SET state = 'captured' WHERE order_id = 'one'",
        "INSERT INTO payments (order_id, generation, payment_id, step_key, user_id, payment_method, amount, currency, state, version, created_at, updated_at) VALUES ('one', 1, 'pay-3', 'key-3', 'user123', 'pm', 10, 'USD', 'unknown', 1, 1, 1)",
        "INSERT INTO payments (order_id, generation, payment_id, step_key, user_id, payment_method, amount, currency, state, version, created_at, updated_at) VALUES ('three', 0, 'pay-3', 'key-3', 'user123', 'pm', 10, 'USD', 'lost', 1, 1, 1)",
        "UPDATE refunds SET state = 'lost'",
    ];

    #[test]
    fn conditions_are_the_same_without_lists() {
        assert_step_keeps_rows_and_rules(MIGRATIONS, "0007_conditions_without_lists", BEFORE, REFUSED);
    }
}
