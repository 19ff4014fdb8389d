//! A refund: one wish to give money back, known by its key.

use waypost_api::OrderId;

/// A wish to give money back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundWish {
    /// Of which order's payment.
    pub order: OrderId,
    /// The key of the step; the provider gets it as `Idempotency-Key`.
    pub key: String,
    /// Ten-thousandths; positive.
    pub amount: i64,
}

/// A refund that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// What was wished for.
    pub wish: RefundWish,
    /// How far it is.
    pub state: RefundState,
}

/// How far a refund is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundState {
    /// The provider was asked, or is about to be, and its answer is not known.
    Pending,
    /// The money was given back. Final.
    Done,
    /// The provider said no. Final.
    Rejected,
}

impl RefundState {
    const ALL: [RefundState; 3] = [Self::Pending, Self::Done, Self::Rejected];

    /// The name in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Rejected => "rejected",
        }
    }

    /// The state with this name.
    pub fn from_name(name: &str) -> Option<RefundState> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}
