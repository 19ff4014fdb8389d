//! A private folder in the system's temporary one: PostgreSQL runs as another user when its owner is root, and a checkout
//! may be where that user cannot go.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// What the folders of processes begin with; the process id follows.
const PREFIX: &str = "waypost-servers-";

/// The folder of this process. Removed with this value.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes it, and removes those of processes that were killed.
    pub(crate) fn of_this_process() -> anyhow::Result<Self> {
        let parent = std::env::temp_dir();
        sweep(&parent);
        let path = parent.join(format!("{PREFIX}{}", std::process::id()));
        make(&path)?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is removed by the next sweep.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Makes a folder that others may look into: its name is no secret, what is in it guards itself.
pub(crate) fn make(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new().mode(0o755).create(path).with_context(|| format!("making {}", path.display()))
}

/// Makes a folder, in the place of one that is there.
pub(super) fn empty(path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("emptying {}", path.display()))?;
    }
    make(path)
}

/// The user that this process runs as, where the system shows it.
pub(crate) fn own_user() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|process| process.uid())
}

/// Removes the folders of this user whose process is gone. Where the system does not show processes, none is.
fn sweep(parent: &Path) {
    let Some(user) = own_user() else { return };
    let left_behind = |name: &str| {
        let process = name.strip_prefix(PREFIX)?.parse::<u32>().ok()?;
        (!Path::new(&format!("/proc/{process}")).exists()).then_some(())
    };
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours =
            fs::symlink_metadata(entry.path()).is_ok_and(|found| found.is_dir() && found.uid() == user);
        if is_ours && entry.file_name().to_str().and_then(left_behind).is_some() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_swept_and_nothing_else() {
        let scratch = tempfile::tempdir().unwrap();
        // Beyond what the kernel gives as a process id.
        let [left, own, other] = [
            "waypost-servers-99999999".to_owned(),
            format!("{PREFIX}{}", std::process::id()),
            "waypost-data".to_owned(),
        ]
        .map(|name| scratch.path().join(name));
        for folder in [&left, &own, &other] {
            fs::create_dir_all(folder.join("redis")).unwrap();
        }
        sweep(scratch.path());
        assert_eq!([&left, &own, &other].map(|folder| folder.exists()), [false, true, true]);
    }
}
