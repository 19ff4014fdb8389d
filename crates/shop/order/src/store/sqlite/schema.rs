//! The schema of the embedded store.

use waypost_durable::{Migration, idempotency, outbox};

/// Its steps, in the order in which they are applied.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration::new("0001_orders", include_str!("../../../migrations/sqlite/0001_orders.sql")),
    Migration::new("0002_idempotency", idempotency::SCHEMA),
    Migration::new("0003_outbox", outbox::SCHEMA),
    Migration::new("0004_outbox_parking", outbox::PARKING),
    Migration::new("0005_retention", include_str!("../../../migrations/sqlite/0005_retention.sql")),
    Migration::new("0006_answers", include_str!("../../../migrations/sqlite/0006_answers.sql")),
    Migration::new("0007_operator", include_str!("../../../migrations/sqlite/0007_operator.sql")),
    Migration::new("0008_outbox_replays", outbox::REPLAYS),
    Migration::new("0009_lease_epoch", include_str!("../../../migrations/sqlite/0009_lease_epoch.sql")),
    Migration::new("0010_outbox_parked_with", outbox::PARKED_WITH),
    Migration::new("0011_own_names", include_str!("../../../migrations/sqlite/0011_own_names.sql")),
    Migration::new(
        "0012_conditions_without_lists",
        include_str!("../../../migrations/sqlite/0012_conditions_without_lists.sql"),
    ),
];

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;
    use waypost_durable::testing::assert_step_keeps_rows_and_rules;

    /// A database of before.
    const BEFORE: &str = "
        INSERT INTO orders (order_id, user_id, product_id, quantity, unit_price, amount, currency, payment_method, status,
            created_at, updated_at, version, phase, journal_rows, runner, lease_until)
        VALUES ('one', 'user123', 'prod456', 2, 5, 10, 'USD', 'pm', 'pending', 1, 1, 1, 'forward', 1, 'runner', 9),
            ('two', 'user123', 'prod456', 2, 5, 10, 'USD', 'pm', 'pending', 1, 1, 1, 'forward', 1, 'runner', 9);
        UPDATE orders SET status = 'confirmed', version = 2, phase = 'committed', charge = 'open' WHERE order_id = 'two';
        INSERT INTO order_history (order_id, version, status, at) VALUES ('one', 1, 'pending', 1);
        INSERT INTO order_journal (order_id, row, facts, at) VALUES ('one', 1, '[]', 1);
        INSERT INTO operator_actions (order_id, number, action, outcome, asked_by, reason, notes, at)
        VALUES ('one', 1, 'retry', 'done', 'me', 'why', '', 1);";

    const REFUSED: &[&str] = &[
        "UPDATE orders SET status = 'lost', version = 2 WHERE order_id = 'one'",
        "UPDATE orders SET status = 'completed', version = 2 WHERE order_id = 'one'",
        "UPDATE orders SET status = 'cancelled', version = 3, phase = 'ended', ended_at = 2 WHERE order_id = 'two'",
        "UPDATE orders SET phase = 'asleep' WHERE order_id = 'one'",
        "UPDATE orders SET phase = 'ended', ended_at = 2 WHERE order_id = 'two'",
        "UPDATE orders SET charge = 'lost' WHERE order_id = 'two'",
        "UPDATE operator_actions SET action = 'lose'",
        "INSERT INTO operator_actions SELECT order_id, 2, 'lose', outcome, asked_by, reason, refund, amount, notes, at FROM operator_actions",
        "INSERT INTO operator_actions SELECT order_id, 2, action, 'lost', asked_by, reason, refund, amount, notes, at FROM operator_actions",
    ];

    #[test]
    fn conditions_are_the_same_without_lists() {
        assert_step_keeps_rows_and_rules(MIGRATIONS, "0012_conditions_without_lists", BEFORE, REFUSED);
    }
}
