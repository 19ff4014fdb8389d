//! A refund: one wish to give money back, known by its key.

use super::ReviewTimes;
use waypost_api::{Money, OrderId, Timestamp};

/// A wish to give money back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRefund {
    /// Of which order's payment.
    pub order: OrderId,
    /// The key of the step.
    pub key: String,
    /// How much, in the payment's currency; positive.
    pub amount: Money,
}

/// A refund that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// What was wished for.
    pub request: NewRefund,
    /// How often it was begun: once, and anew each time after it was rejected.
    pub number: u32,
    /// How far it is.
    pub state: RefundState,
    /// How often its review was put off.
    pub reviews: u32,
    /// When it was begun, under this number.
    pub begun_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Refund {
    /// A refund that is about to be asked for the first time.
    pub fn begin(request: NewRefund, now: Timestamp) -> Refund {
        Refund { request, number: 1, state: RefundState::Pending, reviews: 0, begun_at: now, updated_at: now }
    }

    /// The same wish under a new number, once a rejected refund has rested: longer after each rejection. The provider
    /// may have had a reason that has gone, such as too little money in our account.
    pub fn anew(&self, now: Timestamp, times: &ReviewTimes) -> Option<Refund> {
        let rest = times.pause(times.unknown_after, self.number);
        let is_due = self.state == RefundState::Rejected && now.since(self.updated_at) >= rest;
        is_due.then(|| Refund { number: self.number + 1, ..Refund::begin(self.request.clone(), now) })
    }

    /// What the provider gets as `Idempotency-Key`: another for each number, the same for each repetition.
    pub fn provider_key(&self) -> String {
        if self.number == 1 {
            self.request.key.clone()
        } else {
            format!("{}.{}", self.request.key, self.number)
        }
    }

    /// Whether a no of the provider counts: nothing that was sent before, without an answer, can have its effect.
    pub fn may_be_rejected(&self, is_first_try: bool, now: Timestamp, times: &ReviewTimes) -> bool {
        is_first_try || now.since(self.begun_at) >= times.late_for
    }
}

/// How far a refund is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundState {
    /// The provider was asked, or is about to be, and its answer is not known.
    Pending,
    /// The money was given back. Final.
    Done,
    /// The provider said no. It can be made anew.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use waypost_api::Currency;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_millis(0).unwrap().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_rejected_refund_is_made_anew_under_another_number() {
        let times = ReviewTimes::default();
        let order = OrderId::parse("order-1").unwrap();
        let first = Refund::begin(
            NewRefund { order, key: "order-1:refund:1".to_owned(), amount: Money::new(5, Currency::USD) },
            at(0),
        );
        assert_eq!(
            (first.anew(at(9_999), &times), first.provider_key().as_str()),
            (None, "order-1:refund:1")
        );
        let rejected = Refund { state: RefundState::Rejected, ..first };
        assert_eq!(rejected.anew(at(9), &times), None, "it rests first");
        let second = rejected.anew(at(10), &times).unwrap();
        assert_eq!((second.number, second.state, second.begun_at), (2, RefundState::Pending, at(10)));
        assert_eq!(second.provider_key(), "order-1:refund:1.2");
    }

    #[test]
    fn a_no_counts_when_nothing_earlier_can_get_through() {
        let times = ReviewTimes::default();
        let order = OrderId::parse("order-1").unwrap();
        let refund = Refund::begin(
            NewRefund { order, key: "order-1:refund:1".to_owned(), amount: Money::new(5, Currency::USD) },
            at(0),
        );
        assert!(refund.may_be_rejected(true, at(0), &times));
        assert!(!refund.may_be_rejected(false, at(3600), &times));
        assert!(refund.may_be_rejected(false, at(24 * 3600), &times));
    }
}
