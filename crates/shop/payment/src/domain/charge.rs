//! What the provider says it has.

use super::{Payment, PaymentState};
use waypost_api::{Money, PaymentId, TransactionId};

/// A snapshot of a charge at the provider. Read and checked in [`crate::provider`]; here it is compared with ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The provider's id.
    pub id: TransactionId,
    /// Our reference.
    pub reference: PaymentId,
    /// Where it stands.
    pub status: ChargeStatus,
    /// How much it is about.
    pub amount: Money,
    /// Ten-thousandths taken.
    pub captured: i64,
    /// Ten-thousandths given back.
    pub refunded: i64,
    /// Why it was declined.
    pub decline_code: Option<String>,
}

/// Where a charge stands at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChargeStatus {
    /// The amount is set aside.
    Authorized,
    /// Refused.
    Declined,
    /// Taken, and perhaps given back in part.
    Captured,
    /// Given up.
    Voided,
    /// All of it given back.
    Refunded,
}

impl ChargeStatus {
    /// The state of a payment whose charge stands here.
    pub const fn as_state(self) -> PaymentState {
        match self {
            Self::Authorized => PaymentState::Authorized,
            Self::Declined => PaymentState::Declined,
            Self::Captured => PaymentState::Captured,
            Self::Voided => PaymentState::Voided,
            Self::Refunded => PaymentState::Refunded,
        }
    }
}

/// The provider says something that cannot be, going by what it said before or by what was asked of it. Nothing is
/// changed then: a person has to look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// The charge is about another payment or another amount.
    #[error("charge {0} is not the one that was asked for")]
    OtherCharge(TransactionId),
    /// More was taken than set aside, or more given back than taken.
    #[error("the amounts of charge {0} exceed each other")]
    Amounts(TransactionId),
    /// The charge went where the payment cannot have gone.
    #[error("charge {charge} is {} and our payment {}", status.as_state().as_str(), ours.as_str())]
    State {
        /// The provider's id of the charge.
        charge: TransactionId,
        /// Where it stands.
        status: ChargeStatus,
        /// Where the payment stands.
        ours: PaymentState,
    },
}

impl Charge {
    /// Checks that this is the charge of a payment and that its numbers make sense.
    pub(super) fn check(&self, payment: &Payment) -> Result<(), Contradiction> {
        let is_known_charge = payment.transaction.as_ref().is_none_or(|known| *known == self.id);
        if self.reference != payment.id || self.amount != payment.amount || !is_known_charge {
            return Err(Contradiction::OtherCharge(self.id.clone()));
        }
        let may_capture = matches!(self.status, ChargeStatus::Captured | ChargeStatus::Refunded);
        let max = if may_capture { self.amount.ten_thousandths() } else { 0 };
        let is_bounded = (0..=max).contains(&self.captured) && (0..=self.captured).contains(&self.refunded);
        let is_whole = match self.status {
            ChargeStatus::Captured => self.captured > 0 && self.refunded < self.captured,
            ChargeStatus::Refunded => self.captured > 0 && self.refunded == self.captured,
            ChargeStatus::Authorized | ChargeStatus::Declined | ChargeStatus::Voided => true,
        };
        if is_bounded && is_whole { Ok(()) } else { Err(Contradiction::Amounts(self.id.clone())) }
    }
}
