//! The section `storage`: which files embedded databases are in.

use serde::{Deserialize, Serialize};
use waypost_settings::settings;

/// How embedded databases are laid out in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FileLayout {
    /// One file for all roles of a process.
    #[default]
    Shared,
    /// A file per role.
    PerRole,
}

settings! {
    /// Which files embedded databases are in.
    pub(crate) struct FileStorage {
        /// `shared`: one file, `waypost.db`, for a process that has every role with data, as `waypost up` has: one writer syncs
        /// the units of all roles together. `per-role`: a file per role and one of the broker, such as `order.db`, each with its
        /// own writer. A process with some of the roles keeps a file per role. Data is moved at the start, both ways.
        pub(crate) files: FileLayout = FileLayout::Shared,
    }
}
