//! The schema of the embedded store.

use waypost_durable::Migration;

/// The steps.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration::new("0001_charges", include_str!("../../../migrations/sqlite/0001_charges.sql")),
    Migration::new("0002_request_age", include_str!("../../../migrations/sqlite/0002_request_age.sql")),
    Migration::new("0003_retention", include_str!("../../../migrations/sqlite/0003_retention.sql")),
    Migration::new("0004_late_work", include_str!("../../../migrations/sqlite/0004_late_work.sql")),
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
        INSERT INTO charges (id, reference, payment_method, currency, amount, status, created_at)
        VALUES ('one', 'pay-1', 'pm', 'USD', 10, 'authorized', 1), ('two', 'pay-2', 'pm', 'USD', 10, 'declined', 1);";

    const REFUSED: &[&str] = &[
        "UPDATE charges SET status = 'lost' WHERE id = 'one'",
        "INSERT INTO charges (id, reference, payment_method, currency, amount, status, created_at) VALUES ('three', 'pay-3', 'pm', 'USD', 10, 'lost', 1)",
    ];

    #[test]
    fn conditions_are_the_same_without_lists() {
        assert_step_keeps_rows_and_rules(MIGRATIONS, "0005_conditions_without_lists", BEFORE, REFUSED);
    }
}
