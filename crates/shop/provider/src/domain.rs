//! The provider's rules: what a charge may become. Pure; time, ids and chance come in as arguments.

use std::fmt;

use serde::{Deserialize, Serialize};
use waypost_api::{Amount, Currency};

/// What was asked for. The same request under the same key is the same request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Set an amount aside.
    Charge(NewCharge),
    /// Take the whole amount.
    Capture {
        /// The charge.
        id: String,
    },
    /// Give the authorisation up.
    Void {
        /// The charge.
        id: String,
    },
    /// Give money back.
    Refund {
        /// The charge.
        id: String,
        /// How much.
        amount: Amount,
    },
}

/// A charge to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCharge {
    /// Its id, if it is made.
    pub id: String,
    /// The merchant's own name for it.
    pub reference: String,
    /// The token of the means of payment.
    pub payment_method: String,
    /// How much.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
    /// Why it is declined, when it is.
    pub decline_code: Option<String>,
}

/// A charge, as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The provider's id.
    pub id: String,
    /// The merchant's own name for it.
    pub reference: String,
    /// Where it stands.
    pub status: Status,
    /// What was set aside.
    pub amount: Amount,
    /// What was taken of it.
    pub captured: Amount,
    /// What was given back of that.
    pub refunded: Amount,
    /// The currency of all three.
    pub currency: Currency,
    /// Why it was declined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
}

/// Where a charge stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The amount is set aside.
    Authorized,
    /// It was refused; nothing is set aside.
    Declined,
    /// The amount is taken.
    Captured,
    /// The authorisation was given up.
    Voided,
}

impl Status {
    /// As rows and JSON write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Authorized => "authorized",
            Status::Declined => "declined",
            Status::Captured => "captured",
            Status::Voided => "voided",
        }
    }

    /// Reads what [`Status::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Status> {
        [Status::Authorized, Status::Declined, Status::Captured, Status::Voided]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a rule refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such charge.
    #[error("there is no such charge")]
    NotFound,
    /// The charge's state does not allow it.
    #[error("the charge is {0}")]
    State(Status),
    /// More than was captured would go back.
    #[error("only what was captured and not yet refunded can be refunded")]
    RefundTooLarge,
    /// The key came with another request before.
    #[error("the key was used for another request")]
    KeyReused,
}

impl Refusal {
    /// The code of the API.
    pub const fn code(self) -> &'static str {
        match self {
            Refusal::NotFound => "charge_not_found",
            Refusal::State(_) => "charge_state",
            Refusal::RefundTooLarge => "refund_too_large",
            Refusal::KeyReused => "idempotency_key_reused",
        }
    }
}

/// What an operation makes of a charge, and what moves in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The charge afterwards.
    pub charge: Charge,
    /// The money that moves.
    pub movement: Option<(Movement, Amount)>,
}

/// A direction of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// To the merchant.
    Capture,
    /// Back.
    Refund,
}

impl Movement {
    /// As the ledger writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Movement::Capture => "capture",
            Movement::Refund => "refund",
        }
    }
}

/// Decides an operation. `existing` is the charge it names; none for a new charge.
///
/// # Errors
/// The rule that refuses it. Nothing may be written then.
pub fn decide(existing: Option<Charge>, operation: &Operation) -> Result<Change, Refusal> {
    match operation {
        Operation::Charge(new) => Ok(Change { charge: open(new), movement: None }),
        Operation::Capture { .. } => capture(existing.ok_or(Refusal::NotFound)?),
        Operation::Void { .. } => void(existing.ok_or(Refusal::NotFound)?),
        Operation::Refund { amount, .. } => refund(existing.ok_or(Refusal::NotFound)?, *amount),
    }
}

fn open(new: &NewCharge) -> Charge {
    Charge {
        id: new.id.clone(),
        reference: new.reference.clone(),
        status: if new.decline_code.is_some() { Status::Declined } else { Status::Authorized },
        amount: new.amount,
        captured: Amount::ZERO,
        refunded: Amount::ZERO,
        currency: new.currency,
        decline_code: new.decline_code.clone(),
    }
}

fn capture(charge: Charge) -> Result<Change, Refusal> {
    match charge.status {
        Status::Authorized => {
            let amount = charge.amount;
            let charge = Charge { status: Status::Captured, captured: amount, ..charge };
            Ok(Change { charge, movement: Some((Movement::Capture, amount)) })
        }
        // Under another key, as after a merchant lost its own: there is nothing more to take.
        Status::Captured => Ok(Change { charge, movement: None }),
        Status::Declined | Status::Voided => Err(Refusal::State(charge.status)),
    }
}

fn void(charge: Charge) -> Result<Change, Refusal> {
    match charge.status {
        Status::Authorized => {
            Ok(Change { charge: Charge { status: Status::Voided, ..charge }, movement: None })
        }
        Status::Voided | Status::Declined => Ok(Change { charge, movement: None }),
        Status::Captured => Err(Refusal::State(charge.status)),
    }
}

fn refund(charge: Charge, amount: Amount) -> Result<Change, Refusal> {
    if charge.status != Status::Captured {
        return Err(Refusal::State(charge.status));
    }
    let refunded = charge
        .refunded
        .ten_thousandths()
        .checked_add(amount.ten_thousandths())
        .filter(|refunded| *refunded <= charge.captured.ten_thousandths())
        .ok_or(Refusal::RefundTooLarge)?;
    let charge = Charge { refunded: Amount::from_ten_thousandths(refunded), ..charge };
    Ok(Change { charge, movement: Some((Movement::Refund, amount)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authorized() -> Charge {
        open(&NewCharge {
            id: "ch_1".into(),
            reference: "order:authorize:1".into(),
            payment_method: "pm_card_ok".into(),
            amount: Amount::from_ten_thousandths(999_900),
            currency: Currency::USD,
            decline_code: None,
        })
    }

    #[test]
    fn a_charge_is_captured_once_and_then_cannot_be_voided() {
        let captured = capture(authorized()).unwrap();
        assert_eq!(captured.movement, Some((Movement::Capture, Amount::from_ten_thousandths(999_900))));
        assert_eq!(capture(captured.charge.clone()).unwrap().movement, None);
        assert_eq!(void(captured.charge), Err(Refusal::State(Status::Captured)));
    }

    #[test]
    fn refunds_never_exceed_what_was_captured() {
        let captured = capture(authorized()).unwrap().charge;
        let part = refund(captured, Amount::from_ten_thousandths(999_000)).unwrap().charge;
        assert_eq!(refund(part.clone(), Amount::from_ten_thousandths(901)), Err(Refusal::RefundTooLarge));
        assert!(refund(part, Amount::from_ten_thousandths(900)).is_ok());
        assert_eq!(
            refund(authorized(), Amount::from_ten_thousandths(1)),
            Err(Refusal::State(Status::Authorized))
        );
    }

    #[test]
    fn what_is_voided_or_declined_is_never_captured() {
        let voided = void(authorized()).unwrap().charge;
        assert_eq!(capture(voided), Err(Refusal::State(Status::Voided)));
        let declined = Charge { status: Status::Declined, ..authorized() };
        assert_eq!(capture(declined.clone()), Err(Refusal::State(Status::Declined)));
        assert_eq!(void(declined).unwrap().movement, None);
    }
}
