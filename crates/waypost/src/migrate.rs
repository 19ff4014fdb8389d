//! `waypost migrate`: brings the databases to the schema of this version, without starting anything.
//!
//! `up` and `run` do the same at their start. This command is for deployments that want it as a step of its own,
//! and with `--dry-run` for a look before an upgrade.

use std::path::Path;

use waypost_durable::Migrator;
use waypost_durable::broker::EmbeddedBroker;

use crate::cli::MigrateArgs;
use crate::console::say;
use crate::exit::{Exit, Failure};
use crate::roles::{BROKER, DataFiles, exit_of, prepare};
use crate::settings::{BrokerKind, Effective, Environment, Profile, load};
use crate::stores::{STORES, is_ephemeral};

/// The configuration of a migration.
pub(crate) fn settings(
    args: &MigrateArgs,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Effective, Failure> {
    load(Profile::Run, file, environment, args.settings.flags())
}

/// Runs `waypost migrate`.
pub(crate) async fn migrate(args: MigrateArgs, effective: Effective) -> Result<Exit, Failure> {
    let (settings, data) = (&effective.settings, effective.settings.data_dir());
    let files = DataFiles::found(settings)?;
    let storage = settings.storage(&files.stores)?;
    if is_ephemeral(&storage) {
        return Err(Failure::message(
            Exit::BadConfig,
            "data in a temporary place has no schema to bring up to date",
        ));
    }
    if !args.dry_run {
        prepare(&data)?;
    }
    let services = STORES.map(|store| (store.content.name, (store.migrator)(&storage)));
    // The broker's files are on this machine wherever the services keep their data.
    let has_broker = settings.broker.kind == BrokerKind::Embedded && !files.broker.are_ephemeral();
    let broker = has_broker.then(|| {
        let migrator = EmbeddedBroker::migrator(files.broker.database(BROKER));
        (BROKER, Box::new(migrator) as Box<dyn Migrator>)
    });
    for (name, migrator) in services.into_iter().chain(broker) {
        let pending = migrator.plan().await.map_err(|error| failure(name, error))?.pending;
        if pending.is_empty() {
            say(format!("{}: up to date", migrator.target()));
        } else if args.dry_run {
            say(format!("{}: would apply {}", migrator.target(), pending.join(", ")));
        } else {
            let applied = migrator.apply().await.map_err(|error| failure(name, error))?;
            say(format!("{}: applied {}", migrator.target(), applied.join(", ")));
        }
    }
    Ok(Exit::Done)
}

fn failure(name: &str, error: waypost_durable::Error) -> Failure {
    let error = anyhow::Error::new(error).context(format!("bringing the database {name} up to date"));
    Failure::new(exit_of(&error), error)
}
