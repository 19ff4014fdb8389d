//! `waypost export` and `waypost import`: what they refuse, and that nothing is left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::{TempDir, tempdir};
use waypost_durable::transfer::{Column, Content};
use waypost_test_servers::postgres::{Database, Session};
use waypost_testkit::Shop;

use super::program::{Stopped, ended, waypost};

const ORDER: &str = r#"{"user_id":"user123","product_id":"prod456","quantity":2,"amount":99.99}"#;
const CONTENTS: [&Content; 6] = [
    &waypost_order::store::CONTENT,
    &waypost_user::store::CONTENT,
    &waypost_inventory::store::CONTENT,
    &waypost_payment::store::CONTENT,
    &waypost_provider::store::CONTENT,
    &waypost_notification::store::CONTENT,
];

/// A folder with `data`, in which orders were placed, and room for exports.
async fn shop_with_orders() -> TempDir {
    let folder = tempdir().unwrap();
    let shop =
        Shop::of(env!("CARGO_BIN_EXE_waypost")).data(&folder.path().join("data")).start().await.unwrap();
    let gateway = shop.client("gateway");
    for key in ["one", "two"] {
        let placed = gateway.post("/api/orders", &[("idempotency-key", key)], ORDER).await.unwrap();
        assert_eq!(placed.status, 201, "{}", placed.json);
    }
    assert!(shop.stop().await.unwrap().status.success());
    folder
}

fn operate(folder: &Path, words: &[&str], data: &str, url: Option<&str>) -> Stopped {
    let mut command = waypost(folder);
    command.args(words).args(["--data", data]);
    if let Some(url) = url {
        command.env("WAYPOST_DATABASE__KIND", "postgres").env("WAYPOST_DATABASE__URL", url);
    }
    ended(&mut command)
}

fn files(export: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(export).unwrap().map(|entry| entry.unwrap().path());
    let read = paths.map(|path| (PathBuf::from(path.file_name().unwrap()), fs::read(&path).unwrap()));
    let mut files: Vec<_> = read.collect();
    // The manifest last: what it says follows from the others.
    files.sort_by_key(|(name, _)| (name.to_string_lossy() == "manifest.json", name.clone()));
    files
}

#[tokio::test]
async fn an_export_is_the_same_bytes_whichever_database_has_the_rows() {
    let (folder, database) = (shop_with_orders().await, Database::create());
    let (folder, url) = (folder.path(), database.url());
    let steps: [(&[&str], &str, Option<&str>); 5] = [
        (&["export", "one"], "data", None),
        (&["import", "one"], "data", Some(&url)),
        (&["export", "two"], "data", Some(&url)),
        (&["import", "two"], "other", None),
        (&["export", "three"], "other", None),
    ];
    for (words, data, url) in steps {
        let done = operate(folder, words, data, url);
        assert_eq!(done.code, 0, "{words:?}: {done:?}");
    }
    let first = files(&folder.join("one"));
    assert_eq!(first.len(), 7);
    for export in ["two", "three"] {
        let again = files(&folder.join(export));
        for ((file, bytes), (_, other)) in first.iter().zip(&again) {
            let (bytes, other) = (String::from_utf8_lossy(bytes), String::from_utf8_lossy(other));
            for (one, two) in bytes.lines().zip(other.lines()) {
                assert_eq!(one, two, "{} of {export}", file.display());
            }
            assert_eq!(bytes, other, "{} of {export}", file.display());
        }
    }
}

#[tokio::test]
async fn an_import_that_cannot_be_right_changes_nothing() {
    let (folder, database) = (shop_with_orders().await, Database::create());
    let (folder, url) = (folder.path(), database.url());
    assert_eq!(operate(folder, &["export", "export"], "data", None).code, 0);
    let again = operate(folder, &["export", "export"], "data", None);
    assert_eq!(again.code, 77, "{again:?}");
    assert!(again.err.contains("is not empty"), "{}", again.err);
    let none = operate(folder, &["import", "nowhere"], "data", Some(&url));
    assert_eq!(none.code, 66, "{none:?}");

    let into_itself = operate(folder, &["import", "export"], "data", None);
    assert_eq!(into_itself.code, 77, "{into_itself:?}");
    assert!(into_itself.err.contains("waypost.db has data already"), "{}", into_itself.err);

    let export = folder.join("export");
    let broken = |file: &str, change: &dyn Fn(String) -> String, code: i32, words: &str| {
        let path = export.join(file);
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, change(before.clone())).unwrap();
        let refused = operate(folder, &["import", "export"], "data", Some(&url));
        assert_eq!(refused.code, code, "{file}: {refused:?}");
        assert!(refused.err.contains(words), "{file}: {}", refused.err);
        fs::write(&path, before).unwrap();
    };
    broken("payment.jsonl", &|text| text.replacen("user123", "user124", 1), 74, "SHA-256");
    let without_first =
        |text: String| text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    broken("order.jsonl", &without_first, 74, "it has");
    broken("manifest.json", &|text| text.replacen("\"format\": 1", "\"format\": 2", 1), 77, "form 2");
    broken("manifest.json", &|text| text.replacen("\"form\": \"", "\"form\": \"0", 1), 77, "other tables");
    broken("manifest.json", &|_| "{}".to_owned(), 74, "no manifest");

    // One role fails at its last row: nothing of it is there, and it can be imported when the cause is gone.
    let role = ["import", "export", "--role", "notification"];
    assert_eq!(operate(folder, &["migrate"], "data", Some(&url)).code, 0);
    let mut session = Session::connect(&url).await;
    session
        .execute(
            "SET search_path = waypost_notification;
             CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
             CREATE TRIGGER fails BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION fail()",
        )
        .await;
    let failed = operate(folder, &role, "data", Some(&url));
    assert_ne!(failed.code, 0, "{failed:?}");
    let told = "SELECT count(*) FROM waypost_notification.notifications";
    assert_eq!(session.number(told).await, 0);
    session.execute("DROP TRIGGER fails ON waypost_notification.inbox").await;
    let done = operate(folder, &role, "data", Some(&url));
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(session.number(told).await, 2);
    let twice = operate(folder, &role, "data", Some(&url));
    assert_eq!(twice.code, 77, "{twice:?}");
}

#[tokio::test]
async fn data_that_a_process_has_open_is_not_exported() {
    let folder = tempdir().unwrap();
    let shop =
        Shop::of(env!("CARGO_BIN_EXE_waypost")).data(&folder.path().join("data")).start().await.unwrap();
    let refused = operate(folder.path(), &["export", "export"], "data", None);
    assert_eq!(refused.code, 69, "{refused:?}");
    assert!(refused.err.contains("is in use"), "{}", refused.err);
    assert!(shop.stop().await.unwrap().status.success());
}

/// Whoever adds a column has to say what it holds.
#[tokio::test]
async fn every_column_of_every_table_is_moved() {
    let (folder, database) = (tempdir().unwrap(), Database::create());
    let url = database.url();
    for url in [None, Some(url.as_str())] {
        let migrate = ["migrate", "--set", "storage.files=per-role"];
        let migrated = operate(folder.path(), &migrate, "data", url);
        assert_eq!(migrated.code, 0, "{migrated:?}");
    }
    let mut session = Session::connect(&url).await;
    let mut moved = 0;
    for content in CONTENTS {
        let name = content.name;
        let file = Connection::open(folder.path().join(format!("data/{name}.db"))).unwrap();
        let columns = "SELECT tables.name || '.' || columns.name
             FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
             WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite%' AND tables.name <> 'schema_migrations'";
        let mut statement = file.prepare(columns).unwrap();
        let there: BTreeSet<String> =
            statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let of_table = content.tables.iter().flat_map(|table| {
            table.columns.iter().map(move |Column(column, _)| format!("{}.{column}", table.sqlite))
        });
        let described: BTreeSet<String> = of_table.collect();
        // What orders the ledger there is the row's id.
        assert_eq!(there, described, "{name}");
        moved += described.len();
    }
    // PostgreSQL has a column for the order in which charges came.
    let columns = "SELECT count(*) FROM information_schema.columns
         WHERE starts_with(table_schema, 'waypost_') AND table_name <> 'schema_migrations'";
    assert_eq!(session.number(columns).await, i64::try_from(moved).unwrap() + 1);
}
