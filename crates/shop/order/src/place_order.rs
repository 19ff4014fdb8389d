//! The saga that carries an order from accepted to completed, failed or cancelled.
//!
//! [`plan`] is the whole of it. The steps call the inventory (`stock`) and the payment service (`payment`) with the keys of
//! the saga (`order:step:generation`), so that a step that is run again is told from a new request: an order is charged once,
//! whatever is lost on the way.
//!
//! Each call carries the epoch of this order's runner, so that what a runner asked that was replaced meanwhile has no effect.
//! What the other side said is sorted into done, refused, unknown, malformed, fenced and not sent (`answers`); what follows
//! from that is the runner's business. A refusal at the capture or after it is made sure of: the hold is given back for good,
//! and where that shows that the stock was taken, it stays taken.

mod answers;
mod payment;
mod stock;

use self::{
    payment::{Authorize, Capture, Refund, Void},
    stock::{CommitStock, Release, Reserve},
};
use crate::domain::{CONFIRM, Order, Output, Refusal};
use std::time::Duration;
use waypost_api::{
    inventory::v1::inventory_service_client::InventoryServiceClient,
    payment::v1::payment_service_client::PaymentServiceClient,
};
use waypost_durable::saga::{Local, Plan, Saga, Spans, saga, step};
use waypost_resilience::grpc::Channel;

/// The client of the inventory service.
pub type Inventory = InventoryServiceClient<Channel>;
/// The client of the payment service.
pub type Payments = PaymentServiceClient<Channel>;

/// What the steps of an order need.
#[derive(Debug, Clone)]
pub struct PlaceOrder {
    /// Holds and takes stock.
    pub inventory: Inventory,
    /// Holds and takes money.
    pub payments: Payments,
    /// How long stock is held: longer than the steps up to the pivot may take, with a margin for clocks.
    pub hold_time: Duration,
}

impl Saga for PlaceOrder {
    type State = Order;
    type Output = Output;
    type Reason = Refusal;
}

/// The steps of an order. With `parallel_checks` stock and payment are seen to side by side, else one after the other.
pub fn plan(parallel_checks: bool) -> Plan<PlaceOrder> {
    let (reserve, authorize) = (step(Reserve).undo(Release), step(Authorize).undo(Void));
    let checks = if parallel_checks {
        saga("place-order").together([reserve, authorize])
    } else {
        saga("place-order").step(reserve).step(authorize)
    };
    checks
        .local(Confirm)
        .pivot(Capture) // before it: compensate; from here on: forward only
        .step(step(CommitStock).otherwise(Refund))
        .local(Complete)
        .spans(Spans { compensate: "compensate-order", fail: "fail-order", cancel: "cancel-order" })
}

/// Makes the order `confirmed`, in the unit that records what the checks brought.
struct Confirm;

impl Local<PlaceOrder> for Confirm {
    const NAME: &'static str = CONFIRM;
    const SPAN: &'static str = "confirm-order";
}

/// Makes the order `completed` and writes its event, in the last unit.
struct Complete;

impl Local<PlaceOrder> for Complete {
    const NAME: &'static str = "complete";
    const SPAN: &'static str = "complete-order";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_can_work_either_way() {
        assert_eq!(plan(true).check(), Ok(()));
        assert_eq!(plan(false).check(), Ok(()));
    }
}
