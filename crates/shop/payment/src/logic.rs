//! What the service does for its callers: write the intent down, ask the provider, write down what it said.
//!
//! No unit of the store waits for the provider, and every point at which this code may stop (a dropped caller, a
//! crash, a missing answer) leaves a row from which it can be told what to ask: by the same request, or by
//! `review`.

use crate::{
    Config, Error,
    domain::{
        self, CaptureStep, ChargeStatus, Finding, Generation, Intent, NewRefund, Payment, PaymentState,
        RefundState, Refusal,
    },
    provider::{Provider, ProviderError},
    store::{BegunRefund, RefundOutcome, Store},
};
use std::sync::Arc;
use waypost_api::attributes::{
    ORDER_ID, PAYMENT_AMOUNT, PAYMENT_CURRENCY, PAYMENT_PROVIDER_CODE, PAYMENT_TRANSACTION_ID,
};
use waypost_api::{Money, OrderId, PaymentId, TransactionId, UserId};
use waypost_durable::Epoch;
use waypost_telemetry::{opentelemetry::Context, propagation, set, span, span::SpanBuilder};

/// A wish to have an amount set aside, as it comes in.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// For which order.
    pub order: OrderId,
    /// Which attempt.
    pub generation: Generation,
    /// The key of the step.
    pub key: String,
    /// Who pays.
    pub user: UserId,
    /// How much.
    pub amount: Money,
    /// The provider's token of the means of payment.
    pub method: String,
    /// Which runner of the order's saga asks.
    pub epoch: Epoch,
}

/// The payments. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Payments {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) provider: Provider,
    pub(crate) config: Arc<Config>,
}

impl Payments {
    /// Payments over a store and a provider.
    pub fn new(store: Arc<dyn Store>, provider: Provider, config: &Config) -> Payments {
        Payments { store, provider, config: Arc::new(config.clone()) }
    }

    /// Has an amount set aside at the provider.
    pub async fn authorize(&self, request: Authorization) -> Result<Payment, Error> {
        let intent = Intent {
            id: PaymentId::new(uuid::Uuid::now_v7()),
            order: request.order,
            generation: request.generation,
            key: request.key,
            user: request.user,
            method: request.method,
            amount: request.amount,
            traceparent: propagation::traceparent(&Context::current()),
            epoch: request.epoch,
        };
        let begun = self.store.begin(intent).await?;
        let mut payment = begun.payment;
        if payment.state == PaymentState::Unknown && !begun.is_new {
            // I7: the first try's outcome is looked up before anything is asked for again.
            payment = self.resolve(&payment).await?.0;
        }
        if payment.state == PaymentState::Unknown {
            payment = self.charge(&payment, !begun.is_new).await?;
        }
        authorized(payment)
    }

    /// Asks the provider for the charge and writes down what it said. Always with the payment's own reference and
    /// key, so the provider makes one charge however often this runs.
    ///
    /// After an earlier try that had no answer, a no does not say that nobody was charged: then a charge that turns up
    /// is voided.
    async fn charge(&self, payment: &Payment, after_open_try: bool) -> Result<Payment, Error> {
        let work = async {
            let asked =
                self.provider.charge(&payment.id, payment.amount, &payment.method, &payment.key).await;
            let finding = match asked {
                Ok(charge) => Finding::Charge(charge),
                Err(ProviderError::Refused { code, .. }) => Finding::Rejected { code, after_open_try },
                Err(error) => return Err(Error::OutcomeUnknown(error)),
            };
            let payment = self.record(payment, finding).await?;
            describe(&payment);
            match payment.state {
                PaymentState::Declined => {
                    self.provider.count_declined(payment.decline_code.as_deref().unwrap_or("declined"));
                    Err(domain::declined(&payment).into())
                }
                _ => Ok(payment),
            }
        };
        payment_span("authorize-payment", payment).run(work).await
    }

    /// Takes the amount that was set aside for an order.
    pub async fn capture(&self, order: OrderId, key: &str, epoch: Epoch) -> Result<Payment, Error> {
        let mut newest = self.store.newest(order.clone()).await?;
        if newest.as_ref().is_some_and(|newest| newest.epoch != epoch) {
            newest = self.store.admit(order.clone(), epoch).await?;
        }
        let mut step = domain::capture(&order, newest.as_ref())?;
        let Some(mut payment) = newest else { return Err(Refusal::NoPayment(order).into()) };
        if step == CaptureStep::Resolve {
            payment = self.resolve(&payment).await?.0;
            step = domain::capture(&order, Some(&payment))?;
        }
        match (step, &payment.transaction) {
            (CaptureStep::Repeat, _) => Ok(payment),
            (CaptureStep::Capture, Some(charge)) => {
                let work = async {
                    describe(&payment);
                    let asked = self.provider.capture(charge, key).await;
                    self.settle("capture", &payment, PaymentState::Captured, asked).await
                };
                payment_span("capture-charge", &payment).run(work).await
            }
            (CaptureStep::Capture | CaptureStep::Resolve, _) => Err(Error::Unsettled),
        }
    }

    /// Gives an order's payment up, whatever became of it, and forbids that a late authorisation of the same
    /// generation charges anybody. What was taken is given back. `None` when there never was one.
    pub async fn void(
        &self,
        order: OrderId,
        generation: Generation,
        key: &str,
        epoch: Epoch,
    ) -> Result<Option<Payment>, Error> {
        let given_up = self.store.give_up(order, generation, epoch).await?;
        let Some(mut payment) = given_up else {
            return Ok(None);
        };
        if payment.state == PaymentState::Unknown {
            payment = self.resolve(&payment).await?.0;
        }
        match (payment.state, &payment.transaction) {
            (PaymentState::Voided | PaymentState::Declined | PaymentState::Refunded, _) => Ok(Some(payment)),
            (PaymentState::Authorized, Some(charge)) => {
                self.undo_charge(&payment, &charge.clone(), key).await.map(Some)
            }
            (PaymentState::Captured, _) => self.give_back(&payment).await.map(Some),
            (PaymentState::Authorized | PaymentState::Unknown, _) => Err(Error::Unsettled),
        }
    }

    /// Gives a charge up at the provider, or what was taken of it back, if a capture got through.
    pub(crate) async fn undo_charge(
        &self,
        payment: &Payment,
        charge: &TransactionId,
        key: &str,
    ) -> Result<Payment, Error> {
        let payment = self.void_charge(payment, charge, key).await?;
        match payment.state {
            PaymentState::Captured => self.give_back(&payment).await,
            _ => Ok(payment),
        }
    }

    /// Gives back all that is left of a captured payment that nobody wants.
    pub(crate) async fn give_back(&self, payment: &Payment) -> Result<Payment, Error> {
        // What was given back on another wish makes this another one.
        let (order, refunded) = (&payment.order, payment.refunded);
        let key = format!("{order}:refund-unwanted-{refunded}:{}", payment.generation);
        let amount = Money::new(payment.captured - refunded, payment.amount.currency());
        self.refund(NewRefund { order: order.clone(), key, amount }, None).await
    }

    /// Gives a charge up at the provider.
    async fn void_charge(
        &self,
        payment: &Payment,
        charge: &TransactionId,
        key: &str,
    ) -> Result<Payment, Error> {
        let work = async {
            set(PAYMENT_TRANSACTION_ID, charge);
            let asked = self.provider.void(charge, key).await;
            self.settle("void", payment, PaymentState::Voided, asked).await
        };
        payment_span("void-charge", payment).run(work).await
    }

    /// Gives money back. Without an epoch on our own account: what follows from a request that was admitted.
    pub async fn refund(&self, request: NewRefund, epoch: Option<Epoch>) -> Result<Payment, Error> {
        let begun = self.store.begin_refund(request, epoch).await?;
        match begun.refund.state {
            RefundState::Done => Ok(begun.payment),
            RefundState::Rejected => Err(rejected_refund("rejected before")),
            RefundState::Pending => self.carry_out(&begun).await,
        }
    }

    /// Asks the provider for a refund that was written down. The same key however often this runs.
    pub(crate) async fn carry_out(&self, begun: &BegunRefund) -> Result<Payment, Error> {
        let (refund, times) = (&begun.refund, self.config.review.times());
        let Some(charge) = &begun.payment.transaction else { return Err(Error::Unsettled) };
        let work = async {
            describe(&begun.payment);
            let asked = self
                .provider
                .refund(charge, refund.request.amount.ten_thousandths(), &refund.provider_key())
                .await;
            let (outcome, error) = match asked {
                Ok(charge) => (RefundOutcome::Done(charge), None),
                Err(ProviderError::Refused { code, .. })
                    if refund.may_be_rejected(begun.is_new, begun.as_of, &times) =>
                {
                    (RefundOutcome::Rejected, Some(rejected_refund(&code)))
                }
                // An earlier try may have got through, or may yet: the same key is asked again.
                Err(error) => return Err(Error::OutcomeUnknown(error)),
            };
            let payment = self.store.end_refund(refund.request.key.clone(), refund.number, outcome).await?;
            error.map_or(Ok(payment), Err)
        };
        payment_span("refund-charge", &begun.payment).run(work).await
    }

    /// The newest payment of an order.
    pub async fn payment(&self, order: OrderId) -> Result<Payment, Error> {
        let newest = self.store.newest(order.clone()).await?;
        newest.ok_or_else(|| Refusal::NoPayment(order).into())
    }

    /// Asks the provider what it has under our reference and writes that down.
    pub(crate) async fn resolve(&self, payment: &Payment) -> Result<(Payment, Finding), Error> {
        let work = async {
            let finding = match self.provider.find(&payment.id).await {
                Ok(Some(charge)) => Finding::Charge(charge),
                Ok(None) => Finding::Absent,
                Err(error) => return Err(Error::OutcomeUnknown(error)),
            };
            let payment = self.record(payment, finding.clone()).await?;
            describe(&payment);
            Ok((payment, finding))
        };
        payment_span("resolve-payment", payment).run(work).await
    }

    /// Writes down how a change of a charge went. When the provider refuses it, what the charge is now decides: an
    /// earlier try may have got through.
    async fn settle(
        &self,
        what: &'static str,
        payment: &Payment,
        wanted: PaymentState,
        asked: Result<domain::Charge, ProviderError>,
    ) -> Result<Payment, Error> {
        let payment = match asked {
            Ok(charge) => self.record(payment, Finding::Charge(charge)).await?,
            Err(ProviderError::Refused { code, .. }) => {
                let (payment, finding) = self.resolve(payment).await?;
                match finding {
                    Finding::Charge(charge) if charge.status == ChargeStatus::Authorized => {
                        return Err(Refusal::Rejected { what, reason: code }.into());
                    }
                    _ => payment,
                }
            }
            Err(error) => return Err(Error::OutcomeUnknown(error)),
        };
        let gives_up = wanted == PaymentState::Voided;
        match payment.state {
            state if state == wanted => Ok(payment),
            PaymentState::Captured | PaymentState::Refunded => Ok(payment),
            // Its late charge was voided.
            PaymentState::Declined if gives_up => Ok(payment),
            PaymentState::Voided => Err(Refusal::Voided(payment.order).into()),
            PaymentState::Unknown | PaymentState::Authorized | PaymentState::Declined => {
                Err(Error::Unsettled)
            }
        }
    }

    async fn record(&self, payment: &Payment, finding: Finding) -> Result<Payment, Error> {
        self.store.record_of(payment.clone(), finding).await
    }
}

/// What a payment's state answers to an `Authorize`.
fn authorized(payment: Payment) -> Result<Payment, Error> {
    match payment.state {
        // Given up while the provider was asked: the charge is going to be voided.
        _ if payment.is_unwanted => Err(Refusal::Voided(payment.order).into()),
        PaymentState::Authorized | PaymentState::Captured | PaymentState::Refunded => Ok(payment),
        PaymentState::Declined => Err(domain::declined(&payment).into()),
        PaymentState::Voided => Err(Refusal::Voided(payment.order).into()),
        PaymentState::Unknown => Err(Error::Unsettled),
    }
}

fn rejected_refund(reason: &str) -> Error {
    Refusal::Rejected { what: "refund", reason: reason.to_owned() }.into()
}

fn payment_span(name: &'static str, payment: &Payment) -> SpanBuilder {
    span(name)
        .attr(ORDER_ID, &payment.order)
        .attr(PAYMENT_AMOUNT, payment.amount.amount().to_string())
        .attr(PAYMENT_CURRENCY, payment.amount.currency().to_string())
}

/// Adds what the provider said to the current span.
fn describe(payment: &Payment) {
    if let Some(charge) = &payment.transaction {
        set(PAYMENT_TRANSACTION_ID, charge);
    }
    if let Some(code) = &payment.decline_code {
        set(PAYMENT_PROVIDER_CODE, code.clone());
    }
}
