//! The summary of a SQL text: its verbs and the tables they touch, `db.query.summary`.
//!
//! Names a span and labels a metric, so it has neither values nor columns: `INSERT orders`,
//! `SELECT orders order_items`, `UPDATE stock INSERT holds` for a statement with data-changing parts. Operations and
//! tables are as the program wrote them, as the conventions ask; only a table in single quotes, which some products
//! allow, is left out, because a literal looks like that. Common table expressions are not tables and do not appear.
//! The summary of a static statement is kept by the statement's address for the life of the process, and that of one
//! whose values come apart from it by its text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

use super::dialect::Dialect;
use super::reader::Reader;
use crate::base::slots::Slots;

/// The longest summary, as the semantic conventions have it; whole words only.
pub(super) const MAX_SUMMARY: usize = 255;

/// Summaries kept. A program with more distinct statements than this pays for reading the rest each time.
const MAX_KEPT: usize = 4096;

type Address = (usize, usize, Dialect);

static KEPT: LazyLock<RwLock<HashMap<Address, &'static str>>> = LazyLock::new(RwLock::default);

/// What of them is found without a lock.
static QUICK: LazyLock<Slots<Address, &'static str>> = LazyLock::new(Slots::default);

/// The summary of a statement of the program.
pub(super) fn of_static(sql: &'static str, dialect: Dialect) -> Cow<'static, str> {
    let address = (sql.as_ptr() as usize, sql.len(), dialect);
    if let Some(known) = QUICK.find(&address) {
        return (*known).into();
    }
    if let Some(known) = KEPT.read().unwrap_or_else(PoisonError::into_inner).get(&address) {
        QUICK.keep(address, known);
        return (*known).into();
    }
    let summary = of(sql, dialect);
    let mut kept = KEPT.write().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MAX_KEPT {
        return summary.into();
    }
    (*kept.entry(address).or_insert_with(|| summary.leak())).into()
}

/// Summaries kept by text, and the longest text that is. Both are small, as each text is kept, too.
const MAX_TEXTS: usize = 1024;
const MAX_KEPT_TEXT: usize = 4096;

type Texts = HashMap<Dialect, HashMap<Box<str>, &'static str>>;

static TEXTS: LazyLock<RwLock<Texts>> = LazyLock::new(RwLock::default);

/// The summary of a statement with parameters, of which there are as many as the program's code has.
pub(super) fn of_template(sql: &str, dialect: Dialect) -> Cow<'static, str> {
    let known = |texts: &Texts| texts.get(&dialect).and_then(|texts| texts.get(sql)).copied();
    if let Some(known) = known(&TEXTS.read().unwrap_or_else(PoisonError::into_inner)) {
        return known.into();
    }
    let summary = of(sql, dialect);
    let mut texts = TEXTS.write().unwrap_or_else(PoisonError::into_inner);
    if sql.len() > MAX_KEPT_TEXT || texts.values().map(HashMap::len).sum::<usize>() >= MAX_TEXTS {
        return summary.into();
    }
    (*texts.entry(dialect).or_default().entry(sql.into()).or_insert_with(|| summary.leak())).into()
}

/// The summary of any text.
pub(super) fn of(sql: &str, dialect: Dialect) -> String {
    Reader::summarize(sql, dialect)
}

/// Reads the summary out of any SQL text. `system` is a value of `db.system.name`: products differ in what is a
/// literal. For a product that is not known reading ends where the text could be read in two ways, so that no part of
/// a literal ever stands in a summary.
///
/// ```
/// use waypost_telemetry::sql::summarize;
///
/// let insert = "insert into orders (id) values (?1) on conflict (id) do update set n = 1";
/// assert_eq!(summarize("sqlite", insert), "insert orders");
/// let select = "SELECT * FROM orders o JOIN items i ON i.order_id = o.id WHERE o.name = E'it\\'s'";
/// assert_eq!(summarize("postgresql", select), "SELECT orders items");
/// ```
pub fn summarize(system: &str, sql: &str) -> String {
    of(sql, Dialect::of(system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_named_by_its_verbs_and_tables() {
        for (sql, summary) in [
            ("SELECT id FROM orders WHERE id = ?1", "SELECT orders"),
            ("select 1", "select"),
            ("SELECT * FROM songs, artists a WHERE a.id = 1", "SELECT songs artists"),
            ("SELECT * FROM orders AS o LEFT JOIN items i ON i.o = o.id", "SELECT orders items"),
            ("SELECT * FROM (SELECT * FROM orders) x JOIN users u USING (id)", "SELECT SELECT orders users"),
            ("SELECT a FROM t WHERE b IN (SELECT b FROM u) ORDER BY a", "SELECT t SELECT u"),
            ("SELECT * FROM t1, (SELECT a FROM t2) x, t3 ORDER BY a, b", "SELECT t1 SELECT t2 t3"),
            ("SELECT * FROM f(1, 2) AS x, t JOIN u ON g(a, b), v WHERE c IN (a, b), d", "SELECT t u v"),
            ("SELECT (SELECT a FROM t), b FROM u", "SELECT SELECT t u"),
            (
                "SELEcT a FROM (sELECT * FROM orders o JOIN customers c ON o.a = c.b)",
                "SELEcT sELECT orders customers",
            ),
            ("SELECT * FROM a WITH (NOLOCK), b", "SELECT a b"),
            (
                "WITH \"due\" AS (SELECT 1) SELECT * FROM due, \"song list\", 'artists', x",
                "SELECT SELECT \"song list\" x",
            ),
            ("SELECT value FROM json_each(?1)", "SELECT"),
            ("SELECT EXTRACT(day FROM at) FROM orders FOR UPDATE SKIP LOCKED", "SELECT orders"),
            ("SELECT a IS DISTINCT FROM b FROM t", "SELECT t"),
            ("INSERT INTO orders(id) VALUES ('x; DELETE FROM y')", "INSERT orders"),
            ("INSERT OR IGNORE INTO inbox (id) VALUES (?1)", "INSERT inbox"),
            ("INSERT INTO a SELECT * FROM b", "INSERT a SELECT b"),
            ("INSERT INTO a VALUES (1) ON CONFLICT (id) DO UPDATE SET n = excluded.n", "INSERT a"),
            ("REPLACE INTO a VALUES (1)", "REPLACE a"),
            ("UPDATE stock SET n = n - 1 WHERE id = ?1 RETURNING n", "UPDATE stock"),
            ("UPDATE ONLY \"order\" SET a = 1", "UPDATE \"order\""),
            ("DELETE FROM shop.holds WHERE expires_at < ?1", "DELETE shop.holds"),
            ("SELECT * FROM \"my table\"", "SELECT \"my table\""),
            ("MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE", "MERGE t"),
            (
                "CREATE TABLE IF NOT EXISTS orders (id TEXT, FOREIGN KEY (u) REFERENCES u ON DELETE CASCADE)",
                "CREATE TABLE orders",
            ),
            ("create unique index orders_by_user on orders (user_id)", "create index orders_by_user"),
            ("CREATE USER alice IDENTIFIED BY tiger", "CREATE USER"),
            ("alter role \"alice\" set x = y; DROP USER IF EXISTS alice", "alter role; DROP USER"),
            ("PRAGMA journal_mode = WAL", "PRAGMA journal_mode"),
            ("BEGIN IMMEDIATE", "BEGIN"),
            ("SAVEPOINT unit", "SAVEPOINT"),
            ("-- why\nTRUNCATE TABLE a", "TRUNCATE a"),
            ("CALL settle(1)", "CALL settle"),
            ("", ""),
            (")) , FROM", "FROM"),
        ] {
            assert_eq!(summarize("other_sql", sql), summary, "{sql}");
        }
    }

    #[test]
    fn common_table_expressions_are_no_tables() {
        for (sql, summary) in [
            ("WITH due AS (SELECT id FROM outbox) SELECT * FROM due", "SELECT outbox SELECT"),
            (
                "WITH RECURSIVE a(n) AS (SELECT 1), b AS MATERIALIZED (SELECT * FROM t) SELECT * FROM a, b, u",
                "SELECT SELECT t SELECT u",
            ),
            (
                "WITH moved AS (UPDATE stock SET n = n - $1 RETURNING id) INSERT INTO holds SELECT id FROM moved",
                "UPDATE stock INSERT holds SELECT",
            ),
        ] {
            assert_eq!(summarize("other_sql", sql), summary, "{sql}");
        }
    }

    #[test]
    fn several_statements_in_one_text_are_told_apart() {
        assert_eq!(summarize("sqlite", "DELETE FROM a; DELETE FROM b;"), "DELETE a; DELETE b");
        assert_eq!(
            summarize("sqlite", "CREATE TABLE a (x); CREATE INDEX i ON a (x)"),
            "CREATE TABLE a; CREATE INDEX i"
        );
    }

    #[test]
    fn a_long_summary_is_cut_between_words() {
        let sql = format!("SELECT * FROM {}", vec!["a_table_with_a_name"; 40].join(", "));
        let summary = summarize("sqlite", &sql);
        assert!(summary.len() <= MAX_SUMMARY && summary.ends_with("a_table_with_a_name"), "{summary}");
    }

    #[test]
    fn the_summary_of_a_static_statement_is_read_once() {
        let first = of_static("SELECT * FROM kept", Dialect::Sqlite);
        let again = of_static("SELECT * FROM kept", Dialect::Sqlite);
        assert!(std::ptr::eq(first.as_ref(), again.as_ref()));
    }

    #[test]
    fn the_summary_of_a_template_is_read_once_for_each_product() {
        let text = String::from("SELECT * FROM `a template` WHERE id = $1");
        let first = of_template(&text, Dialect::Sqlite);
        let again = of_template(&text.clone(), Dialect::Sqlite);
        assert_eq!(first, "SELECT `a template`");
        assert!(std::ptr::eq(first.as_ref(), again.as_ref()));
        assert_eq!(of_template(&text, Dialect::Postgres), "SELECT");
        let long = format!("SELECT * FROM t WHERE {}", "a = $1 AND ".repeat(1_000));
        let (first, again) = (of_template(&long, Dialect::Sqlite), of_template(&long, Dialect::Sqlite));
        assert!(first == "SELECT t" && !std::ptr::eq(first.as_ref(), again.as_ref()), "it is not kept");
    }
}
