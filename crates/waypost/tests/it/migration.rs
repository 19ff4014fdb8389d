use std::fs;

use tempfile::tempdir;
use waypost_testkit::database;

use super::program::{ended, waypost};

#[test]
fn a_dry_run_says_what_migrate_then_does() {
    for (files, order) in
        [("per-role", "waypost-data/order.db"), ("shared", "order in waypost-data/waypost.db")]
    {
        let folder = tempdir().unwrap();
        let migrate = |dry: &[&str]| {
            let mut command = waypost(folder.path());
            ended(command.arg("migrate").args(dry).env("WAYPOST_STORAGE__FILES", files))
        };
        let dry = migrate(&["--dry-run"]);
        assert_eq!(dry.code, 0, "{dry:?}");
        assert!(dry.out.contains(&format!("{order}: would apply 0001_")), "{}", dry.out);
        assert!(!folder.path().join("waypost-data").exists(), "a dry run makes nothing");

        let real = migrate(&[]);
        assert_eq!(real.code, 0, "{real:?}");
        assert_eq!(real.out, dry.out.replace("would apply", "applied"));

        let again = migrate(&["--dry-run"]);
        assert!(again.out.lines().all(|line| line.ends_with(": up to date")), "{}", again.out);
    }
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    for (files, applied) in [("per-role", "schema_migrations"), ("shared", "schema_migrations_user")] {
        let folder = tempdir().unwrap();
        let of_these_files = |arguments: &[&str]| {
            let mut command = waypost(folder.path());
            command.args(arguments).env("WAYPOST_STORAGE__FILES", files);
            ended(command.env("WAYPOST_LISTEN__USER", "127.0.0.1:0"))
        };
        assert_eq!(of_these_files(&["migrate"]).code, 0);
        let file = database(&folder.path().join("waypost-data"), "user");
        let file = rusqlite::Connection::open(file).unwrap();
        let newer = format!("INSERT INTO {applied} (id, checksum) VALUES ('9999_future', 'x')");
        file.execute(&newer, ()).unwrap();
        drop(file);

        // The role has a file of its own, to which its rows are moved first.
        let run = ["run", "user", "--admin", "127.0.0.1:0"];
        for arguments in [&["migrate"][..], &["migrate", "--dry-run"], &run] {
            let ended = of_these_files(arguments);
            assert_eq!(ended.code, 73, "{ended:?}");
            assert!(ended.err.contains("newer version"), "{}", ended.err);
        }
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
