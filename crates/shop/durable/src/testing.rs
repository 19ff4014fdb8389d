//! For tests of stores: steps of their schemas in SQLite, and what their statements do.
#![expect(clippy::expect_used, reason = "a test helper that cannot do its work fails the test")]

use rusqlite::Connection;

use crate::migration::{self, Record};
use crate::{Error, Migration};

/// Asserts of a step of a schema that it changes how rules are written and not what they are: in a file of the store's own
/// and in one that it shares, the rows that `fill` makes in the schema of before are there after it, and each statement of `refused`
/// is refused before and after, also by a connection that was open meanwhile. Afterwards no rule has a list that takes a tree.
///
/// # Panics
/// When it is not so.
pub fn assert_step_keeps_rows_and_rules(migrations: &[Migration], id: &str, fill: &str, refused: &[&str]) {
    let place = migrations.iter().position(|step| step.id == id).expect("the step");
    let (before, with) = (&migrations[..place], &migrations[..=place]);
    for record in [Record::own(), Record::of("store")] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let open = || Connection::open(&path).expect("a file");
        let (mut connection, bystander) = (open(), open());
        migration::apply(&mut connection, &record, before).expect("the schema of before");
        connection.execute_batch(fill).expect("rows by the schema of before");
        let rows = content(&bystander);
        assert_refused(&bystander, refused);

        migration::apply(&mut connection, &record, with).expect("the step");
        for connection in [&connection, &bystander, &open()] {
            assert_eq!(text(connection, "PRAGMA integrity_check"), ["ok"]);
            assert_eq!(content(connection), rows, "rows");
            assert_refused(connection, refused);
            assert_eq!(lists(connection), [""; 0], "conditions with a list that takes a tree");
        }
    }
}

/// How many tables a statement builds for itself on the way, by SQLite's own account of its program: trees of lists in conditions
/// among them, each time that it runs.
///
/// # Errors
/// What SQLite says of the statement.
pub fn trees_of(connection: &Connection, statement: &str) -> Result<usize, Error> {
    let mut program = connection.prepare(&format!("EXPLAIN {statement}"))?;
    let steps = program.raw_query().mapped(|row| row.get::<_, String>(1)).collect::<Result<Vec<_>, _>>()?;
    Ok(steps.iter().filter(|step| *step == "OpenEphemeral").count())
}

fn assert_refused(connection: &Connection, refused: &[&str]) {
    for statement in refused {
        let error = connection.execute(statement, ()).expect_err(statement);
        let code = error.sqlite_error_code();
        assert_eq!(code, Some(rusqlite::ErrorCode::ConstraintViolation), "{statement}: {error}");
    }
}

/// The tables of the store with how many rows each has.
fn content(connection: &Connection) -> Vec<(String, i64)> {
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' \
                 AND name NOT LIKE 'schema_migrations%' AND name <> 'store_tables' ORDER BY name";
    let count = |name: String| {
        let count = format!("SELECT count(*) FROM \"{name}\"");
        let count = connection.query_row(&count, (), |row| row.get(0)).expect("a count");
        (name, count)
    };
    text(connection, names).into_iter().map(count).collect()
}

/// Conditions of the schema that look a value up in a list of three or more.
fn lists(connection: &Connection) -> Vec<String> {
    let schema = text(connection, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL");
    let list = |(_, list): (&str, &str)| list.split(')').next().unwrap_or_default().to_owned();
    let in_each =
        schema.iter().flat_map(|sql| sql.match_indices(" IN (").map(|(at, _)| sql.split_at(at + 5)));
    in_each.map(list).filter(|list| list.matches(',').count() >= 2).collect()
}

fn text(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).expect(sql);
    let rows = statement.query_map((), |row| row.get(0)).expect(sql);
    rows.collect::<Result<_, _>>().expect(sql)
}
