//! The database that the statements of a driver go to, and what is shown of them.

use std::sync::Arc;
use std::time::Duration;

use super::{Database, Dialect};
use crate::core::handle::Telemetry;

/// What `db.query.text` shows of a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryText {
    /// The text as it stands if values were bound to it, as then it holds none; else as [`QueryText::Obfuscated`].
    #[default]
    Auto,
    /// The text as it stands, with every value that was written into it. For programs whose texts hold no secrets.
    Full,
    /// Every literal is `?`, comments are left out.
    Obfuscated,
    /// Nothing: there is no `db.query.text`. Operations and tables are in the span's name all the same.
    Off,
}

/// What is shown of statements, as a program chose it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shown {
    pub(super) text: QueryText,
    /// From when on a statement counts as slow.
    pub(super) slow: Option<Duration>,
    pub(super) requires_parent: bool,
}

/// What the connections of one database have in common.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) database: Database,
    pub(super) shown: Shown,
}

impl Target {
    /// `server` has no port where a socket has none.
    pub(super) fn new(
        telemetry: &Telemetry,
        system: &'static str,
        namespace: Arc<str>,
        server: Option<(Arc<str>, Option<u16>)>,
        shown: Shown,
    ) -> Self {
        let mut database = Database::new(telemetry, system, namespace);
        if let Some((address, port)) = server {
            database = database.server(address, port.or(Dialect::default_port(system)).unwrap_or_default());
        }
        Self { database, shown }
    }
}
