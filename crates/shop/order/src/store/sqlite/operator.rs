//! What operators read and change in the embedded store.

use super::rows::{malformed, moment, number, parsed};
use super::{SqliteStore, append_history, append_journal, history, order_by_id, update_order};
use crate::{
    Error,
    domain::Fact,
    store::{
        Answer,
        operator::{
            Abandonment, Action, ActionKind, JournalRow, OperatorStore, Outcome, Record, RefundAttempt,
        },
    },
};
use rusqlite::params;
use waypost_api::OrderId;
use waypost_durable::{Epoch, Unit, outbox, saga::Phase};
use waypost_service::operator::Asked;

impl OperatorStore for SqliteStore {
    fn parked(&self, after: Option<OrderId>, max: u32) -> Answer<'_, Vec<Record>> {
        Box::pin(self.database.read("parked", move |unit| {
            let after = after.as_ref().map_or("", OrderId::as_str);
            let ids = unit.query_all(
                "SELECT order_id FROM orders WHERE phase = 'stuck' AND order_id > ?1 ORDER BY order_id LIMIT ?2",
                params![after, max],
                |row| row.get::<_, String>(0),
            )?;
            let ids = ids.iter().map(|id| parsed(id, "orders.order_id")).collect::<Result<Vec<_>, _>>()?;
            ids.iter().filter_map(|id| record(unit, id).transpose()).collect()
        }))
    }

    fn count_parked(&self) -> Answer<'_, u64> {
        Box::pin(self.untraced.read("count_parked", |unit| {
            let count = "SELECT count(*) FROM orders WHERE phase = 'stuck'";
            Ok(u64::from(unit.query_row(count, (), |row| row.get::<_, u32>(0))?))
        }))
    }

    fn record(&self, id: OrderId) -> Answer<'_, Option<Record>> {
        Box::pin(self.database.read("record", move |unit| record(unit, &id)))
    }

    fn retry(&self, id: OrderId, rows_before: u64, action: Action) -> Answer<'_, bool> {
        Box::pin(self.database.write("retry", move |unit| {
            // Its lease was the pause until the next try.
            let changed = unit.execute(
                "UPDATE orders SET lease_until = 0 WHERE order_id = ?1 AND journal_rows = ?2 AND phase = 'stuck'",
                params![id.as_str(), number(rows_before)],
            )?;
            if changed > 0 {
                append_action(unit, &id, &action)?;
            }
            Ok(changed > 0)
        }))
    }

    fn abandon(&self, abandonment: Abandonment) -> Answer<'_, bool> {
        Box::pin(self.database.write("abandon", move |unit| abandon(unit, &abandonment)))
    }

    fn note(&self, id: OrderId, action: Action) -> Answer<'_, ()> {
        Box::pin(self.database.write("note", move |unit| append_action(unit, &id, &action)))
    }
}

fn abandon(unit: &mut Unit<'_>, abandonment: &Abandonment) -> Result<bool, Error> {
    let Abandonment { order, rows_before, facts, moved, event, action } = abandonment;
    if !update_order(unit, order, *rows_before, Phase::Ended, None)? {
        return Ok(false);
    }
    append_journal(unit, &order.id, rows_before + 1, facts)?;
    append_history(unit, &order.id, moved)?;
    if let Some(event) = event {
        outbox::append(unit, event)?;
    }
    append_action(unit, &order.id, action)?;
    Ok(true)
}

fn append_action(unit: &mut Unit<'_>, id: &OrderId, action: &Action) -> Result<(), Error> {
    let Action { kind, outcome, asked, refund, notes, at } = action;
    unit.execute(
        "INSERT INTO operator_actions \
         (order_id, number, action, outcome, asked_by, reason, refund, amount, notes, at) \
         SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 \
         FROM operator_actions WHERE order_id = ?1",
        params![
            id.as_str(),
            kind.as_str(),
            outcome.as_str(),
            asked.by,
            asked.reason,
            refund.map(|refund| refund.number),
            refund.map(|refund| refund.amount),
            notes.join("\n"),
            at.unix_millis(),
        ],
    )?;
    Ok(())
}

fn record(unit: &mut Unit<'_>, id: &OrderId) -> Result<Option<Record>, Error> {
    let Some(order) = order_by_id(unit, id)? else { return Ok(None) };
    let (phase, epoch) =
        unit.query_row("SELECT phase, lease_epoch FROM orders WHERE order_id = ?1", [id.as_str()], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?))
        })?;
    let epoch = Epoch::new(epoch.into());
    let (history, journal, actions) = (history(unit, id)?, journal(unit, id)?, actions(unit, id)?);
    Ok(Some(Record { order, phase, journal, history, actions, epoch }))
}

fn journal(unit: &mut Unit<'_>, id: &OrderId) -> Result<Vec<JournalRow>, Error> {
    let rows = unit.query_all(
        "SELECT row, facts, at FROM order_journal WHERE order_id = ?1 ORDER BY row",
        [id.as_str()],
        |row| Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?)),
    )?;
    let read = |(row, facts, at): (u32, String, i64)| {
        let facts =
            serde_json::from_str::<Vec<Fact>>(&facts).map_err(|_| malformed("order_journal.facts"))?;
        Ok(JournalRow { row: row.into(), facts, at: moment(at, "order_journal.at")? })
    };
    rows.into_iter().map(read).collect()
}

fn actions(unit: &mut Unit<'_>, id: &OrderId) -> Result<Vec<Action>, Error> {
    let rows = unit.query_all(
        "SELECT action, outcome, asked_by, reason, refund, amount, notes, at FROM operator_actions \
         WHERE order_id = ?1 ORDER BY number",
        [id.as_str()],
        |row| {
            let names: (String, String) = (row.get(0)?, row.get(1)?);
            let asked = Asked { by: row.get(2)?, reason: row.get(3)? };
            let refund = row.get::<_, Option<u32>>(4)?.zip(row.get::<_, Option<i64>>(5)?);
            Ok((names, asked, refund, row.get::<_, String>(6)?, row.get::<_, i64>(7)?))
        },
    )?;
    rows.into_iter()
        .map(|((action, outcome), asked, refund, notes, at)| {
            Ok(Action {
                kind: ActionKind::from_name(&action).ok_or_else(|| malformed("operator_actions.action"))?,
                outcome: Outcome::from_name(&outcome).ok_or_else(|| malformed("operator_actions.outcome"))?,
                asked,
                refund: refund.map(|(number, amount)| RefundAttempt { number, amount }),
                notes: notes.lines().map(str::to_owned).collect(),
                at: moment(at, "operator_actions.at")?,
            })
        })
        .collect()
}
