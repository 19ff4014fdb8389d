//! A private folder in the system's temporary one: PostgreSQL runs as another user when its owner is root, and a checkout
//! may be where that user cannot go; and a socket's path has at most 107 bytes.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

/// What the folders of processes begin with; the process id follows.
const PREFIX: &str = "waypost-servers-";

/// Waits for the end of its input, which comes with the end of whoever started it, and removes a folder. Programs that end at the same time may
/// still write, so it looks again.
const REMOVER: &str =
    r#"trap "" INT TERM HUP; cat; for try in 1 2 3 4 5; do rm -rf -- "$0" && exit; sleep 1; done"#;

/// The folder of this process. Removed with this value, and when the process is killed.
pub(crate) struct Folder {
    path: PathBuf,
    remover: Child,
}

impl Folder {
    /// Makes it, and removes those of processes that were killed.
    pub(crate) fn of_this_process() -> anyhow::Result<Self> {
        let parent = std::env::temp_dir();
        sweep(&parent);
        let path = parent.join(format!("{PREFIX}{}", std::process::id()));
        make(&path)?;
        let remover = remover(&path).context("starting a shell that removes the folder in the end")?;
        Ok(Self { path, remover })
    }

    /// A place in it for temporary files of tests, as open to other users as the system's own: what tests that were killed leave goes
    /// with it.
    pub(crate) fn temporary(&self) -> anyhow::Result<PathBuf> {
        let path = self.path.join("tmp");
        make(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o1777))
            .with_context(|| format!("opening {} to others", path.display()))?;
        Ok(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The end of its input. What is left even so is removed by the next sweep.
        drop(self.remover.stdin.take());
        let _ = self.remover.wait();
    }
}

/// In a group of its own, so that Ctrl-C does not reach it.
fn remover(path: &Path) -> io::Result<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", REMOVER]).arg(path).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
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
    fn a_folder_goes_with_its_value_and_with_the_process() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("folder");
        fs::create_dir_all(path.join("tmp/left-by-a-test")).unwrap();
        // The kernel closes the input of the remover when its owner is killed.
        let mut child = remover(&path).unwrap();
        assert!(path.exists());
        let group = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &group]).status().unwrap().success());
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
        assert!(!path.exists());
    }

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
