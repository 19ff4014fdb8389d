//! A disk that forgets what was not synced, for the databases of one program, and the power cut that shows it.
//!
//! `kill -9` alone loses nothing of what a program wrote: the system still has it. Here a library in C, built by the test
//! and loaded into the program, keeps beside every database file what a disk would hold for sure. After the program was
//! killed, [`ForgetfulDisk::cut_power`] puts that in the place of what it wrote; a file that was given another name has its old
//! one again, unless the folder was synced. Linux only.
//!
//! Left out: disks that only say that they have synced. No program can help that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use tempfile::TempDir;

const LIBRARY: &str = include_str!("forgetful_disk.c");
/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// The library and what the disk holds for sure.
#[derive(Debug)]
pub struct ForgetfulDisk {
    folder: TempDir,
    library: PathBuf,
}

/// What a power cut does to what was written and not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerCut {
    /// All of it is gone.
    Forgets,
    /// Of each file any sectors may have reached the disk, in any order, decided by a seed.
    Tears(u64),
}

impl ForgetfulDisk {
    /// Builds the library with the C compiler of the machine (`cc`).
    ///
    /// # Errors
    /// When there is none, or it fails.
    pub fn build() -> anyhow::Result<ForgetfulDisk> {
        let folder = tempfile::tempdir()?;
        let (source, library) = (folder.path().join("forgetful_disk.c"), folder.path().join("disk.so"));
        fs::write(&source, LIBRARY)?;
        fs::create_dir(folder.path().join("synced"))?;
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([&library, &source])
            .args(["-ldl", "-lpthread"])
            .output()
            .context("the forgetful disk needs a C compiler; install one that is called cc")?;
        let said = String::from_utf8_lossy(&built.stderr);
        anyhow::ensure!(built.status.success(), "the forgetful disk cannot be built: {said}");
        Ok(ForgetfulDisk { folder, library })
    }

    /// The environment of a program whose databases in this folder are on the disk. The folder has to be there.
    pub fn environment(&self, data: &Path) -> [(&'static str, String); 3] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FORGETFUL_DISK_FOLDER", data.display().to_string()),
            ("FORGETFUL_DISK_SYNCED", self.synced().display().to_string()),
        ]
    }

    /// Lets every database file in the folder be what the disk would hold, and tells how many sectors were written and
    /// lost. The program must have been killed.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn cut_power(&self, data: &Path, cut: PowerCut) -> anyhow::Result<usize> {
        let mut lost = 0;
        let mut random = match cut {
            PowerCut::Forgets => None,
            PowerCut::Tears(seed) => Some(fastrand::Rng::with_seed(seed)),
        };
        self.forget_names(data, random.as_mut())?;
        let mut files: Vec<PathBuf> =
            fs::read_dir(data)?.map(|file| Ok(file?.path())).collect::<std::io::Result<_>>()?;
        files.sort();
        for path in files {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with("-shm") {
                fs::remove_file(&path)?;
            } else if is_database(&name) {
                let second = self.synced().join(&name);
                lost += after_cut(&path, &second, random.as_mut()).with_context(|| name)?;
            }
        }
        Ok(lost)
    }

    /// The environment in which a program is killed in place of this change of a name or sync of a database, counted from 1.
    pub fn ends_at(&self, number: u64) -> (&'static str, String) {
        ("FORGETFUL_DISK_END", number.to_string())
    }

    /// Names that were given and not synced: those from some moment on are as they were before, and that is decided by chance
    /// or, without it, all of them.
    fn forget_names(&self, data: &Path, random: Option<&mut fastrand::Rng>) -> anyhow::Result<()> {
        let path = self.synced().join("renames");
        let Ok(lines) = fs::read_to_string(&path) else { return Ok(()) };
        let renames: Vec<(&str, &str)> = lines.lines().filter_map(|line| line.split_once('\t')).collect();
        let kept = random.map_or(0, |random| random.usize(0..=renames.len()));
        let move_in = |folder: &Path, from: &str, to: &str| {
            let (from, to) = (folder.join(from), folder.join(to));
            if from.exists() { fs::rename(from, to) } else { Ok(()) }
        };
        for (from, to) in renames.iter().take(kept) {
            move_in(&self.synced(), from, to)?;
        }
        for (from, to) in renames.iter().skip(kept).rev() {
            move_in(data, to, from)?;
        }
        fs::remove_file(path)?;
        Ok(())
    }

    fn synced(&self) -> PathBuf {
        self.folder.path().join("synced")
    }
}

/// Whether a name is that of a database, also of one that is moved, or of a log beside it.
fn is_database(name: &str) -> bool {
    let name = name.trim_end_matches("-wal").trim_end_matches("-journal");
    [".moving", ".moved", ".new", ""].iter().any(|end| name.ends_with(&format!(".db{end}")))
}

/// Makes both files what the disk holds after the cut.
fn after_cut(path: &Path, second: &Path, random: Option<&mut fastrand::Rng>) -> anyhow::Result<usize> {
    if !second.exists() {
        // It was never synced, so not even its name is sure.
        let lost = fs::metadata(path)?.len().div_ceil(SECTOR as u64);
        fs::remove_file(path)?;
        return Ok(usize::try_from(lost)?);
    }
    let (written, synced) = (fs::read(path)?, fs::read(second)?);
    let (held, lost) = torn(&written, &synced, random);
    fs::write(path, &held)?;
    fs::write(second, &held)?;
    Ok(lost)
}

/// What the disk holds of a file, and how many of its sectors are not what was written.
fn torn(written: &[u8], synced: &[u8], mut random: Option<&mut fastrand::Rng>) -> (Vec<u8>, usize) {
    let mut reached = || random.as_mut().is_some_and(|random| random.bool());
    let length = if reached() { written.len() } else { synced.len() };
    let mut held = synced.to_vec();
    held.resize(length, 0);
    let mut lost = 0;
    for start in (0..length.max(written.len())).step_by(SECTOR) {
        let end = (start + SECTOR).min(written.len());
        let new = written.get(start..end).unwrap_or_default();
        if held.get(start..(start + new.len()).min(length)) == Some(new) {
            continue;
        }
        match held.get_mut(start..start + new.len()) {
            Some(old) if reached() => old.copy_from_slice(new),
            _ => lost += 1,
        }
    }
    (held, lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_synced_is_gone_or_torn_by_sectors() {
        let synced = [1; 3 * SECTOR];
        let written = [&[1; SECTOR][..], &[2; 4 * SECTOR]].concat();
        assert_eq!(torn(&written, &synced, None), (synced.to_vec(), 4));

        let (held, lost) = torn(&written, &synced, Some(&mut fastrand::Rng::with_seed(4)));
        assert!(held.chunks(SECTOR).all(|sector| sector.windows(2).all(|pair| pair[0] == pair[1])));
        assert_eq!(held.get(..SECTOR), synced.get(..SECTOR));
        let new = held.chunks(SECTOR).filter(|sector| sector[0] == 2).count();
        assert!(new > 0 && lost > 0, "{new} sectors reached the disk, {lost} did not");
    }
}
