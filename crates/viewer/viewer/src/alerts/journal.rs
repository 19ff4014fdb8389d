//! The file that states, history and queues outlive the process in: `alerts.json` of the viewer's folder.
//!
//! Invariant: the file is always whole. It is written beside itself and put in its place.

use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};
use waypost_trace_alerts::Saved;

const FILE_NAME: &str = "alerts.json";
/// Files that are set aside beside one.
const MAX_ASIDE: u32 = 1_000;
/// Stands in the first line, before the digest of the rest.
const FORM: &str = "waypost-alerts-1 ";

/// Where the file is.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    path: PathBuf,
}

impl Journal {
    /// In this folder, which is there.
    pub(crate) fn within(folder: &Path) -> Journal {
        Journal { path: folder.join(FILE_NAME) }
    }

    /// What was saved; nothing when there is no file. A file that is damaged is set aside, with a line in the log.
    pub(crate) fn load(&self) -> Saved {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Saved::default(),
            Err(error) => return self.set_aside(&error.to_string()),
        };
        match read(&bytes) {
            Ok(saved) => saved,
            Err(reason) => self.set_aside(&reason),
        }
    }

    fn set_aside(&self, reason: &str) -> Saved {
        let aside = aside(&self.path);
        let path = self.path.display().to_string();
        match fs::rename(&self.path, &aside) {
            Ok(()) => tracing::error!(
                path,
                reason,
                set_aside_as = %aside.display(),
                "the file of the alerts is damaged; alerts begin anew"
            ),
            Err(error) => tracing::error!(path, reason, %error, "the file of the alerts cannot be read"),
        }
        Saved::default()
    }

    /// Writes everything, and forces it to the disk.
    pub(crate) fn save(&self, saved: &Saved) -> io::Result<()> {
        let body = serde_json::to_vec(saved).map_err(io::Error::other)?;
        let head = format!("{FORM}{}\n", digest(&body));
        write_whole(&self.path, &[head.as_bytes(), &body])
    }
}

fn read(bytes: &[u8]) -> Result<Saved, String> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("it has no first line")?;
    let (head, body) = bytes.split_at(end);
    let body = body.get(1..).unwrap_or_default();
    let known = std::str::from_utf8(head).ok().and_then(|head| head.strip_prefix(FORM));
    if known.ok_or("it has another form")? != digest(body) {
        return Err("its digest is another one".to_owned());
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

/// In hexadecimal digits.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A name beside this one that nothing has; of so many the last is taken again.
pub(super) fn aside(path: &Path) -> PathBuf {
    let name = |number: u32| PathBuf::from(format!("{}.damaged-{number}", path.display()));
    (1..MAX_ASIDE).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(MAX_ASIDE))
}

/// Writes a file beside its place, forces it to the disk and puts it there.
pub(super) fn write_whole(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let beside = PathBuf::from(format!("{}.new", path.display()));
    let mut file = File::create(&beside)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_there_again_and_what_is_damaged_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::within(folder.path());
        assert_eq!(journal.load(), Saved::default());
        let saved = Saved { sequence: 7, ..Saved::default() };
        journal.save(&saved).unwrap();
        assert_eq!(journal.load(), saved);
        let mut bytes = fs::read(folder.path().join(FILE_NAME)).unwrap();
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        for _ in 0..2 {
            fs::write(folder.path().join(FILE_NAME), &bytes).unwrap();
            assert_eq!(journal.load(), Saved::default());
        }
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["alerts.json.damaged-1", "alerts.json.damaged-2"]);
    }
}
