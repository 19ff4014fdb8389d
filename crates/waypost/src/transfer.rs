//! `waypost export` and `waypost import`: the data of the roles from one database to another, of either kind.
//!
//! An export is a folder: a file of rows for each role ([`waypost_durable::transfer`]) and `manifest.json`, which is written
//! last and says what they hold. A role is imported whole or not at all; nothing is imported when one of the files is not what
//! the manifest says, or one of the databases is not empty.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use waypost_durable::Storage;
use waypost_durable::transfer::{self, Sum, TransferError};

use crate::cli::TransferArgs;
use crate::console::say;
use crate::exit::{Exit, Failure, OrExit as _};
use crate::roles::{DataFiles, exit_of, prepare};
use crate::settings::{Effective, Environment, Profile, load};
use crate::stores::{STORES, StoreOf, is_ephemeral};

/// The form of an export. Another one is refused.
const FORMAT: u32 = 1;

const MANIFEST: &str = "manifest.json";

/// What an export holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// The form of the folder.
    format: u32,
    /// The version of Waypost that made it.
    version: String,
    /// By role.
    stores: BTreeMap<String, StoreFile>,
}

/// A role's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoreFile {
    /// In the folder.
    file: String,
    /// Its rows, a line each.
    rows: u64,
    /// Of its bytes.
    sha256: String,
    /// What tables and columns it has, hashed: those of the importing program have to be the same.
    form: String,
}

/// The configuration of an export or an import.
pub(crate) fn settings(
    args: &TransferArgs,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Effective, Failure> {
    load(Profile::Run, file, environment, args.settings.flags())
}

/// Runs `waypost export`.
pub(crate) async fn export(args: TransferArgs, effective: Effective) -> Result<Exit, Failure> {
    let (storage, folder) = (storage(&effective)?, &args.folder);
    let chosen = chosen(&args);
    for store in &chosen {
        let migrator = (store.migrator)(&storage);
        let plan = migrator.plan().await.map_err(|error| failed("reading the schema of", store, error))?;
        if !plan.pending.is_empty() {
            let why = format!(
                "{} is not at the schema of this version; name the database that has the data, or run `waypost migrate`",
                migrator.target()
            );
            return Err(Failure::message(Exit::Refused, why));
        }
    }
    make_empty(folder)?;
    let mut stores = BTreeMap::new();
    for store in chosen {
        let (name, file) = (store.content.name, format!("{}.jsonl", store.content.name));
        let exported = transfer::export(&storage, store.content, &folder.join(&file)).await;
        let Sum { rows, sha256 } = exported.map_err(|error| failed("exporting", &store, error))?;
        say(format!("{name}: {rows} rows"));
        stores.insert(name.to_owned(), StoreFile { file, rows, sha256, form: store.content.form() });
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    write_manifest(folder, &Manifest { format: FORMAT, version, stores })
        .or_exit(Exit::Io, format!("writing {}", folder.join(MANIFEST).display()))?;
    say(format!("exported into {}", folder.display()));
    Ok(Exit::Done)
}

/// Runs `waypost import`.
pub(crate) async fn import(args: TransferArgs, effective: Effective) -> Result<Exit, Failure> {
    let (storage, folder) = (storage(&effective)?, &args.folder);
    let manifest = read_manifest(folder)?;
    let chosen = chosen(&args);
    let mut files = Vec::new();
    for store in &chosen {
        let (path, sum) = file_of(folder, &manifest, store)?;
        let verified = transfer::verify(path.clone(), sum).await;
        verified.map_err(|error| failed("checking the export of", store, error))?;
        files.push(path);
    }
    prepare(&effective.settings.data_dir())?;
    for store in &chosen {
        let applied = (store.migrator)(&storage).apply().await;
        applied.map_err(|error| failed("making the schema of", store, error))?;
        let is_empty = transfer::is_empty(&storage, store.content).await;
        if !is_empty.map_err(|error| failed("looking at", store, error))? {
            let why = format!(
                "{} has data already; nothing was imported. Import into an empty database",
                (store.migrator)(&storage).target()
            );
            return Err(Failure::message(Exit::Refused, why));
        }
    }
    let mut done = Vec::new();
    for (store, path) in chosen.iter().zip(files) {
        let imported = transfer::import(&storage, store.content, &path).await;
        let rows = imported.map_err(|error| failed(&so_far(&done), store, error))?;
        say(format!("{}: {rows} rows", store.content.name));
        done.push(store.content.name);
    }
    say(format!("imported from {}", folder.display()));
    Ok(Exit::Done)
}

/// What was attempted, with what is done already.
fn so_far(done: &[&str]) -> String {
    match done {
        [] => "nothing was imported: importing".to_owned(),
        done => format!("imported are only {}; take the others with --role: importing", done.join(", ")),
    }
}

fn storage(effective: &Effective) -> Result<Storage, Failure> {
    let storage = effective.settings.storage(&DataFiles::found(&effective.settings)?.stores)?;
    if is_ephemeral(&storage) {
        return Err(Failure::message(
            Exit::BadConfig,
            "data in a temporary place can neither be exported nor kept",
        ));
    }
    Ok(storage)
}

/// The stores of the roles that were named, or all.
fn chosen(args: &TransferArgs) -> Vec<StoreOf> {
    let is_chosen = |name: &str| args.roles.is_empty() || args.roles.iter().any(|role| role == name);
    STORES.into_iter().filter(|store| is_chosen(store.content.name)).collect()
}

fn failed(attempted: &str, store: &StoreOf, error: impl Into<anyhow::Error>) -> Failure {
    let error: anyhow::Error = error.into();
    let exit = match error.downcast_ref::<TransferError>() {
        Some(TransferError::NotEmpty { .. }) => Exit::Refused,
        Some(TransferError::Changed { .. } | TransferError::Line { .. } | TransferError::File { .. }) => {
            Exit::Io
        }
        _ => exit_of(&error),
    };
    Failure::new(exit, error.context(format!("{attempted} {}", store.content.name)))
}

/// A folder of our own that nobody else may read, as keys and hashes of passwords are in it.
fn make_empty(folder: &Path) -> Result<(), Failure> {
    let attempted = format!("making the folder {}", folder.display());
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).or_exit(Exit::CannotCreate, attempted.clone())?;
    let has_something = fs::read_dir(folder).or_exit(Exit::CannotCreate, attempted)?.next().is_some();
    if has_something {
        let why = format!("{} is not empty; export into a new folder", folder.display());
        return Err(Failure::message(Exit::Refused, why));
    }
    Ok(())
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let mut file = File::create_new(folder.join(MANIFEST))?;
    writeln!(file, "{}", serde_json::to_string_pretty(manifest)?)?;
    file.sync_all()?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

fn read_manifest(folder: &Path) -> Result<Manifest, Failure> {
    let path = folder.join(MANIFEST);
    let attempted = || format!("reading {}; it is the last file that an export writes", path.display());
    let text = fs::read_to_string(&path).map_err(|error| {
        let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Io };
        Failure::new(exit, anyhow::Error::new(error).context(attempted()))
    })?;
    // Its form first: another one may have other fields.
    let format = serde_json::from_str::<serde_json::Value>(&text).ok();
    let format = format.and_then(|manifest| manifest.get("format")?.as_u64());
    match format {
        Some(format) if format == u64::from(FORMAT) => {
            serde_json::from_str(&text).context(attempted()).map_err(|error| Failure::new(Exit::Io, error))
        }
        Some(format) => {
            let why = format!("{} has form {format}; this version reads form {FORMAT}", path.display());
            Err(Failure::message(Exit::Refused, why))
        }
        None => Err(Failure::message(Exit::Io, format!("{} is no manifest of an export", path.display()))),
    }
}

/// A role's file and what it has to be.
fn file_of(folder: &Path, manifest: &Manifest, store: &StoreOf) -> Result<(PathBuf, Sum), Failure> {
    let name = store.content.name;
    let Some(StoreFile { file, rows, sha256, form }) = manifest.stores.get(name) else {
        let why = format!("the export in {} has no {name}; choose what it has with --role", folder.display());
        return Err(Failure::message(Exit::Refused, why));
    };
    if *form != store.content.form() {
        let why = format!(
            "{name} was exported by Waypost {} and has other tables than those of this version ({}); import it with that \
             version, then let this one migrate",
            manifest.version,
            env!("CARGO_PKG_VERSION")
        );
        return Err(Failure::message(Exit::Refused, why));
    }
    if Path::new(file).file_name() != Some(file.as_ref()) {
        return Err(Failure::message(
            Exit::Io,
            format!("the manifest names {file}, which is no file of the folder"),
        ));
    }
    Ok((folder.join(file), Sum { rows: *rows, sha256: sha256.clone() }))
}
