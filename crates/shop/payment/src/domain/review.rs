//! What an answer of the provider, or its silence, does to a payment; and when it is asked again.

use super::{Charge, ChargeStatus, Contradiction, Payment, PaymentState, Posting};
use std::time::Duration;
use waypost_api::{Money, Timestamp};

/// When payments that have not ended are looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReviewTimes {
    /// How long an answer may be missing before the provider is asked. Longer than any call to it.
    pub unknown_after: Duration,
    /// How long an authorisation may lie about before the provider is asked what became of it.
    pub authorized_after: Duration,
    /// How long after a payment ended without a charge the provider is asked for the first time whether one has come after
    /// all: a request may have been on its way. The pauses grow from there.
    pub late_charge_after: Duration,
    /// How long after it was sent a request may still have its effect at the provider. For so long a late charge is
    /// looked for, and a refusal that came after an unanswered request is not believed.
    pub late_for: Duration,
    /// A payment that the provider still knows nothing of after this time never happened.
    pub give_up_after: Duration,
    /// The longest pause between two looks at the same payment.
    pub max_pause: Duration,
}

impl Default for ReviewTimes {
    fn default() -> ReviewTimes {
        ReviewTimes {
            unknown_after: Duration::from_secs(5),
            authorized_after: Duration::from_mins(10),
            late_charge_after: Duration::from_mins(1),
            late_for: Duration::from_hours(24),
            give_up_after: Duration::from_mins(15),
            max_pause: Duration::from_mins(5),
        }
    }
}

impl ReviewTimes {
    /// The pause before the next try after so many that found nothing out.
    pub fn pause(&self, first: Duration, tries: u32) -> Duration {
        first.saturating_mul(1 << tries.min(10)).min(self.max_pause.max(first))
    }
}

/// What was found out about a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The provider has this.
    Charge(Charge),
    /// The provider refused to take the charge on at all.
    Rejected {
        /// Its reason.
        code: String,
        /// An earlier request for the same charge has had no answer, so it may have been made, or may yet be.
        after_open_try: bool,
    },
    /// The provider knows no charge with our reference.
    Absent,
    /// The provider did not answer.
    NoAnswer,
}

/// A payment after a finding, and the money that moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The payment as it is now.
    pub payment: Payment,
    /// What is to be booked.
    pub postings: Vec<Posting>,
}

impl Payment {
    /// The payment after a finding. An unchanged version means that nothing is to be written.
    pub fn after(
        &self,
        finding: &Finding,
        now: Timestamp,
        times: &ReviewTimes,
    ) -> Result<Change, Contradiction> {
        let mut postings = Vec::new();
        let mut payment = self.clone();
        match finding {
            Finding::Charge(charge) => {
                charge.check(self)?;
                payment.follow(charge, now, times, &mut postings)?;
            }
            Finding::Rejected { code, after_open_try } if self.state == PaymentState::Unknown => {
                payment.state = PaymentState::Declined;
                payment.decline_code = Some(code.clone());
                payment.reviews = 0;
                payment.review_at = after_open_try.then(|| now.plus(times.late_charge_after));
            }
            Finding::Absent => payment.go_without_charge(now, times),
            Finding::Rejected { .. } | Finding::NoAnswer => payment.put_off(now, times),
        }
        if payment != *self {
            payment.version += 1;
            payment.updated_at = now;
        }
        Ok(Change { payment, postings })
    }

    /// The payment once the order has given it up. What it takes at the provider is done later.
    pub fn given_up(&self, now: Timestamp, times: &ReviewTimes) -> Change {
        let mut payment = self.clone();
        if !payment.is_unwanted {
            payment.is_unwanted = true;
            payment.reviews = 0;
            payment.review_at = Some(now.plus(times.unknown_after));
            payment.version += 1;
            payment.updated_at = now;
        }
        Change { payment, postings: Vec::new() }
    }

    /// Moves to where the charge is, unless it is further already.
    fn follow(
        &mut self,
        charge: &Charge,
        now: Timestamp,
        times: &ReviewTimes,
        postings: &mut Vec<Posting>,
    ) -> Result<(), Contradiction> {
        let target = charge.status.as_state();
        if self.has_ended_without_charge() {
            return self.meet_late_charge(charge, now);
        }
        if self.state != target && self.state.life().starts_with(target.life()) {
            return Ok(());
        }
        if !target.life().starts_with(self.state.life()) {
            let (id, status) = (charge.id.clone(), charge.status);
            return Err(Contradiction::State { charge: id, status, ours: self.state });
        }
        let currency = self.amount.currency();
        let newly_captured = charge.captured - self.captured;
        if newly_captured > 0 {
            self.captured = charge.captured;
            postings.push(Posting::Capture(Money::new(newly_captured, currency)));
        }
        let newly_refunded = charge.refunded - self.refunded;
        if newly_refunded > 0 {
            self.refunded = charge.refunded;
            postings.push(Posting::Refund(Money::new(newly_refunded, currency)));
        }
        self.transaction = Some(charge.id.clone());
        self.decline_code.clone_from(&charge.decline_code);
        let has_moved = self.state != target;
        self.state = target;
        match target {
            PaymentState::Authorized | PaymentState::Captured if self.is_unwanted => {
                self.review_at = Some(now);
            }
            PaymentState::Authorized if has_moved => {
                self.reviews = 0;
                self.review_at = Some(now.plus(times.authorized_after));
            }
            PaymentState::Authorized => self.put_off(now, times),
            _ => self.review_at = None,
        }
        Ok(())
    }

    /// Whether the payment is over although the provider may have, or may yet get, a charge of it.
    fn has_ended_without_charge(&self) -> bool {
        matches!(self.state, PaymentState::Voided | PaymentState::Declined) && self.transaction.is_none()
    }

    /// A charge that turns up after the payment ended for want of one: it must be voided at the provider too.
    fn meet_late_charge(&mut self, charge: &Charge, now: Timestamp) -> Result<(), Contradiction> {
        match charge.status {
            ChargeStatus::Authorized => self.review_at = Some(now),
            ChargeStatus::Voided => {
                if self.state == PaymentState::Voided {
                    self.transaction = Some(charge.id.clone());
                }
                self.review_at = None;
            }
            ChargeStatus::Declined => self.review_at = None,
            ChargeStatus::Captured | ChargeStatus::Refunded => {
                let (id, status) = (charge.id.clone(), charge.status);
                return Err(Contradiction::State { charge: id, status, ours: self.state });
            }
        }
        Ok(())
    }

    /// The provider knows nothing of it.
    fn go_without_charge(&mut self, now: Timestamp, times: &ReviewTimes) {
        match self.state {
            PaymentState::Unknown
                if self.is_unwanted || now.since(self.created_at) >= times.give_up_after =>
            {
                self.state = PaymentState::Voided;
                self.reviews = 0;
                self.review_at = Some(now.plus(times.late_charge_after));
            }
            _ if self.has_ended_without_charge() && self.review_at.is_some() => self.look_again(now, times),
            _ => self.put_off(now, times),
        }
    }

    /// Looks for a late charge again, after as long again as the payment is old, until none can come any more.
    fn look_again(&mut self, now: Timestamp, times: &ReviewTimes) {
        let age = now.since(self.created_at);
        let last = self.created_at.plus(times.late_for);
        self.reviews = 0;
        self.review_at = (age < times.late_for).then(|| now.plus(age.max(times.late_charge_after)).min(last));
    }

    /// Asks again later, and later each time.
    fn put_off(&mut self, now: Timestamp, times: &ReviewTimes) {
        if self.review_at.is_none() {
            return;
        }
        let first = if self.state == PaymentState::Authorized && !self.is_unwanted {
            times.authorized_after
        } else {
            times.unknown_after
        };
        self.review_at = Some(now.plus(times.pause(first, self.reviews)));
        self.reviews += 1;
    }
}

#[cfg(test)]
#[path = "review_tests.rs"]
mod tests;
