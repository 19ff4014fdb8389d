//! `waypost man-pages`: the manual, made from the command line's own description, so that the two cannot differ.

use std::fs;
use std::path::Path;

use crate::console::say;
use crate::exit::{Exit, Failure, OrExit as _};

/// Writes one page for each command, `waypost.1`, `waypost-up.1` and so on.
pub(crate) fn write(command: clap::Command, folder: &Path) -> Result<Exit, Failure> {
    let attempted = format!("writing the manual pages into {}", folder.display());
    fs::create_dir_all(folder).or_exit(Exit::CannotCreate, attempted.clone())?;
    clap_mangen::generate_to(command, folder).or_exit(Exit::Io, attempted)?;
    say(format!("wrote the manual pages into {}", folder.display()));
    Ok(Exit::Done)
}
