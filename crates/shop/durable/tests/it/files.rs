//! The files of a database: the lock, the folder, and what is said when they cannot be had.

use std::error::Error as _;

use waypost_durable::{Database, DatabaseOptions, Error, Location, Migrator as _, Sharing, SqliteMigrator};
use waypost_telemetry::Telemetry;

use super::{NOTES, insert, names};

fn options(path: &std::path::Path, sharing: Sharing) -> DatabaseOptions {
    let location = Location::File(path.to_path_buf());
    DatabaseOptions { sharing, ..DatabaseOptions::new(location, "test", &Telemetry::disabled()) }
}

#[tokio::test]
async fn a_database_that_is_open_elsewhere_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("order.db");
    let first = Database::open(options(&path, Sharing::Exclusive), &[NOTES]).unwrap();
    for sharing in [Sharing::Exclusive, Sharing::Shared] {
        let refused = Database::open(options(&path, sharing), &[NOTES]).unwrap_err();
        assert!(matches!(refused, Error::InUse { .. }), "{refused:?}");
        let message = refused.to_string();
        assert!(
            message.contains(folder.path().to_str().unwrap()) && message.contains("order.db"),
            "{message}"
        );
    }
    first.close().await;
    Database::open(options(&path, Sharing::Exclusive), &[NOTES]).unwrap();
}

#[tokio::test]
async fn a_shared_database_can_be_open_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.db");
    let first = Database::open(options(&path, Sharing::Shared), &[NOTES]).unwrap();
    let second = Database::open(options(&path, Sharing::Shared), &[NOTES]).unwrap();
    let (one, other) = tokio::join!(insert(&first, "one"), insert(&second, "other"));
    one.unwrap();
    other.unwrap();
    assert_eq!(names(&first).await.len(), 2);
    assert!(matches!(Database::open(options(&path, Sharing::Exclusive), &[NOTES]), Err(Error::InUse { .. })));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("order.db");
    std::fs::write(
        &path,
        "this is a text and no database, and it is long enough to have a header of a hundred bytes. "
            .repeat(50),
    )
    .unwrap();
    let error = Database::open(options(&path, Sharing::Exclusive), &[NOTES]).unwrap_err();
    let Error::Open { path: named, hint, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*named, path);
    assert!(hint.contains("no SQLite database"), "{hint}");
    assert!(error.source().is_some());
    let migrator = SqliteMigrator::new(Location::File(path), "test", Sharing::Exclusive, &[NOTES]);
    assert!(matches!(migrator.plan().await, Err(Error::Open { .. })));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Database::open(options(&file.join("data").join("order.db"), Sharing::Exclusive), &[NOTES])
        .unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, Error::Open { .. }), "{error:?}");
    assert!(message.contains("choose another data folder"), "{message}");
}

#[tokio::test]
async fn an_ephemeral_database_leaves_nothing_behind() {
    let database = super::ephemeral(&[NOTES]);
    let folder = database.path().parent().unwrap().to_path_buf();
    insert(&database, "note").await.unwrap();
    assert!(folder.is_dir());
    database.close().await;
    assert!(!folder.exists());

    let dropped = super::ephemeral(&[NOTES]);
    let folder = dropped.path().parent().unwrap().to_path_buf();
    drop(dropped);
    super::eventually("the folder of a dropped database is removed", || async {
        (!folder.exists()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_missing_folder_is_made_and_data_is_there_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").join("folder").join("order.db");
    let database = Database::open(options(&path, Sharing::Exclusive), &[NOTES]).unwrap();
    insert(&database, "kept").await.unwrap();
    database.close().await;
    let database = Database::open(options(&path, Sharing::Exclusive), &[NOTES]).unwrap();
    assert_eq!(names(&database).await, ["kept"]);
}
