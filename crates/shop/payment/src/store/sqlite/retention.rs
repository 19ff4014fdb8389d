//! Deleting payments that ended long ago. What they add up to is brought forward, so that the ledger still balances (I9).

use crate::Error;
use rusqlite::params;
use waypost_api::Timestamp;
use waypost_durable::Unit;

/// Deletes at most `max` payments that ended before this moment, and as many marks of orders that were given up without one;
/// tells how many they were.
pub(super) fn delete_ended(unit: &mut Unit<'_>, before: Timestamp, max: u32) -> Result<usize, Error> {
    let before = before.unix_millis();
    let ended = unit.query_all(ENDED, params![before, max], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    if !ended.is_empty() {
        unit.execute("UPDATE payment_retention SET before = ?1", [before])?;
    }
    for (order, generation) in &ended {
        for statement in [BRING_LEDGER, BRING_PAYMENT, DELETE_LEDGER, DELETE_REFUNDS, DELETE_PAYMENT] {
            unit.execute(statement, params![order, generation])?;
        }
    }
    let voided = unit.execute(DELETE_VOIDED, params![before, max])?;
    Ok(ended.len() + voided)
}

const ENDED: &str = "SELECT order_id, generation FROM payments \
     WHERE review_at IS NULL AND state NOT IN ('unknown', 'authorized') AND updated_at < ?1 \
       AND contradicted_at IS NULL \
       AND NOT EXISTS (SELECT 1 FROM refunds \
                       WHERE refunds.order_id = payments.order_id AND refunds.state = 'pending') \
     ORDER BY updated_at LIMIT ?2";
const BRING_LEDGER: &str = "INSERT INTO ledger_brought_forward (account, currency, debit, credit) \
     SELECT account, currency, sum(debit), sum(credit) FROM ledger_entries \
     WHERE order_id = ?1 AND generation = ?2 GROUP BY account, currency \
     ON CONFLICT (account, currency) DO UPDATE SET debit = debit + excluded.debit, credit = credit + excluded.credit";
const BRING_PAYMENT: &str = "INSERT INTO payments_brought_forward (currency, charges, captured, refunded) \
     SELECT currency, transaction_id IS NOT NULL AND state <> 'declined', captured, refunded FROM payments \
     WHERE order_id = ?1 AND generation = ?2 \
     ON CONFLICT (currency) DO UPDATE SET charges = charges + excluded.charges, \
     captured = captured + excluded.captured, refunded = refunded + excluded.refunded";
const DELETE_LEDGER: &str = "DELETE FROM ledger_entries WHERE order_id = ?1 AND generation = ?2";
const DELETE_REFUNDS: &str = "DELETE FROM refunds WHERE order_id = ?1 AND generation = ?2";
const DELETE_PAYMENT: &str = "DELETE FROM payments WHERE order_id = ?1 AND generation = ?2";
/// As long as a payment is there, what was given up must stay given up.
const DELETE_VOIDED: &str = "DELETE FROM voided_orders WHERE order_id IN (\
     SELECT order_id FROM voided_orders \
     WHERE voided_at < ?1 \
       AND NOT EXISTS (SELECT 1 FROM payments WHERE payments.order_id = voided_orders.order_id) \
     ORDER BY voided_at LIMIT ?2)";
