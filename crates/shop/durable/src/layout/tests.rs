//! Moves that end after any of their steps.

use std::path::Path;

use rusqlite::Connection;
use waypost_telemetry::Telemetry;

use super::*;
use crate::{Database, DatabaseOptions, Migration};

const LETTERS: &[Migration] = &[Migration::new(
    "0001_letters",
    "CREATE TABLE letters (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE) STRICT;
     CREATE TABLE pages (letter INTEGER NOT NULL REFERENCES letters (id), page BLOB) STRICT;
     CREATE INDEX pages_of_a_letter ON pages (letter);
     CREATE TRIGGER letters_are_not_changed BEFORE UPDATE ON letters
     BEGIN SELECT raise(ABORT, 'letters stay as they are'); END;
     CREATE TRIGGER a_letter_is_noted AFTER INSERT ON letters BEGIN INSERT INTO pages VALUES (new.id, x'00'); END;",
)];
const STOCK: &[Migration] = &[Migration::new(
    "0001_stock",
    "CREATE TABLE stock (sku TEXT NOT NULL PRIMARY KEY, held INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
)];
const STORES: [(&str, &[Migration]); 2] = [("letters", LETTERS), ("stock", STOCK)];

fn files(folder: &Path, layout: Layout) -> Files {
    match layout {
        Layout::PerRole => Files::Folder(folder.to_path_buf()),
        Layout::Shared => Files::shared_in(folder),
    }
}

fn open(folder: &Path, layout: Layout) -> Vec<Database> {
    let files = files(folder, layout);
    let open = STORES.map(|(name, migrations)| {
        let options = DatabaseOptions::new(files.database(name), name, &Telemetry::disabled());
        Database::open(options, migrations).unwrap()
    });
    open.into()
}

/// Two stores with rows, one of which was deleted so that its number must not be given again.
async fn filled(folder: &Path, layout: Layout) {
    let open = open(folder, layout);
    let fill: [&'static [&'static str]; 2] = [
        &[
            "INSERT INTO letters (name) VALUES ('a'), ('b'), ('gone')",
            "DELETE FROM pages WHERE letter = 3",
            "DELETE FROM letters WHERE name = 'gone'",
        ],
        &["INSERT INTO stock VALUES ('prod456', 3)"],
    ];
    for (database, statements) in open.iter().zip(fill) {
        let run = move |unit: &mut crate::Unit<'_>| {
            statements.iter().try_for_each(|sql| unit.execute(sql, ()).map(drop))
        };
        database.write("fill", run).await.unwrap();
    }
    for database in open {
        database.close().await;
    }
}

/// Everything is there, and works as before.
async fn complete(folder: &Path, layout: Layout) {
    let open = open(folder, layout);
    let [letters, stock] = &open[..] else { panic!("not two") };
    let held = |unit: &mut crate::Unit<'_>| unit.query_row("SELECT held FROM stock", (), |row| row.get(0));
    assert_eq!(stock.read::<i64, Error, _>("held", held).await.unwrap(), 3);
    let pages = |unit: &mut crate::Unit<'_>| {
        unit.query_all(
            "SELECT letter || name FROM pages JOIN letters ON id = letter ORDER BY id",
            (),
            |row| row.get::<_, String>(0),
        )
    };
    assert_eq!(letters.read::<_, Error, _>("pages", pages).await.unwrap(), ["1a", "2b"]);
    let planned = |unit: &mut crate::Unit<'_>| {
        unit.query_row("EXPLAIN QUERY PLAN SELECT * FROM pages WHERE letter = 1", (), |row| {
            row.get::<_, String>(3)
        })
    };
    let planned = letters.read::<_, Error, _>("plan", planned).await.unwrap();
    assert!(planned.contains("pages_of_a_letter"), "{planned}");
    let changed = letters.write("change", |unit| unit.execute("UPDATE letters SET name = 'c'", ())).await;
    assert!(matches!(changed, Err(Error::Constraint { .. })), "{changed:?}");
    // What would be given next; rolled back by the error.
    let next = letters.write("next", |unit| {
        let next: i64 =
            unit.query_row("INSERT INTO letters (name) VALUES ('d') RETURNING id", (), |row| row.get(0))?;
        Err::<(), Error>(Error::Fenced { what: next.to_string() })
    });
    assert_eq!(next.await.unwrap_err().to_string(), "4 was taken over by another holder");
    let orphan =
        letters.write("orphan", |unit| unit.execute("INSERT INTO pages VALUES (9, x'00')", ())).await;
    assert!(matches!(orphan, Err(Error::Constraint { .. })), "{orphan:?}");
    for database in open {
        database.close().await;
    }
}

fn moves(layout: Layout) -> [(&'static str, Layout); 2] {
    STORES.map(|(name, _)| (name, layout))
}

/// Does so many steps and stops, as if the process had been killed; false when there were not so many.
fn interrupted_after(folder: &Path, layout: Layout, steps: usize) -> bool {
    let mut folder = Folder::lock(folder).unwrap();
    let mut done = 0;
    for (store, layout) in moves(layout) {
        loop {
            if done == steps {
                return true;
            }
            if !folder.step(store, layout).unwrap() {
                break;
            }
            done += 1;
        }
    }
    folder.finish().unwrap();
    false
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.contains(".lock"))
        .collect();
    names.sort();
    names
}

fn other(layout: Layout) -> Layout {
    match layout {
        Layout::PerRole => Layout::Shared,
        Layout::Shared => Layout::PerRole,
    }
}

#[tokio::test]
async fn a_move_that_ends_after_any_step_goes_on_to_either_side() {
    for from in [Layout::PerRole, Layout::Shared] {
        for end in [Layout::PerRole, Layout::Shared] {
            let mut steps = 0;
            loop {
                let folder = tempfile::tempdir().unwrap();
                filled(folder.path(), from).await;
                let was_interrupted = interrupted_after(folder.path(), other(from), steps);
                arrange(folder.path(), &moves(end)).unwrap();
                let expected: &[&str] =
                    if end == Layout::Shared { &["waypost.db"] } else { &["letters.db", "stock.db"] };
                assert_eq!(names(folder.path()), expected, "from {from:?} after {steps} steps");
                complete(folder.path(), end).await;
                assert_eq!(arrange(folder.path(), &moves(end)).unwrap(), Vec::<&str>::new());
                if !was_interrupted {
                    break;
                }
                steps += 1;
            }
            assert!(steps >= 6, "{steps} steps");
        }
    }
}

#[tokio::test]
async fn what_a_copy_that_was_cut_off_has_left_counts_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), Layout::Shared).await;
    for name in ["letters.db.new", "letters.db.new-wal", "letters.db.new-journal"] {
        std::fs::write(folder.path().join(name), "half a").unwrap();
    }
    assert!(found(folder.path(), &["letters", "stock"], Layout::PerRole).is_err());
    arrange(folder.path(), &moves(Layout::PerRole)).unwrap();
    assert_eq!(names(folder.path()), ["letters.db", "stock.db"]);
    complete(folder.path(), Layout::PerRole).await;
}

#[tokio::test]
async fn data_in_both_files_is_refused_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), Layout::Shared).await;
    Connection::open(folder.path().join("stock.db")).unwrap().execute_batch("CREATE TABLE mine (a)").unwrap();
    for layout in [Layout::Shared, Layout::PerRole] {
        let refused = arrange(folder.path(), &[("stock", layout)]).unwrap_err().to_string();
        assert!(refused.contains("stock.db") && refused.contains("waypost.db as well"), "{refused}");
    }
    std::fs::remove_file(folder.path().join("stock.db")).unwrap();
    complete(folder.path(), Layout::Shared).await;
}

#[tokio::test]
async fn a_store_that_is_open_is_not_moved() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), Layout::PerRole).await;
    let mut open = open(folder.path(), Layout::PerRole);
    let last = open.pop().unwrap();
    for database in open {
        database.close().await;
    }
    // The first one could be moved, and is not.
    let refused = arrange(folder.path(), &moves(Layout::Shared)).unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused:?}");
    last.close().await;
    assert_eq!(names(folder.path()), ["letters.db", "stock.db"]);
    complete(folder.path(), Layout::PerRole).await;
}

#[tokio::test]
async fn commands_find_the_file_that_counts() {
    let folder = tempfile::tempdir().unwrap();
    let stores = ["letters", "stock"];
    let is_shared = |preferred| matches!(found(folder.path(), &stores, preferred).unwrap(), Files::Shared(_));
    assert!(is_shared(Layout::Shared) && !is_shared(Layout::PerRole));
    filled(folder.path(), Layout::PerRole).await;
    assert!(!is_shared(Layout::Shared));
    arrange(folder.path(), &moves(Layout::Shared)).unwrap();
    assert!(is_shared(Layout::PerRole));
    interrupted_after(folder.path(), Layout::PerRole, 1);
    let refused = found(folder.path(), &stores, Layout::PerRole).unwrap_err().to_string();
    assert!(refused.contains("start the roles once"), "{refused}");
}
