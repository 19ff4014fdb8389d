//! Commands that are carried out together: each key answered once, charges made or moved on, in one statement.
//!
//! A group has the locks of its keys. A key that has its answer already, a rule that refuses, a charge that two commands of the
//! group want: each of them runs by itself.

use std::collections::HashSet;

use waypost_durable::postgres::{At, Unit, group::Grouped, params};

use super::{Answer, Command, charge_of_row, subject};
use crate::Error;
use crate::domain::{Change, Charge, Movement, NewCharge, Operation, decide};

pub(super) async fn execute(
    unit: &mut Unit,
    commands: &[Command],
) -> Result<Vec<Grouped<Answer, Error>>, waypost_durable::Error> {
    let at = At(unit.now().await?);
    let existing = charges(unit, commands).await?;
    let mut taken = HashSet::new();
    let changes: Vec<Option<(Change, String)>> = commands
        .iter()
        .map(|command| {
            let id = subject(&command.operation);
            if id.is_some_and(|id| !taken.insert(id)) {
                return None;
            }
            let charge = id.and_then(|id| existing.iter().find(|charge| charge.id == id));
            let change = decide(charge.cloned(), &command.operation).ok()?;
            let answer = serde_json::to_string(&change.charge).ok()?;
            Some((change, answer))
        })
        .collect();
    let plain: Vec<Plain<'_>> = commands
        .iter()
        .zip(&changes)
        .filter_map(|(command, change)| {
            let (Change { charge, movement }, answer) = change.as_ref()?;
            let new = match &command.operation {
                Operation::Charge(new) => Some(new),
                _ => None,
            };
            Some(Plain { command, charge, movement: *movement, answer, new })
        })
        .collect();
    let answered = write(unit, &plain, at).await?;
    let outcome = |(command, change): (&Command, Option<(Change, String)>)| match change {
        Some((change, _)) if answered.contains(&command.key) => {
            Grouped::Done(Answer { charge: change.charge, is_replay: false })
        }
        _ => Grouped::Alone,
    };
    Ok(commands.iter().zip(changes).map(outcome).collect())
}

/// A command with what becomes of its charge.
struct Plain<'a> {
    command: &'a Command,
    charge: &'a Charge,
    movement: Option<(Movement, waypost_api::Amount)>,
    answer: &'a str,
    new: Option<&'a NewCharge>,
}

/// The charges that commands name, locked in one order.
async fn charges(unit: &mut Unit, commands: &[Command]) -> Result<Vec<Charge>, waypost_durable::Error> {
    let ids: Vec<&str> = commands.iter().filter_map(|command| subject(&command.operation)).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    unit.query_all(select_charge!("WHERE id = ANY($1) ORDER BY id FOR UPDATE"), params![ids], charge_of_row)
        .await
}

/// Gives the keys that had no answer yet, which are those whose commands were carried out.
async fn write(
    unit: &mut Unit,
    plain: &[Plain<'_>],
    at: At,
) -> Result<HashSet<String>, waypost_durable::Error> {
    if plain.is_empty() {
        return Ok(HashSet::new());
    }
    let charges = || plain.iter().map(|one| one.charge);
    let answered: Vec<String> = unit
        .query_all(
            "WITH command AS (
               SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                 $8::bigint[], $9::text[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::bigint[])
               AS command (key, fingerprint, answer, id, reference, payment_method, currency, amount, status, captured,
                 refunded, decline_code, movement, moved)),
             answered AS (
               INSERT INTO requests (key, fingerprint, charge_id, answer, at)
               SELECT key, fingerprint, id, answer::jsonb, $15 FROM command ORDER BY key
               ON CONFLICT (key) DO NOTHING RETURNING key),
             made AS (
               INSERT INTO charges (id, reference, payment_method, currency, amount, status, decline_code, created_at)
               SELECT id, reference, payment_method, currency, amount, status, decline_code, $15
               FROM command JOIN answered USING (key) WHERE payment_method IS NOT NULL),
             changed AS (
               UPDATE charges SET status = command.status, captured = command.captured, refunded = command.refunded
               FROM command JOIN answered USING (key)
               WHERE charges.id = command.id AND command.payment_method IS NULL),
             moved AS (
               INSERT INTO ledger (charge_id, kind, amount, at)
               SELECT id, movement, moved, $15 FROM command JOIN answered USING (key) WHERE movement IS NOT NULL)
             SELECT key FROM answered",
            params![
                plain.iter().map(|one| one.command.key.as_str()).collect::<Vec<_>>(),
                plain.iter().map(|one| one.command.fingerprint.as_slice()).collect::<Vec<_>>(),
                plain.iter().map(|one| one.answer).collect::<Vec<_>>(),
                charges().map(|charge| charge.id.as_str()).collect::<Vec<_>>(),
                charges().map(|charge| charge.reference.as_str()).collect::<Vec<_>>(),
                plain.iter().map(|one| one.new.map(|new| new.payment_method.as_str())).collect::<Vec<_>>(),
                charges().map(|charge| charge.currency.as_str().to_owned()).collect::<Vec<_>>(),
                charges().map(|charge| charge.amount.ten_thousandths()).collect::<Vec<_>>(),
                charges().map(|charge| charge.status.as_str()).collect::<Vec<_>>(),
                charges().map(|charge| charge.captured.ten_thousandths()).collect::<Vec<_>>(),
                charges().map(|charge| charge.refunded.ten_thousandths()).collect::<Vec<_>>(),
                charges().map(|charge| charge.decline_code.as_deref()).collect::<Vec<_>>(),
                plain.iter().map(|one| one.movement.map(|(kind, _)| kind.as_str())).collect::<Vec<_>>(),
                plain
                    .iter()
                    .map(|one| one.movement.map(|(_, amount)| amount.ten_thousandths()))
                    .collect::<Vec<_>>(),
                at,
            ],
            |row| row.get(0),
        )
        .await?;
    Ok(answered.into_iter().collect())
}
