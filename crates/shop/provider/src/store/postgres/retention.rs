//! Forgetting what happened long ago. What charges moved is brought forward.

use std::time::SystemTime;

use waypost_durable::postgres::{At, Unit, params};

use crate::Error;

/// Deletes at most `max` charges from before `before` that nothing is reserved for any more. Of those that a request works
/// on at the moment none is touched.
pub(super) async fn delete_charges(unit: &mut Unit, before: SystemTime, max: u32) -> Result<usize, Error> {
    let ended = unit.query_all(
        "SELECT id FROM charges WHERE status <> 'authorized' AND created_at < $1 ORDER BY created_at LIMIT $2
         FOR UPDATE SKIP LOCKED",
        params![At(before), i64::from(max)],
        |row| row.get::<String>(0),
    );
    let ended = ended.await?;
    if ended.is_empty() {
        return Ok(0);
    }
    for statement in [BRING_FORWARD, DELETE_LEDGER, DELETE_CHARGES] {
        unit.execute(statement, params![&ended]).await?;
    }
    Ok(ended.len())
}

const BRING_FORWARD: &str = "UPDATE brought_forward SET \
     charges = brought_forward.charges + gone.charges, captured = brought_forward.captured + gone.captured, \
     refunded = brought_forward.refunded + gone.refunded \
     FROM (SELECT count(*) FILTER (WHERE status <> 'declined') AS charges, \
           coalesce(sum(captured), 0)::bigint AS captured, coalesce(sum(refunded), 0)::bigint AS refunded \
           FROM charges WHERE id = ANY($1)) AS gone";
const DELETE_LEDGER: &str = "DELETE FROM ledger WHERE charge_id = ANY($1)";
const DELETE_CHARGES: &str = "DELETE FROM charges WHERE id = ANY($1)";
