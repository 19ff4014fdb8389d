//! The operator's hand on orders: what is parked and why, and what can be done about it.
//!
//! For `waypost orders` and whoever asks the admin listener ([`routes`]). What may be done when is said by the pure
//! [`rules`]; each action is written down with who asked for it and why, in the unit that does it, or before and
//! after a call to the payment service.
//!
//! Invariants: no action ends an order whose customer is owed goods or money; no action gives back more than was
//! taken; a refund whose outcome is not known is asked for again under its own number, never under a new one.

mod http;
pub mod report;
pub mod rules;

pub use http::routes;

use self::{
    report::{Acted, ActionReport, OrderReport, StuckOrder, StuckOrders},
    rules::{Money, Refused},
};
use crate::{
    Error,
    domain::{Fact, Order},
    events,
    place_order::Payments,
    running::Sagas,
    store::operator::{Abandonment, Action, ActionKind, OperatorStore, Outcome, Record, RefundAttempt},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};
use waypost_api::attributes::ORDER_ID;
use waypost_api::{
    ErrorCode, OrderId, Timestamp,
    convert::answered_money,
    payment::v1::{self, GetPaymentRequest, RefundRequest},
};
use waypost_durable::{
    Clock,
    saga::{Entry, Phase, Shape},
};
use waypost_resilience::deadline;
use waypost_service::operator::{Asked, Refusal};
use waypost_telemetry::{Telemetry, record_error, span, with_context};

/// How long the payment service may take to answer an operator.
const PAYMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// What operators can see and do. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Operator {
    store: Arc<dyn OperatorStore>,
    sagas: Sagas,
    payments: Payments,
    shape: Arc<Shape>,
    clock: Clock,
    telemetry: Telemetry,
}

impl Operator {
    /// Over a store whose sagas are of this shape and run here.
    pub fn new(
        store: Arc<dyn OperatorStore>,
        sagas: Sagas,
        payments: Payments,
        shape: Shape,
        clock: Clock,
        telemetry: &Telemetry,
    ) -> Operator {
        Operator { store, sagas, payments, shape: Arc::new(shape), clock, telemetry: telemetry.clone() }
    }

    /// One page of the orders that are parked.
    pub async fn stuck(&self, after: Option<OrderId>, max: u32) -> Result<StuckOrders, Refusal> {
        // One more than is shown tells whether there is a next page.
        let mut records = self.store.parked(after, max.saturating_add(1)).await.map_err(failed)?;
        let total = self.store.count_parked().await.map_err(failed)?;
        let has_more = records.len() > max as usize;
        records.truncate(max as usize);
        let next = records.last().filter(|_| has_more).map(|record| record.order.id.clone());
        let report = |record: &Record| Some(StuckOrder::new(&record.order, &rules::parking(record)?));
        Ok(StuckOrders { orders: records.iter().filter_map(report).collect(), total, next })
    }

    /// Everything about one order.
    pub async fn show(&self, id: OrderId) -> Result<OrderReport, Refusal> {
        let record = self.record(&id).await?;
        let money = self.money(&id).await;
        let parking = rules::parking(&record);
        Ok(OrderReport::new(record, parking.as_ref(), money))
    }

    /// Tries a parked order again now.
    pub async fn retry(&self, id: OrderId, asked: Asked) -> Result<Acted, Refusal> {
        let record = self.record(&id).await?;
        let parking = rules::retry(&record).map_err(Refusal::from)?;
        let note = format!("parked since {} at {}, {} rounds", parking.since, parking.step, parking.rounds);
        let action = self.action(ActionKind::Retry, asked, vec![note]);
        let resuming = span("operator-retry").attr(ORDER_ID, &id).run(async {
            let is_free = self.store.retry(id.clone(), record.rows(), action.clone()).await?;
            if is_free {
                self.sagas.sweep().await?;
            }
            Ok::<bool, Error>(is_free)
        });
        let is_free = with_context(self.telemetry.context(), resuming).await.map_err(failed)?;
        if !is_free {
            return Err(Refused::Changed.into());
        }
        announce(&id, &action);
        Ok(acted(&record.order, &record.phase, &action))
    }

    /// Ends a parked order without what it still wanted to undo (see [`rules::abandon`]).
    pub async fn abandon(&self, id: OrderId, asked: Asked) -> Result<Acted, Refusal> {
        let record = self.record(&id).await?;
        let money = self.money(&id).await;
        let facts: Vec<Fact> = record.facts().cloned().collect();
        let turned = self.shape.turned_ending(&facts);
        let end = rules::abandon(&record, turned, &money).map_err(Refusal::from)?;
        let action = self.action(ActionKind::Abandon, asked, end.left_open);
        let ended = [Entry::Ended];
        let order = record.order.after(&ended, Some(&end.ending), action.at).map_err(failed)?;
        let abandonment = Abandonment {
            rows_before: record.rows(),
            facts: ended.into(),
            moved: order.last_move(),
            event: events::settled(&order).map_err(failed)?,
            action: action.clone(),
            order: order.clone(),
        };
        let ending = span("operator-abandon").attr(ORDER_ID, &id).run(self.store.abandon(abandonment));
        if !with_context(self.telemetry.context(), ending).await.map_err(failed)? {
            return Err(Refused::Changed.into());
        }
        announce(&id, &action);
        Ok(acted(&order, Phase::Ended.as_str(), &action))
    }

    /// Has money given back: `wanted` ten-thousandths, or all that is left (see [`rules::refund`]).
    pub async fn refund(&self, id: OrderId, wanted: Option<i64>, asked: Asked) -> Result<Acted, Refusal> {
        let record = self.record(&id).await?;
        let money = self.money(&id).await;
        let refund = rules::refund(&record, &money, wanted).map_err(Refusal::from)?;
        let refunding =
            span("operator-refund").attr(ORDER_ID, &id).run(self.carry_out(&record, refund, asked));
        let action = with_context(self.telemetry.context(), refunding).await.map_err(failed)?;
        announce(&id, &action);
        Ok(acted(&record.order, &record.phase, &action))
    }

    /// Writes the refund down, asks for it, writes down what became of it.
    ///
    /// In the epoch of the order as the operator saw it: when a runner has taken it over since, the payment service
    /// refuses, and the operator looks again.
    async fn carry_out(&self, record: &Record, refund: RefundAttempt, asked: Asked) -> Result<Action, Error> {
        let (id, currency) = (&record.order.id, record.order.amount.currency());
        let planned = Action {
            outcome: Outcome::Asked,
            refund: Some(refund),
            ..self.action(ActionKind::Refund, asked, Vec::new())
        };
        self.store.note(id.clone(), planned.clone()).await?;
        let request = RefundRequest {
            order_id: id.into(),
            key: format!("{id}:operator-refund:{}", refund.number),
            amount: Some(waypost_api::Money::new(refund.amount, currency).into()),
            lease_epoch: record.epoch.number(),
        };
        let mut payments = self.payments.clone();
        let (outcome, notes) = match in_time(payments.refund(request)).await {
            Ok(payment) => (Outcome::Done, vec![format!("the payment is {}", payment.state().word())]),
            Err(error) => (rules::refused_outcome(error.code), vec![described(&error)]),
        };
        let action = Action { outcome, notes, at: self.now(), ..planned };
        self.store.note(id.clone(), action.clone()).await?;
        Ok(action)
    }

    async fn record(&self, id: &OrderId) -> Result<Record, Refusal> {
        let record = self.store.record(id.clone()).await.map_err(failed)?;
        record.ok_or_else(|| Refusal::not_found(format!("there is no order {id}")))
    }

    /// What the payment service says.
    async fn money(&self, id: &OrderId) -> Money {
        let mut payments = self.payments.clone();
        let asking = in_time(payments.get_payment(GetPaymentRequest { order_id: id.into() }));
        match with_context(self.telemetry.context(), asking).await {
            Ok(payment) => known(payment).map(Some),
            Err(error) if error.code == ErrorCode::PaymentNotFound => Ok(None),
            Err(error) => Err(format!("the payment service says `{}`", error.code.as_str())),
        }
    }

    fn action(&self, kind: ActionKind, asked: Asked, notes: Vec<String>) -> Action {
        Action { kind, outcome: Outcome::Done, asked, refund: None, notes, at: self.now() }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from(self.clock.now())
    }
}

/// An answer of the payment service within the time that an operator waits.
async fn in_time<T>(
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, waypost_api::Error> {
    let until = Instant::now() + PAYMENT_TIMEOUT;
    match timeout(PAYMENT_TIMEOUT, deadline::scope(Some(until), call)).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(waypost_api::Error::from_status(&status)),
        Err(_) => Err(ErrorCode::DeadlineExceeded.into()),
    }
}

/// What a payment message says; an answer that its contract does not allow says nothing.
fn known(payment: v1::Payment) -> Result<rules::Payment, String> {
    let state = payment.state();
    let unreadable = || "the payment service answers what its contract does not allow".to_owned();
    if state == v1::PaymentState::Unspecified {
        return Err(unreadable());
    }
    let amount = |money| {
        answered_money("an amount", money).map(waypost_api::Money::ten_thousandths).map_err(|_| unreadable())
    };
    Ok(rules::Payment {
        state: state.word().to_owned(),
        captured: amount(payment.captured)?,
        refunded: amount(payment.refunded)?,
        transaction: payment.transaction_id,
    })
}

fn described(error: &waypost_api::Error) -> String {
    let provider = error.provider_code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    format!("{}: {}{provider}", error.code.as_str(), error.detail)
}

fn acted(order: &Order, phase: &str, action: &Action) -> Acted {
    Acted {
        order_id: order.id.clone(),
        status: order.status.as_str().to_owned(),
        phase: phase.to_owned(),
        action: ActionReport::from(action),
    }
}

/// An action of a person belongs in the log of the system too.
fn announce(id: &OrderId, action: &Action) {
    let Action { kind, outcome, asked, .. } = action;
    tracing::warn!(
        order.id = %id,
        action = kind.as_str(),
        outcome = outcome.as_str(),
        by = asked.by,
        reason = asked.reason,
        "an operator acted on an order"
    );
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        let status = match refused {
            Refused::MoneyIsUnknown(_) => axum::http::StatusCode::SERVICE_UNAVAILABLE,
            Refused::BadAmount => axum::http::StatusCode::BAD_REQUEST,
            _ => axum::http::StatusCode::CONFLICT,
        };
        Refusal::new(status, refused.code(), refused.to_string())
    }
}

fn failed(error: impl Into<Error>) -> Refusal {
    let error = error.into();
    record_error(&error);
    let code = error.code();
    Refusal::new(code.http_status(), code.as_str(), error.to_string())
}
