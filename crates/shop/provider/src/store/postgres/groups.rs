//! Commands that are carried out together: each key answered once, charges made or moved on, in one message
//! (`0002_one_message.sql`).
//!
//! A group takes the locks of its keys. A key that has its answer already, a rule that refuses, a charge that two commands of the
//! group want or that is another by now than the one that was judged: each of them runs by itself.

use std::collections::HashSet;

use waypost_durable::postgres::{Unit, group::Grouped, params};

use super::{Answer, Command, charge_of_row, lock, subject};
use crate::Error;
use crate::domain::{Change, Charge, Movement, NewCharge, Operation, decide};

pub(super) async fn execute(
    unit: &mut Unit,
    commands: &[Command],
) -> Result<Vec<Grouped<Answer, Error>>, waypost_durable::Error> {
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
            let before = existing.iter().find(|before| before.id == charge.id);
            Some(Plain { command, before, charge, movement: *movement, answer, new })
        })
        .collect();
    let answered = write(unit, &plain).await?;
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
    /// The charge that it was judged by, if there was one.
    before: Option<&'a Charge>,
    charge: &'a Charge,
    movement: Option<(Movement, waypost_api::Amount)>,
    answer: &'a str,
    new: Option<&'a NewCharge>,
}

/// The charges that commands name.
async fn charges(unit: &mut Unit, commands: &[Command]) -> Result<Vec<Charge>, waypost_durable::Error> {
    let ids: Vec<&str> = commands.iter().filter_map(|command| subject(&command.operation)).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    unit.query_all(select_charge!("WHERE id = ANY($1)"), params![ids], charge_of_row).await
}

/// Gives the keys whose commands were carried out.
async fn write(unit: &mut Unit, plain: &[Plain<'_>]) -> Result<HashSet<String>, waypost_durable::Error> {
    if plain.is_empty() {
        return Ok(HashSet::new());
    }
    let charges = || plain.iter().map(|one| one.charge);
    let befores = || plain.iter().map(|one| one.before);
    let answered: Vec<String> = unit
        .query_all(
            "SELECT answered_key FROM carry_out( \
             $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
            params![
                plain.iter().map(|one| lock(&one.command.key)).collect::<Vec<_>>(),
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
                befores().map(|before| before.map(|before| before.status.as_str())).collect::<Vec<_>>(),
                befores()
                    .map(|before| before.map(|before| before.captured.ten_thousandths()))
                    .collect::<Vec<_>>(),
                befores()
                    .map(|before| before.map(|before| before.refunded.ten_thousandths()))
                    .collect::<Vec<_>>(),
            ],
            |row| row.get(0),
        )
        .await?;
    Ok(answered.into_iter().collect())
}
