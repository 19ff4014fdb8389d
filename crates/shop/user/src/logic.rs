//! What the service does for its callers: a user by id through the cache, a user by password.

use std::net::IpAddr;
use std::sync::Arc;

use waypost_api::UserId;
use waypost_cache::{Cache, ReadThrough};
use waypost_resilience::throttle::{FailureStore, Outcome};
use waypost_telemetry::{set, span};

use crate::attempts::Attempts;
use crate::domain::User;
use crate::password::Passwords;
use crate::store::{Change, Store};
use crate::{Config, Error};

/// The users. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Users {
    store: Arc<dyn Store>,
    by_id: ReadThrough<User, Error>,
    passwords: Passwords,
    attempts: Attempts,
}

impl Users {
    /// The users of a store, with a cache in front of it, and a store that counts wrong passwords.
    pub fn new(
        store: Arc<dyn Store>,
        cache: Arc<dyn Cache<User>>,
        failures: Arc<dyn FailureStore>,
        config: &Config,
    ) -> Users {
        let attempts = Attempts::new(failures, config.login_when_away);
        let passwords = Passwords::new(config.hashes_at_once);
        Users { store, by_id: ReadThrough::new(cache), passwords, attempts }
    }

    /// A user by id. Callers that miss the same user at the same time share one lookup. Users that do not exist are
    /// not kept, so that made-up ids cannot push real ones out.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], or the store's failure.
    pub async fn user(&self, id: UserId) -> Result<Arc<User>, Error> {
        let cached = span("cache get").observe(async {
            let cached = self.by_id.cached(id.as_str()).await;
            set("cache.name", "users");
            set("cache.hit", cached.is_some());
            cached
        });
        if let Some(user) = cached.await {
            return Ok(user);
        }
        let (store, wanted) = (Arc::clone(&self.store), id.clone());
        let lookup = async move {
            let found = store.user(wanted.clone()).await?;
            found.ok_or(Error::UnknownUser(wanted))
        };
        let user = self.by_id.look_up(id.as_str(), lookup).await;
        user.map_err(|error| Arc::try_unwrap(error).unwrap_or_else(Error::Lookup))
    }

    /// Gives up what is copied of a user that was changed.
    ///
    /// Cancel safety: dropped, it may or may not have been given up.
    pub(crate) async fn forget(&self, change: Change) {
        match change {
            Change::Of(id) => self.by_id.forget(id.as_str()).await,
            Change::Any => self.by_id.forget_all().await,
        }
    }

    /// A user by id and password. `address` is where the attempt comes from, if that is known.
    ///
    /// # Errors
    /// [`Error::BadCredentials`] alike for an unknown user and a wrong password; [`Error::TooManyFailures`] without a
    /// check while an address that has sent too many for the account has to wait; [`Error::Uncounted`] without one when
    /// wrong passwords cannot be counted and must be; [`Error::Overloaded`]; the store's failure.
    pub async fn authenticate(
        &self,
        id: UserId,
        password: String,
        address: Option<IpAddr>,
    ) -> Result<User, Error> {
        let attempt = self.attempts.begin(&id, address).await?;
        let account = self.store.account(id).await?;
        let hash = account.as_ref().map(|account| account.password_hash.clone());
        let matches = span("check-password").run(self.passwords.check(password, hash)).await?;
        let user = account.filter(|_| matches).map(|account| account.user);
        let outcome = if user.is_some() { Outcome::Success } else { Outcome::Failure };
        // A store that went away meanwhile counts this one as nothing.
        let _ = attempt.end(outcome).await;
        user.ok_or(Error::BadCredentials)
    }
}
