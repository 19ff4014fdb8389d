//! What the `[discovery]` section chooses: how replicas are found, and where those of this process are told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;
use waypost_etcd::{Etcd, Registration};
use waypost_resilience::discovery::Discovery;
use waypost_service::Drain;

use super::Role;
use crate::exit::{Exit, Failure};
use crate::settings;

/// Longer than a registration takes to be given back.
const LAST_WORD: Duration = Duration::from_secs(3);

/// How replicas are found.
pub(super) struct Finding {
    pub(super) discovery: Discovery,
    etcd: Option<Etcd>,
    advertise: String,
}

/// Entries of the roles of this process, as long as it runs.
#[derive(Debug, Default)]
pub(super) struct Registered(Vec<JoinHandle<()>>);

impl Finding {
    /// What the settings choose. Connects to nothing yet.
    pub(super) fn open(settings: &settings::Discovery) -> Result<Finding, Failure> {
        let etcd = (!settings.etcd.endpoints.is_empty()).then(|| Etcd::open(settings.etcd.clone()));
        let unusable = |error| Failure::message(Exit::BadConfig, format!("discovery.etcd.{error}"));
        let etcd = etcd.transpose().map_err(unusable)?;
        let mut discovery = Discovery::default().refresh_dns_every(settings.dns_refresh.get());
        if let Some(etcd) = &etcd {
            discovery = discovery.with_registry(Arc::new(etcd.clone()));
        }
        Ok(Finding { discovery, etcd, advertise: settings.advertise.clone() })
    }

    /// The entry of a role that listens here, if there is a registry and the role is called by others.
    pub(super) fn registration(
        &self,
        role: Role,
        address: Option<SocketAddr>,
    ) -> Result<Option<Registration>, Failure> {
        let Some(etcd) = self.etcd.as_ref().filter(|_| role.grpc_services().is_some()) else {
            return Ok(None);
        };
        let Some(address) = address else {
            tracing::warn!(
                role = role.name(),
                "not registered: the role listens at a Unix-domain socket, which other machines do not reach"
            );
            return Ok(None);
        };
        let authority = match self.advertise.as_str() {
            "" if address.ip().is_unspecified() => {
                let reason = format!(
                    "{} listens at {address}, which is no address to be called at: set discovery.advertise to the host \
                     name or address of this machine",
                    role.name()
                );
                return Err(Failure::message(Exit::BadConfig, reason));
            }
            "" => address.to_string(),
            host if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{}", address.port()),
            host => format!("{host}:{}", address.port()),
        };
        let uri = format!("http://{authority}").parse();
        let uri = uri.map_err(|error| {
            Failure::message(Exit::BadConfig, format!("discovery.advertise gives {authority:?}: {error}"))
        })?;
        Ok(Some(etcd.registration(role.name(), uri)))
    }
}

impl Registered {
    /// Keeps the entries until the drain starts.
    pub(super) fn keep(registrations: Vec<Registration>, drain: &Drain) -> Registered {
        let keep = |registration: Registration| {
            let drain = drain.clone();
            waypost_telemetry::spawn(registration.keep(async move { drain.started().await }))
        };
        Registered(registrations.into_iter().map(keep).collect())
    }

    /// Waits until the entries are given back, or their leases have to do it.
    pub(super) async fn gone(self) {
        // What is not given back in time ends with its lease.
        let _ = tokio::time::timeout(LAST_WORD, join_all(self.0)).await;
    }
}
