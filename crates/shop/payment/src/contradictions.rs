//! Payments of which the provider says what our books exclude: another amount, a charge that came back to life.
//!
//! Nothing is booked then and the payment is looked into again and again; a person has to find out who is right. So
//! their number is a metric, and `/readyz?verbose` shows it. A payment counts from the answer that contradicts to the
//! next one that does not. Kept in memory: what still contradicts after a restart is found by the next review.

use crate::{
    Error,
    domain::{Generation, Payment},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};
use waypost_api::OrderId;
use waypost_service::Check;
use waypost_telemetry::Telemetry;

/// More are counted as this many.
const MAX_KEPT: usize = 10_000;

/// The payments that contradict. Cheap to clone; clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contradictions {
    payments: Arc<Mutex<HashSet<(OrderId, Generation)>>>,
}

impl Contradictions {
    /// Takes in how writing an answer of the provider down went.
    pub(crate) fn note<T>(&self, payment: &Payment, recorded: &Result<T, Error>) {
        let key = (payment.order.clone(), payment.generation);
        let mut payments = self.payments.lock().unwrap_or_else(PoisonError::into_inner);
        match recorded {
            Err(Error::Contradiction(_)) if payments.len() < MAX_KEPT => drop(payments.insert(key)),
            Ok(_) => drop(payments.remove(&key)),
            Err(_) => {}
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.payments.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Shown, and does not count: the other payments go on.
    pub(crate) fn check(&self, telemetry: &Telemetry) -> Check {
        let gauge = telemetry
            .meter()
            .u64_gauge("waypost.payment.contradictions")
            .with_description("Payments of which the provider says what our books exclude.")
            .with_unit("{payment}")
            .build();
        let contradictions = self.clone();
        Check::advisory("provider-contradictions", move || {
            let count = contradictions.count();
            gauge.record(count as u64, &[]);
            async move {
                match count {
                    0 => Ok(()),
                    count => Err(format!("{count} payments are not what the provider says; see the log")),
                }
            }
        })
    }
}
