//! Forgetting what happened long ago. What charges moved is brought forward.

use rusqlite::params;
use waypost_durable::Unit;

use crate::Error;

/// Deletes at most `max` charges from before `before`, in milliseconds since 1970, that nothing is reserved for any more.
pub(super) fn delete_charges(unit: &mut Unit<'_>, before: i64, max: u32) -> Result<usize, Error> {
    let ended = unit.query_all(
        "SELECT id FROM charges WHERE status <> 'authorized' AND created_at < ?1 ORDER BY created_at LIMIT ?2",
        params![before, max],
        |row| row.get::<_, String>(0),
    )?;
    for id in &ended {
        for statement in [BRING_FORWARD, DELETE_LEDGER, DELETE_CHARGE] {
            unit.execute(statement, [id])?;
        }
    }
    Ok(ended.len())
}

const BRING_FORWARD: &str = "UPDATE brought_forward SET \
     charges = charges + (SELECT status <> 'declined' FROM charges WHERE id = ?1), \
     captured = captured + (SELECT captured FROM charges WHERE id = ?1), \
     refunded = refunded + (SELECT refunded FROM charges WHERE id = ?1)";
const DELETE_LEDGER: &str = "DELETE FROM ledger WHERE charge_id = ?1";
const DELETE_CHARGE: &str = "DELETE FROM charges WHERE id = ?1";
