//! Payments that begin, are looked up and move on, many in one statement.
//!
//! Each group that writes has the locks of its orders. Only the plain case is written together: an order's first payment,
//! and an answer of the provider that fits our books. The rest runs by itself.

use super::rows::{at, epoch_row, payment_of_row};
use super::{Begun, Recorded};
use crate::{
    Error,
    domain::{Change, Finding, Intent, Payment, ReviewTimes},
};
use std::collections::HashMap;
use waypost_api::{OrderId, Timestamp, TransactionId};
use waypost_durable::{
    Epoch,
    postgres::{Unit, group::Grouped, params},
};

/// An intent that is to be written down, and when it is looked into.
pub(super) type Beginning = (Intent, ReviewTimes);

/// A payment as it was read, and what was found out of it since.
pub(super) type Recording = (Payment, Finding, ReviewTimes);

/// Writes down the intents of orders that have no payment yet and were not voided.
pub(super) async fn begin(
    unit: &mut Unit,
    intents: &[Beginning],
) -> Result<Vec<Grouped<Begun, Error>>, waypost_durable::Error> {
    let now = Timestamp::from(unit.now().await?);
    let payments: Vec<Payment> =
        intents.iter().map(|(intent, times)| Payment::begin(intent.clone(), now, times)).collect();
    let all = || payments.iter();
    let begun: Vec<String> = unit
        .query_all(
            "INSERT INTO payments (order_id, generation, payment_id, step_key, user_id, payment_method, amount, currency, \
               state, review_at, version, traceparent, created_at, updated_at, lease_epoch) \
             SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], \
               $8::text[], $9::text[], $10::timestamptz[], $11::bigint[], $12::text[], $13::timestamptz[], \
               $14::timestamptz[], $15::bigint[]) AS intent (order_id) \
             WHERE NOT EXISTS (SELECT 1 FROM payments WHERE payments.order_id = intent.order_id) \
               AND NOT EXISTS (SELECT 1 FROM voided_orders WHERE voided_orders.order_id = intent.order_id) \
             RETURNING order_id",
            params![
                all().map(|payment| payment.order.as_str()).collect::<Vec<_>>(),
                all().map(|payment| i64::from(payment.generation.number())).collect::<Vec<_>>(),
                all().map(|payment| payment.id.as_str()).collect::<Vec<_>>(),
                all().map(|payment| payment.key.as_str()).collect::<Vec<_>>(),
                all().map(|payment| payment.user.as_str()).collect::<Vec<_>>(),
                all().map(|payment| payment.method.as_str()).collect::<Vec<_>>(),
                all().map(|payment| payment.amount.ten_thousandths()).collect::<Vec<_>>(),
                all().map(|payment| payment.amount.currency().as_str().to_owned()).collect::<Vec<_>>(),
                all().map(|payment| payment.state.as_str()).collect::<Vec<_>>(),
                all().map(|payment| payment.review_at.map(at)).collect::<Vec<_>>(),
                all().map(|payment| i64::from(payment.version)).collect::<Vec<_>>(),
                all().map(|payment| payment.traceparent.as_deref()).collect::<Vec<_>>(),
                all().map(|payment| at(payment.created_at)).collect::<Vec<_>>(),
                all().map(|payment| at(payment.updated_at)).collect::<Vec<_>>(),
                all().map(|payment| epoch_row(payment.epoch)).collect::<Vec<_>>(),
            ],
            |row| row.get(0),
        )
        .await?;
    let outcome = |payment: Payment| {
        let is_new = begun.iter().any(|order| order == payment.order.as_str());
        if is_new { Grouped::Done(Begun { payment, is_new }) } else { Grouped::Alone }
    };
    Ok(payments.into_iter().map(outcome).collect())
}

/// The newest payments of orders.
pub(super) async fn newest(
    unit: &mut Unit,
    orders: &[OrderId],
) -> Result<Vec<Grouped<Option<Payment>, Error>>, waypost_durable::Error> {
    let mut found = unit
        .query_all(
            "SELECT newest.order_id, generation, payment_id, step_key, user_id, payment_method, amount, currency, state, \
               captured, refunded, transaction_id, decline_code, is_unwanted, review_at, reviews, version, traceparent, \
               created_at, updated_at, lease_epoch \
             FROM unnest($1::text[]) AS asked (order_id) CROSS JOIN LATERAL ( \
               SELECT * FROM payments WHERE payments.order_id = asked.order_id ORDER BY generation DESC LIMIT 1) AS newest",
            params![orders.iter().map(OrderId::as_str).collect::<Vec<_>>()],
            payment_of_row,
        )
        .await?;
    let mut newest = |order: &OrderId| {
        let place = found.iter().position(|payment| payment.order == *order)?;
        Some(found.swap_remove(place))
    };
    Ok(orders.iter().map(|order| Grouped::Done(newest(order))).collect())
}

/// Writes down what was found out of payments, and books the money that moved. What is written is made from the payments as
/// they were read, so one that was changed since, contradicts our books or is not changed at all runs by itself.
pub(super) async fn record(
    unit: &mut Unit,
    findings: &[Recording],
) -> Result<Vec<Grouped<Recorded, Error>>, waypost_durable::Error> {
    let now = Timestamp::from(unit.now().await?);
    let change = |(known, finding, times): &Recording| {
        let change = known.after(finding, now, times).ok()?;
        (change.payment.version != known.version).then_some((known.version, change))
    };
    let mut changes: Vec<Option<(u32, Change)>> = findings.iter().map(change).collect();
    let epochs = write(unit, &changes.iter().flatten().collect::<Vec<_>>()).await?;
    let outcome = |change: &mut Option<(u32, Change)>| {
        let Some((_, Change { mut payment, .. })) = change.take() else { return Grouped::Alone };
        let Some(epoch) = epochs.get(payment.order.as_str()) else { return Grouped::Alone };
        payment.epoch = *epoch;
        Grouped::Done(Ok(payment))
    };
    Ok(changes.iter_mut().map(outcome).collect())
}

/// Writes changes of payments with their postings, each if the payment has the version still that the change was made from.
/// Gives the orders of those that are written, each with the epoch that its payment has.
async fn write(
    unit: &mut Unit,
    changes: &[&(u32, Change)],
) -> Result<HashMap<String, Epoch>, waypost_durable::Error> {
    if changes.is_empty() {
        return Ok(HashMap::new());
    }
    let all = || changes.iter().map(|(_, change)| &change.payment);
    let postings = changes.iter().flat_map(|(_, change)| {
        let payment = &change.payment;
        change.postings.iter().map(move |posting| (payment, posting))
    });
    let entries: Vec<_> = postings
        .flat_map(|(payment, posting)| {
            posting.entries().into_iter().map(move |entry| (payment, posting, entry))
        })
        .collect();
    let written = unit.query_all(
        "WITH change AS ( \
           SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], \
             $7::text[], $8::text[], $9::bool[], $10::timestamptz[], $11::bigint[], $12::bigint[], $13::timestamptz[]) \
           AS change (order_id, generation, version_before, state, captured, refunded, transaction_id, decline_code, \
             is_unwanted, review_at, reviews, version, updated_at)), \
         changed AS ( \
           UPDATE payments SET state = change.state, captured = change.captured, refunded = change.refunded, \
             transaction_id = change.transaction_id, decline_code = change.decline_code, \
             is_unwanted = change.is_unwanted, review_at = change.review_at, reviews = change.reviews, \
             version = change.version, updated_at = change.updated_at \
           FROM change \
           WHERE payments.order_id = change.order_id AND payments.generation = change.generation \
             AND payments.version = change.version_before AND payments.contradicted_at IS NULL \
           RETURNING payments.order_id, payments.generation, payments.lease_epoch), \
         booked AS ( \
           INSERT INTO ledger_entries \
             (order_id, generation, version, posting, account, debit, credit, currency, at) \
           SELECT order_id, generation, entry.version, posting, account, debit, credit, currency, at \
           FROM unnest($14::text[], $15::bigint[], $16::bigint[], $17::text[], $18::text[], $19::bigint[], \
             $20::bigint[], $21::text[], $22::timestamptz[]) \
           AS entry (order_id, generation, version, posting, account, debit, credit, currency, at) \
           JOIN changed USING (order_id, generation)) \
         SELECT order_id, lease_epoch FROM changed",
        params![
            all().map(|payment| payment.order.as_str()).collect::<Vec<_>>(),
            all().map(|payment| i64::from(payment.generation.number())).collect::<Vec<_>>(),
            changes.iter().map(|(before, _)| i64::from(*before)).collect::<Vec<_>>(),
            all().map(|payment| payment.state.as_str()).collect::<Vec<_>>(),
            all().map(|payment| payment.captured).collect::<Vec<_>>(),
            all().map(|payment| payment.refunded).collect::<Vec<_>>(),
            all().map(|payment| payment.transaction.as_ref().map(TransactionId::as_str)).collect::<Vec<_>>(),
            all().map(|payment| payment.decline_code.as_deref()).collect::<Vec<_>>(),
            all().map(|payment| payment.is_unwanted).collect::<Vec<_>>(),
            all().map(|payment| payment.review_at.map(at)).collect::<Vec<_>>(),
            all().map(|payment| i64::from(payment.reviews)).collect::<Vec<_>>(),
            all().map(|payment| i64::from(payment.version)).collect::<Vec<_>>(),
            all().map(|payment| at(payment.updated_at)).collect::<Vec<_>>(),
            entries.iter().map(|(payment, ..)| payment.order.as_str()).collect::<Vec<_>>(),
            entries.iter().map(|(payment, ..)| i64::from(payment.generation.number())).collect::<Vec<_>>(),
            entries.iter().map(|(payment, ..)| i64::from(payment.version)).collect::<Vec<_>>(),
            entries.iter().map(|(_, posting, _)| posting.as_str()).collect::<Vec<_>>(),
            entries.iter().map(|(.., entry)| entry.account.as_str()).collect::<Vec<_>>(),
            entries.iter().map(|(.., entry)| entry.debit).collect::<Vec<_>>(),
            entries.iter().map(|(.., entry)| entry.credit).collect::<Vec<_>>(),
            entries
                .iter()
                .map(|(_, posting, _)| posting.amount().currency().as_str().to_owned())
                .collect::<Vec<_>>(),
            entries.iter().map(|(payment, ..)| at(payment.updated_at)).collect::<Vec<_>>(),
        ],
        |row| Ok((row.get(0)?, Epoch::new(row.number(1)?))),
    );
    Ok(written.await?.into_iter().collect())
}
