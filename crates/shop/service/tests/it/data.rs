//! The data folder of a process.

use std::{sync::Barrier, thread};
use waypost_service::DataDir;

#[test]
fn processes_that_prepare_one_folder_at_once_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataDir::Folder(folder.path().join("data"));
    let at_once = Barrier::new(16);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..100 {
                    at_once.wait();
                    data.prepare().unwrap();
                }
            });
        }
    });
    assert_eq!(std::fs::read_dir(data.folder().unwrap()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = DataDir::Folder(file.join("data")).prepare().unwrap_err();
    assert!(error.to_string().contains("file/data"), "{error}");
}
