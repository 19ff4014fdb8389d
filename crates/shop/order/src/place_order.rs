//! The saga that carries an order from accepted to completed, failed or cancelled.
//!
//! [`plan`] is the whole of it. The steps call the inventory and the payment service with the keys of the saga
//! (`order:step:generation`), so that a step that is run again is told from a new wish: an order is charged once,
//! whatever is lost on the way.
//!
//! Each call carries the epoch of this order's runner, so that what a runner asked that was replaced meanwhile has no effect.
//!
//! Each step sorts the answers of the other side into done, refused, unknown, malformed, fenced and not sent; what follows from
//! that is the runner's business. Refused is only what the other service itself said (`waypost-error`), and only where a rule of it
//! decided: anything between the two that makes up an answer of its own leaves the outcome unknown. A refusal at the
//! capture or after it is made sure of: the hold is given back for good, and where that shows that the stock was taken,
//! it stays taken.

use crate::domain::{CONFIRM, Order, Output, Refusal};
use std::time::Duration;
use tonic::{Code, Status};
use waypost_api::attributes::{
    ORDER_ID, PAYMENT_AMOUNT, PAYMENT_CURRENCY, PAYMENT_TRANSACTION_ID, PRODUCT_ID, PRODUCT_QUANTITY,
};
use waypost_api::{
    Error, ErrorCode, Money,
    inventory::v1::{
        CommitRequest, Line, ReleaseRequest, ReserveRequest, inventory_service_client::InventoryServiceClient,
    },
    payment::v1::{
        AuthorizeRequest, CaptureRequest, Payment, PaymentState, RefundRequest, VoidRequest,
        payment_service_client::PaymentServiceClient,
    },
};
use waypost_durable::saga::{Call, Failure, Local, Plan, Saga, Spans, Step, Undo, saga, step};
use waypost_resilience::{grpc::Channel, retry::not_sent};
use waypost_telemetry::set;

/// The client of the inventory service.
pub type Inventory = InventoryServiceClient<Channel>;
/// The client of the payment service.
pub type Payments = PaymentServiceClient<Channel>;

/// How often a hold that ran out after the money was taken is taken anew before the money is given back.
const LAST_GENERATION: u32 = 16;

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

struct Reserve;

impl Step<PlaceOrder> for Reserve {
    const NAME: &'static str = "reserve";
    const SPAN: &'static str = "check-inventory";

    async fn run(&self, shop: &PlaceOrder, order: &Order, call: &Call) -> Result<Output, Failure<Refusal>> {
        set(PRODUCT_ID, &order.product);
        set(PRODUCT_QUANTITY, i64::from(order.quantity));
        reserve(shop, order, call, call.key(), Some(order.unit_price)).await?;
        Ok(Output::Reserved)
    }
}

struct Release;

impl Undo<PlaceOrder> for Release {
    const NAME: &'static str = "release";
    const SPAN: &'static str = "release-stock";

    async fn undo(&self, shop: &PlaceOrder, order: &Order, call: &Call) -> Result<(), Failure<Refusal>> {
        let request = release_request(order, call, call.key());
        shop.inventory.clone().release(request).await.map_err(|status| failure(&status))?;
        Ok(())
    }
}

struct Authorize;

impl Step<PlaceOrder> for Authorize {
    const NAME: &'static str = "authorize";
    const SPAN: &'static str = "process-payment";

    async fn run(&self, shop: &PlaceOrder, order: &Order, call: &Call) -> Result<Output, Failure<Refusal>> {
        set_payment(order);
        let request = AuthorizeRequest {
            order_id: (&order.id).into(),
            key: call.key(),
            user_id: (&order.user).into(),
            amount: Some(order.amount.into()),
            payment_method: order.payment_method.clone(),
            lease_epoch: call.epoch().number(),
        };
        let payment =
            shop.payments.clone().authorize(request).await.map_err(|status| failure(&status))?.into_inner();
        authorized(payment)
    }
}

/// An answer that is no error still has to say that the money is set aside.
fn authorized(payment: Payment) -> Result<Output, Failure<Refusal>> {
    match payment.state() {
        PaymentState::Authorized | PaymentState::Captured => {
            let transaction =
                payment.transaction_id.parse().map_err(|_| broken_answer("a transaction id"))?;
            set(PAYMENT_TRANSACTION_ID, &transaction);
            Ok(Output::Authorized { transaction })
        }
        PaymentState::Declined => {
            let declined = Error::of(ErrorCode::PaymentDeclined).with_provider_code(payment.decline_code);
            Err(Failure::Refused(declined.into()))
        }
        PaymentState::Voided | PaymentState::Refunded => {
            Err(Failure::Refused(Error::of(ErrorCode::PaymentConflict).into()))
        }
        PaymentState::Unknown => Err(Failure::Unknown(Error::of(ErrorCode::PaymentUnknown).into())),
        PaymentState::Unspecified => Err(broken_answer("a state")),
    }
}

struct Void;

impl Undo<PlaceOrder> for Void {
    const NAME: &'static str = "void";
    const SPAN: &'static str = "void-payment";

    async fn undo(&self, shop: &PlaceOrder, order: &Order, call: &Call) -> Result<(), Failure<Refusal>> {
        set_payment(order);
        let request =
            VoidRequest { order_id: (&order.id).into(), key: call.key(), lease_epoch: call.epoch().number() };
        shop.payments.clone().void(request).await.map_err(|status| failure(&status))?;
        Ok(())
    }
}

/// Makes the order `confirmed`, in the unit that records what the checks brought.
struct Confirm;

impl Local<PlaceOrder> for Confirm {
    const NAME: &'static str = CONFIRM;
    const SPAN: &'static str = "confirm-order";
}

struct Capture;

impl Step<PlaceOrder> for Capture {
    const NAME: &'static str = "capture";
    const SPAN: &'static str = "capture-payment";

    async fn run(&self, shop: &PlaceOrder, order: &Order, call: &Call) -> Result<Output, Failure<Refusal>> {
        set_payment(order);
        let request = CaptureRequest {
            order_id: (&order.id).into(),
            key: call.key(),
            lease_epoch: call.epoch().number(),
        };
        let payment = match shop.payments.clone().capture(request).await.map_err(|status| failure(&status)) {
            // The stock was taken, so the money was as well: the refusal is a stray.
            Err(Failure::Refused(refusal)) => match give_up_stock(shop, order, call).await? {
                Stock::GivenBack => return Err(Failure::RefusedForGood(refusal)),
                Stock::Taken => return Err(Failure::Unknown(refusal)),
            },
            captured => captured?.into_inner(),
        };
        match payment.state() {
            PaymentState::Captured => Ok(Output::Captured),
            PaymentState::Unspecified => Err(broken_answer("a state")),
            _ => Err(Failure::Unknown(Error::of(ErrorCode::PaymentUnknown).into())),
        }
    }
}

struct CommitStock;

impl Step<PlaceOrder> for CommitStock {
    const NAME: &'static str = "commit-stock";
    const SPAN: &'static str = "commit-stock";

    /// A hold that ran out (the process was down for long) is taken anew, under the key of the next generation and
    /// at whatever price, because the customer has paid.
    async fn run(&self, shop: &PlaceOrder, order: &Order, call: &Call) -> Result<Output, Failure<Refusal>> {
        match commit_or_hold_anew(shop, order, call).await {
            Err(Failure::Refused(refusal)) => match give_up_stock(shop, order, call).await? {
                Stock::GivenBack => Err(Failure::RefusedForGood(refusal)),
                Stock::Taken => Ok(Output::Committed),
            },
            committed => committed,
        }
    }
}

async fn commit_or_hold_anew(
    shop: &PlaceOrder,
    order: &Order,
    call: &Call,
) -> Result<Output, Failure<Refusal>> {
    for generation in Call::FIRST_GENERATION + 1..=LAST_GENERATION {
        match commit(shop, order, call).await {
            Err(Failure::Refused(refusal)) if has_run_out(&refusal) => {}
            committed => return committed,
        }
        match reserve(shop, order, call, call.key_of(Reserve::NAME, generation), None).await {
            // This generation ran out as well; the next one is free.
            Err(Failure::Refused(refusal)) if has_run_out(&refusal) => {}
            reserved => reserved?,
        }
    }
    commit(shop, order, call).await
}

/// What [`give_up_stock`] found.
enum Stock {
    GivenBack,
    Taken,
}

/// Gives the order's stock back for good, so that no `Reserve` or `Commit` that is still under way can have an effect;
/// or finds that it was taken.
async fn give_up_stock(shop: &PlaceOrder, order: &Order, call: &Call) -> Result<Stock, Failure<Refusal>> {
    let request = release_request(order, call, call.key_of(Release::NAME, LAST_GENERATION));
    match shop.inventory.clone().release(request).await.map_err(|status| failure(&status)) {
        Ok(_) => Ok(Stock::GivenBack),
        Err(Failure::Refused(refusal)) if refusal.code == ErrorCode::ReservationConflict => Ok(Stock::Taken),
        Err(fenced @ Failure::Fenced(_)) => Err(fenced),
        // Whatever it says, the stock was not given back.
        Err(failure) => Err(Failure::Unknown(failure.into_reason())),
    }
}

/// Gives the money back when the stock can no longer be had.
struct Refund;

impl Undo<PlaceOrder> for Refund {
    const NAME: &'static str = "refund";
    const SPAN: &'static str = "refund-payment";

    async fn undo(&self, shop: &PlaceOrder, order: &Order, call: &Call) -> Result<(), Failure<Refusal>> {
        set_payment(order);
        let request = RefundRequest {
            order_id: (&order.id).into(),
            key: call.key(),
            amount: Some(order.amount.into()),
            lease_epoch: call.epoch().number(),
        };
        shop.payments.clone().refund(request).await.map_err(|status| failure(&status))?;
        Ok(())
    }
}

/// Makes the order `completed` and writes its event, in the last unit.
struct Complete;

impl Local<PlaceOrder> for Complete {
    const NAME: &'static str = "complete";
    const SPAN: &'static str = "complete-order";
}

/// Holds the order's stock, at this price or, without one, at any.
async fn reserve(
    shop: &PlaceOrder,
    order: &Order,
    call: &Call,
    key: String,
    unit_price: Option<Money>,
) -> Result<(), Failure<Refusal>> {
    let line = Line {
        product_id: (&order.product).into(),
        quantity: order.quantity,
        unit_price: unit_price.map(Into::into),
        any_price: unit_price.is_none(),
    };
    let request = ReserveRequest {
        order_id: (&order.id).into(),
        key,
        lines: vec![line],
        time_to_live: shop.hold_time.try_into().ok(),
        lease_epoch: call.epoch().number(),
    };
    shop.inventory.clone().reserve(request).await.map_err(|status| failure(&status))?;
    Ok(())
}

async fn commit(shop: &PlaceOrder, order: &Order, call: &Call) -> Result<Output, Failure<Refusal>> {
    let request =
        CommitRequest { order_id: (&order.id).into(), key: call.key(), lease_epoch: call.epoch().number() };
    shop.inventory.clone().commit(request).await.map_err(|status| failure(&status))?;
    Ok(Output::Committed)
}

fn release_request(order: &Order, call: &Call, key: String) -> ReleaseRequest {
    ReleaseRequest { order_id: (&order.id).into(), key, lease_epoch: call.epoch().number() }
}

fn has_run_out(refusal: &Refusal) -> bool {
    matches!(refusal.code, ErrorCode::ReservationExpired | ErrorCode::ReservationNotFound)
}

fn set_payment(order: &Order) {
    set(ORDER_ID, &order.id);
    set(PAYMENT_AMOUNT, order.amount.to_string());
    set(PAYMENT_CURRENCY, order.amount.currency().to_string());
    if let Some(transaction) = &order.transaction {
        set(PAYMENT_TRANSACTION_ID, transaction);
    }
}

/// What a failed call tells of what it asked for.
fn failure(status: &Status) -> Failure<Refusal> {
    let error = Error::from_status(status);
    if let Some(retry_in) = not_sent(status) {
        return Failure::NotSent { reason: error.into(), retry_in };
    }
    match Error::named_code(status) {
        // No decision about the order, but about who may speak for it.
        Some(ErrorCode::StaleRunner) => Failure::Fenced(error.into()),
        Some(code) if is_decision(code) => Failure::Refused(error.into()),
        _ => Failure::Unknown(error.into()),
    }
}

/// True when a code of the table says that a rule was asked and said no, so that the request had no effect and will have
/// none. The others tell of time, load and faults.
fn is_decision(code: ErrorCode) -> bool {
    matches!(
        code.grpc_code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::PermissionDenied
            | Code::Unauthenticated
    )
}

/// An answer of the payment service without what it must have, or with what only another version knows.
fn broken_answer(what: &str) -> Failure<Refusal> {
    let detail = format!("the payment service answered without {what} that this version knows");
    Failure::Malformed(Error::new(ErrorCode::Internal, detail).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_can_work_either_way() {
        assert_eq!(plan(true).check(), Ok(()));
        assert_eq!(plan(false).check(), Ok(()));
    }

    #[test]
    fn only_the_services_own_no_is_a_refusal() {
        let refused = failure(&Error::of(ErrorCode::OutOfStock).into());
        assert!(matches!(refused, Failure::Refused(Refusal { code: ErrorCode::OutOfStock, .. })));
        for code in [ErrorCode::Unavailable, ErrorCode::PaymentUnknown, ErrorCode::Overloaded] {
            assert!(matches!(failure(&Error::of(code).into()), Failure::Unknown(_)), "{code}");
        }
        // What proxies, tonic and other versions answer by themselves, whatever the code.
        for code in (1..=16).map(Code::from_i32) {
            let Failure::Unknown(reason) = failure(&Status::new(code, "")) else { panic!("{code:?} counts") };
            assert!(reason.code.is_failure(), "{code:?} becomes the reason {}", reason.code);
        }
        let stale = failure(&Error::of(ErrorCode::StaleRunner).into());
        assert!(matches!(stale, Failure::Fenced(Refusal { code: ErrorCode::StaleRunner, .. })));
        // A code that contradicts its status is not believed either.
        let mut contradicts = Status::from(Error::of(ErrorCode::OutOfStock));
        contradicts = Status::with_metadata(Code::NotFound, "", contradicts.metadata().clone());
        assert!(matches!(failure(&contradicts), Failure::Unknown(_)));
    }

    #[test]
    fn a_payment_that_is_not_settled_is_unknown_and_asked_for_again() {
        let payment = |state: PaymentState| Payment {
            state: state.into(),
            transaction_id: "ch_1".to_owned(),
            decline_code: "insufficient_funds".to_owned(),
            ..Payment::default()
        };
        assert!(matches!(authorized(payment(PaymentState::Authorized)), Ok(Output::Authorized { .. })));
        assert!(matches!(authorized(payment(PaymentState::Unknown)), Err(Failure::Unknown(_))));
        let Err(Failure::Refused(declined)) = authorized(payment(PaymentState::Declined)) else {
            panic!("not refused")
        };
        assert_eq!(declined.code, ErrorCode::PaymentDeclined);
        assert_eq!(declined.decline_code.as_deref(), Some("insufficient_funds"));
        assert!(matches!(authorized(payment(PaymentState::Voided)), Err(Failure::Refused(_))));
        // Of another version: no state, or one that is not known here.
        for state in [0, 99] {
            let other = Payment { state, ..payment(PaymentState::Authorized) };
            assert!(matches!(authorized(other), Err(Failure::Malformed(_))), "{state}");
        }
    }
}
