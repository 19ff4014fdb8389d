//! Wrong tokens, counted by the address that they came from.
//!
//! For tokens that somebody chose: a random one cannot be guessed at any rate. Bounded: addresses beyond the bound share
//! one count.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use waypost_service::one_holder;

/// Wrong tokens from one address within [`WINDOW`]; then every token of it is refused unseen until the window ends.
const ALLOWED: u32 = 20;

const WINDOW: Duration = Duration::from_mins(1);

/// Addresses that are counted apart.
const MAX_ADDRESSES: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    since: Instant,
}

impl Attempts {
    /// Seconds that the address has to wait, if it has.
    pub(super) fn wait(&self, address: IpAddr, now: Instant) -> Option<u32> {
        let counted = self.counted();
        let failures = counted.get(&one_holder(address)).or_else(|| counted.get(&REST))?;
        let left = WINDOW.checked_sub(now.duration_since(failures.since)).filter(|left| !left.is_zero())?;
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        (failures.count >= ALLOWED).then(|| u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// A wrong token came from the address.
    pub(super) fn failed(&self, address: IpAddr, now: Instant) {
        let mut counted = self.counted();
        if counted.len() >= MAX_ADDRESSES {
            counted.retain(|_, failures| now.duration_since(failures.since) < WINDOW);
        }
        let mut key = one_holder(address);
        if counted.len() >= MAX_ADDRESSES && !counted.contains_key(&key) {
            key = REST;
        }
        let failures = counted.entry(key).or_insert(Failures { count: 0, since: now });
        if now.duration_since(failures.since) >= WINDOW {
            *failures = Failures { count: 0, since: now };
        }
        failures.count += 1;
    }

    fn counted(&self) -> MutexGuard<'_, HashMap<IpAddr, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands for all addresses beyond the bound.
const REST: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_errs_too_often_waits_for_the_end_of_its_minute() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let (one, other) = ("2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        for _ in 0..ALLOWED {
            assert_eq!(attempts.wait(one, start), None);
            attempts.failed(one, start);
        }
        let later = start + Duration::from_millis(1500);
        assert_eq!(attempts.wait("2001:db8::2".parse().unwrap(), later), Some(59));
        assert_eq!(attempts.wait(other, later), None);
        assert_eq!(attempts.wait(one, start + WINDOW), None);
        attempts.failed(one, start + WINDOW);
        assert_eq!(attempts.wait(one, start + WINDOW), None);
    }

    #[test]
    fn memory_is_bounded_whatever_addresses_come() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for number in 0..3000 {
            attempts.failed(Ipv4Addr::from_bits(number).into(), start);
        }
        assert_eq!(attempts.counted().len(), MAX_ADDRESSES + 1);
        assert!(attempts.wait(Ipv4Addr::from_bits(2999).into(), start).is_some(), "the rest share a count");
        assert_eq!(attempts.wait(Ipv4Addr::from_bits(5).into(), start), None);
        attempts.failed(Ipv4Addr::from_bits(9999).into(), start + WINDOW);
        assert_eq!(attempts.counted().len(), 1);
    }
}
