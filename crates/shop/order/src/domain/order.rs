//! An order and the moves it can make.

use super::{CONFIRM, Fact, Output, Refusal};
use waypost_api::{
    Charge, ErrorCode, Money, OrderId, OrderStatus, ProductId, Timestamp, TransactionId, UserId,
};
use waypost_durable::saga::{Ending, Entry};

/// An order as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Who ordered.
    pub user: UserId,
    /// What was ordered.
    pub product: ProductId,
    /// How many.
    pub quantity: u32,
    /// The price of one that the order was calculated with.
    pub unit_price: Money,
    /// Unit price times quantity.
    pub amount: Money,
    /// The provider's token of the user's means of payment.
    pub payment_method: String,
    /// Where it stands.
    pub status: OrderStatus,
    /// Why it failed; set exactly when it did.
    pub failure_code: Option<ErrorCode>,
    /// The provider's own code, when the failure is a decline.
    pub decline_code: Option<String>,
    /// The provider's id of the charge, once there is one.
    pub transaction: Option<TransactionId>,
    /// What became of the money.
    pub charge: Charge,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
    /// 1 when it is accepted, one more with each move.
    pub version: u64,
    /// The trace in which it was created.
    pub origin: Origin,
}

/// Where an order comes from, in terms of tracing: its later spans and its events join that trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// 32 hex digits.
    pub trace_id: Option<String>,
    /// W3C trace context of the span that created it.
    pub traceparent: Option<String>,
    /// The vendor part of the trace context.
    pub tracestate: Option<String>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// The user.
    pub user: UserId,
    /// Operators see every order.
    pub is_admin: bool,
}

impl Viewer {
    /// True when the viewer may see and change what belongs to `owner`.
    pub fn may_see(&self, owner: &UserId) -> bool {
        self.is_admin || self.user == *owner
    }
}

/// One move of an order, for its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The state it moved to.
    pub to: OrderStatus,
    /// The version after it.
    pub version: u64,
    /// Why, when it failed.
    pub reason: Option<ErrorCode>,
    /// When.
    pub at: Timestamp,
}

/// I13 was about to be broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("order {order} cannot move from {from} to {to}")]
pub struct IllegalMove {
    order: OrderId,
    from: OrderStatus,
    to: OrderStatus,
}

/// I13: the moves there are. A final state has none.
pub const fn may_become(from: OrderStatus, to: OrderStatus) -> bool {
    use OrderStatus::{Cancelled, Completed, Confirmed, Failed, Pending};
    matches!((from, to), (Pending, Confirmed | Failed | Cancelled) | (Confirmed, Completed | Failed))
}

impl Order {
    /// The order after new facts of its saga and, with the last unit, its ending.
    pub fn after(
        &self,
        facts: &[Fact],
        ending: Option<&Ending<Refusal>>,
        now: Timestamp,
    ) -> Result<Order, IllegalMove> {
        let mut order = self.clone();
        for fact in facts {
            match fact {
                Entry::Done(_, Some(Output::Authorized { transaction })) => {
                    order.transaction = Some(transaction.clone());
                }
                Entry::Done(step, None) if step == CONFIRM => {
                    order.transition(OrderStatus::Confirmed, now)?;
                    // The capture is what comes next.
                    order.charge = Charge::Open;
                }
                Entry::Done(_, Some(Output::Captured)) => order.charge = Charge::Captured,
                Entry::MadeUp(_) => order.charge = Charge::Refunded,
                _ => {}
            }
        }
        match ending {
            None => {}
            Some(Ending::Completed) => order.transition(OrderStatus::Completed, now)?,
            Some(Ending::Cancelled) => order.transition(OrderStatus::Cancelled, now)?,
            Some(Ending::Failed(refusal)) => {
                order.transition(OrderStatus::Failed, now)?;
                order.failure_code = Some(refusal.code);
                order.decline_code.clone_from(&refusal.decline_code);
            }
        }
        Ok(order)
    }

    /// The last move it made.
    pub fn last_move(&self) -> Move {
        Move { to: self.status, version: self.version, reason: self.failure_code, at: self.updated_at }
    }

    fn transition(&mut self, to: OrderStatus, now: Timestamp) -> Result<(), IllegalMove> {
        if !may_become(self.status, to) {
            return Err(IllegalMove { order: self.id.clone(), from: self.status, to });
        }
        self.status = to;
        self.version += 1;
        // A clock that was set back does not make an order younger than it is.
        self.updated_at = now.max(self.updated_at);
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use waypost_api::Currency;

    const NOW: i64 = 1_000_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(millis).unwrap()
    }

    pub(crate) fn pending() -> Order {
        Order {
            id: OrderId::parse("order-1").unwrap(),
            user: UserId::parse("user123").unwrap(),
            product: ProductId::parse("prod456").unwrap(),
            quantity: 2,
            unit_price: Money::new(499_950, Currency::USD),
            amount: Money::new(999_900, Currency::USD),
            payment_method: "pm_card_ok".to_owned(),
            status: OrderStatus::Pending,
            failure_code: None,
            decline_code: None,
            transaction: None,
            charge: Charge::None,
            created_at: at(NOW),
            updated_at: at(NOW),
            version: 1,
            origin: Origin::default(),
        }
    }

    fn declined() -> Refusal {
        Refusal {
            code: ErrorCode::PaymentDeclined,
            detail: "the provider declined".to_owned(),
            decline_code: Some("insufficient_funds".to_owned()),
        }
    }

    #[test]
    fn facts_and_an_ending_move_an_order_one_version_at_a_time() {
        let transaction = TransactionId::parse("ch_1").unwrap();
        let facts = [
            Entry::Done("reserve".into(), Some(Output::Reserved)),
            Entry::Done("authorize".into(), Some(Output::Authorized { transaction: transaction.clone() })),
            Entry::Done(CONFIRM.into(), None),
            Entry::Intended("capture".into()),
        ];
        let confirmed = pending().after(&facts, None, at(NOW + 5)).unwrap();
        assert_eq!((confirmed.status, confirmed.version), (OrderStatus::Confirmed, 2));
        assert_eq!(confirmed.transaction, Some(transaction));
        assert_eq!(confirmed.updated_at, at(NOW + 5));

        let completed = confirmed.after(&[Entry::Ended], Some(&Ending::Completed), at(NOW)).unwrap();
        assert_eq!((completed.status, completed.version), (OrderStatus::Completed, 3));
        assert_eq!(completed.updated_at, at(NOW + 5), "a clock that was set back");
    }

    #[test]
    fn an_order_knows_what_became_of_its_money() {
        let after = |order: &Order, facts: &[Fact]| order.after(facts, None, at(NOW)).unwrap();
        let held = Entry::Done(
            "authorize".into(),
            Some(Output::Authorized { transaction: TransactionId::parse("ch_1").unwrap() }),
        );
        assert_eq!(after(&pending(), &[held]).charge, Charge::None);
        let confirmed = after(&pending(), &[Entry::Done(CONFIRM.into(), None)]);
        assert_eq!(confirmed.charge, Charge::Open);
        let refused = after(&confirmed, &[Entry::Refused("capture".into(), declined())]);
        assert_eq!(refused.charge, Charge::Open, "an earlier attempt may have taken it");
        let captured = after(&confirmed, &[Entry::Done("capture".into(), Some(Output::Captured))]);
        assert_eq!(captured.charge, Charge::Captured);
        assert_eq!(after(&captured, &[Entry::MadeUp("commit-stock".into())]).charge, Charge::Refunded);
    }

    #[test]
    fn a_failed_order_says_why_with_the_providers_code() {
        let failed = pending().after(&[Entry::Ended], Some(&Ending::Failed(declined())), at(NOW)).unwrap();
        assert_eq!(failed.status, OrderStatus::Failed);
        assert_eq!(failed.failure_code, Some(ErrorCode::PaymentDeclined));
        assert_eq!(failed.decline_code.as_deref(), Some("insufficient_funds"));
        assert_eq!(failed.last_move().reason, Some(ErrorCode::PaymentDeclined));
    }

    #[test]
    fn a_final_state_absorbs_every_further_move() {
        let endings = [Ending::Completed, Ending::Cancelled, Ending::Failed(declined())];
        for status in OrderStatus::ALL.into_iter().filter(|status| status.is_terminal()) {
            let order = Order { status, ..pending() };
            for ending in &endings {
                assert!(order.after(&[], Some(ending), at(NOW)).is_err(), "{status} {ending:?}");
            }
            let confirm = [Entry::Done(CONFIRM.into(), None)];
            assert!(order.after(&confirm, None, at(NOW)).is_err(), "{status}");
        }
    }

    #[test]
    fn a_confirmed_order_cannot_be_cancelled() {
        let confirmed = Order { status: OrderStatus::Confirmed, ..pending() };
        let refused = confirmed.after(&[], Some(&Ending::Cancelled), at(NOW)).unwrap_err();
        assert_eq!(refused.to_string(), "order order-1 cannot move from confirmed to cancelled");
    }

    #[test]
    fn only_its_owner_and_operators_may_see_an_order() {
        let owner = UserId::parse("user123").unwrap();
        let viewer = |user: &str, is_admin| Viewer { user: UserId::parse(user).unwrap(), is_admin };
        assert!(viewer("user123", false).may_see(&owner));
        assert!(viewer("user-admin", true).may_see(&owner));
        assert!(!viewer("mallory", false).may_see(&owner));
    }
}
