//! When an operator may do what. Pure: what the payment service says comes in as an argument.
//!
//! `docs/operations.md` has these rules in words.

use crate::{
    domain::{Fact, Refusal},
    store::operator::{ActionKind, Outcome, Record, RefundAttempt},
};
use waypost_api::{Amount, ErrorCode, Timestamp};
use waypost_durable::saga::{Ending, Entry, Phase};

const RESERVE: &str = "reserve";
const AUTHORIZE: &str = "authorize";
const CAPTURE: &str = "capture";

/// Why a saga is parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parking {
    /// The step whose undo, or whose replacement, kept failing.
    pub step: String,
    /// What was said the last time.
    pub refusal: Refusal,
    /// When it was parked the first time without any progress since.
    pub since: Timestamp,
    /// How often it was parked since then; each time stands for a round of tries.
    pub rounds: u32,
    /// True while a runner tries it again.
    pub is_being_tried: bool,
}

/// What the payment service says of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// `unknown`, `authorized`, `captured`, `voided`, `declined`, `refunded`.
    pub state: String,
    /// Ten-thousandths that were taken.
    pub captured: i64,
    /// Ten-thousandths that were given back.
    pub refunded: i64,
    /// The provider's id of the charge; empty when there is none.
    pub transaction: String,
}

/// What is known of an order's money: its payment, that there is none, or why that could not be found out.
pub type Money = Result<Option<Payment>, String>;

/// How a parked saga ends that is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// What becomes of the order.
    pub ending: Ending<Refusal>,
    /// What may still be held, for somebody to see to.
    pub left_open: Vec<String>,
}

/// Why an operator may not do what he asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is nothing to try again or to give up.
    #[error("the order is not parked; its saga is at `{0}`")]
    NotParked(String),
    /// A runner has it in its hands.
    #[error("the order is being tried at this moment; look again in a few seconds")]
    BeingTried,
    /// Somebody else changed it in between.
    #[error("the order has changed meanwhile; look at it and ask again")]
    Changed,
    /// The customer has paid and got nothing back.
    #[error(
        "{captured} was taken and {refunded} given back: the customer is owed the goods or the rest; refund it \
         first (`waypost orders refund`)"
    )]
    MoneyIsOwed {
        /// What was taken.
        captured: Amount,
        /// What was given back.
        refunded: Amount,
    },
    /// A capture that was sent may still be carried out.
    #[error(
        "a capture was sent whose outcome is not known, and the payment is `{0}`: money may still be taken; retry, \
         or wait until the payment service has found out"
    )]
    CaptureIsOpen(String),
    /// The payment service must say how the money stands.
    #[error("whether money was taken is not known: {0}; nothing was done")]
    MoneyIsUnknown(String),
    /// The order goes on by itself.
    #[error("the order is still being worked on; its saga is at `{0}`")]
    StillRunning(String),
    /// There is nothing to give back.
    #[error("no money was taken for this order")]
    NothingCaptured,
    /// All of it was given back.
    #[error("everything that was taken ({0}) has been given back")]
    AllRefunded(Amount),
    /// More than is left.
    #[error("only {0} is left to give back")]
    TooMuch(Amount),
    /// Not a sum.
    #[error("an amount to give back is above 0")]
    BadAmount,
    /// An earlier refund is not settled.
    #[error("refund {number} of {amount} is not settled; ask for that one again before another")]
    RefundIsOpen {
        /// Its number.
        number: u32,
        /// Its amount.
        amount: Amount,
    },
}

impl Refused {
    /// For programs.
    pub fn code(&self) -> &'static str {
        match self {
            Refused::NotParked(_) => "not_parked",
            Refused::BeingTried => "being_tried",
            Refused::Changed => "changed",
            Refused::MoneyIsOwed { .. } => "money_is_owed",
            Refused::CaptureIsOpen(_) => "capture_is_open",
            Refused::MoneyIsUnknown(_) => "money_is_unknown",
            Refused::StillRunning(_) => "still_running",
            Refused::NothingCaptured => "nothing_captured",
            Refused::AllRefunded(_) => "all_refunded",
            Refused::TooMuch(_) => "too_much",
            Refused::BadAmount => "bad_amount",
            Refused::RefundIsOpen { .. } => "refund_is_open",
        }
    }
}

/// Why the saga is parked; `None` when it is not.
pub fn parking(record: &Record) -> Option<Parking> {
    if !record.is_parked() {
        return None;
    }
    let facts = record.journal.iter().rev().flat_map(|row| row.facts.iter().rev().map(|fact| (row.at, fact)));
    let mut is_being_tried = false;
    let mut parking: Option<Parking> = None;
    for (at, fact) in facts {
        match fact {
            Entry::Stuck(step, refusal) => {
                let parking = parking.get_or_insert_with(|| Parking {
                    step: step.to_string(),
                    refusal: refusal.clone(),
                    since: at,
                    rounds: 0,
                    is_being_tried,
                });
                parking.since = at;
                parking.rounds += 1;
            }
            Entry::Resumed => is_being_tried |= parking.is_none(),
            fact if is_progress(fact) => break,
            _ => {}
        }
    }
    parking
}

fn is_progress(fact: &Fact) -> bool {
    matches!(
        fact,
        Entry::Intended(_)
            | Entry::Done(..)
            | Entry::Refused(..)
            | Entry::GivenUp(..)
            | Entry::Undone(_)
            | Entry::MadeUp(_)
            | Entry::CancelRequested
    )
}

/// Whether a parked saga may be tried again now: when nobody does that already.
pub fn retry(record: &Record) -> Result<Parking, Refused> {
    let parking = parking(record).ok_or_else(|| Refused::NotParked(record.phase.clone()))?;
    if parking.is_being_tried { Err(Refused::BeingTried) } else { Ok(parking) }
}

/// Whether a parked saga may be given up, and what is left open then. `turned` is how it ends by itself.
///
/// Never while the customer is owed goods or money: what was taken must have been given back, and no capture may be
/// on its way. Before the capture was intended no money can have been taken, so the payment service need not answer.
pub fn abandon(record: &Record, turned: Option<Ending<Refusal>>, money: &Money) -> Result<End, Refused> {
    let parking = parking(record).ok_or_else(|| Refused::NotParked(record.phase.clone()))?;
    let steps = Steps(record);
    let capture_was_sent = steps.is_intended(CAPTURE);
    match money {
        Err(reason) if capture_was_sent => return Err(Refused::MoneyIsUnknown(reason.clone())),
        Ok(None) if capture_was_sent => {
            return Err(Refused::MoneyIsUnknown(
                "the payment service has no payment of this order".to_owned(),
            ));
        }
        Ok(Some(payment)) if payment.captured > payment.refunded => {
            let (captured, refunded) = (amount(payment.captured), amount(payment.refunded));
            return Err(Refused::MoneyIsOwed { captured, refunded });
        }
        Ok(Some(payment))
            if capture_was_sent
                && !steps.is_refused(CAPTURE)
                && matches!(payment.state.as_str(), "unknown" | "authorized") =>
        {
            return Err(Refused::CaptureIsOpen(payment.state.clone()));
        }
        _ => {}
    }
    let ending = turned.unwrap_or(Ending::Failed(parking.refusal));
    Ok(End { ending, left_open: steps.left_open(money) })
}

/// Which refund to ask for: a new number, unless an earlier one is not settled, which is asked for again.
pub fn refund(record: &Record, money: &Money, wanted: Option<i64>) -> Result<RefundAttempt, Refused> {
    let is_at_rest = record.phase == Phase::Ended.as_str() || record.is_parked();
    if !is_at_rest {
        return Err(Refused::StillRunning(record.phase.clone()));
    }
    if parking(record).is_some_and(|parking| parking.is_being_tried) {
        return Err(Refused::BeingTried);
    }
    let payment = match money {
        Err(reason) => return Err(Refused::MoneyIsUnknown(reason.clone())),
        Ok(Some(payment)) if payment.captured > 0 => payment,
        Ok(_) => return Err(Refused::NothingCaptured),
    };
    let mut refunds = record.actions.iter().filter(|action| action.kind == ActionKind::Refund);
    let last = refunds.next_back().and_then(|action| Some((action.outcome, action.refund?)));
    if let Some((Outcome::Asked | Outcome::Unknown, open)) = last {
        let is_the_same = wanted.is_none_or(|wanted| wanted == open.amount);
        let RefundAttempt { number, amount: open_amount } = open;
        return if is_the_same {
            Ok(open)
        } else {
            Err(Refused::RefundIsOpen { number, amount: amount(open_amount) })
        };
    }
    let left = payment.captured - payment.refunded;
    let wanted = wanted.unwrap_or(left);
    if left == 0 {
        return Err(Refused::AllRefunded(amount(payment.captured)));
    }
    if wanted <= 0 {
        return Err(Refused::BadAmount);
    }
    if wanted > left {
        return Err(Refused::TooMuch(amount(left)));
    }
    let number = last.map_or(0, |(_, refund)| refund.number) + 1;
    Ok(RefundAttempt { number, amount: wanted })
}

/// What became of a refund that was asked for and not carried out: whether surely nothing was done.
pub fn refused_outcome(code: ErrorCode) -> Outcome {
    match code {
        ErrorCode::PaymentConflict
        | ErrorCode::RefundTooLarge
        | ErrorCode::PaymentNotFound
        | ErrorCode::IdempotencyKeyReused => Outcome::Rejected,
        _ => Outcome::Unknown,
    }
}

fn amount(ten_thousandths: i64) -> Amount {
    Amount::from_ten_thousandths(ten_thousandths)
}

/// How far the steps of a saga came.
struct Steps<'a>(&'a Record);

impl Steps<'_> {
    fn is_intended(&self, name: &str) -> bool {
        self.0.facts().any(|fact| matches!(fact, Entry::Intended(step) if step == name))
    }

    fn is_done(&self, name: &str) -> bool {
        self.0.facts().any(|fact| matches!(fact, Entry::Done(step, _) if step == name))
    }

    fn is_refused(&self, name: &str) -> bool {
        self.0.facts().any(|fact| matches!(fact, Entry::Refused(step, _) if step == name))
    }

    /// It may have been done, and was not taken back.
    fn is_open(&self, name: &str) -> bool {
        let is_undone = self.0.facts().any(|fact| matches!(fact, Entry::Undone(step) if step == name));
        self.is_intended(name) && !self.is_refused(name) && !is_undone
    }

    fn left_open(&self, money: &Money) -> Vec<String> {
        let order = &self.0.order;
        let (quantity, product, currency) = (order.quantity, &order.product, order.amount.currency());
        let goods = format!("stock: {quantity} of {product}");
        let stock = match (self.is_open(RESERVE), self.is_done(CAPTURE)) {
            (false, _) => None,
            (true, false) => {
                Some(format!("{goods} may be held; a hold ends by itself when its time is over"))
            }
            (true, true) => {
                Some(format!("{goods} may be held or taken; compare with the movements of the inventory"))
            }
        };
        let sum = format!("money: {} {currency}", order.amount);
        let money = match money {
            Ok(Some(payment)) if payment.state == "authorized" => Some(format!(
                "{sum} is set aside at the provider (charge {}); give it up there",
                payment.transaction
            )),
            Ok(Some(payment)) if payment.state == "unknown" => {
                Some(format!("{sum} may be set aside; the payment service goes on asking the provider"))
            }
            Err(reason) if self.is_open(AUTHORIZE) => Some(format!("{sum} may be set aside; {reason}")),
            _ => None,
        };
        stock.into_iter().chain(money).collect()
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
