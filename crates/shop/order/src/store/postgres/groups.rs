//! Orders that are placed, and sagas that move on, many in one statement.
//!
//! Only what needs no judgement: a key that nobody has used, an order whose journal is as its runner knows it. Everything
//! else runs by itself.

use super::rows::{at, number};
use super::{Placed, Placement, Progress, text};
use crate::{Error, domain::Order};
use waypost_api::{ErrorCode, TransactionId};
use waypost_durable::{
    idempotency::{Key, LEASE},
    postgres::{Unit, group::Grouped, millis_of, outbox, params},
};

/// What becomes of a new order: known by its key, so that two requests with one key are never in one group.
pub(super) fn placed_under(placement: &Placement) -> String {
    match &placement.key {
        Some(Key { principal, route, key, .. }) => format!("{principal} {route} {key}"),
        None => placement.order.id.to_string(),
    }
}

/// Places orders whose keys nobody has used. Of requests with one key at the same time, in whatever process, one inserts it.
pub(super) async fn place(
    unit: &mut Unit,
    placements: &[Placement],
) -> Result<Vec<Grouped<Placed, Error>>, waypost_durable::Error> {
    let all = || placements.iter();
    let orders = || all().map(|placement| &placement.order);
    let firsts: Vec<_> = orders().map(Order::last_move).collect();
    let keys = || all().map(|placement| placement.key.as_ref());
    let facts: Result<Vec<String>, Error> = all().map(|placement| text(&placement.facts)).collect();
    let Ok(facts) = facts else { return Ok(all().map(|_| Grouped::Alone).collect()) };
    let placed: Vec<String> = unit
        .query_all(
            "WITH asked AS ( \
               SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], \
                 $7::text[], $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[], $12::bigint[], $13::text[], \
                 $14::text[], $15::text[], $16::text[], $17::bigint[], $18::bigint[], $19::text[], $20::text[], \
                 $21::timestamptz[], $22::text[], $23::text[], $24::text[], $25::text[], $26::bytea[]) \
               AS asked (order_id, user_id, product_id, quantity, unit_price, amount, currency, payment_method, status, \
                 created_at, updated_at, version, trace_id, traceparent, tracestate, runner, lasts, first_version, \
                 first_status, first_reason, first_at, facts, principal, route, key, fingerprint)), \
             claimed AS ( \
               INSERT INTO idempotency (principal, route, key, fingerprint, fence, lease_until, result, created_at) \
               SELECT principal, route, key, fingerprint, 1, waypost_now() + $27 * interval '1 millisecond', \
                 convert_to(order_id, 'UTF8'), waypost_now() FROM asked WHERE key IS NOT NULL \
               ORDER BY principal, route, key \
               ON CONFLICT (principal, route, key) DO NOTHING RETURNING convert_from(result, 'UTF8') AS order_id), \
             chosen AS (SELECT * FROM asked WHERE key IS NULL OR order_id IN (SELECT order_id FROM claimed)), \
             placed AS ( \
               INSERT INTO orders (order_id, user_id, product_id, quantity, unit_price, amount, currency, \
                 payment_method, status, created_at, updated_at, version, trace_id, traceparent, tracestate, phase, \
                 journal_rows, runner, lease_until) \
               SELECT order_id, user_id, product_id, quantity, unit_price, amount, currency, payment_method, status, \
                 created_at, updated_at, version, trace_id, traceparent, tracestate, 'forward', 1, runner, \
                 waypost_now() + lasts * interval '1 millisecond' FROM chosen), \
             history AS ( \
               INSERT INTO order_history (order_id, version, status, reason, at) \
               SELECT order_id, first_version, first_status, first_reason, first_at FROM chosen), \
             journal AS ( \
               INSERT INTO order_journal (order_id, row, facts, at) \
               SELECT order_id, 1, facts::jsonb, waypost_now() FROM chosen) \
             SELECT order_id FROM chosen",
            params![
                orders().map(|order| order.id.as_str()).collect::<Vec<_>>(),
                orders().map(|order| order.user.as_str()).collect::<Vec<_>>(),
                orders().map(|order| order.product.as_str()).collect::<Vec<_>>(),
                orders().map(|order| i64::from(order.quantity)).collect::<Vec<_>>(),
                orders().map(|order| order.unit_price.ten_thousandths()).collect::<Vec<_>>(),
                orders().map(|order| order.amount.ten_thousandths()).collect::<Vec<_>>(),
                orders().map(|order| order.amount.currency().as_str().to_owned()).collect::<Vec<_>>(),
                orders().map(|order| order.payment_method.as_str()).collect::<Vec<_>>(),
                orders().map(|order| order.status.as_str()).collect::<Vec<_>>(),
                orders().map(|order| at(order.created_at)).collect::<Vec<_>>(),
                orders().map(|order| at(order.updated_at)).collect::<Vec<_>>(),
                orders().map(|order| number(order.version)).collect::<Vec<_>>(),
                orders().map(|order| order.origin.trace_id.as_deref()).collect::<Vec<_>>(),
                orders().map(|order| order.origin.traceparent.as_deref()).collect::<Vec<_>>(),
                orders().map(|order| order.origin.tracestate.as_deref()).collect::<Vec<_>>(),
                all().map(|placement| placement.lease.runner.as_str()).collect::<Vec<_>>(),
                all().map(|placement| millis_of(placement.lease.lasts)).collect::<Vec<_>>(),
                firsts.iter().map(|first| number(first.version)).collect::<Vec<_>>(),
                firsts.iter().map(|first| first.to.as_str()).collect::<Vec<_>>(),
                firsts.iter().map(|first| first.reason.map(ErrorCode::as_str)).collect::<Vec<_>>(),
                firsts.iter().map(|first| at(first.at)).collect::<Vec<_>>(),
                facts,
                keys().map(|key| key.map(|key| key.principal.as_str())).collect::<Vec<_>>(),
                keys().map(|key| key.map(|key| key.route.as_str())).collect::<Vec<_>>(),
                keys().map(|key| key.map(|key| key.key.as_str())).collect::<Vec<_>>(),
                keys().map(|key| key.map(|key| key.fingerprint.as_slice())).collect::<Vec<_>>(),
                millis_of(LEASE),
            ],
            |row| row.get(0),
        )
        .await?;
    let outcome = |placement: &Placement| {
        let is_placed = placed.iter().any(|id| id == placement.order.id.as_str());
        if is_placed { Grouped::Done(Placed::New) } else { Grouped::Alone }
    };
    Ok(all().map(outcome).collect())
}

/// Which saga moves on.
pub(super) fn order_of(progress: &Progress) -> String {
    progress.order.id.to_string()
}

/// Moves sagas on: orders, journals, history and outbox. One whose row another unit has at this moment is not waited for, and
/// one whose journal is another than expected is not told so: both ask again by themselves.
pub(super) async fn advance(
    unit: &mut Unit,
    steps: &[Progress],
) -> Result<Vec<Grouped<bool, Error>>, waypost_durable::Error> {
    let orders = || steps.iter().map(|step| &step.order);
    let moves = || steps.iter().map(|step| step.moved.as_ref());
    let events = || steps.iter().map(|step| step.event.as_ref());
    let facts: Result<Vec<String>, Error> = steps.iter().map(|step| text(&step.facts)).collect();
    let Ok(facts) = facts else { return Ok(steps.iter().map(|_| Grouped::Alone).collect()) };
    let advanced: Vec<String> = unit
        .query_all(
            "WITH step AS ( \
               SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], \
                 $7::timestamptz[], $8::bigint[], $9::text[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], \
                 $14::bigint[], $15::text[], $16::text[], $17::timestamptz[], $18::text[], $19::text[], $20::text[], \
                 $21::text[], $22::bytea[], $23::bytea[], $24::text[], $25::text[]) \
               AS step (order_id, rows_before, status, failure_code, decline_code, transaction_id, updated_at, version, \
                 phase, lease_epoch, lasts, charge, facts, moved_version, moved_to, moved_reason, moved_at, event_id, topic, \
                 key, kind, payload, headers, traceparent, tracestate)), \
             found AS ( \
               SELECT step.* FROM step JOIN orders USING (order_id) \
               WHERE orders.journal_rows = step.rows_before AND orders.lease_epoch = step.lease_epoch \
               FOR UPDATE OF orders SKIP LOCKED), \
             advanced AS ( \
               UPDATE orders SET status = found.status, failure_code = found.failure_code, \
                 decline_code = found.decline_code, transaction_id = found.transaction_id, updated_at = found.updated_at, \
                 version = found.version, phase = found.phase, journal_rows = orders.journal_rows + 1, \
                 lease_until = waypost_now() + found.lasts * interval '1 millisecond', charge = found.charge, \
                 ended_at = CASE WHEN found.phase = 'ended' THEN waypost_now() END \
               FROM found WHERE orders.order_id = found.order_id \
               RETURNING found.order_id, rows_before, facts, moved_version, moved_to, moved_reason, moved_at, event_id, \
                 topic, key, kind, payload, headers, found.traceparent, found.tracestate), \
             journal AS ( \
               INSERT INTO order_journal (order_id, row, facts, at) \
               SELECT order_id, rows_before + 1, facts::jsonb, waypost_now() FROM advanced), \
             history AS ( \
               INSERT INTO order_history (order_id, version, status, reason, at) \
               SELECT order_id, moved_version, moved_to, moved_reason, moved_at FROM advanced \
               WHERE moved_version IS NOT NULL), \
             told AS ( \
               INSERT INTO outbox (event_id, topic, key, kind, payload, headers, traceparent, tracestate, appended_at) \
               SELECT event_id, topic, key, kind, payload, headers, traceparent, tracestate, waypost_now() \
               FROM advanced WHERE event_id IS NOT NULL ON CONFLICT (event_id) DO NOTHING) \
             SELECT order_id FROM advanced",
            params![
                orders().map(|order| order.id.as_str()).collect::<Vec<_>>(),
                steps.iter().map(|step| number(step.rows_before)).collect::<Vec<_>>(),
                orders().map(|order| order.status.as_str()).collect::<Vec<_>>(),
                orders().map(|order| order.failure_code.map(ErrorCode::as_str)).collect::<Vec<_>>(),
                orders().map(|order| order.decline_code.as_deref()).collect::<Vec<_>>(),
                orders()
                    .map(|order| order.transaction.as_ref().map(TransactionId::as_str))
                    .collect::<Vec<_>>(),
                orders().map(|order| at(order.updated_at)).collect::<Vec<_>>(),
                orders().map(|order| number(order.version)).collect::<Vec<_>>(),
                steps.iter().map(|step| step.phase.as_str()).collect::<Vec<_>>(),
                steps.iter().map(|step| number(step.lease.epoch.number())).collect::<Vec<_>>(),
                steps.iter().map(|step| millis_of(step.lease.lasts)).collect::<Vec<_>>(),
                orders().map(|order| order.charge.as_str()).collect::<Vec<_>>(),
                facts,
                moves().map(|moved| moved.map(|moved| number(moved.version))).collect::<Vec<_>>(),
                moves().map(|moved| moved.map(|moved| moved.to.as_str())).collect::<Vec<_>>(),
                moves()
                    .map(|moved| moved.and_then(|moved| moved.reason).map(ErrorCode::as_str))
                    .collect::<Vec<_>>(),
                moves().map(|moved| moved.map(|moved| at(moved.at))).collect::<Vec<_>>(),
                events().map(|event| event.map(|event| event.id.as_str())).collect::<Vec<_>>(),
                events().map(|event| event.map(|event| event.topic.as_str())).collect::<Vec<_>>(),
                events().map(|event| event.map(|event| event.key.as_str())).collect::<Vec<_>>(),
                events().map(|event| event.map(|event| event.kind.as_str())).collect::<Vec<_>>(),
                events().map(|event| event.map(|event| event.payload.as_slice())).collect::<Vec<_>>(),
                events().map(|event| event.map(outbox::headers_row)).collect::<Vec<_>>(),
                events().map(|event| event.and_then(|event| event.traceparent.as_deref())).collect::<Vec<_>>(),
                events().map(|event| event.and_then(|event| event.tracestate.as_deref())).collect::<Vec<_>>(),
            ],
            |row| row.get(0),
        )
        .await?;
    if events().flatten().next().is_some() {
        outbox::appended(unit);
    }
    let outcome = |step: &Progress| {
        let is_advanced = advanced.iter().any(|id| id == step.order.id.as_str());
        if is_advanced { Grouped::Done(true) } else { Grouped::Alone }
    };
    Ok(steps.iter().map(outcome).collect())
}
