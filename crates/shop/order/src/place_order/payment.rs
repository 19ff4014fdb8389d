//! The steps that set money aside, take it and give it back.

use super::{
    PlaceOrder,
    answers::{broken_answer, failure},
    stock::{Stock, give_up_stock},
};
use crate::domain::{Order, Output, Refusal};
use waypost_api::attributes::{ORDER_ID, PAYMENT_AMOUNT, PAYMENT_CURRENCY, PAYMENT_TRANSACTION_ID};
use waypost_api::{
    Error, ErrorCode,
    payment::v1::{AuthorizeRequest, CaptureRequest, Payment, PaymentState, RefundRequest, VoidRequest},
};
use waypost_durable::saga::{Call, Failure, Step, Undo};
use waypost_telemetry::set;

pub(super) struct Authorize;

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

pub(super) struct Void;

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

pub(super) struct Capture;

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

/// Gives the money back when the stock can no longer be had.
pub(super) struct Refund;

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

fn set_payment(order: &Order) {
    set(ORDER_ID, &order.id);
    set(PAYMENT_AMOUNT, order.amount.to_string());
    set(PAYMENT_CURRENCY, order.amount.currency().to_string());
    if let Some(transaction) = &order.transaction {
        set(PAYMENT_TRANSACTION_ID, transaction);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
