//! Deleting holds that ended long ago. What they took is brought forward, so that the stock still adds up (I11).

use crate::Error;
use std::time::SystemTime;
use waypost_durable::postgres::{At, Unit, params};

/// Deletes at most `max` holds that ended before this moment and tells how many they were.
pub(super) async fn delete_ended(unit: &mut Unit, before: SystemTime, max: u32) -> Result<usize, Error> {
    let ended = unit.query_all(
        "SELECT order_id, generation FROM reservations WHERE state <> 'held' AND updated_at < $1 \
         ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED",
        params![At(before), i64::from(max)],
        |row| Ok((row.get::<String>(0)?, row.get::<i64>(1)?)),
    );
    let (orders, generations): (Vec<String>, Vec<i64>) = ended.await?.into_iter().unzip();
    if orders.is_empty() {
        return Ok(0);
    }
    // Of those that delete at the same time one goes first, and none sets the moment back.
    unit.execute("UPDATE retention SET before = greatest(before, $1)", params![At(before)]).await?;
    for statement in [BRING_FORWARD, DELETE_MOVEMENTS, DELETE_LINES, DELETE_HOLDS] {
        unit.execute(statement, params![&orders, &generations]).await?;
    }
    Ok(orders.len())
}

const BRING_FORWARD: &str = "INSERT INTO stock_brought_forward (product_id, committed) \
     SELECT product_id, sum(quantity)::bigint FROM stock_movements \
     JOIN unnest($1::text[], $2::bigint[]) AS hold (order_id, generation) USING (order_id, generation) \
     WHERE kind = 'committed' GROUP BY product_id ORDER BY product_id \
     ON CONFLICT (product_id) DO UPDATE SET committed = stock_brought_forward.committed + excluded.committed";
const DELETE_MOVEMENTS: &str = "DELETE FROM stock_movements \
     USING unnest($1::text[], $2::bigint[]) AS hold (order_id, generation) \
     WHERE stock_movements.order_id = hold.order_id AND stock_movements.generation = hold.generation \
     AND kind = 'committed'";
const DELETE_LINES: &str = "DELETE FROM reservation_lines \
     USING unnest($1::text[], $2::bigint[]) AS hold (order_id, generation) \
     WHERE reservation_lines.order_id = hold.order_id AND reservation_lines.generation = hold.generation";
const DELETE_HOLDS: &str = "DELETE FROM reservations \
     USING unnest($1::text[], $2::bigint[]) AS hold (order_id, generation) \
     WHERE reservations.order_id = hold.order_id AND reservations.generation = hold.generation";
