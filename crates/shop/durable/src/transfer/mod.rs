//! The rows of a store on their way from one database to another, of either kind.
//!
//! For `waypost export` and `waypost import`. A service lists its tables as [`Content`]; [`export`] writes them to a file that
//! says nothing of the database it comes from, [`import`] puts such a file into an empty database. A line of the file is a row:
//!
//! ```text
//! {"row":{"created_at":1790000000000,"order_id":"o-1","payload":"6869"},"table":"orders"}
//! ```
//!
//! Texts are strings, numbers numbers, yes and no `true` and `false`; a time is milliseconds since 1970, bytes are hexadecimal,
//! JSON is a string that holds it. Tables stand in the order of the list, rows in the order of their keys, so that the same rows
//! are the same bytes.
//!
//! Invariants: a file holds one state of its store; an import has put in all of it or nothing, and nothing into a store that
//! is not empty.
//!
//! Left out: moving rows while roles write. Of a file whose store changes afterwards nobody is told.

mod error;
mod file;
mod postgres;
mod sqlite;
mod tables;

use std::path::{Path, PathBuf};

use crate::{Files, Storage, database};
pub use error::TransferError;
use file::{Reader, Writer};
pub use tables::{Column, Content, Kind, Order, Table};

/// What a file holds, to tell later that it is still what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// How many rows.
    pub rows: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// Writes every row of a store to a new file, which only its owner may read.
///
/// Its schema must be that of the program. An embedded store must not be open elsewhere; of one on a server the state of one
/// moment is written.
///
/// # Errors
/// When the store cannot be read or the file cannot be written. The file is then of no use.
pub async fn export(storage: &Storage, content: &'static Content, path: &Path) -> Result<Sum, TransferError> {
    let mut writer = Writer::create(path)?;
    match storage {
        Storage::Embedded(files) => {
            let place = place(files, content.name);
            let run = move || {
                sqlite::export(&place, content, &mut writer)?;
                writer.finish()
            };
            database::on_blocking_thread(run).await
        }
        Storage::Postgres(server) => {
            postgres::export(server, content, &mut writer).await?;
            writer.finish()
        }
    }
}

/// Whether a store whose schema is that of the program has no rows but those that the schema begins with.
///
/// # Errors
/// When the store cannot be read.
pub async fn is_empty(storage: &Storage, content: &'static Content) -> Result<bool, TransferError> {
    match storage {
        Storage::Embedded(files) => {
            let place = place(files, content.name);
            database::on_blocking_thread(move || sqlite::is_empty(&place, content)).await
        }
        Storage::Postgres(server) => postgres::is_empty(server, content).await,
    }
}

/// Whether a file is still what it was when it was written.
///
/// # Errors
/// When it cannot be read, or is not.
pub async fn verify(path: PathBuf, sum: Sum) -> Result<(), TransferError> {
    database::on_blocking_thread(move || file::verify(&path, &sum)).await
}

/// Puts the rows of a file into an empty store whose schema is that of the program, all of them or none.
///
/// # Errors
/// When a row cannot be read or does not fit, the store is not empty or refuses a row. Nothing is changed then.
pub async fn import(storage: &Storage, content: &'static Content, path: &Path) -> Result<u64, TransferError> {
    let reader = Reader::open(path, content)?;
    match storage {
        Storage::Embedded(files) => {
            let place = place(files, content.name);
            database::on_blocking_thread(move || sqlite::import(&place, content, reader)).await
        }
        Storage::Postgres(server) => {
            let server = server.clone();
            // In a task, so that a caller that leaves does not end it half-way.
            let task =
                waypost_telemetry::spawn(async move { postgres::import(&server, content, reader).await });
            task.await.map_err(|error| {
                let message = error.to_string();
                TransferError::Database(crate::Error::Panicked { operation: "import", message })
            })?
        }
    }
}

/// The file of an embedded store. What is kept in a temporary place has none.
fn place(files: &Files, name: &str) -> PathBuf {
    files.database(name).path().map(Path::to_path_buf).unwrap_or_default()
}
