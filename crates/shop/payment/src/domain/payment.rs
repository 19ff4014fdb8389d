//! A payment: one attempt of one order to pay.

use super::review::ReviewTimes;
use waypost_api::{Generation, Money, OrderId, PaymentId, Timestamp, TransactionId, UserId};
use waypost_durable::Epoch;

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentState {
    /// The provider was asked, or is about to be, and its answer is not known.
    Unknown,
    /// The amount is set aside.
    Authorized,
    /// The amount was taken.
    Captured,
    /// The authorisation was given up, or never came to be. Final.
    Voided,
    /// The provider said no. Final.
    Declined,
    /// All of it was given back. Final.
    Refunded,
}

impl PaymentState {
    /// Every state.
    pub const ALL: [PaymentState; 6] =
        [Self::Unknown, Self::Authorized, Self::Captured, Self::Voided, Self::Declined, Self::Refunded];

    /// The name in messages and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Authorized => "authorized",
            Self::Captured => "captured",
            Self::Voided => "voided",
            Self::Declined => "declined",
            Self::Refunded => "refunded",
        }
    }

    /// The state with this name.
    pub fn from_name(name: &str) -> Option<PaymentState> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether a payment may go from this state to that one in one move.
    pub const fn may_become(self, next: PaymentState) -> bool {
        matches!(
            (self, next),
            (Self::Unknown, Self::Authorized | Self::Declined | Self::Voided)
                | (Self::Authorized, Self::Captured | Self::Voided)
                | (Self::Captured, Self::Refunded)
        )
    }

    /// The states that a charge goes through on its way here, this one included.
    pub(super) const fn life(self) -> &'static [PaymentState] {
        match self {
            Self::Unknown => &[Self::Unknown],
            Self::Declined => &[Self::Unknown, Self::Declined],
            Self::Authorized => &[Self::Unknown, Self::Authorized],
            Self::Voided => &[Self::Unknown, Self::Authorized, Self::Voided],
            Self::Captured => &[Self::Unknown, Self::Authorized, Self::Captured],
            Self::Refunded => &[Self::Unknown, Self::Authorized, Self::Captured, Self::Refunded],
        }
    }

    /// Whether money is, or may be, set aside or taken. I8: an order has at most one such payment.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Unknown | Self::Authorized | Self::Captured)
    }
}

/// One attempt of one order to pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Ours; also the reference that the provider knows the charge by.
    pub id: PaymentId,
    /// For which order.
    pub order: OrderId,
    /// Which attempt.
    pub generation: Generation,
    /// The key of the step that authorises it; the provider gets it as `Idempotency-Key`.
    pub key: String,
    /// Who pays.
    pub user: UserId,
    /// The provider's token of the means of payment.
    pub method: String,
    /// How much.
    pub amount: Money,
    /// Where it stands.
    pub state: PaymentState,
    /// Ten-thousandths taken; at most the amount.
    pub captured: i64,
    /// Ten-thousandths given back; at most what was taken.
    pub refunded: i64,
    /// The provider's id of the charge, once it is known.
    pub transaction: Option<TransactionId>,
    /// The provider's reason, when it declined.
    pub decline_code: Option<String>,
    /// The order gave it up: it is to be voided as soon as the provider can be asked.
    pub is_unwanted: bool,
    /// When to ask the provider how things stand, if nothing happens before.
    pub review_at: Option<Timestamp>,
    /// How often that was put off.
    pub reviews: u32,
    /// Rises by one with every change.
    pub version: u32,
    /// W3C `traceparent` of the request that began it, so that its review joins the order's trace.
    pub traceparent: Option<String>,
    /// The highest epoch of a runner of the order's saga that asked for anything of it.
    pub epoch: Epoch,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Payment {
    /// Ten-thousandths that were set aside at some time.
    pub fn authorized(&self) -> i64 {
        match self.state {
            PaymentState::Unknown | PaymentState::Declined => 0,
            PaymentState::Voided if self.transaction.is_none() => 0,
            PaymentState::Authorized
            | PaymentState::Captured
            | PaymentState::Voided
            | PaymentState::Refunded => self.amount.ten_thousandths(),
        }
    }

    /// A payment that was begun as `intent` says and of which nothing else is known.
    pub fn begin(intent: super::Intent, now: Timestamp, times: &ReviewTimes) -> Payment {
        Payment {
            id: intent.id,
            order: intent.order,
            generation: intent.generation,
            key: intent.key,
            user: intent.user,
            method: intent.method,
            amount: intent.amount,
            state: PaymentState::Unknown,
            captured: 0,
            refunded: 0,
            transaction: None,
            decline_code: None,
            is_unwanted: false,
            review_at: Some(now.plus(times.unknown_after)),
            reviews: 0,
            version: 1,
            traceparent: intent.traceparent,
            epoch: intent.epoch,
            created_at: now,
            updated_at: now,
        }
    }

    /// I8: nothing is taken that was not set aside, nothing given back that was not taken.
    pub fn is_within_bounds(&self) -> bool {
        (0..=self.authorized()).contains(&self.captured) && (0..=self.captured).contains(&self.refunded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_life_is_a_chain_of_legal_moves() {
        for state in PaymentState::ALL {
            let life = state.life();
            assert_eq!(life.last(), Some(&state));
            assert!(life.windows(2).all(|pair| pair[0].may_become(pair[1])), "{life:?}");
        }
    }

    #[test]
    fn nothing_leads_out_of_a_final_state() {
        for last in [PaymentState::Voided, PaymentState::Declined, PaymentState::Refunded] {
            assert!(PaymentState::ALL.into_iter().all(|next| !last.may_become(next)));
            assert_eq!(PaymentState::from_name(last.as_str()), Some(last));
        }
    }
}
