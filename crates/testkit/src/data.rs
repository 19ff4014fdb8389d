//! Where a shop keeps its data, for tests that look at it or make it older.

use std::path::{Path, PathBuf};

use crate::age::age;
use crate::age_server::age_server;
use crate::audit::{Books, Finding, audit, audit_server};

/// The file in a data folder that has the database of a role, `order` for one: the one that the roles share, if that is there, or
/// else its own.
pub fn database(folder: &Path, role: &str) -> PathBuf {
    let shared = folder.join("waypost.db");
    if shared.exists() { shared } else { folder.join(format!("{role}.db")) }
}

/// Where the data of all roles is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// In the files of a folder.
    Folder(PathBuf),
    /// In the schemas of a PostgreSQL server; the broker's alone is in a folder.
    Server {
        /// The URL of its database.
        url: String,
        /// Of the broker's file.
        folder: PathBuf,
    },
}

impl Data {
    /// The books as they are now.
    ///
    /// # Errors
    /// When a database cannot be read.
    pub async fn books(&self) -> anyhow::Result<Books> {
        match self {
            Data::Folder(folder) => Books::read(folder),
            Data::Server { url, .. } => Books::read_server(url).await,
        }
    }

    /// Everything that is wrong with the books, in order.
    ///
    /// # Errors
    /// When a database cannot be read.
    pub async fn audit(&self) -> anyhow::Result<Vec<Finding>> {
        match self {
            Data::Folder(folder) => audit(folder),
            Data::Server { url, .. } => audit_server(url).await,
        }
    }

    /// Makes every time in it this much older, or younger, and tells how many times there were.
    ///
    /// # Errors
    /// When a database cannot be changed.
    pub async fn age(&self, milliseconds: i64) -> anyhow::Result<u64> {
        match self {
            Data::Folder(folder) => age(folder, milliseconds),
            Data::Server { url, folder } => {
                Ok(age_server(url, milliseconds).await? + age(folder, milliseconds)?)
            }
        }
    }
}
