//! Where the replicas of a service are, now and from now on.
//!
//! A [`Discovery`] turns a [`Target`] into [`Addresses`] that change while the process runs. It knows fixed lists and
//! DNS by itself; registries ([`Registry`]) are handed in by whoever puts a process together.
//!
//! Invariant: a lookup that fails, or finds nobody, takes no address away, and an address that is found no more is called
//! for as long as its replica says that it takes calls. Replicas that answer no more are found out by whoever calls them, and
//! a registry that is down must not take the services down with it. (Envoy treats discovery and health checks alike.)

mod dns;

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::grpc::{Address, ChannelError, Target};

/// The replicas of one service, in no order. Empty until the first lookup has succeeded. The
/// sender ends when nobody looks any more.
pub type Addresses = watch::Receiver<Arc<[Address]>>;

/// Keeps the names of services and the replicas that have registered under each.
pub trait Registry: fmt::Debug + Send + Sync {
    /// The scheme of its targets, such as `etcd`.
    fn scheme(&self) -> &'static str;

    /// The replicas under this name. Looks for changes until the last receiver is dropped.
    fn watch(&self, name: &str) -> Addresses;
}

/// Finds replicas. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Discovery {
    registry: Option<Arc<dyn Registry>>,
    refresh: Duration,
}

impl Default for Discovery {
    fn default() -> Self {
        Self { registry: None, refresh: Self::DNS_REFRESH }
    }
}

impl Discovery {
    /// How often a name is looked up in DNS unless it is said otherwise. The records of headless services live for 5 s
    /// (CoreDNS) to 30 s.
    pub const DNS_REFRESH: Duration = Duration::from_secs(5);

    /// Looks names of this registry's scheme up there.
    #[must_use]
    pub fn with_registry(mut self, registry: Arc<dyn Registry>) -> Self {
        self.registry = Some(registry);
        self
    }

    /// How often a name is looked up in DNS.
    #[must_use]
    pub fn refresh_dns_every(mut self, refresh: Duration) -> Self {
        self.refresh = refresh;
        self
    }

    /// Begins to look for a target's replicas. Has to be called within a tokio runtime.
    ///
    /// # Errors
    /// When the target is of a registry that is not there.
    pub fn watch(&self, target: &Target) -> Result<Addresses, ChannelError> {
        match target {
            Target::Fixed(addresses) => Ok(watch::channel(addresses.as_slice().into()).1),
            Target::Dns { host, port } => Ok(dns::watch(host.clone(), *port, self.refresh)),
            Target::Registered { scheme, name } => match &self.registry {
                Some(registry) if registry.scheme() == scheme => Ok(registry.watch(name)),
                _ => Err(ChannelError::NoRegistry {
                    target: format!("{scheme}:///{name}"),
                    scheme: scheme.clone(),
                }),
            },
        }
    }
}
