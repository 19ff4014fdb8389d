//! Deleting holds that ended long ago. What they took is brought forward, so that the stock still adds up (I11).

use crate::Error;
use rusqlite::params;
use waypost_api::Timestamp;
use waypost_durable::Unit;

/// Deletes at most `max` holds that ended before this moment and tells how many they were.
pub(super) fn delete_ended(unit: &mut Unit<'_>, before: Timestamp, max: u32) -> Result<usize, Error> {
    let before = before.unix_millis();
    let ended = unit.query_all(
        "SELECT order_id, generation FROM reservations WHERE state <> 'held' AND updated_at < ?1 \
         ORDER BY updated_at LIMIT ?2",
        params![before, max],
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)),
    )?;
    if ended.is_empty() {
        return Ok(0);
    }
    unit.execute("UPDATE inventory_retention SET before = ?1", [before])?;
    for (order, generation) in &ended {
        for statement in [BRING_FORWARD, DELETE_MOVEMENTS, DELETE_LINES, DELETE_HOLD] {
            unit.execute(statement, params![order, generation])?;
        }
    }
    Ok(ended.len())
}

const BRING_FORWARD: &str = "INSERT INTO stock_brought_forward (product_id, committed) \
     SELECT product_id, quantity FROM stock_movements \
     WHERE order_id = ?1 AND generation = ?2 AND kind = 'committed' \
     ON CONFLICT (product_id) DO UPDATE SET committed = committed + excluded.committed";
const DELETE_MOVEMENTS: &str =
    "DELETE FROM stock_movements WHERE order_id = ?1 AND generation = ?2 AND kind = 'committed'";
const DELETE_LINES: &str = "DELETE FROM reservation_lines WHERE order_id = ?1 AND generation = ?2";
const DELETE_HOLD: &str = "DELETE FROM reservations WHERE order_id = ?1 AND generation = ?2";
