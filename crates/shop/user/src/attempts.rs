//! Wrong passwords, counted by account and the address that they came from.
//!
//! Whoever guesses is slowed down, and nobody else: the owner comes from another address, and a right password counts as
//! nothing. The rule itself is [`waypost_resilience::throttle`]'s.
//!
//! While the store that counts is away, this process counts alone, or refuses, as it is set. What was counted alone is not
//! added up when the store is back.
//!
//! Left out: guesses at one account from many addresses, each of which has its own free attempts. A lock would stop
//! those, and would let anybody lock anybody out.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use waypost_api::UserId;
use waypost_resilience::throttle::{Attempt, FailureStore, Failures, Leave, Rule};
use waypost_service::{WhenAway, one_holder};

use crate::{Config, Error};

impl Config {
    /// How wrong passwords slow an address down.
    pub fn login_rule(&self) -> Rule {
        Rule {
            name: "login",
            free: NonZeroU32::new(self.login_failures).unwrap_or(NonZeroU32::MIN),
            first_wait: self.login_wait.get(),
            window: self.login_window.get(),
        }
    }
}

/// Attempts of all accounts. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    store: Arc<dyn FailureStore>,
    /// Counts while the store is away, if somebody is to.
    alone: Option<Failures>,
}

impl Attempts {
    pub(crate) fn new(store: Arc<dyn FailureStore>, when_away: WhenAway) -> Attempts {
        let alone = (when_away == WhenAway::Open).then(|| Failures::new(store.rule().clone()));
        Attempts { store, alone }
    }

    /// Leave to check one password, perhaps after those of the same account and address that are being checked.
    ///
    /// # Errors
    /// [`Error::TooManyFailures`] while it has to wait, [`Error::Uncounted`] when the store is away and nobody counts for it.
    pub(crate) async fn begin(&self, account: &UserId, address: Option<IpAddr>) -> Result<Attempt, Error> {
        // An account's name holds no space.
        let address = address.map(|address| one_holder(address).to_string()).unwrap_or_default();
        let key = format!("{account} {address}");
        let asked = match (self.store.begin(&key).await, &self.alone) {
            (Err(_), Some(alone)) => alone.begin(&key).await,
            (asked, _) => asked,
        };
        match asked.map_err(Error::Uncounted)? {
            Leave::Given(attempt) => Ok(attempt),
            Leave::Wait(retry_after) => Err(Error::TooManyFailures { retry_after }),
        }
    }
}
