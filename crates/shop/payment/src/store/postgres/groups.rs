//! Payments that begin, are looked up and move on, many in one message (`0002_one_message.sql`).
//!
//! Each group that writes takes the locks of its orders. Only the plain case is written together: an order's first payment,
//! and an answer of the provider that fits our books. The rest runs by itself.
//!
//! A group learns the time when it is done. What follows from the time is sent as a distance from it, and made again with it
//! for the answer.

use super::rows::{epoch_row, payment_of_row};
use super::{Begun, Recorded, lock};
use crate::{
    Error,
    domain::{Change, Finding, Intent, Payment, ReviewTimes},
};
use std::collections::HashMap;
use std::time::UNIX_EPOCH;
use waypost_api::{OrderId, Timestamp, TransactionId};
use waypost_durable::{
    Epoch,
    postgres::{Unit, group::Grouped, millis_of, params},
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
    let origin = Timestamp::from(UNIX_EPOCH);
    let payments: Vec<Payment> =
        intents.iter().map(|(intent, times)| Payment::begin(intent.clone(), origin, times)).collect();
    let all = || payments.iter();
    let begun: HashMap<String, Timestamp> = unit
        .query_all(
            "SELECT begun_order, begun_at FROM begin_payments($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            params![
                all().map(|payment| lock(&payment.order)).collect::<Vec<_>>(),
                all().map(|payment| payment.order.as_str()).collect::<Vec<_>>(),
                all().map(|payment| i64::from(payment.generation.number())).collect::<Vec<_>>(),
                all().map(|payment| payment.id.as_str()).collect::<Vec<_>>(),
                all().map(|payment| payment.key.as_str()).collect::<Vec<_>>(),
                all().map(|payment| payment.user.as_str()).collect::<Vec<_>>(),
                all().map(|payment| payment.method.as_str()).collect::<Vec<_>>(),
                all().map(|payment| payment.amount.ten_thousandths()).collect::<Vec<_>>(),
                all().map(|payment| payment.amount.currency().as_str().to_owned()).collect::<Vec<_>>(),
                all().map(|payment| payment.state.as_str()).collect::<Vec<_>>(),
                all().map(|payment| review_in(payment, origin)).collect::<Vec<_>>(),
                all().map(|payment| i64::from(payment.version)).collect::<Vec<_>>(),
                all().map(|payment| payment.traceparent.as_deref()).collect::<Vec<_>>(),
                all().map(|payment| epoch_row(payment.epoch)).collect::<Vec<_>>(),
            ],
            |row| Ok((row.get(0)?, row.time(1)?.into())),
        )
        .await?
        .into_iter()
        .collect();
    let outcome = |(intent, times): &Beginning| match begun.get(intent.order.as_str()) {
        Some(now) => {
            Grouped::Done(Begun { payment: Payment::begin(intent.clone(), *now, times), is_new: true })
        }
        None => Grouped::Alone,
    };
    Ok(intents.iter().map(outcome).collect())
}

/// In how many milliseconds from a moment a payment is to be looked into.
fn review_in(payment: &Payment, from: Timestamp) -> Option<i64> {
    payment.review_at.map(|review_at| millis_of(review_at.since(from)))
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
    let changes: Vec<(&Payment, Change)> = findings.iter().filter_map(plain_change).collect();
    let written = write(unit, &changes).await?;
    let outcome = |(known, finding, times): &Recording| {
        let Some((epoch, now)) = written.get(known.order.as_str()) else { return Grouped::Alone };
        let Ok(Change { mut payment, .. }) = known.after(finding, *now, times) else { return Grouped::Alone };
        payment.epoch = *epoch;
        Grouped::Done(Ok(payment))
    };
    Ok(findings.iter().map(outcome).collect())
}

/// What a finding makes of a payment, if it is a plain case. One that the provider has nothing of is none: it is judged by its
/// age.
fn plain_change((known, finding, times): &Recording) -> Option<(&Payment, Change)> {
    if !matches!(finding, Finding::Charge(_) | Finding::Rejected { .. }) {
        return None;
    }
    let change = known.after(finding, known.updated_at, times).ok()?;
    (change.payment.version != known.version).then_some((known, change))
}

/// Writes changes of payments with their postings, each if the payment is still as it was known. Gives the orders of those
/// that are written, each with the epoch that its payment has and the time.
async fn write(
    unit: &mut Unit,
    changes: &[(&Payment, Change)],
) -> Result<HashMap<String, (Epoch, Timestamp)>, waypost_durable::Error> {
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
        "SELECT recorded_order, recorded_epoch, recorded_at FROM record_payments( \
         $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
        params![
            all().map(|payment| lock(&payment.order)).collect::<Vec<_>>(),
            all().map(|payment| payment.order.as_str()).collect::<Vec<_>>(),
            all().map(|payment| i64::from(payment.generation.number())).collect::<Vec<_>>(),
            changes.iter().map(|(known, _)| i64::from(known.version)).collect::<Vec<_>>(),
            all().map(|payment| payment.state.as_str()).collect::<Vec<_>>(),
            all().map(|payment| payment.captured).collect::<Vec<_>>(),
            all().map(|payment| payment.refunded).collect::<Vec<_>>(),
            all().map(|payment| payment.transaction.as_ref().map(TransactionId::as_str)).collect::<Vec<_>>(),
            all().map(|payment| payment.decline_code.as_deref()).collect::<Vec<_>>(),
            all().map(|payment| payment.is_unwanted).collect::<Vec<_>>(),
            changes
                .iter()
                .map(|(known, change)| review_in(&change.payment, known.updated_at))
                .collect::<Vec<_>>(),
            all().map(|payment| i64::from(payment.reviews)).collect::<Vec<_>>(),
            all().map(|payment| i64::from(payment.version)).collect::<Vec<_>>(),
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
        ],
        |row| Ok((row.get(0)?, (Epoch::new(row.number(1)?), row.time(2)?.into()))),
    );
    Ok(written.await?.into_iter().collect())
}
