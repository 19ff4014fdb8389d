//! Which files the embedded databases of a process are in, and how they get there before the first one is opened.

use std::path::Path;

use waypost_durable::broker::EmbeddedBroker;
use waypost_durable::layout::{self, Layout};
use waypost_durable::{Files, Migrator, Storage};

use super::Role;
use super::build::exit_of;
use crate::exit::{Exit, Failure, OrExit as _};
use crate::settings::{BrokerKind, DatabaseKind, Settings};
use crate::stores::STORES;

/// The name of the broker among the stores.
pub(crate) const BROKER: &str = "broker";

/// The files of the roles, and those of the broker, which may be other ones.
#[derive(Clone, Debug)]
pub(crate) struct DataFiles {
    pub(crate) stores: Files,
    pub(crate) broker: Files,
}

impl DataFiles {
    /// Those of a process with these roles. Stores that are elsewhere in the data folder are moved to them.
    pub(crate) async fn arrange(settings: &Settings, roles: &[Role]) -> Result<DataFiles, Failure> {
        // Roles of other processes could not open a file that this one has.
        let has_all = Role::ALL.iter().all(|role| !role.keeps_data() || roles.contains(role));
        let layout = if has_all { settings.layout() } else { Layout::PerRole };
        let files = DataFiles::with(settings, settings.files(layout));
        if settings.data.ephemeral {
            return Ok(files);
        }
        let folder = settings.data.folder.clone();
        let moves: Vec<(&'static str, Layout)> =
            embedded(settings).map(|store| (store, files.layout_of(store))).collect();
        up_to_date(&folder, &moves).await?;
        let arrange = move || layout::arrange(&folder, &moves);
        let moved = tokio::task::spawn_blocking(arrange).await.or_exit(Exit::Internal, "moving data")?;
        let moved = moved.map_err(|error| failed(error, "moving data between its files"))?;
        if !moved.is_empty() {
            tracing::info!(stores = moved.join(","), ?layout, "data was moved between its files");
        }
        Ok(files)
    }

    /// Those that are there, for a command that runs no role.
    pub(crate) fn found(settings: &Settings) -> Result<DataFiles, Failure> {
        if settings.data.ephemeral {
            return Ok(DataFiles::with(settings, settings.files(Layout::PerRole)));
        }
        let stores: Vec<&'static str> =
            embedded(settings).filter(|store| *store != BROKER || !settings.broker.shared).collect();
        let files = layout::found(&settings.data.folder, &stores, settings.layout())
            .map_err(|error| failed(error, "looking for the data"))?;
        Ok(DataFiles::with(settings, files))
    }

    fn with(settings: &Settings, stores: Files) -> DataFiles {
        // Other programs use its file too, and know nothing of ours.
        let is_apart = settings.broker.shared;
        let broker = if is_apart { settings.files(Layout::PerRole) } else { stores.clone() };
        DataFiles { stores, broker }
    }

    fn layout_of(&self, store: &str) -> Layout {
        let files = if store == BROKER { &self.broker } else { &self.stores };
        if matches!(files, Files::Shared(_)) { Layout::Shared } else { Layout::PerRole }
    }
}

/// The stores that are in files and not on a server.
fn embedded(settings: &Settings) -> impl Iterator<Item = &'static str> {
    let stores = settings.database.kind == DatabaseKind::Embedded;
    let broker = settings.broker.kind == BrokerKind::Embedded;
    let stores = STORES.into_iter().filter(move |_| stores).map(|store| store.content.name);
    stores.chain(broker.then_some(BROKER))
}

/// Brings stores that are to leave a file of their own to the schema of this program: only from it on their tables have names
/// that no other store has.
async fn up_to_date(folder: &Path, moves: &[(&'static str, Layout)]) -> Result<(), Failure> {
    let own = Files::Folder(folder.to_path_buf());
    for (store, layout) in moves {
        let location = own.database(store);
        if *layout == Layout::PerRole || !location.path().is_some_and(Path::exists) {
            continue;
        }
        let migrator = match STORES.iter().find(|known| known.content.name == *store) {
            Some(known) => (known.migrator)(&Storage::Embedded(own.clone())),
            None => Box::new(EmbeddedBroker::migrator(location)) as Box<dyn Migrator>,
        };
        migrator.apply().await.map_err(|error| failed(error, &format!("opening {store} to move it")))?;
    }
    Ok(())
}

fn failed(error: waypost_durable::Error, attempted: &str) -> Failure {
    let error = anyhow::Error::new(error).context(attempted.to_owned());
    Failure::new(exit_of(&error), error)
}
