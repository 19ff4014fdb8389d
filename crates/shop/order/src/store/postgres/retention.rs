//! Deleting what ended long ago: the journals of orders first, the orders with their history later.

use super::rows::Read;
use crate::{
    Error,
    store::{Kept, LATE_COMMIT},
};
use std::time::SystemTime;
use waypost_durable::postgres::{At, Row, Unit, params};

/// Deletes what `kept` does not keep any more, of at most `max` orders each, and tells how many orders that were. One process
/// at a time does it: the row of what is permitted stays locked until the commit.
pub(super) async fn delete_ended(unit: &mut Unit, kept: Kept, max: u32) -> Result<usize, Error> {
    let (journals, orders) = (unit.ago(kept.journals).await?, unit.ago(kept.orders).await?);
    Ok(delete_journals(unit, journals, max).await? + delete_orders(unit, orders, max).await?)
}

async fn delete_journals(unit: &mut Unit, before: SystemTime, max: u32) -> Result<usize, Error> {
    let done_until = permit(unit, "journal", before).await?;
    let looked_from = done_until.checked_sub(LATE_COMMIT).unwrap_or(done_until);
    // Most of the first seconds are gone already: a portion ended within them, and some come late.
    let orders = unit.query_all(
        "SELECT order_id, updated_at FROM orders \
         WHERE phase = 'ended' AND updated_at >= $1 AND updated_at < $2 \
           AND EXISTS (SELECT 1 FROM order_journal WHERE order_journal.order_id = orders.order_id) \
         ORDER BY updated_at LIMIT $3",
        params![At(looked_from), At(before), i64::from(max)],
        ended,
    );
    let (ids, moments): (Vec<String>, Vec<SystemTime>) = orders.await?.into_iter().unzip();
    unit.execute("DELETE FROM order_journal WHERE order_id = ANY($1)", params![&ids]).await?;
    let is_all = ids.len() < max as usize;
    let done_until = if is_all { before } else { moments.last().copied().unwrap_or(done_until) };
    unit.execute(
        "UPDATE retention SET done_until = greatest(done_until, $1) WHERE what = 'journal'",
        params![At(done_until)],
    )
    .await?;
    Ok(ids.len())
}

async fn delete_orders(unit: &mut Unit, before: SystemTime, max: u32) -> Result<usize, Error> {
    permit(unit, "orders", before).await?;
    let orders = unit.query_all(
        "SELECT order_id, updated_at FROM orders WHERE phase = 'ended' AND updated_at < $1 \
         ORDER BY updated_at LIMIT $2",
        params![At(before), i64::from(max)],
        ended,
    );
    let ids: Vec<String> = orders.await?.into_iter().map(|(id, _)| id).collect();
    if ids.is_empty() {
        return Ok(0);
    }
    for statement in [
        "DELETE FROM order_journal WHERE order_id = ANY($1)",
        "DELETE FROM order_history WHERE order_id = ANY($1)",
        "DELETE FROM operator_actions WHERE order_id = ANY($1)",
        "DELETE FROM orders WHERE order_id = ANY($1)",
    ] {
        unit.execute(statement, params![&ids]).await?;
    }
    Ok(ids.len())
}

/// Lets rows go of orders that ended before this moment, in this unit; returns how far an earlier one came.
async fn permit(unit: &mut Unit, what: &'static str, before: SystemTime) -> Result<SystemTime, Error> {
    let permitted = "UPDATE retention SET before = $2 WHERE what = $1 RETURNING done_until";
    Ok(unit.query_row(permitted, params![what, At(before)], |row| row.time(0)).await?)
}

fn ended(row: &Row) -> Read<(String, SystemTime)> {
    Ok((row.get(0)?, row.time(1)?))
}
