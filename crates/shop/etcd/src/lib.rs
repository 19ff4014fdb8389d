//! Replicas that register themselves in etcd and find each other there.
//!
//! For the binary, which hands an [`Etcd`] to the roles as their registry: a target `etcd:///order` is every replica of
//! the order service that is registered. A [`Registration`] keeps one replica's entry for as long as the replica lives: a
//! key `<prefix>/<service>/<host:port>` with its URL as value, under a lease that etcd ends when nobody renews it.
//!
//! Invariants:
//! - etcd that is away takes nobody away: whoever is known stays known, and whether a replica takes calls is asked of the
//!   replica itself.
//! - An entry names a process that said a lease ago at the latest that it lives.
//!
//! Left out: configuration kept in etcd, locks and elections.

mod client;
mod config;
mod registration;
mod registry;
mod tls;

#[allow(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    reason = "generated"
)]
mod proto {
    tonic::include_proto!("etcdserverpb");
}

pub use crate::{client::Error, config::Settings, registration::Registration};

use std::{fmt, sync::Arc};

/// A place in etcd where services are registered. Cheap to clone. Connects when it is first needed.
#[derive(Clone)]
pub struct Etcd {
    settings: Arc<Settings>,
}

impl Etcd {
    /// The place that the settings name. Reads their certificates, to tell of what cannot be used; connects to nothing yet.
    ///
    /// # Errors
    /// [`Error::File`] when a file that they name cannot be used.
    pub fn open(settings: Settings) -> Result<Etcd, Error> {
        tls::Tls::read(&settings)?;
        Ok(Etcd { settings: Arc::new(settings) })
    }

    /// Whether the first member answers, and lets this program in.
    ///
    /// # Errors
    /// Why not.
    pub async fn ping(&self) -> Result<(), Error> {
        client::Client::connect(&self.settings, 0).await?.list(&self.prefix("ping")).await.map(drop)
    }

    /// What the keys of a service begin with.
    fn prefix(&self, name: &str) -> String {
        format!("{}/{name}/", self.settings.prefix.trim_end_matches('/'))
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd").field("endpoints", &self.settings.endpoints).finish_non_exhaustive()
    }
}
