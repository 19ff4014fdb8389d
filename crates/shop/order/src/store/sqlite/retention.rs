//! Deleting what ended long ago: the journals of orders first, the orders with their history later.

use crate::{
    Error,
    store::{Kept, LATE_COMMIT},
};
use rusqlite::params;
use waypost_api::Timestamp;
use waypost_durable::Unit;

/// Deletes what `kept` does not keep any more, of at most `max` orders each, and tells how many orders that were.
pub(super) fn delete_ended(unit: &mut Unit<'_>, kept: Kept, max: u32) -> Result<usize, Error> {
    let ago = |unit: &mut Unit<'_>, kept| Timestamp::from(unit.ago(kept)).unix_millis();
    let (journals, orders) = (ago(unit, kept.journals), ago(unit, kept.orders));
    Ok(delete_journals(unit, journals, max)? + delete_orders(unit, orders, max)?)
}

fn delete_journals(unit: &mut Unit<'_>, before: i64, max: u32) -> Result<usize, Error> {
    let done_until = permit(unit, "journal", before)?;
    let looked_from = done_until.saturating_sub_unsigned(LATE_COMMIT.as_secs() * 1000);
    // Most of the first seconds are gone already: a portion ended within them, and some come late.
    let orders = unit.query_all(
        "SELECT order_id, updated_at FROM orders \
         WHERE phase = 'ended' AND updated_at >= ?1 AND updated_at < ?2 \
           AND EXISTS (SELECT 1 FROM order_journal WHERE order_journal.order_id = orders.order_id) \
         ORDER BY updated_at LIMIT ?3",
        params![looked_from, before, max],
        ended,
    )?;
    for (id, _) in &orders {
        unit.execute("DELETE FROM order_journal WHERE order_id = ?1", [id])?;
    }
    let is_all = orders.len() < max as usize;
    let done_until = if is_all { before } else { orders.last().map_or(done_until, |(_, at)| *at) };
    unit.execute(
        "UPDATE order_retention SET done_until = max(done_until, ?1) WHERE what = 'journal'",
        [done_until],
    )?;
    Ok(orders.len())
}

fn delete_orders(unit: &mut Unit<'_>, before: i64, max: u32) -> Result<usize, Error> {
    permit(unit, "orders", before)?;
    let orders = unit.query_all(
        "SELECT order_id, updated_at FROM orders WHERE phase = 'ended' AND updated_at < ?1 \
         ORDER BY updated_at LIMIT ?2",
        params![before, max],
        ended,
    )?;
    for (id, _) in &orders {
        unit.execute("DELETE FROM order_journal WHERE order_id = ?1", [id])?;
        unit.execute("DELETE FROM order_history WHERE order_id = ?1", [id])?;
        unit.execute("DELETE FROM operator_actions WHERE order_id = ?1", [id])?;
        unit.execute("DELETE FROM orders WHERE order_id = ?1", [id])?;
    }
    Ok(orders.len())
}

/// Lets rows go of orders that ended before this moment, in this unit; returns how far an earlier one came.
fn permit(unit: &mut Unit<'_>, what: &'static str, before: i64) -> Result<i64, Error> {
    let permitted = "UPDATE order_retention SET before = ?2 WHERE what = ?1 RETURNING done_until";
    Ok(unit.query_row(permitted, params![what, before], |row| row.get(0))?)
}

fn ended(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, i64)> {
    Ok((row.get(0)?, row.get(1)?))
}
