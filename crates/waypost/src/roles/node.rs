//! The name of this process in what it shares with others: the same after a restart, another for each process that is
//! up at the same time.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use waypost_service::DataDir;

use crate::exit::{Exit, Failure};

/// The file in the data folder that keeps it.
const FILE: &str = "node";

/// The configured name, or else the one of the data folder, which is made once. Data that goes with the process has one
/// that does so, too.
pub(super) fn name(configured: &str, data: &DataDir) -> Result<String, Failure> {
    if !configured.is_empty() {
        return Ok(configured.to_owned());
    }
    let Some(folder) = data.folder().filter(|folder| folder.exists()) else { return Ok(fresh()) };
    kept(folder).map_err(|error| {
        let exit = if error.kind() == ErrorKind::StorageFull { Exit::Io } else { Exit::CannotCreate };
        let error = anyhow::Error::new(error);
        Failure::new(exit, error.context(format!("reading the name of the node in {}", folder.display())))
    })
}

/// What can be a name: it becomes part of a row and of messages.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn kept(folder: &Path) -> io::Result<String> {
    let file = folder.join(FILE);
    if !file.exists() {
        make(folder, &file)?;
    }
    let text = fs::read_to_string(file)?;
    let name = text.trim();
    if is_name(name) {
        return Ok(name.to_owned());
    }
    let reason = "the file `node` does not hold a name; remove it, and a new one is made";
    Err(io::Error::new(ErrorKind::InvalidData, reason))
}

/// Whole or not at all: another process may look for it at this moment, or make it as well; then that one counts.
fn make(folder: &Path, file: &Path) -> io::Result<()> {
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut new, format!("{}\n", fresh()).as_bytes())?;
    match new.persist_noclobber(file) {
        Ok(_) => Ok(()),
        Err(lost) if lost.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(failed) => Err(failed.error),
    }
}

fn fresh() -> String {
    uuid::Uuid::now_v7().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_folder_has_one_name_whoever_asks_first() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::Folder(folder.path().to_path_buf());
        let names: HashSet<String> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..16).map(|_| scope.spawn(|| name("", &data).unwrap())).collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        assert_eq!(names.len(), 1);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        assert_eq!(name("till-7", &data).unwrap(), "till-7", "what is configured comes first");
    }

    #[test]
    fn data_that_goes_with_the_process_has_a_name_that_does_so_too() {
        assert_ne!(name("", &DataDir::Ephemeral).unwrap(), name("", &DataDir::Ephemeral).unwrap());
    }

    #[test]
    fn a_name_is_short_and_plain() {
        for (text, is_one) in
            [("shop-1.example", true), ("", false), ("a/b", false), (&*"x".repeat(65), false)]
        {
            assert_eq!(is_name(text), is_one, "{text}");
        }
    }
}
