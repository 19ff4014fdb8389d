//! Users: who they are, how they pay, and whether a password is theirs.
//!
//! For the gateway, which asks for the user of every order and for every login. [`grpc`] reads the message, [`logic`]
//! looks into the cache and checks passwords, the [`store`] holds the rows.
//!
//! Invariants:
//! - An unknown user and a wrong password get the same answer after the same work.
//! - Passwords exist only as Argon2id hashes; neither they nor the hashes reach a span, a log or an error.
//! - Whoever guesses is slowed down, and nobody else: wrong passwords count for an account and an address.
//! - Where others can change a user, every process hears of it and gives up its copies; the time to live bounds what is missed.
//! - Hashing never takes the threads that serve requests, and only so many hashes run at once.
//!
//! Left out: registration, changing users, sessions (the gateway signs tokens).

mod attempts;
mod config;
pub mod copies;
mod demo;
pub mod domain;
mod error;
pub mod grpc;
pub mod logic;
pub mod password;
pub mod store;

pub use crate::config::Config;
pub use crate::demo::DEMO_PASSWORD;
pub use crate::error::Error;

use std::sync::Arc;

use waypost_cache::Cache;
use waypost_durable::Storage;
use waypost_resilience::throttle::FailureStore;
use waypost_service::{App, Check, Worker};
use waypost_telemetry::Telemetry;

use crate::domain::User;
use crate::logic::Users;
use crate::store::Changes;

/// What the process lends to the role.
#[derive(Debug)]
pub struct Parts {
    /// The role's own telemetry handle; its service name is `user-service`.
    pub telemetry: Telemetry,
    /// Which database the data is in, and where.
    pub storage: Storage,
    /// Keeps copies of users by id.
    pub cache: Arc<dyn Cache<User>>,
    /// Counts wrong passwords by [`Config::login_rule`].
    pub failures: Arc<dyn FailureStore>,
}

/// Opens and migrates the database, seeds the demo users when asked to, and returns the role.
///
/// # Errors
/// When the database cannot be opened, migrated or seeded.
pub async fn build(config: &Config, parts: Parts) -> Result<App, Error> {
    let store = store::open(&parts.storage, &parts.telemetry).await?;
    if config.seed {
        waypost_telemetry::with_context(parts.telemetry.context(), store.add_users(demo::users())).await?;
    }
    let users = Users::new(Arc::clone(&store), parts.cache, parts.failures, config);
    let router = grpc::router(&parts.telemetry, users.clone(), &config.grpc);
    let changes = store.changes().map(|changes| follow(changes, users));
    let probed = Arc::clone(&store);
    let check = Check::new("user-database", move || {
        let store = Arc::clone(&probed);
        async move { store.ping().await.map_err(|error| error.to_string()) }
    });
    let close = Worker::closing("user-database", move || async move { store.close().await });
    Ok(App {
        router,
        workers: changes.into_iter().chain([close]).collect(),
        checks: vec![check],
        ..App::default()
    })
}

/// Gives up the copy of each user that is changed, whoever changes it.
fn follow(mut changes: Changes, users: Users) -> Worker {
    Worker::new("user-changes", move |drain| async move {
        let following = async {
            while let Some(change) = changes.next().await {
                users.forget(change).await;
            }
        };
        tokio::select! {
            () = following => {}
            () = drain.started() => {}
        }
    })
}
