//! What operators read and change in the store on PostgreSQL.

use super::rows::{Read, at, facts, malformed, number, parsed, unreadable};
use super::{PostgresStore, append_history, append_journal, history, order_by_id, update_order};
use crate::{
    Error,
    store::{
        Answer,
        operator::{
            Abandonment, Action, ActionKind, JournalRow, OperatorStore, Outcome, Record, RefundAttempt,
        },
    },
};
use waypost_api::OrderId;
use waypost_durable::{
    Epoch,
    postgres::{Row, Unit, outbox, params},
    saga::Phase,
};
use waypost_service::operator::Asked;

impl OperatorStore for PostgresStore {
    fn parked(&self, after: Option<OrderId>, max: u32) -> Answer<'_, Vec<Record>> {
        Box::pin(self.database.snapshot("parked", (after, max), |unit, (after, max)| {
            Box::pin(async move {
                let after = after.as_ref().map_or("", OrderId::as_str);
                let ids: Vec<OrderId> = unit
                    .query_all(
                        "SELECT order_id FROM orders WHERE phase = 'stuck' AND order_id > $1 \
                         ORDER BY order_id LIMIT $2",
                        params![after, i64::from(*max)],
                        |row| parsed(row.get(0)?, "orders.order_id"),
                    )
                    .await?;
                let mut records = Vec::new();
                for id in ids {
                    records.extend(record(unit, &id).await?);
                }
                Ok(records)
            })
        }))
    }

    fn count_parked(&self) -> Answer<'_, u64> {
        Box::pin(self.untraced.read("count_parked", (), |unit, ()| {
            Box::pin(async move {
                let count = "SELECT count(*) FROM orders WHERE phase = 'stuck'";
                Ok(unit.query_row(count, params![], |row| row.number(0)).await?)
            })
        }))
    }

    fn record(&self, id: OrderId) -> Answer<'_, Option<Record>> {
        Box::pin(self.database.snapshot("record", id, |unit, id| Box::pin(record(unit, id))))
    }

    fn retry(&self, id: OrderId, rows_before: u64, action: Action) -> Answer<'_, bool> {
        Box::pin(self.database.write(
            "retry",
            (id, rows_before, action),
            |unit, (id, rows_before, action)| {
                Box::pin(async move {
                    // Its lease was the pause until the next try.
                    let changed = unit.execute(
                        "UPDATE orders SET lease_until = to_timestamp(0) \
                     WHERE order_id = $1 AND journal_rows = $2 AND phase = 'stuck'",
                        params![id.as_str(), number(*rows_before)],
                    );
                    let changed = changed.await? > 0;
                    if changed {
                        append_action(unit, id, action).await?;
                    }
                    Ok(changed)
                })
            },
        ))
    }

    fn abandon(&self, abandonment: Abandonment) -> Answer<'_, bool> {
        Box::pin(
            self.database
                .write("abandon", abandonment, |unit, abandonment| Box::pin(abandon(unit, abandonment))),
        )
    }

    fn note(&self, id: OrderId, action: Action) -> Answer<'_, ()> {
        Box::pin(
            self.database
                .write("note", (id, action), |unit, (id, action)| Box::pin(append_action(unit, id, action))),
        )
    }
}

async fn abandon(unit: &mut Unit, abandonment: &Abandonment) -> Result<bool, Error> {
    let Abandonment { order, rows_before, facts, moved, event, action } = abandonment;
    if !update_order(unit, order, *rows_before, Phase::Ended, None).await? {
        return Ok(false);
    }
    append_journal(unit, &order.id, rows_before + 1, facts).await?;
    append_history(unit, &order.id, moved).await?;
    if let Some(event) = event {
        outbox::append(unit, event).await?;
    }
    append_action(unit, &order.id, action).await?;
    Ok(true)
}

/// Takes the order's row for itself, so that two that write at the same time get different numbers.
async fn append_action(unit: &mut Unit, id: &OrderId, action: &Action) -> Result<(), Error> {
    let Action { kind, outcome, asked, refund, notes, at: moment } = action;
    unit.query_optional("SELECT 1 FROM orders WHERE order_id = $1 FOR UPDATE", params![id.as_str()], |_| {
        Ok(())
    })
    .await?;
    unit.execute(
        "INSERT INTO operator_actions \
         (order_id, number, action, outcome, asked_by, reason, refund, amount, notes, at) \
         SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9 \
         FROM operator_actions WHERE order_id = $1",
        params![
            id.as_str(),
            kind.as_str(),
            outcome.as_str(),
            &asked.by,
            &asked.reason,
            refund.map(|refund| i64::from(refund.number)),
            refund.map(|refund| refund.amount),
            notes.join("\n"),
            at(*moment),
        ],
    )
    .await?;
    Ok(())
}

async fn record(unit: &mut Unit, id: &OrderId) -> Result<Option<Record>, Error> {
    let Some(order) = order_by_id(unit, id).await? else { return Ok(None) };
    let stands = unit.query_optional(
        "SELECT phase, lease_epoch FROM orders WHERE order_id = $1",
        params![id.as_str()],
        |row| Ok((row.get::<String>(0)?, Epoch::new(row.number(1)?))),
    );
    let (phase, epoch) = stands.await?.ok_or_else(|| malformed("orders.phase"))?;
    let (history, journal, actions) =
        (history(unit, id).await?, journal(unit, id).await?, actions(unit, id).await?);
    Ok(Some(Record { order, phase, journal, history, actions, epoch }))
}

async fn journal(unit: &mut Unit, id: &OrderId) -> Result<Vec<JournalRow>, Error> {
    let rows = unit.query_all(
        "SELECT row, facts::text, at FROM order_journal WHERE order_id = $1 ORDER BY row",
        params![id.as_str()],
        |row| Ok(JournalRow { row: row.number(0)?, facts: facts(row, 1)?, at: row.time(2)?.into() }),
    );
    Ok(rows.await?)
}

async fn actions(unit: &mut Unit, id: &OrderId) -> Result<Vec<Action>, Error> {
    let rows = unit.query_all(
        "SELECT action, outcome, asked_by, reason, refund, amount, notes, at FROM operator_actions \
         WHERE order_id = $1 ORDER BY number",
        params![id.as_str()],
        action_of_row,
    );
    Ok(rows.await?)
}

fn action_of_row(row: &Row) -> Read<Action> {
    let number = row.get::<Option<i64>>(4)?.map(u32::try_from).transpose();
    let number = number.map_err(|_| unreadable("operator_actions.refund"))?;
    let refund = number.zip(row.get::<Option<i64>>(5)?);
    Ok(Action {
        kind: ActionKind::from_name(row.get(0)?).ok_or_else(|| unreadable("operator_actions.action"))?,
        outcome: Outcome::from_name(row.get(1)?).ok_or_else(|| unreadable("operator_actions.outcome"))?,
        asked: Asked { by: row.get(2)?, reason: row.get(3)? },
        refund: refund.map(|(number, amount)| RefundAttempt { number, amount }),
        notes: row.get::<&str>(6)?.lines().map(str::to_owned).collect(),
        at: row.time(7)?.into(),
    })
}
