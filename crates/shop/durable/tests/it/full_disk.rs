//! No room: nothing that was refused is kept, nothing that was acknowledged is lost, and work goes on when there is room.

use std::process::Command;

use futures_util::future::{join, join_all};
use waypost_durable::{Database, DatabaseOptions, Error, Location, Migration, SharedFile};
use waypost_telemetry::Telemetry;
use waypost_test_process::Process;

use super::{NOTES, insert, names};

/// Tells the child where its database is.
const CHILD: &str = "WAYPOST_DURABLE_TEST_FULL_DISK";

async fn insert_large(database: &Database, name: String) -> Result<(), Error> {
    database
        .write("insert-large-note", move |unit| {
            unit.execute("INSERT INTO notes (name, body) VALUES (?1, zeroblob(20000))", (name,))?;
            Ok(())
        })
        .await
}

/// Inserts until there is no room; returns the acknowledged names and the error.
async fn fill(database: &Database) -> (Vec<String>, Error) {
    let mut acknowledged = Vec::new();
    loop {
        assert!(acknowledged.len() < 10_000, "there is no end to the room");
        let name = format!("note {}", acknowledged.len());
        match insert_large(database, name.clone()).await {
            Ok(()) => acknowledged.push(name),
            Err(error) => return (acknowledged, error),
        }
    }
}

#[tokio::test]
async fn a_full_database_refuses_writes_and_works_again_when_there_is_room() {
    let options = DatabaseOptions {
        max_pages: Some(100),
        ..DatabaseOptions::new(Location::Ephemeral, "test", &Telemetry::disabled())
    };
    let database = Database::open(options, &[NOTES]).unwrap();
    let (acknowledged, error) = fill(&database).await;
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    assert!(error.is_full() && error.is_retryable());
    assert!(error.to_string().contains("free disk space"), "{error}");
    assert!(acknowledged.len() > 5);
    assert_eq!(names(&database).await, acknowledged);

    let deleted: Result<usize, Error> =
        database.write("make-room", |unit| unit.execute("DELETE FROM notes WHERE name = 'note 0'", ())).await;
    assert_eq!(deleted.unwrap(), 1);
    insert_large(&database, "after".to_owned()).await.unwrap();
    assert_eq!(names(&database).await.last().map(String::as_str), Some("after"));
}

#[tokio::test]
async fn many_writers_on_a_full_database_each_learn_what_became_of_their_unit() {
    let options = DatabaseOptions {
        max_pages: Some(200),
        ..DatabaseOptions::new(Location::Ephemeral, "test", &Telemetry::disabled())
    };
    let database = Database::open(options, &[NOTES]).unwrap();
    let writes = (0..200).map(|number| insert_large(&database, format!("note {number}")));
    let mut acknowledged = Vec::new();
    for (number, result) in futures_util::future::join_all(writes).await.into_iter().enumerate() {
        match result {
            Ok(()) => acknowledged.push(format!("note {number}")),
            // The whole transaction is rolled back by SQLite; all of its units are told so.
            Err(error) => assert!(error.is_full(), "{error:?}"),
        }
    }
    let mut stored = names(&database).await;
    stored.sort();
    acknowledged.sort();
    assert_eq!(stored, acknowledged);
    assert!(acknowledged.len() < 200);
}

#[tokio::test]
async fn a_full_file_refuses_all_its_databases_and_loses_nothing_of_either() {
    const OTHERS: Migration =
        Migration::new("0001_others", "CREATE TABLE others (number INTEGER, body BLOB)");
    let file = SharedFile::ephemeral();
    let options = |name| DatabaseOptions {
        max_pages: Some(200),
        ..DatabaseOptions::new(Location::Within(file.clone()), name, &Telemetry::disabled())
    };
    let database = Database::open(options("test"), &[NOTES]).unwrap();
    let other = Database::open(options("other"), &[OTHERS]).unwrap();
    let mine = join_all((0..100).map(|number| insert_large(&database, format!("note {number}"))));
    let theirs = join_all((0..100).map(|number| {
        other.write("insert-other", move |unit| {
            unit.execute("INSERT INTO others VALUES (?1, zeroblob(20000))", (number,)).map(drop)
        })
    }));
    let (mine, theirs) = join(mine, theirs).await;
    let refused = mine.iter().chain(&theirs).filter_map(|result| result.as_ref().err());
    assert!(refused.clone().all(Error::is_full), "{:?}", refused.collect::<Vec<_>>());
    let acknowledged = |results: &[Result<(), Error>]| results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(names(&database).await.len(), acknowledged(&mine));
    let count = |unit: &mut waypost_durable::Unit<'_>| {
        unit.query_row("SELECT count(*) FROM others", (), |row| row.get::<_, i64>(0))
    };
    let count = other.read::<_, Error, _>("count", count).await.unwrap();
    assert_eq!(usize::try_from(count).unwrap(), acknowledged(&theirs));
    assert!(acknowledged(&mine) + acknowledged(&theirs) < 200);

    // Room that one makes is the other's, too.
    let emptied: Result<usize, Error> =
        database.write("make-room", |unit| unit.execute("DELETE FROM notes", ())).await;
    emptied.unwrap();
    let again = other.write("insert-other", |unit| {
        unit.execute("INSERT INTO others VALUES (1000, zeroblob(20000))", ()).map(drop)
    });
    again.await.map_err(|error: Error| error).unwrap();
}

#[test]
fn a_commit_that_the_disk_refuses_acknowledges_nobody_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("limited.db");
    // A limit on the size of a file makes writing the log fail at the commit, as a broken or full disk does.
    let script = r#"trap "" XFSZ; ulimit -f 400; exec "$0" "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "full_disk::a_child_with_a_small_disk", "--nocapture"]).env(CHILD, &path);
    let child = Process::run(&mut command).unwrap();
    let output = &child.output;
    let acknowledged: Vec<&str> =
        child.out.lines().filter_map(|line| line.strip_prefix("acknowledged ")).collect();
    assert!(child.status.success(), "{output}");
    assert!(output.contains("failed SQLITE_"), "{output}");
    assert!(!acknowledged.is_empty(), "{output}");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = DatabaseOptions::new(Location::File(path), "test", &Telemetry::disabled());
        let database = Database::open(options, &[NOTES]).unwrap();
        assert_eq!(names(&database).await, acknowledged);
        insert(&database, "there is room again").await.unwrap();
    });
}

/// Runs only as the child of the test above.
#[tokio::test]
async fn a_child_with_a_small_disk() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let options = DatabaseOptions::new(Location::File(path.into()), "test", &Telemetry::disabled());
    let database = Database::open(options, &[NOTES]).unwrap();
    let (acknowledged, error) = fill(&database).await;
    println!("failed {}", waypost_telemetry::ErrorType::error_type(&error));
    assert!(error.is_retryable(), "{error:?}");
    for name in &acknowledged {
        println!("acknowledged {name}");
    }
    // The writer lives on: it answers the next caller too, and readers see exactly what was acknowledged.
    insert_large(&database, "one more".to_owned()).await.unwrap_err();
    assert_eq!(names(&database).await, acknowledged);
}
