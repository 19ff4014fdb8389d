//! `waypost migrate`: brings the databases to the schema of this version, without starting anything.
//!
//! `up` and `run` do the same at their start. This command is for deployments that want it as a step of its own,
//! and with `--dry-run` for a look before an upgrade.

use std::path::{Path, PathBuf};

use waypost_durable::{Database, DatabaseOptions, Location, Migration, Sharing, migration};
use waypost_service::DataDir;
use waypost_telemetry::Telemetry;

use crate::cli::MigrateArgs;
use crate::console::say;
use crate::exit::{Exit, Failure};
use crate::roles::{exit_of, prepare};
use crate::settings::{Effective, Environment, Profile, load};

/// The databases of a data folder with their schemas.
const DATABASES: [(&str, &[Migration]); 7] = [
    ("order", waypost_order::store::MIGRATIONS),
    ("user", waypost_user::store::MIGRATIONS),
    ("inventory", waypost_inventory::store::MIGRATIONS),
    ("payment", waypost_payment::store::MIGRATIONS),
    ("provider", waypost_provider::store::MIGRATIONS),
    ("notification", waypost_notification::store::MIGRATIONS),
    ("broker", waypost_durable::broker::MIGRATIONS),
];

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
    let data = effective.settings.data_dir();
    let DataDir::Folder(folder) = &data else {
        return Err(Failure::message(
            Exit::BadConfig,
            "data in a temporary place has no schema to bring up to date",
        ));
    };
    if !args.dry_run {
        prepare(&data)?;
    }
    for (name, migrations) in DATABASES {
        let file = folder.join(format!("{name}.db"));
        let pending = pending(&file, migrations).map_err(|error| failure(name, error))?;
        if pending.is_empty() {
            say(format!("{}: up to date", file.display()));
        } else if args.dry_run {
            say(format!("{}: would apply {}", file.display(), pending.join(", ")));
        } else {
            apply(name, file.clone(), migrations).await.map_err(|error| failure(name, error))?;
            say(format!("{}: applied {}", file.display(), pending.join(", ")));
        }
    }
    Ok(Exit::Done)
}

fn pending(file: &Path, migrations: &[Migration]) -> Result<Vec<&'static str>, waypost_durable::Error> {
    migration::plan(file, migrations).map(|plan| plan.pending)
}

/// Opening a database applies what is pending.
async fn apply(
    name: &'static str,
    file: PathBuf,
    migrations: &[Migration],
) -> Result<(), waypost_durable::Error> {
    // A running system may have the broker open as shared; every other database is refused while it is in use.
    let sharing = if name == "broker" { Sharing::Shared } else { Sharing::Exclusive };
    let options = DatabaseOptions {
        sharing,
        ..DatabaseOptions::new(Location::File(file), name, &Telemetry::disabled())
    };
    let database = Database::open(options, migrations)?;
    database.close().await;
    Ok(())
}

fn failure(name: &str, error: waypost_durable::Error) -> Failure {
    let error = anyhow::Error::new(error).context(format!("bringing the database {name} up to date"));
    Failure::new(exit_of(&error), error)
}
