//! Deleting payments that ended long ago. What they add up to is brought forward, so that the ledger still balances (I9).

use crate::Error;
use std::time::SystemTime;
use waypost_durable::postgres::{At, Unit, params};

/// Deletes at most `max` payments that ended before this moment, and as many marks of orders that were given up without one;
/// tells how many they were.
pub(super) async fn delete_ended(unit: &mut Unit, before: SystemTime, max: u32) -> Result<usize, Error> {
    let ended = unit.query_all(ENDED, params![At(before), i64::from(max)], |row| {
        Ok((row.get::<String>(0)?, row.get::<i64>(1)?))
    });
    let (orders, generations): (Vec<String>, Vec<i64>) = ended.await?.into_iter().unzip();
    if !orders.is_empty() {
        // Of those that delete at the same time one goes first, and none sets the moment back.
        unit.execute("UPDATE retention SET before = greatest(before, $1)", params![At(before)]).await?;
        for statement in [BRING_LEDGER, BRING_PAYMENTS, DELETE_LEDGER, DELETE_REFUNDS, DELETE_PAYMENTS] {
            unit.execute(statement, params![&orders, &generations]).await?;
        }
    }
    let voided = unit.execute(DELETE_VOIDED, params![At(before), i64::from(max)]).await?;
    Ok(orders.len() + usize::try_from(voided).unwrap_or(usize::MAX))
}

const ENDED: &str = "SELECT order_id, generation FROM payments \
     WHERE review_at IS NULL AND state NOT IN ('unknown', 'authorized') AND updated_at < $1 \
       AND contradicted_at IS NULL \
       AND NOT EXISTS (SELECT 1 FROM refunds \
                       WHERE refunds.order_id = payments.order_id AND refunds.state = 'pending') \
     ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED";
const BRING_LEDGER: &str = "INSERT INTO ledger_brought_forward (account, currency, debit, credit) \
     SELECT account, currency, sum(debit)::bigint, sum(credit)::bigint FROM ledger_entries \
     JOIN unnest($1::text[], $2::bigint[]) AS ended (order_id, generation) USING (order_id, generation) \
     GROUP BY account, currency ORDER BY account, currency \
     ON CONFLICT (account, currency) DO UPDATE SET debit = ledger_brought_forward.debit + excluded.debit, \
     credit = ledger_brought_forward.credit + excluded.credit";
const BRING_PAYMENTS: &str = "INSERT INTO payments_brought_forward (currency, charges, captured, refunded) \
     SELECT currency, count(*) FILTER (WHERE transaction_id IS NOT NULL AND state <> 'declined'), \
       sum(captured)::bigint, sum(refunded)::bigint FROM payments \
     JOIN unnest($1::text[], $2::bigint[]) AS ended (order_id, generation) USING (order_id, generation) \
     GROUP BY currency ORDER BY currency \
     ON CONFLICT (currency) DO UPDATE SET charges = payments_brought_forward.charges + excluded.charges, \
     captured = payments_brought_forward.captured + excluded.captured, \
     refunded = payments_brought_forward.refunded + excluded.refunded";
const DELETE_LEDGER: &str = "DELETE FROM ledger_entries \
     USING unnest($1::text[], $2::bigint[]) AS ended (order_id, generation) \
     WHERE ledger_entries.order_id = ended.order_id AND ledger_entries.generation = ended.generation";
const DELETE_REFUNDS: &str = "DELETE FROM refunds \
     USING unnest($1::text[], $2::bigint[]) AS ended (order_id, generation) \
     WHERE refunds.order_id = ended.order_id AND refunds.generation = ended.generation";
const DELETE_PAYMENTS: &str = "DELETE FROM payments \
     USING unnest($1::text[], $2::bigint[]) AS ended (order_id, generation) \
     WHERE payments.order_id = ended.order_id AND payments.generation = ended.generation";
/// As long as a payment is there, what was given up must stay given up.
const DELETE_VOIDED: &str = "DELETE FROM voided_orders WHERE ctid = ANY(ARRAY( \
     SELECT ctid FROM voided_orders \
     WHERE voided_at < $1 \
       AND NOT EXISTS (SELECT 1 FROM payments WHERE payments.order_id = voided_orders.order_id) \
     ORDER BY voided_at LIMIT $2 FOR UPDATE SKIP LOCKED))";
