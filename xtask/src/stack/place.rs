//! Where the stack of a checkout is: a folder in the system's temporary one, by user and checkout.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::servers::{make_folder, own_user};

/// The folder of a stack. It is there while the stack is up, or was left by a keeper that was killed.
#[derive(Clone, Debug)]
pub(super) struct Place {
    folder: PathBuf,
}

impl Place {
    pub(super) fn of(checkout: &Path) -> anyhow::Result<Self> {
        Self::within(&std::env::temp_dir(), checkout)
    }

    pub(super) fn within(parent: &Path, checkout: &Path) -> anyhow::Result<Self> {
        let mut hasher = DefaultHasher::new();
        checkout.hash(&mut hasher);
        let user = own_user().unwrap_or_default();
        // Short: the path of a socket in it must not be longer than some hundred bytes.
        let folder = parent.join(format!("waypost-stack-{user}-{:08x}", hasher.finish() >> 32));
        let place = Self { folder };
        place.check()?;
        Ok(place)
    }

    /// Makes the folder, unless it is there.
    pub(super) fn make(&self) -> anyhow::Result<()> {
        if self.folder.exists() { self.check() } else { make_folder(&self.folder) }
    }

    /// The folder may be left from before, and is then this user's own.
    fn check(&self) -> anyhow::Result<()> {
        let Ok(found) = fs::symlink_metadata(&self.folder) else { return Ok(()) };
        if !found.is_dir() || own_user().is_some_and(|user| user != found.uid()) {
            bail!("{} is not this user's folder; remove it", self.folder.display());
        }
        Ok(())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("keeper.log")
    }

    /// The lock that a keeper holds as long as it lives; `None` while one does.
    pub(super) fn lock(&self) -> anyhow::Result<Option<File>> {
        let path = self.folder.join("lock");
        let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("locking {}", path.display()))
            }
        }
    }

    /// Removes what is left of a stack that is down.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        if !self.folder.exists() {
            return Ok(());
        }
        let Some(_lock) = self.lock()? else { bail!("the stack is up again") };
        fs::remove_dir_all(&self.folder).with_context(|| format!("removing {}", self.folder.display()))
    }
}
