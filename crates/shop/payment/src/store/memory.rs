//! The store for simulations and tests of the layers above: the same rules on maps, gone with the process.

use super::{Answer, Begun, BegunRefund, Due, RefundOutcome, Store, rows::malformed};
use crate::{
    Error,
    domain::{
        self, Account, AuthorizeStep, Change, Finding, Generation, Intent, Payment, PaymentState, Posting,
        Refund, RefundState, RefundWish, Refusal, ReviewTimes, Totals, VoidStep,
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    future::ready,
    sync::{Mutex, MutexGuard, PoisonError},
};
use waypost_api::{Currency, OrderId, Timestamp};

/// Payments in memory.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    times: ReviewTimes,
    payments: BTreeMap<(OrderId, Generation), Payment>,
    voided: HashMap<OrderId, Generation>,
    refunds: BTreeMap<String, StoredRefund>,
    ledger: Vec<(OrderId, Posting)>,
}

#[derive(Clone, Debug)]
struct StoredRefund {
    refund: Refund,
    generation: Generation,
    review_at: Option<Timestamp>,
}

impl MemoryStore {
    /// No payment yet.
    pub fn new(times: ReviewTimes) -> MemoryStore {
        let state = State {
            times,
            payments: BTreeMap::new(),
            voided: HashMap::new(),
            refunds: BTreeMap::new(),
            ledger: Vec::new(),
        };
        MemoryStore { state: Mutex::new(state) }
    }

    /// No method panics between its first change and its last, so a poisoned state is a whole one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn begin(&self, intent: Intent, now: Timestamp) -> Answer<'_, Begun> {
        Box::pin(ready(self.state().begin(intent, now)))
    }

    fn newest(&self, order: OrderId) -> Answer<'_, Option<Payment>> {
        Box::pin(ready(Ok(self.state().newest(&order).cloned())))
    }

    fn give_up(&self, order: OrderId, generation: Generation, now: Timestamp) -> Answer<'_, Option<Payment>> {
        Box::pin(ready(Ok(self.state().give_up(order, generation, now))))
    }

    fn record(
        &self,
        order: OrderId,
        generation: Generation,
        finding: Finding,
        now: Timestamp,
    ) -> Answer<'_, Payment> {
        Box::pin(ready(self.state().record(&(order, generation), &finding, now)))
    }

    fn begin_refund(&self, wish: RefundWish, now: Timestamp) -> Answer<'_, BegunRefund> {
        Box::pin(ready(self.state().begin_refund(wish, now)))
    }

    fn end_refund(
        &self,
        key: String,
        number: u32,
        outcome: RefundOutcome,
        now: Timestamp,
    ) -> Answer<'_, Payment> {
        Box::pin(ready(self.state().end_refund(&key, number, &outcome, now)))
    }

    fn due(&self, now: Timestamp, most: u32) -> Answer<'_, Due> {
        Box::pin(ready(self.state().due(now, most)))
    }

    fn totals(&self, currency: Currency) -> Answer<'_, Totals> {
        Box::pin(ready(Ok(self.state().totals(currency))))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(ready(Ok(())))
    }
}

impl State {
    fn newest(&self, order: &OrderId) -> Option<&Payment> {
        let generations = (order.clone(), Generation::new(0))..=(order.clone(), Generation::new(u32::MAX));
        self.payments.range(generations).next_back().map(|(_, payment)| payment)
    }

    fn payment(&self, key: &(OrderId, Generation)) -> Result<Payment, Error> {
        self.payments.get(key).cloned().ok_or_else(|| malformed("payments.order_id"))
    }

    fn begin(&mut self, intent: Intent, now: Timestamp) -> Result<Begun, Error> {
        let newest = self.newest(&intent.order);
        let step = domain::authorize(newest, self.voided.get(&intent.order).copied(), &intent)?;
        if let (AuthorizeStep::Repeat, Some(payment)) = (step, newest) {
            return Ok(Begun { payment: payment.clone(), is_new: false });
        }
        let payment = Payment::begin(intent, now, &self.times);
        self.payments.insert((payment.order.clone(), payment.generation), payment.clone());
        Ok(Begun { payment, is_new: true })
    }

    fn give_up(&mut self, order: OrderId, generation: Generation, now: Timestamp) -> Option<Payment> {
        let newest = self.newest(&order).cloned();
        let step = domain::void(newest.as_ref(), generation);
        let voided = self.voided.entry(order).or_insert(generation);
        *voided = generation.max(*voided);
        let payment = newest.filter(|newest| newest.generation <= generation)?;
        if step == VoidStep::Forbid {
            return Some(payment);
        }
        let change = payment.given_up(now, &self.times);
        Some(self.write(change))
    }

    fn record(
        &mut self,
        key: &(OrderId, Generation),
        finding: &Finding,
        now: Timestamp,
    ) -> Result<Payment, Error> {
        let change = self.payment(key)?.after(finding, now, &self.times)?;
        Ok(self.write(change))
    }

    fn write(&mut self, change: Change) -> Payment {
        let payment = change.payment;
        let booked = change.postings.into_iter().map(|posting| (payment.order.clone(), posting));
        self.ledger.extend(booked);
        self.payments.insert((payment.order.clone(), payment.generation), payment.clone());
        payment
    }

    fn begin_refund(&mut self, wish: RefundWish, now: Timestamp) -> Result<BegunRefund, Error> {
        let before = self.refunds.get(&wish.key).cloned();
        let (refund, payment) = match before {
            Some(stored) if stored.refund.wish != wish => return Err(Refusal::KeyReused.into()),
            Some(stored) => {
                let payment = self.payment(&(wish.order.clone(), stored.generation))?;
                let Some(anew) = stored.refund.anew(now, &self.times) else {
                    return Ok(BegunRefund { refund: stored.refund, payment, is_new: false });
                };
                (anew, Some(payment))
            }
            None => (Refund::begin(wish.clone(), now), self.newest(&wish.order).cloned()),
        };
        domain::refund(&wish, payment.as_ref(), self.pending(&wish.order))?;
        let Some(payment) = payment else { return Err(Refusal::NoPayment(wish.order).into()) };
        let stored = StoredRefund {
            refund: refund.clone(),
            generation: payment.generation,
            review_at: Some(now.plus(self.times.unknown_after)),
        };
        self.refunds.insert(wish.key, stored);
        Ok(BegunRefund { refund, payment, is_new: true })
    }

    /// The sum of an order's refunds whose outcome is not known.
    fn pending(&self, order: &OrderId) -> i64 {
        let refunds = self.refunds.values().map(|stored| &stored.refund);
        let is_pending =
            |refund: &&Refund| refund.wish.order == *order && refund.state == RefundState::Pending;
        refunds.filter(is_pending).map(|refund| refund.wish.amount.ten_thousandths()).sum()
    }

    fn end_refund(
        &mut self,
        key: &str,
        number: u32,
        outcome: &RefundOutcome,
        now: Timestamp,
    ) -> Result<Payment, Error> {
        let Some(stored) = self.refunds.get(key).cloned() else { return Err(malformed("refunds.step_key")) };
        let payment_key = (stored.refund.wish.order.clone(), stored.generation);
        let payment = match outcome {
            RefundOutcome::Done(charge) => {
                self.record(&payment_key, &Finding::Charge(charge.clone()), now)?
            }
            RefundOutcome::Rejected | RefundOutcome::NoAnswer => self.payment(&payment_key)?,
        };
        let times = self.times;
        let Some(stored) = self.refunds.get_mut(key).filter(|old| old.refund.number == number) else {
            return Ok(payment);
        };
        let refund = &mut stored.refund;
        let is_pending = refund.state == RefundState::Pending;
        match outcome {
            RefundOutcome::Done(_) if refund.state != RefundState::Done => {
                (refund.state, stored.review_at) = (RefundState::Done, None);
            }
            RefundOutcome::Rejected if is_pending => {
                (refund.state, stored.review_at) = (RefundState::Rejected, None);
            }
            RefundOutcome::NoAnswer if is_pending => {
                stored.review_at = Some(now.plus(times.pause(times.unknown_after, refund.reviews)));
                refund.reviews += 1;
            }
            _ => return Ok(payment),
        }
        refund.updated_at = now;
        Ok(payment)
    }

    fn due(&self, now: Timestamp, most: u32) -> Result<Due, Error> {
        let is_due = |review_at: Option<Timestamp>| review_at.is_some_and(|at| at <= now);
        let mut payments: Vec<_> =
            self.payments.values().filter(|payment| is_due(payment.review_at)).cloned().collect();
        payments.sort_by_key(|payment| payment.review_at);
        let mut refunds: Vec<_> = self.refunds.values().filter(|stored| is_due(stored.review_at)).collect();
        refunds.sort_by_key(|stored| stored.review_at);
        let mut due = Due::default();
        due.payments.extend(payments.into_iter().zip(0..most).map(|(payment, _)| payment));
        for (stored, _) in refunds.into_iter().zip(0..most) {
            let payment = self.payment(&(stored.refund.wish.order.clone(), stored.generation))?;
            due.refunds.push(BegunRefund { refund: stored.refund.clone(), payment, is_new: false });
        }
        Ok(due)
    }

    fn totals(&self, currency: Currency) -> Totals {
        let mut totals = Totals::default();
        for payment in self.payments.values().filter(|payment| payment.amount.currency() == currency) {
            totals.captured += payment.captured;
            totals.refunded += payment.refunded;
            if payment.transaction.is_some() && payment.state != PaymentState::Declined {
                totals.charges += 1;
            }
        }
        let mut balances: HashMap<&OrderId, i64> = HashMap::new();
        for (order, posting) in
            self.ledger.iter().filter(|(_, posting)| posting.amount().currency() == currency)
        {
            for entry in posting.entries() {
                totals.debits += entry.debit;
                totals.credits += entry.credit;
                *balances.entry(order).or_default() += entry.debit - entry.credit;
                if entry.account == Account::ProviderReceivable {
                    totals.receivable += entry.debit - entry.credit;
                }
            }
        }
        totals.unbalanced_orders = balances.values().map(|balance| i64::from(*balance != 0)).sum();
        totals
    }
}
