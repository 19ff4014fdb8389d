//! What goes wrong: by the payment method's token always, by rate when an operator asks for it.
//!
//! Faults only delay, repeat, hold back or refuse. Whether money moved is decided elsewhere and stays true.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use http::StatusCode;

use crate::config::FaultConfig;

/// Most first tries, and most charges with a fault ahead, that are remembered; the oldest is forgotten first.
const REMEMBERED: usize = 10_000;

/// What the tokens of payment methods begin with that name their faults.
const TOKEN: &str = "pm_fault_";

/// The provider's moods. Clones share their memory. What is lost with it, when the process ends, is which keys and charges
/// have met their fault; the work that is late is the store's.
#[derive(Clone, Debug)]
pub struct Faults {
    config: Arc<RwLock<FaultConfig>>,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Debug, Default)]
struct Memory {
    tried: Recent<String>,
    /// Payment methods with faults, by the id of the charge.
    methods: HashMap<String, String>,
    charges: Recent<String>,
    /// Keys whose work is late and not done yet: those of the store's rows.
    at_work: HashSet<String>,
}

/// The newest of many.
#[derive(Debug)]
struct Recent<T> {
    known: HashSet<T>,
    order: VecDeque<T>,
}

impl<T> Default for Recent<T> {
    fn default() -> Recent<T> {
        Recent { known: HashSet::new(), order: VecDeque::new() }
    }
}

impl<T: Clone + Eq + Hash> Recent<T> {
    /// Whether it is new; and what is forgotten for it.
    fn insert(&mut self, value: &T) -> (bool, Option<T>) {
        if !self.known.insert(value.clone()) {
            return (false, None);
        }
        self.order.push_back(value.clone());
        let forgotten = if self.order.len() > REMEMBERED { self.order.pop_front() } else { None };
        if let Some(oldest) = &forgotten {
            self.known.remove(oldest);
        }
        (true, forgotten)
    }
}

/// A call that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A new charge.
    Charge,
    /// The amount is taken.
    Capture,
    /// The charge is given up.
    Void,
    /// Money is given back.
    Refund,
}

impl Call {
    const fn name(self) -> &'static str {
        match self {
            Call::Charge => "charge",
            Call::Capture => "capture",
            Call::Void => "void",
            Call::Refund => "refund",
        }
    }
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is held back and then fails, with nothing written.
    LostBefore,
    /// It is carried out and its answer is held back.
    LostAfter,
    /// It is held back, and carried out after a while.
    Late,
    /// It arrives twice.
    Repeated,
    /// Nothing is written and this is the answer.
    Answered(StatusCode),
}

impl Fault {
    fn parse(name: &str) -> Option<Fault> {
        Some(match name {
            "lost_before" => Fault::LostBefore,
            "lost_after" => Fault::LostAfter,
            "late" => Fault::Late,
            "repeated" => Fault::Repeated,
            "401" => Fault::Answered(StatusCode::UNAUTHORIZED),
            "404" => Fault::Answered(StatusCode::NOT_FOUND),
            "409" => Fault::Answered(StatusCode::CONFLICT),
            "500" => Fault::Answered(StatusCode::INTERNAL_SERVER_ERROR),
            _ => return None,
        })
    }
}

/// What becomes of a charge with this payment method, beside what goes wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Waited before anything is done.
    pub delay: Duration,
    /// Why the charge is declined.
    pub decline_code: Option<&'static str>,
}

impl Faults {
    /// The faults of a configuration.
    pub fn new(config: FaultConfig) -> Faults {
        Faults { config: Arc::new(RwLock::new(config)), memory: Arc::default() }
    }

    /// Has the faults of another configuration from now on, in all clones.
    pub fn change(&self, config: FaultConfig) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    fn config(&self) -> RwLockReadGuard<'_, FaultConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a lost answer is held back.
    pub fn hang(&self) -> Duration {
        self.config().hang.get()
    }

    /// When late work is done.
    pub fn late(&self) -> Duration {
        self.config().late.get()
    }

    /// What happens to a request of any kind: how long it waits, and whether it fails then. `chance` is in `0.0..1.0`.
    pub fn of_request(&self, chance: f64) -> (Duration, bool) {
        let config = self.config();
        (config.latency.get(), chance < config.error_rate.get())
    }

    /// What becomes of a new charge with this payment method. `chance` is in `0.0..1.0`.
    pub fn of_charge(&self, payment_method: &str, chance: f64) -> Plan {
        let mut plan = Plan::default();
        if chance < self.config().decline_rate.get() {
            plan.decline_code = Some("card_declined");
        }
        match payment_method {
            "pm_card_declined" => plan.decline_code = Some("insufficient_funds"),
            "pm_card_slow" => plan.delay = self.config().slow.get(),
            _ => {}
        }
        plan
    }

    /// What goes wrong with a call that creates a charge with this payment method. `chance` is in `0.0..1.0`.
    pub fn of_new(&self, key: &str, payment_method: &str, chance: f64) -> Option<Fault> {
        self.of_method(Call::Charge, key, payment_method).or_else(|| self.by_rate(chance))
    }

    /// What goes wrong with a call that changes this charge. `chance` is in `0.0..1.0`.
    pub fn of_change(&self, call: Call, key: &str, charge: &str, chance: f64) -> Option<Fault> {
        let method = self.memory().methods.get(charge).cloned();
        let by_method = method.and_then(|method| self.of_method(call, key, &method));
        by_method.or_else(|| self.by_rate(chance))
    }

    /// Keeps the payment method of a charge, if there are faults of its later calls in it.
    pub fn remember(&self, charge: &str, payment_method: &str) {
        if !payment_method.starts_with(TOKEN) {
            return;
        }
        let mut memory = self.memory();
        memory.methods.insert(charge.to_owned(), payment_method.to_owned());
        if let (_, Some(oldest)) = memory.charges.insert(&charge.to_owned()) {
            memory.methods.remove(&oldest);
        }
    }

    /// The work of a key begins late.
    pub fn begin_work(&self, key: &str) {
        self.memory().at_work.insert(key.to_owned());
    }

    /// The late work of a key is done.
    pub fn end_work(&self, key: &str) {
        self.memory().at_work.remove(key);
    }

    /// Whether the work of a key is late and not done yet.
    pub fn still_runs(&self, key: &str) -> bool {
        self.memory().at_work.contains(key)
    }

    fn of_method(&self, call: Call, key: &str, payment_method: &str) -> Option<Fault> {
        let fault = match payment_method {
            "pm_card_timeout_before" if call == Call::Charge => Fault::LostBefore,
            "pm_card_timeout_after" if call == Call::Charge => Fault::LostAfter,
            _ => named(payment_method, call)?,
        };
        self.memory().tried.insert(&key.to_owned()).0.then_some(fault)
    }

    fn by_rate(&self, chance: f64) -> Option<Fault> {
        let config = self.config();
        let rates = [
            (config.lost_before_rate, Fault::LostBefore),
            (config.lost_after_rate, Fault::LostAfter),
            (config.late_rate, Fault::Late),
            (config.repeated_rate, Fault::Repeated),
            (config.conflict_rate, Fault::Answered(StatusCode::CONFLICT)),
            (config.unauthorized_rate, Fault::Answered(StatusCode::UNAUTHORIZED)),
            (config.not_found_rate, Fault::Answered(StatusCode::NOT_FOUND)),
        ];
        let mut sum = 0.0;
        rates.into_iter().find_map(|(rate, fault)| {
            sum += rate.get();
            (chance < sum).then_some(fault)
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fault of a call that a payment method's token names.
fn named(payment_method: &str, call: Call) -> Option<Fault> {
    let faults = payment_method.strip_prefix(TOKEN)?;
    faults.split('+').find_map(|fault| Fault::parse(fault.strip_prefix(call.name())?.strip_prefix('_')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tokens_fault_meets_the_first_request_of_a_key() {
        let faults = Faults::new(FaultConfig::default());
        let met = |key| faults.of_new(key, "pm_card_timeout_before", 0.5);
        assert_eq!(
            [met("k"), met("k"), met("other")],
            [Some(Fault::LostBefore), None, Some(Fault::LostBefore)]
        );
    }

    #[test]
    fn a_token_names_a_fault_for_each_call() {
        let faults = Faults::new(FaultConfig::default());
        faults.remember("ch_1", "pm_fault_capture_late+void_409");
        let met = |call, key| faults.of_change(call, key, "ch_1", 0.5);
        assert_eq!(met(Call::Capture, "k1"), Some(Fault::Late));
        assert_eq!(met(Call::Void, "k2"), Some(Fault::Answered(StatusCode::CONFLICT)));
        assert_eq!((met(Call::Refund, "k3"), met(Call::Capture, "k1")), (None, None));
        assert_eq!(named("pm_fault_capture_nonsense", Call::Capture), None);
    }

    #[test]
    fn a_rate_is_a_share_of_chances() {
        let rate = |share| waypost_settings::Ratio::new(share).unwrap();
        let config = FaultConfig {
            decline_rate: rate(0.25),
            lost_after_rate: rate(0.25),
            late_rate: rate(0.25),
            ..FaultConfig::default()
        };
        let faults = Faults::new(config);
        assert_eq!(faults.of_charge("pm_card_ok", 0.24).decline_code, Some("card_declined"));
        assert_eq!(faults.of_charge("pm_card_ok", 0.25), Plan::default());
        let met = |chance| faults.of_change(Call::Refund, "k", "ch_1", chance);
        assert_eq!([met(0.24), met(0.25), met(0.5)], [Some(Fault::LostAfter), Some(Fault::Late), None]);
    }
}
