//! Which commit a checkout is at, read from its `.git`, without `git`.
//!
//! For the build script, and for the test that tries it on checkouts of every kind.

use std::fs;
use std::path::{Path, PathBuf};

/// The commit of the checkout that a folder lies in, and what to look at to know that it is another one by now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkout {
    /// `None` outside of a checkout, and in one without a commit.
    pub(crate) commit: Option<String>,
    /// Files and folders, all of them there, one of which changes when the commit does.
    pub(crate) watched: Vec<PathBuf>,
}

impl Checkout {
    /// Of the checkout that this folder lies in: the innermost one, be it the main one, a linked worktree or a submodule.
    pub(crate) fn of(folder: &Path) -> Checkout {
        let mut checkout = Checkout::default();
        checkout.commit = checkout.find(folder);
        checkout
    }

    fn find(&mut self, folder: &Path) -> Option<String> {
        let dot_git = folder.ancestors().map(|folder| folder.join(".git")).find(|path| path.exists())?;
        // In a linked worktree `.git` is a file that names the real folder.
        let git = match fs::read_to_string(&dot_git) {
            Ok(pointer) => dot_git.parent()?.join(pointer.trim().strip_prefix("gitdir: ")?),
            Err(_) => dot_git,
        };
        let head_file = git.join("HEAD");
        self.watch(&head_file);
        let head = fs::read_to_string(&head_file).ok()?;
        let Some(reference) = head.trim().strip_prefix("ref: ") else {
            return Some(head.trim().to_owned());
        };
        // What belongs to one worktree is in its own folder, the branches of all are in the one they share.
        let shared = match fs::read_to_string(git.join("commondir")) {
            Ok(relative) => git.join(relative.trim()),
            Err(_) => git,
        };
        let loose = shared.join(reference);
        self.watch(&loose);
        match fs::read_to_string(&loose) {
            Ok(commit) => Some(commit.trim().to_owned()),
            Err(_) => self.packed(&shared, reference),
        }
    }

    fn packed(&mut self, git: &Path, reference: &str) -> Option<String> {
        let packed_file = git.join("packed-refs");
        self.watch(&packed_file);
        let packed = fs::read_to_string(packed_file).ok()?;
        packed.lines().find_map(|line| line.strip_suffix(reference)?.strip_suffix(' ').map(str::to_owned))
    }

    /// What is not there yet shows in the folder that it will be in: the next commit of a packed branch makes its file.
    /// Watching a missing file itself would make cargo build again every time.
    fn watch(&mut self, path: &Path) {
        self.watched.extend(path.ancestors().find(|path| path.exists()).map(Path::to_owned));
    }
}
