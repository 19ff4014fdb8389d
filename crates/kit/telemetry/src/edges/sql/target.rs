//! The database that the statements of a driver go to, and what is shown of them.

use std::fmt;
use std::sync::{Arc, OnceLock};
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

/// A target that is still being described. Clones share what is made of it.
#[derive(Clone)]
pub(super) struct Description {
    telemetry: Telemetry,
    system: &'static str,
    namespace: Option<Arc<str>>,
    server: Option<(Arc<str>, Option<u16>)>,
    shown: Shown,
    /// Made when it is wanted first, and anew after a change.
    target: Arc<OnceLock<Arc<Target>>>,
}

impl Description {
    pub(super) fn new(telemetry: &Telemetry, system: &'static str) -> Self {
        let (telemetry, shown, target) = (telemetry.clone(), Shown::default(), Arc::default());
        Self { telemetry, system, namespace: None, server: None, shown, target }
    }

    pub(super) fn namespace(self, namespace: Arc<str>) -> Self {
        Self { namespace: Some(namespace), target: Arc::default(), ..self }
    }

    pub(super) fn server(self, server: (Arc<str>, Option<u16>)) -> Self {
        Self { server: Some(server), target: Arc::default(), ..self }
    }

    pub(super) fn shown(mut self, change: impl FnOnce(&mut Shown)) -> Self {
        change(&mut self.shown);
        Self { target: Arc::default(), ..self }
    }

    /// `db.system.name`.
    pub(super) fn system(&self) -> &'static str {
        self.system
    }

    /// Whether it is said where the database is.
    pub(super) fn has_server(&self) -> bool {
        self.server.is_some()
    }

    /// Whether it is said what the database is called.
    pub(super) fn has_namespace(&self) -> bool {
        self.namespace.is_some()
    }

    pub(super) fn target(&self) -> Arc<Target> {
        self.target_of(self.namespace.as_deref().unwrap_or_default())
    }

    /// A target of this name, which may be another one each time: the first is kept.
    pub(super) fn target_of(&self, namespace: &str) -> Arc<Target> {
        let make = || {
            let server = self.server.clone();
            Arc::new(Target::new(&self.telemetry, self.system, namespace.into(), server, self.shown))
        };
        let kept = self.target.get_or_init(make);
        if kept.database.shared.namespace.as_str() == namespace { Arc::clone(kept) } else { make() }
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Description")
            .field("system", &self.system)
            .field("namespace", &self.namespace)
            .field("server", &self.server)
            .field("shown", &self.shown)
            .finish_non_exhaustive()
    }
}
