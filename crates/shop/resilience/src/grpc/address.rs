//! Where one replica is.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use http::Uri;

/// An address that connections are made to. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `http://host:port`.
    Http(Uri),
    /// A Unix-domain socket of this host.
    Unix(Arc<Path>),
}

impl Address {
    /// The path of a `unix:` target: `unix:/path`, `unix:///path`, or one that begins in the folder of the process.
    pub(super) fn unix_path(target: &str) -> Option<PathBuf> {
        let path = target.strip_prefix("unix:")?;
        let path = match path.strip_prefix("//") {
            Some(absolute) => absolute.starts_with('/').then_some(absolute)?,
            None => path,
        };
        (!path.is_empty()).then(|| path.into())
    }

    /// How metrics and messages name it: the authority, or the path.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Http(uri) => uri.authority().map_or("", |authority| authority.as_str()).to_owned(),
            Self::Unix(path) => path.display().to_string(),
        }
    }
}

impl From<Uri> for Address {
    fn from(uri: Uri) -> Self {
        Self::Http(uri)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(uri) => uri.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
