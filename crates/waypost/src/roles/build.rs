//! A role from its section of the configuration, and what the process lends to it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use waypost_durable::broker::Broker;
use waypost_durable::dead_letters::DeadLetters;
use waypost_durable::{Error, Storage};
use waypost_identity::Identity;
use waypost_provider::faults::Faults;
use waypost_resilience::discovery::Discovery;
use waypost_service::{App, Tasks};
use waypost_telemetry::Telemetry;

use super::Role;
use super::cache::Shared;
use crate::exit::{Exit, Failure};
use crate::settings::{CacheKind, Settings};

/// What the process lends to a role.
pub(super) struct Loan {
    pub(super) telemetry: Telemetry,
    pub(super) tasks: Tasks,
    /// Where the role listens, if it does.
    pub(super) bound: Option<SocketAddr>,
    pub(super) storage: Storage,
    /// The name of this process in leases.
    pub(super) node: String,
    pub(super) broker: Option<Arc<dyn Broker>>,
    /// How the replicas of other roles are found.
    pub(super) discovery: Discovery,
    /// Who the role is to others, if they ask for that.
    pub(super) identity: Option<Identity>,
}

/// A built role.
pub(super) struct Service {
    pub(super) app: App,
    /// What it could not deliver, if it delivers anything.
    pub(super) dead_letters: Option<Arc<dyn DeadLetters>>,
    /// Has its settings of this configuration from now on, those that can change while it runs.
    pub(super) change: Option<Change>,
}

/// Takes over what can change while a role runs.
pub(super) struct Change(Box<dyn Fn(&Settings) + Send + Sync>);

impl Change {
    fn new(change: impl Fn(&Settings) + Send + Sync + 'static) -> Change {
        Change(Box::new(change))
    }

    /// Has this configuration in effect from now on.
    pub(super) fn to(&self, settings: &Settings) {
        (self.0)(settings);
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").finish_non_exhaustive()
    }
}

impl From<App> for Service {
    fn from(app: App) -> Service {
        Service { app, dead_letters: None, change: None }
    }
}

impl From<waypost_order::Built> for Service {
    fn from(waypost_order::Built { app, dead_letters }: waypost_order::Built) -> Service {
        Service { app, dead_letters: Some(dead_letters), change: None }
    }
}

/// Builds the role: opens and migrates its database, seeds it when asked to, and returns what is to be served.
pub(super) async fn build(role: Role, settings: &Settings, loan: Loan) -> Result<Service, Failure> {
    let Loan { telemetry, tasks, bound, storage, node, broker, discovery, identity } = loan;
    let broker =
        || broker.clone().ok_or_else(|| Failure::message(Exit::Internal, "the role was given no broker"));
    let built: Result<Service, anyhow::Error> = match role {
        Role::Gateway => {
            let bound =
                bound.ok_or_else(|| Failure::message(Exit::Internal, "the gateway was given no socket"))?;
            let shared = Shared::open(settings, &telemetry).await?;
            let tokens = &settings.gateway.tokens;
            if settings.cache.kind == CacheKind::Redis && tokens.keys.is_empty() && tokens.keys_file.is_none()
            {
                tracing::warn!(
                    "gateways that share a Redis share no token keys: a token of one is a stranger to the others; give \
                     all of them one gateway.tokens.keys_file"
                );
            }
            let rates = shared.rates(settings);
            let change = {
                let (shared, rates) = (shared.clone(), rates.clone());
                Change::new(move |settings| shared.change_rates(&rates, settings))
            };
            let parts = waypost_gateway::Parts { telemetry, bound, rates, discovery, identity };
            let app = waypost_gateway::build(&settings.gateway, &parts);
            let service = |app| Service { change: Some(change), ..Service::from(shared.join(app)) };
            app.map(service).map_err(Into::into)
        }
        Role::Order => {
            let broker = broker()?;
            let parts = waypost_order::Parts { telemetry, tasks, storage, node, broker, discovery, identity };
            waypost_order::build(&settings.order, parts).await.map(Into::into).map_err(Into::into)
        }
        Role::User => {
            let shared = Shared::open(settings, &telemetry).await?;
            let (cache, failures) = (shared.users(settings), shared.failures(settings));
            let parts = waypost_user::Parts { telemetry, storage, cache, failures };
            let app = waypost_user::build(&settings.user, parts).await;
            app.map(|app| shared.join(app).into()).map_err(Into::into)
        }
        Role::Inventory => {
            let parts = waypost_inventory::Parts { telemetry, storage };
            waypost_inventory::build(&settings.inventory, parts).await.map(Into::into).map_err(Into::into)
        }
        Role::Payment => {
            let parts = waypost_payment::Parts { telemetry, storage };
            waypost_payment::build(&settings.payment, parts).await.map(Into::into).map_err(Into::into)
        }
        Role::Provider => {
            let faults = Faults::new(settings.provider.faults.clone());
            let change = {
                let faults = faults.clone();
                Change::new(move |settings| faults.change(settings.provider.faults.clone()))
            };
            let parts = waypost_provider::Parts { telemetry, storage, faults };
            let app = waypost_provider::build(&settings.provider, parts).await;
            app.map(|app| Service { change: Some(change), ..Service::from(app) }).map_err(Into::into)
        }
        Role::Notification => {
            let retries = settings.broker.retry.topics();
            let parts = waypost_notification::Parts { telemetry, storage, broker: broker()?, retries };
            waypost_notification::build(&settings.notification, parts)
                .await
                .map(Into::into)
                .map_err(Into::into)
        }
    };
    built.map_err(|error| {
        let exit = exit_of(&error);
        Failure::new(exit, error.context(format!("starting {}", role.name())))
    })
}

/// The exit code that a failed start leads to: the store's own error decides, however deep it lies.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    let causes = || error.chain().map(unshared);
    let stored = || causes().filter_map(|cause| cause.downcast_ref::<Error>());
    if stored().any(Error::is_full) || causes().any(is_disk_full) {
        return Exit::Io;
    }
    if causes().any(is_of_the_configuration) {
        return Exit::BadConfig;
    }
    match stored().next() {
        Some(Error::InUse { .. } | Error::Server { .. } | Error::Unavailable(_)) => Exit::Unavailable,
        Some(Error::Busy(_)) => Exit::Temporary,
        Some(Error::Io(_)) => Exit::Io,
        Some(Error::Open { .. } | Error::Corrupt(_) | Error::Migration { .. }) => Exit::CannotCreate,
        _ => Exit::Internal,
    }
}

type Cause<'a> = &'a (dyn std::error::Error + 'static);

/// The error itself, where an enum holds it in an `Arc` so that it can be cloned.
fn unshared(cause: Cause<'_>) -> Cause<'_> {
    if let Some(shared) = cause.downcast_ref::<Arc<Error>>() {
        return shared.as_ref();
    }
    match cause.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>() {
        Some(shared) => shared.as_ref(),
        None => cause,
    }
}

/// What only whoever wrote the settings can mend.
fn is_of_the_configuration(cause: Cause<'_>) -> bool {
    matches!(cause.downcast_ref(), Some(waypost_gateway::Error::KeysFile { .. }))
        || matches!(cause.downcast_ref(), Some(waypost_payment::Error::ProviderTls(_)))
}

fn is_disk_full(cause: Cause<'_>) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn cannot_open(source: impl std::error::Error + Send + Sync + 'static) -> anyhow::Error {
        let error = Error::Open { path: PathBuf::from("order.db"), hint: "a test", source: Arc::new(source) };
        anyhow::Error::new(error).context("starting order")
    }

    #[test]
    fn a_full_disk_is_told_from_a_folder_that_cannot_be_written_to() {
        assert_eq!(exit_of(&cannot_open(io::Error::from(io::ErrorKind::StorageFull))), Exit::Io);
        assert_eq!(
            exit_of(&cannot_open(io::Error::from(io::ErrorKind::PermissionDenied))),
            Exit::CannotCreate
        );
    }

    #[test]
    fn an_error_that_is_not_the_stores_is_a_fault_of_the_program() {
        assert_eq!(exit_of(&anyhow::anyhow!("no such thing")), Exit::Internal);
    }
}
