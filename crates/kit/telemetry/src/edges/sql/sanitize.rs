//! A SQL text without its literals: `db.query.text` of statements that are put together while the program runs.
//!
//! Every literal becomes `?`; names, parameters and line breaks stay, comments go. Statements whose values need no
//! quotes (`SET`, `EXEC`, passwords) show their verb only. Where it cannot be told what is a literal the text ends.

use super::dialect::Dialect;
use super::tokens::{Token, Tokens};
use crate::base::redact;

/// Verbs of statements in which every value is a literal with quotes or digits.
const PLAIN: [&str; 29] = [
    "ALTER",
    "ANALYZE",
    "BEGIN",
    "CALL",
    "CLOSE",
    "COMMIT",
    "CREATE",
    "DECLARE",
    "DELETE",
    "DESCRIBE",
    "DROP",
    "END",
    "EXPLAIN",
    "FETCH",
    "INSERT",
    "LOCK",
    "MERGE",
    "REFRESH",
    "REINDEX",
    "RELEASE",
    "REPLACE",
    "ROLLBACK",
    "SAVEPOINT",
    "SELECT",
    "START",
    "TRUNCATE",
    "UPDATE",
    "VACUUM",
    "VALUES",
];

/// Words behind which values may stand without quotes.
const BARE: [&str; 5] = ["EXEC", "EXECUTE", "IDENTIFIED", "OPTIONS", "PASSWORD"];

/// The same behind CREATE or ALTER.
pub(super) const BARE_KINDS: [&str; 9] =
    ["USER", "ROLE", "LOGIN", "SERVER", "SUBSCRIPTION", "CREDENTIAL", "SECRET", "DATABASE", "SYSTEM"];

/// `sql` without literals, at most `max` bytes of it.
pub(super) fn sanitized(sql: &str, dialect: Dialect, max: usize) -> String {
    let mut sanitizer = Sanitizer::default();
    for token in Tokens::of(sql, dialect) {
        sanitizer.take(token);
        if sanitizer.out.len() >= max {
            break;
        }
    }
    let length = redact::bounded_to(&sanitizer.out, max).len();
    sanitizer.out.truncate(length);
    sanitizer.out
}

#[derive(Debug, Default)]
struct Sanitizer {
    out: String,
    place: Place,
    /// The last token was a sign.
    sign: bool,
}

/// Where in a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// No word was read yet.
    #[default]
    Beginning,
    /// Behind CREATE or ALTER, before the kind of thing.
    Creating,
    Inside,
    /// The rest is not shown.
    Hidden,
}

impl Sanitizer {
    fn take(&mut self, token: Token<'_>) {
        let follows_sign = std::mem::replace(&mut self.sign, false);
        match token {
            Token::Mark(';') => {
                self.place = Place::Beginning;
                self.out.push(';');
            }
            _ if self.place == Place::Hidden => {}
            Token::Word(word) => self.word(word),
            Token::Quoted(text) | Token::Parameter(text) | Token::Space(text) => self.out.push_str(text),
            // Part of a dotted name it can only be a name.
            Token::MaybeQuoted(text) if self.out.ends_with('.') => self.out.push_str(text),
            Token::Number => {
                if follows_sign {
                    self.out.pop();
                }
                self.out.push('?');
            }
            Token::Text | Token::MaybeQuoted(_) | Token::Lost => self.out.push('?'),
            Token::Mark(mark) => {
                self.sign = matches!(mark, '+' | '-');
                self.out.push(mark);
            }
            Token::Comment => {}
        }
    }

    fn word(&mut self, word: &str) {
        let is = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
        if is(&["TRUE", "FALSE"]) {
            self.out.push('?');
            return;
        }
        self.out.push_str(word);
        let begins = self.place == Place::Beginning;
        let creates = self.place == Place::Creating;
        let is_unknown = begins && !is(&PLAIN) && !is(&["WITH", "TABLE", "SHOW"]);
        self.place = if is_unknown || is(&BARE) || (creates && is(&BARE_KINDS)) {
            self.out.push_str(" ?");
            Place::Hidden
        } else if (begins && is(&["CREATE", "ALTER"])) || (creates && is(&["OR", "REPLACE"])) {
            Place::Creating
        } else {
            Place::Inside
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(system: &str, sql: &str) -> String {
        sanitized(sql, Dialect::of(system), 4096)
    }

    /// The cases that the conventions come with (`db-sql-test-cases.json`).
    #[test]
    fn the_conventions_own_cases() {
        for (sql, expected) in [
            ("SELECT 12, -12, +12", "SELECT ?, ?, ?"),
            ("SELECT 12.34, -12.34, +12.34, .01, -.01", "SELECT ?, ?, ?, ?, ?"),
            ("SELECT 12.34e56, -12.34e56, +12.34e56", "SELECT ?, ?, ?"),
            ("SELECT 12.34e-56, -12.34e-56, +12.34e-56", "SELECT ?, ?, ?"),
            ("SELECT 99+100", "SELECT ??"),
            ("SELECT 0xDEADBEEF, 0XdeadBEEF", "SELECT ?, ?"),
            ("SELECT 'hello'", "SELECT ?"),
            ("SELECT 'My name''s not important'", "SELECT ?"),
            ("SELECT 'My name is \n not important'", "SELECT ?"),
            ("SELECT c3po, r2d2 FROM covid19 WHERE n1h1=1234", "SELECT c3po, r2d2 FROM covid19 WHERE n1h1=?"),
            (
                "SELECT a FROM dbo.Table JOIN dbo.AnotherTable",
                "SELECT a FROM dbo.Table JOIN dbo.AnotherTable",
            ),
            ("INSERT INTO X VALUES(1, 23456, 123.456, 99+100)", "INSERT INTO X VALUES(?, ?, ?, ??)"),
            ("SELECT { guid '01234567-89ab-cdef-0123-456789abcdef' }", "SELECT { guid ? }"),
            (
                "SELECT * FROM table WHERE value IN (123, 456, 'abc')",
                "SELECT * FROM table WHERE value IN (?, ?, ?)",
            ),
            (
                "SELECT column -- end of line comment\nFROM /* block \n comment */ table",
                "SELECT column \nFROM  table",
            ),
            (
                "CREATE  TABLE MyTable (\n    ID NOT NULL IDENTITY(1,1) PRIMARY KEY\n)",
                "CREATE  TABLE MyTable (\n    ID NOT NULL IDENTITY(?,?) PRIMARY KEY\n)",
            ),
            ("ALTER  TABLE MyTable ADD Name varchar(255)", "ALTER  TABLE MyTable ADD Name varchar(?)"),
            ("DROP  TABLE MyTable", "DROP  TABLE MyTable"),
        ] {
            assert_eq!(text("other_sql", sql), expected, "{sql}");
        }
    }

    #[test]
    fn names_and_parameters_stay() {
        for (system, sql, expected) in [
            (
                "postgresql",
                r#"SELECT "id" FROM "o" WHERE a=$1::text AND b[1:2]"#,
                r#"SELECT "id" FROM "o" WHERE a=$1::text AND b[?:?]"#,
            ),
            (
                "sqlite",
                "SELECT a FROM t WHERE b=?1 AND c=:c AND d='x'",
                "SELECT a FROM t WHERE b=?1 AND c=:c AND d=?",
            ),
            (
                "mysql",
                "SELECT `a` FROM t WHERE b=\"x\" AND c IS TRUE # why",
                "SELECT `a` FROM t WHERE b=? AND c IS ? ",
            ),
            ("sqlite", r#"SELECT t."a" FROM t WHERE b="x""#, r#"SELECT t."a" FROM t WHERE b=?"#),
            ("postgresql", "SELECT E'a\\'b', X'1F', U&'x', DATE '2020-01-01'", "SELECT ?, ?, ?, DATE ?"),
            ("microsoft.sql_server", "SELECT $1.50, N'x', [a b], @p1", "SELECT ?, ?, [a b], @p1"),
        ] {
            assert_eq!(text(system, sql), expected);
        }
    }

    #[test]
    fn values_without_quotes_are_not_shown() {
        for (sql, expected) in [
            ("SET app.user = alice", "SET ?"),
            ("PRAGMA key = alice; SELECT 1", "PRAGMA ?; SELECT ?"),
            ("EXEC find_user alice", "EXEC ?"),
            ("INSERT t EXEC find_user alice", "INSERT t EXEC ?"),
            ("CREATE OR REPLACE USER bob IDENTIFIED BY tiger", "CREATE OR REPLACE USER ?"),
            ("COPY t FROM STDIN;\nalice\t1", "COPY ?;\nalice ?"),
            ("CALL settle(1)", "CALL settle(?)"),
        ] {
            assert_eq!(text("other_sql", sql), expected);
        }
    }

    #[test]
    fn the_text_is_bounded() {
        let long = format!("SELECT {}", "é, ".repeat(10_000));
        assert!(sanitized(&long, Dialect::Sqlite, 100).len() <= 100);
    }
}
