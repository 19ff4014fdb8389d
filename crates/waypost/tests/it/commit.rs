//! Which commit the build script finds, in checkouts as git lays them out.

#[path = "../../build/commit.rs"]
mod of_checkout;

use std::fs;
use std::path::Path;

use of_checkout::Checkout;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A main checkout at commit `1...`, with a branch `feature/seen` that is packed at commit `2...`.
fn checkout() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let git = folder.path().join("main/.git");
    write(&git.join("HEAD"), "ref: refs/heads/main\n");
    write(&git.join("refs/heads/main"), &format!("{}\n", "1".repeat(40)));
    write(
        &git.join("packed-refs"),
        &format!("# pack-refs with: peeled\n{} refs/heads/feature/seen\n", "2".repeat(40)),
    );
    fs::create_dir_all(folder.path().join("main/crates/waypost")).unwrap();
    folder
}

fn commit_in(folder: &Path) -> Option<String> {
    Checkout::of(folder).commit
}

#[test]
fn a_linked_worktree_is_at_its_own_commit() {
    let folder = checkout();
    let own = folder.path().join("main/.git/worktrees/other");
    write(&own.join("commondir"), "../..\n");
    write(&own.join("HEAD"), "ref: refs/heads/other\n");
    write(&folder.path().join("main/.git/refs/heads/other"), &"3".repeat(40));
    // Beside the main checkout, or in it; with a full path, or one from where it stands.
    for (place, pointer) in
        [("other", own.display().to_string()), ("main/trees/other", "../../.git/worktrees/other".to_owned())]
    {
        let place = folder.path().join(place);
        write(&place.join(".git"), &format!("gitdir: {pointer}\n"));
        fs::create_dir_all(place.join("crates/waypost")).unwrap();
        assert_eq!(commit_in(&place.join("crates/waypost")), Some("3".repeat(40)));
    }
    assert_eq!(commit_in(&folder.path().join("main/crates/waypost")), Some("1".repeat(40)));
    write(&own.join("HEAD"), &"4".repeat(40));
    assert_eq!(commit_in(&folder.path().join("other")), Some("4".repeat(40)), "detached");
}

#[test]
fn the_first_commit_on_a_packed_branch_is_noticed() {
    let folder = checkout();
    let git = folder.path().join("main/.git");
    write(&git.join("HEAD"), "ref: refs/heads/feature/seen\n");
    let checkout = Checkout::of(&folder.path().join("main"));
    assert_eq!(checkout.commit, Some("2".repeat(40)));
    // The file of the branch is made by the commit: its folder is what changes.
    assert!(checkout.watched.contains(&git.join("refs/heads")), "{checkout:?}");
    assert!(checkout.watched.iter().all(|path| path.exists()), "{checkout:?}");
    write(&git.join("refs/heads/feature/seen"), &"5".repeat(40));
    assert_eq!(commit_in(&folder.path().join("main")), Some("5".repeat(40)));
}

#[test]
fn outside_of_a_checkout_there_is_no_commit() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Checkout::of(folder.path()), Checkout::default());
}
