//! What goes wrong: by the payment method's token always, by rate when an operator asks for it.
//!
//! Faults only delay, hold back or refuse. Whether money moved is decided elsewhere and stays true.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::FaultConfig;

/// Most first tries that are remembered; the oldest is forgotten first.
const REMEMBERED: usize = 10_000;

/// The provider's moods. Clones share their memory.
#[derive(Clone, Debug)]
pub struct Faults {
    config: FaultConfig,
    tried: Arc<Mutex<Tried>>,
}

#[derive(Debug, Default)]
struct Tried {
    keys: HashSet<String>,
    order: VecDeque<String>,
}

/// What happens to one new charge, beside the charge itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Waited before anything is done.
    pub delay: Duration,
    /// The request is held back this long and then fails, with nothing written.
    pub lost_before: Option<Duration>,
    /// The answer to the first request is held back this long, with everything written.
    pub lost_after: Option<Duration>,
    /// Why the charge is declined.
    pub decline_code: Option<&'static str>,
}

impl Faults {
    /// The faults of a configuration.
    pub fn new(config: FaultConfig) -> Faults {
        Faults { config, tried: Arc::default() }
    }

    /// What happens to a request of any kind: how long it waits, and whether it fails then. `chance` is in `0.0..1.0`.
    pub fn of_request(&self, chance: f64) -> (Duration, bool) {
        (self.config.latency.get(), chance < self.config.error_rate.get())
    }

    /// What happens to a charge with this key and payment method. `chance` is in `0.0..1.0`.
    pub fn of_charge(&self, key: &str, payment_method: &str, chance: f64) -> Plan {
        let mut plan = Plan::default();
        if chance < self.config.decline_rate.get() {
            plan.decline_code = Some("card_declined");
        }
        match payment_method {
            "pm_card_declined" => plan.decline_code = Some("insufficient_funds"),
            "pm_card_slow" => plan.delay = self.config.slow.get(),
            "pm_card_timeout_before" if self.is_first_try(key) => {
                plan.lost_before = Some(self.config.hang.get());
            }
            "pm_card_timeout_after" => plan.lost_after = Some(self.config.hang.get()),
            _ => {}
        }
        plan
    }

    /// Whether the key is seen for the first time by this process.
    fn is_first_try(&self, key: &str) -> bool {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if !tried.keys.insert(key.to_owned()) {
            return false;
        }
        tried.order.push_back(key.to_owned());
        if tried.order.len() > REMEMBERED
            && let Some(oldest) = tried.order.pop_front()
        {
            tried.keys.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_lost_before_the_charge_only_the_first_time() {
        let faults = Faults::new(FaultConfig::default());
        assert!(faults.of_charge("k", "pm_card_timeout_before", 0.5).lost_before.is_some());
        assert!(faults.of_charge("k", "pm_card_timeout_before", 0.5).lost_before.is_none());
        assert!(faults.of_charge("other", "pm_card_timeout_before", 0.5).lost_before.is_some());
    }

    #[test]
    fn a_rate_is_a_share_of_chances() {
        let decline_rate = waypost_settings::Ratio::new(0.25).unwrap();
        let faults = Faults::new(FaultConfig { decline_rate, ..FaultConfig::default() });
        assert_eq!(faults.of_charge("k", "pm_card_ok", 0.24).decline_code, Some("card_declined"));
        assert_eq!(faults.of_charge("k", "pm_card_ok", 0.25), Plan::default());
    }
}
