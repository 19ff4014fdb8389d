//! What the order service may ask, judged by the order's newest payment.

use super::{Generation, NewRefund, Payment, PaymentState};
use waypost_api::{Currency, ErrorCode, Money, OrderId, PaymentId, UserId};
use waypost_durable::Epoch;

/// A wish to have an amount set aside; becomes the row that is written before the provider is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The id of the payment that it becomes, and the reference at the provider.
    pub id: PaymentId,
    /// For which order.
    pub order: OrderId,
    /// Which attempt.
    pub generation: Generation,
    /// The key of the step.
    pub key: String,
    /// Who pays.
    pub user: UserId,
    /// The provider's token of the means of payment.
    pub method: String,
    /// How much; positive.
    pub amount: Money,
    /// W3C `traceparent` of the request.
    pub traceparent: Option<String>,
    /// Which runner of the order's saga asks.
    pub epoch: Epoch,
}

/// Refuses a runner of the order's saga that was replaced, whatever it asks for. `seen` is the highest epoch that anything of
/// the order was asked in. To be judged before anything else.
pub fn admit(order: &OrderId, seen: Epoch, epoch: Epoch) -> Result<(), Refusal> {
    if epoch.is_overtaken_by(seen) { Err(Refusal::StaleRunner(order.clone())) } else { Ok(()) }
}

/// What an `Authorize` comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizeStep {
    /// Write the intent down, then ask the provider.
    Begin,
    /// The payment is there already; its state is the answer, or, when that is not known, leads to it.
    Repeat,
}

/// Judges an `Authorize`. `voided` is the highest generation of the order that was given up.
pub fn authorize(
    newest: Option<&Payment>,
    voided: Option<Generation>,
    intent: &Intent,
) -> Result<AuthorizeStep, Refusal> {
    // A late duplicate of what was undone meanwhile must not charge anybody.
    if voided.is_some_and(|voided| intent.generation <= voided) {
        return Err(Refusal::Voided(intent.order.clone()));
    }
    let Some(newest) = newest else { return Ok(AuthorizeStep::Begin) };
    if intent.generation < newest.generation {
        return Err(Refusal::Overtaken(intent.order.clone()));
    }
    if intent.generation > newest.generation {
        // I8: one live authorisation an order.
        let refused = Err(Refusal::StillLive(intent.order.clone()));
        return if newest.state.is_live() { refused } else { Ok(AuthorizeStep::Begin) };
    }
    let is_same_wish =
        (&newest.user, &newest.method, newest.amount) == (&intent.user, &intent.method, intent.amount);
    if is_same_wish { Ok(AuthorizeStep::Repeat) } else { Err(Refusal::KeyReused) }
}

/// What a `Capture` comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureStep {
    /// Ask the provider to take the amount.
    Capture,
    /// Ask the provider how the authorisation went, then judge again.
    Resolve,
    /// It was taken before.
    Repeat,
}

/// Judges a `Capture`.
pub fn capture(order: &OrderId, newest: Option<&Payment>) -> Result<CaptureStep, Refusal> {
    let Some(newest) = newest else { return Err(Refusal::NoPayment(order.clone())) };
    match newest.state {
        _ if newest.is_unwanted => Err(Refusal::Voided(order.clone())),
        PaymentState::Authorized => Ok(CaptureStep::Capture),
        PaymentState::Unknown => Ok(CaptureStep::Resolve),
        PaymentState::Captured | PaymentState::Refunded => Ok(CaptureStep::Repeat),
        PaymentState::Voided => Err(Refusal::Voided(order.clone())),
        PaymentState::Declined => Err(declined(newest)),
    }
}

/// What a `Void` comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoidStep {
    /// Mark the payment as unwanted, then ask the provider to give it up, or to give back what was taken.
    GiveUp,
    /// There is nothing to give up, only something to forbid: a late `Authorize` of this generation.
    Forbid,
}

/// Judges a `Void`. Whatever the step, no `Authorize` of this generation or an older one may begin afterwards.
pub fn void(newest: Option<&Payment>, generation: Generation) -> VoidStep {
    let Some(newest) = newest.filter(|newest| newest.generation <= generation) else {
        return VoidStep::Forbid;
    };
    match newest.state {
        PaymentState::Unknown | PaymentState::Authorized | PaymentState::Captured => VoidStep::GiveUp,
        PaymentState::Voided | PaymentState::Declined | PaymentState::Refunded => VoidStep::Forbid,
    }
}

/// Judges a refund that is new, or is made anew. `pending` is the sum of refunds whose outcome is not known yet.
pub fn refund(request: &NewRefund, newest: Option<&Payment>, pending: i64) -> Result<(), Refusal> {
    let Some(newest) = newest else { return Err(Refusal::NoPayment(request.order.clone())) };
    let currency = newest.amount.currency();
    if request.amount.currency() != currency {
        return Err(Refusal::OtherCurrency(currency));
    }
    let left = newest.captured - newest.refunded - pending;
    if request.amount.ten_thousandths() <= left {
        Ok(())
    } else {
        Err(Refusal::RefundTooLarge { left: left.max(0) })
    }
}

/// The answer about a payment that the provider declined.
pub(crate) fn declined(payment: &Payment) -> Refusal {
    Refusal::Declined(payment.decline_code.clone().unwrap_or_else(|| "declined".to_owned()))
}

/// A rule, or the provider, says no. The text may be shown to a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The provider declined, for this reason.
    #[error("the payment provider declined: {0}")]
    Declined(String),
    /// The payment was voided.
    #[error("the payment of order {0} was voided")]
    Voided(OrderId),
    /// A newer attempt of the order's saga has paid or tried to.
    #[error("order {0} has a newer payment")]
    Overtaken(OrderId),
    /// An older attempt's payment has not ended.
    #[error("order {0} has a payment that has not ended")]
    StillLive(OrderId),
    /// The order has no payment.
    #[error("order {0} has no payment")]
    NoPayment(OrderId),
    /// The same key came with another wish before.
    #[error("the key was used for another request")]
    KeyReused,
    /// More than what is left of the captured amount, in ten-thousandths.
    #[error("at most {} is left to refund", waypost_api::Amount::from_ten_thousandths(*left))]
    RefundTooLarge {
        /// What is left.
        left: i64,
    },
    /// The payment is in this currency, and the refund is not.
    #[error("the payment is in {0}")]
    OtherCurrency(Currency),
    /// Another runner of the order's saga was here since.
    #[error("order {0} was taken over by another process")]
    StaleRunner(OrderId),
    /// The provider would not do it, for this reason, and the charge is as it was.
    #[error("the payment provider refused the {what}: {reason}")]
    Rejected {
        /// What was asked of it.
        what: &'static str,
        /// Its own code.
        reason: String,
    },
}

impl Refusal {
    /// Its row in the table of errors.
    pub fn code(&self) -> ErrorCode {
        match self {
            Refusal::Declined(_) => ErrorCode::PaymentDeclined,
            Refusal::NoPayment(_) => ErrorCode::PaymentNotFound,
            Refusal::KeyReused => ErrorCode::IdempotencyKeyReused,
            Refusal::RefundTooLarge { .. } => ErrorCode::RefundTooLarge,
            Refusal::StaleRunner(_) => ErrorCode::StaleRunner,
            Refusal::OtherCurrency(_) => ErrorCode::InvalidRequest,
            Refusal::Voided(_) | Refusal::Overtaken(_) | Refusal::StillLive(_) | Refusal::Rejected { .. } => {
                ErrorCode::PaymentConflict
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::review::ReviewTimes;
    use waypost_api::Timestamp;

    fn intent(generation: u32) -> Intent {
        Intent {
            id: PaymentId::parse("pay-1").unwrap(),
            order: OrderId::parse("order-1").unwrap(),
            generation: Generation::new(generation),
            key: format!("order-1:authorize:{generation}"),
            user: UserId::parse("user123").unwrap(),
            method: "pm_card_ok".to_owned(),
            amount: Money::new(999_900, Currency::USD),
            traceparent: None,
            epoch: Epoch::FIRST,
        }
    }

    fn payment(state: PaymentState) -> Payment {
        let now = Timestamp::from_unix_millis(0).unwrap();
        Payment { state, ..Payment::begin(intent(1), now, &ReviewTimes::default()) }
    }

    #[test]
    fn only_the_newest_runner_of_an_order_is_heard() {
        let order = OrderId::parse("order-1").unwrap();
        let stale = Err(Refusal::StaleRunner(order.clone()));
        assert_eq!(admit(&order, Epoch::new(2), Epoch::FIRST), stale);
        assert_eq!(admit(&order, Epoch::FIRST, Epoch::NONE), stale, "who names no epoch came before");
        for (seen, epoch) in [(0, 0), (0, 1), (2, 2), (2, 3)] {
            assert_eq!(admit(&order, Epoch::new(seen), Epoch::new(epoch)), Ok(()));
        }
    }

    #[test]
    fn the_same_key_finds_its_payment_whatever_became_of_it() {
        assert_eq!(authorize(None, None, &intent(1)), Ok(AuthorizeStep::Begin));
        for state in PaymentState::ALL {
            assert_eq!(authorize(Some(&payment(state)), None, &intent(1)), Ok(AuthorizeStep::Repeat));
        }
        let dearer = Intent { amount: Money::new(1, Currency::USD), ..intent(1) };
        assert_eq!(authorize(Some(&payment(PaymentState::Unknown)), None, &dearer), Err(Refusal::KeyReused));
    }

    #[test]
    fn an_order_has_one_live_authorisation() {
        for state in PaymentState::ALL {
            let judged = authorize(Some(&payment(state)), None, &intent(2));
            assert_eq!(judged.is_ok(), !state.is_live(), "{state:?}");
        }
        let newer = Payment { generation: Generation::new(2), ..payment(PaymentState::Declined) };
        assert!(matches!(authorize(Some(&newer), None, &intent(1)), Err(Refusal::Overtaken(_))));
    }

    #[test]
    fn what_was_voided_is_not_authorised_later() {
        let voided = Some(Generation::new(1));
        assert!(matches!(authorize(None, voided, &intent(1)), Err(Refusal::Voided(_))));
        assert_eq!(authorize(None, voided, &intent(2)), Ok(AuthorizeStep::Begin));
    }

    #[test]
    fn what_was_captured_can_be_given_up_and_not_the_reverse() {
        let order = OrderId::parse("order-1").unwrap();
        let generation = Generation::new(1);
        for (state, step) in
            [(PaymentState::Captured, VoidStep::GiveUp), (PaymentState::Refunded, VoidStep::Forbid)]
        {
            assert_eq!(void(Some(&payment(state)), generation), step);
            assert_eq!(capture(&order, Some(&payment(state))), Ok(CaptureStep::Repeat));
        }
        let unwanted = Payment { is_unwanted: true, ..payment(PaymentState::Authorized) };
        assert_eq!(capture(&order, Some(&unwanted)), Err(Refusal::Voided(order.clone())));
        assert_eq!(void(Some(&unwanted), generation), VoidStep::GiveUp);
        assert_eq!(void(None, generation), VoidStep::Forbid);
        assert_eq!(capture(&order, None), Err(Refusal::NoPayment(order)));
    }

    #[test]
    fn refunds_never_exceed_what_was_captured() {
        let captured = Payment { captured: 100, refunded: 30, ..payment(PaymentState::Captured) };
        let request = |amount| NewRefund {
            order: OrderId::parse("order-1").unwrap(),
            key: "order-1:refund:1".to_owned(),
            amount: Money::new(amount, Currency::USD),
        };
        assert_eq!(refund(&request(50), Some(&captured), 20), Ok(()));
        assert_eq!(refund(&request(51), Some(&captured), 20), Err(Refusal::RefundTooLarge { left: 50 }));
        let euros = NewRefund { amount: Money::new(50, "EUR".parse().unwrap()), ..request(50) };
        assert_eq!(refund(&euros, Some(&captured), 20), Err(Refusal::OtherCurrency(Currency::USD)));
    }
}
