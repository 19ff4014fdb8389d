use std::fs;

use tempfile::tempdir;

use super::program::{ended, waypost};

#[test]
fn a_dry_run_says_what_migrate_then_does() {
    let folder = tempdir().unwrap();
    let dry = ended(waypost(folder.path()).args(["migrate", "--dry-run"]));
    assert_eq!(dry.code, 0, "{dry:?}");
    assert!(dry.out.contains("order.db: would apply 0001_"), "{}", dry.out);
    assert!(!folder.path().join("waypost-data").exists(), "a dry run makes nothing");

    let real = ended(waypost(folder.path()).arg("migrate"));
    assert_eq!(real.code, 0, "{real:?}");
    assert_eq!(real.out, dry.out.replace("would apply", "applied"));

    let again = ended(waypost(folder.path()).args(["migrate", "--dry-run"]));
    assert!(again.out.lines().all(|line| line.ends_with(": up to date")), "{}", again.out);
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    let folder = tempdir().unwrap();
    assert_eq!(ended(waypost(folder.path()).arg("migrate")).code, 0);
    let file = folder.path().join("waypost-data/user.db");
    let database = rusqlite::Connection::open(file).unwrap();
    database.execute("INSERT INTO schema_migrations (id, checksum) VALUES ('9999_future', 'x')", ()).unwrap();
    drop(database);

    for arguments in [&["migrate"][..], &["migrate", "--dry-run"], &["run", "user", "--admin", "127.0.0.1:0"]]
    {
        let ended = ended(waypost(folder.path()).args(arguments).env("WAYPOST_LISTEN__USER", "127.0.0.1:0"));
        assert_eq!(ended.code, 73, "{ended:?}");
        assert!(ended.err.contains("newer version"), "{}", ended.err);
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("waypost-data");
    fs::create_dir(&data).unwrap();
    let text = "this is my shopping list, and not a database ".repeat(100);
    fs::write(data.join("order.db"), &text).unwrap();
    let ended = ended(waypost(folder.path()).arg("migrate"));
    assert_eq!(ended.code, 73, "{ended:?}");
    assert!(ended.err.contains("order.db"), "{}", ended.err);
    assert_eq!(fs::read_to_string(data.join("order.db")).unwrap(), text);
}
