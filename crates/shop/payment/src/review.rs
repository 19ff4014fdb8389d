//! Looks into payments that have not ended: those whose outcome is not known, those that were given up, those that
//! lie about.
//!
//! For the process, as a worker. It is what makes a crash between the provider's charge and our record harmless: the
//! intent was written first, so the provider can be asked by our reference. The spans join the trace of the request
//! that began the payment.

use crate::{
    Error,
    domain::{ChargeStatus, Finding, Payment, PaymentState},
    logic::Payments,
    store::{BegunRefund, Due, RefundOutcome},
};
use futures_util::{StreamExt as _, stream};
use waypost_api::OrderId;
use waypost_service::Worker;
use waypost_telemetry::{Telemetry, opentelemetry::Context, propagation, with_context};

/// One thing to look into.
enum Case {
    Payment(Payment),
    Refund(BegunRefund),
}

impl Payments {
    /// Looks into what is due, and tells how many cases there were. Finding nothing leaves no span.
    pub async fn review(&self) -> Result<usize, Error> {
        let unseen = Context::current().with_telemetry_suppressed();
        let Due { payments, refunds } =
            with_context(unseen, self.store.due(self.config.review.batch.max(1))).await?;
        let count = payments.len() + refunds.len();
        let cases = payments.into_iter().map(Case::Payment).chain(refunds.into_iter().map(Case::Refund));
        stream::iter(cases)
            .for_each_concurrent(self.config.review.at_once.max(1), |case| async {
                match case {
                    Case::Payment(payment) => self.review_payment(payment).await,
                    Case::Refund(refund) => self.review_refund(refund).await,
                }
            })
            .await;
        Ok(count)
    }

    /// The worker that reviews at every interval.
    pub fn reviewer(self, telemetry: &Telemetry) -> Worker {
        let every = self.config.review.interval.get();
        Worker::every("payment-review", every, telemetry, move || {
            let payments = self.clone();
            async move { payments.review().await.map(drop) }
        })
    }

    async fn review_payment(&self, payment: Payment) {
        let origin = propagation::context_from(payment.traceparent.as_deref(), None);
        let (order, generation) = (payment.order.clone(), payment.generation);
        if let Err(error) = with_context(origin, self.look_into(payment)).await {
            warn(&error, Some(&order), "a payment is not settled; it is looked into again later");
            let put_off = self.store.record(order.clone(), generation, Finding::NoAnswer).await;
            if let Err(error) = put_off {
                warn(&error, Some(&order), "a review could not be put off; it comes up in the next round");
            }
        }
    }

    /// Asks how a payment stands, and finishes what was begun: an unwanted charge is voided, or given back.
    async fn look_into(&self, payment: Payment) -> Result<(), Error> {
        let (payment, finding) = self.resolve(&payment).await?;
        let Finding::Charge(charge) = finding else { return Ok(()) };
        let is_unwanted =
            payment.is_unwanted || matches!(payment.state, PaymentState::Voided | PaymentState::Declined);
        match charge.status {
            ChargeStatus::Authorized if is_unwanted => {
                let key = format!("{}:void-unwanted-charge:{}", payment.order, payment.generation);
                self.undo_charge(&payment, &charge.id, &key).await?;
            }
            ChargeStatus::Captured if is_unwanted && payment.state == PaymentState::Captured => {
                self.give_back(&payment).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn review_refund(&self, begun: BegunRefund) {
        let origin = propagation::context_from(begun.payment.traceparent.as_deref(), None);
        let (key, number) = (begun.refund.request.key.clone(), begun.refund.number);
        if let Err(error) = with_context(origin, self.carry_out(&begun)).await {
            let order = &begun.payment.order;
            warn(&error, Some(order), "a refund is not settled; it is sent again later");
            let put_off = self.store.end_refund(key, number, RefundOutcome::NoAnswer).await;
            if let Err(error) = put_off {
                warn(&error, Some(order), "a review could not be put off; it comes up in the next round");
            }
        }
    }
}

fn warn(error: &Error, order: Option<&OrderId>, what: &'static str) {
    let order = order.map(OrderId::as_str);
    tracing::warn!(order.id = order, error = error as &dyn std::error::Error, "{what}");
}
