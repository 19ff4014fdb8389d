//! A disk that is soon full.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::own_postgres::is_root;

/// A file system of few mebibytes, in memory. Gone when this is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    place: PathBuf,
}

impl SmallDisk {
    /// Mounts one at this place, which is made, for this user.
    ///
    /// # Panics
    /// Unless the test runs as root, who alone may mount.
    pub(crate) fn mount(place: &Path, mebibytes: u32, user: &str) -> Self {
        assert!(is_root(), "a small disk can only be mounted by root: run this test as root, as CI does");
        fs::create_dir_all(place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
        let options = format!("size={mebibytes}m,mode=0700,uid={user},gid=nogroup");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "waypost-test"]).arg(place);
        let mounted = mount.output().unwrap_or_else(|error| panic!("mount: {error}"));
        assert!(mounted.status.success(), "mount: {}", String::from_utf8_lossy(&mounted.stderr));
        Self { place: place.to_path_buf() }
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let file = self.filler();
        let mut filler = File::options().create(true).append(true).open(&file);
        let filler = filler.as_mut().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut size = 1 << 20;
        while size > 0 {
            match filler.write(&vec![0; size]) {
                Ok(written) if written > 0 => {}
                Ok(_) => size /= 2,
                Err(error) if error.kind() == ErrorKind::StorageFull => size /= 2,
                Err(error) => panic!("{}: {error}", file.display()),
            }
        }
    }

    /// Gives back what [`SmallDisk::fill`] took.
    pub fn free(&self) {
        fs::remove_file(self.filler()).unwrap_or_else(|error| panic!("freeing the disk: {error}"));
    }

    fn filler(&self) -> PathBuf {
        self.place.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the programs that have files on it may not have ended yet.
        let _ = Command::new("umount").arg("--lazy").arg(&self.place).output();
    }
}
