//! Which file a store is in, its own or one that the roles of a process share, and how it gets from one to the other.
//!
//! For the binary, which has every store of a data folder where its configuration says before it opens one. A store is moved
//! whole: `order.db` becomes the tables of `order` in `waypost.db`, or the other way round.
//!
//! Invariants: at every moment one file holds the store complete, and the names of the files say which one. What is next
//! follows from what is in the folder alone, so a move that was interrupted, by a kill or a power cut, goes on with the next
//! start, to either side. Nothing is taken away before what takes its place is synced.
//!
//! The names on the way, for `order`: `order.db.moving` is what the shared file is filled from; it counts until the shared file
//! has the store. `order.db.new` is being filled from the shared file, and counts for nothing; `order.db.moved` is complete and
//! counts from then on.
//!
//! Left out: moving while a process has the store open; it is refused.

mod copy;
mod moving;
pub(crate) mod tables;

#[cfg(test)]
mod tests;

use std::path::Path;

use moving::Folder;

use crate::{Error, Files};

/// Which file a store is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One of its own.
    PerRole,
    /// The one that the roles of a process share.
    Shared,
}

/// Moves the stores of a folder to where they are to be, each in a crash-safe way, and tells which were moved. What is there
/// already, or nowhere yet, costs a look at the names in the folder.
///
/// A store that is moved into the shared file has to be at the schema of this program
/// ([`Migrator::apply`](crate::Migrator::apply)). Blocks for as long as it takes; meant for start-up.
///
/// # Errors
/// [`Error::InUse`] when a process has the shared file open for ten seconds, or one that a store is to leave: nothing is moved
/// then. [`Error::Open`] when a store is in both files. Nothing is lost with either.
pub fn arrange(folder: &Path, stores: &[(&'static str, Layout)]) -> Result<Vec<&'static str>, Error> {
    if !stores.iter().any(|(store, layout)| moving::may_have_to_move(folder, store, *layout)) {
        return Ok(Vec::new());
    }
    let mut folder = Folder::lock(folder)?;
    for (store, layout) in stores {
        folder.check_unused(store, *layout)?;
    }
    let mut moved = Vec::new();
    for (store, layout) in stores {
        let mut steps = 0;
        while folder.step(store, *layout)? {
            steps += 1;
        }
        if steps > 0 {
            moved.push(*store);
        }
    }
    folder.finish()?;
    Ok(moved)
}

/// The files that the stores of a folder are in, for commands that change no layout; `preferred` when there are none yet.
///
/// # Errors
/// [`Error::Open`] when a move was interrupted or a store is in a file of its own beside the shared one: the next start of the
/// roles puts that right, or says what is wrong.
pub fn found(folder: &Path, stores: &[&'static str], preferred: Layout) -> Result<Files, Error> {
    let in_shared = moving::shared_file(folder).exists();
    if let Some(path) = stores.iter().find_map(|store| moving::unsettled(folder, store, in_shared)) {
        return Err(moving::interrupted(&path));
    }
    let has_own = stores.iter().any(|store| moving::own_file(folder, store).exists());
    let is_shared = in_shared || (!has_own && preferred == Layout::Shared);
    Ok(if is_shared { Files::shared_in(folder) } else { Files::Folder(folder.to_path_buf()) })
}
