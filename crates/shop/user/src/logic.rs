//! What the service does for its callers: a user by id through the cache, a user by password.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::future::Cache;
use waypost_api::UserId;
use waypost_telemetry::{set, span};

use crate::domain::User;
use crate::password::Passwords;
use crate::store::Store;
use crate::{Config, Error};

/// Accounts whose wrong passwords are counted; beyond that the least used are forgotten.
const COUNTED_ACCOUNTS: u64 = 100_000;

/// The users. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Users {
    store: Arc<dyn Store>,
    cache: Cache<UserId, Arc<User>>,
    passwords: Passwords,
    failures: Cache<UserId, Arc<AtomicU32>>,
    most_failures: u32,
    window: Duration,
}

impl Users {
    /// The users of a store.
    pub fn new(store: Arc<dyn Store>, config: &Config) -> Users {
        let cache = Cache::builder()
            .max_capacity(config.cache_capacity)
            .time_to_live(config.cache_time.get())
            .build();
        let window = config.login_window.get();
        let failures = Cache::builder().max_capacity(COUNTED_ACCOUNTS).time_to_live(window).build();
        Users {
            store,
            cache,
            passwords: Passwords::new(config.hashes_at_once),
            failures,
            most_failures: config.login_failures.max(1),
            window,
        }
    }

    /// A user by id. Callers that miss the same user at the same time share one lookup. Users that do not exist are
    /// not kept, so that made-up ids cannot push real ones out.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], or the store's failure.
    pub async fn user(&self, id: UserId) -> Result<Arc<User>, Error> {
        let cached = span("cache get").observe(async {
            let cached = self.cache.get(&id).await;
            set("cache.name", "users");
            set("cache.hit", cached.is_some());
            cached
        });
        if let Some(user) = cached.await {
            return Ok(user);
        }
        let lookup = async {
            let found = self.store.user(id.clone()).await?;
            found.map(Arc::new).ok_or_else(|| Error::UnknownUser(id.clone()))
        };
        let user = self.cache.try_get_with(id.clone(), lookup).await;
        user.map_err(|error| Arc::try_unwrap(error).unwrap_or_else(Error::Lookup))
    }

    /// A user by id and password.
    ///
    /// # Errors
    /// [`Error::BadCredentials`] alike for an unknown user and a wrong password; [`Error::TooManyFailures`] without a
    /// check once the account has had too many; [`Error::Overloaded`]; the store's failure.
    pub async fn authenticate(&self, id: UserId, password: String) -> Result<User, Error> {
        // Counted before the check, so that guesses side by side cannot be more than one after the other.
        let tries = self.failures.get_with(id.clone(), async { Arc::default() }).await;
        if tries.fetch_add(1, Ordering::Relaxed) >= self.most_failures {
            return Err(Error::TooManyFailures { retry_after: self.window });
        }
        let account = self.store.account(id.clone()).await?;
        let hash = account.as_ref().map(|account| account.password_hash.clone());
        let matches = span("check-password").run(self.passwords.check(password, hash)).await?;
        match account {
            Some(account) if matches => {
                self.failures.invalidate(&id).await;
                Ok(account.user)
            }
            _ => Err(Error::BadCredentials),
        }
    }
}
