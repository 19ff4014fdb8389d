//! From the words of a SQL text to its verbs and tables.
//!
//! Knows just enough of SQL to tell a verb from a clause (`FOR UPDATE`), a table from a function, a column or a
//! common table expression. What it does not understand it passes over.

use super::summary::MAX_SUMMARY;
use super::tokens::{Token, Tokens};

/// What is known inside one pair of parentheses (or outside all).
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    /// A SELECT was opened here, so FROM names tables.
    selects: bool,
    /// Inside the list of a WITH, where a name is expected next.
    expects_cte: bool,
    /// Inside the list of a WITH.
    in_with: bool,
}

/// Reads one text from its first word to its last.
pub(super) struct Reader<'a> {
    tokens: Tokens<'a>,
    peeked: Option<Token<'a>>,
    levels: Vec<Level>,
    level: Level,
    ctes: Vec<&'a str>,
    previous: &'a str,
    summary: String,
    is_full: bool,
}

impl<'a> Reader<'a> {
    /// The summary of `sql`.
    pub(super) fn summarize(sql: &'a str) -> String {
        let mut reader = Self::of(sql);
        reader.read();
        reader.summary
    }

    fn of(sql: &'a str) -> Self {
        Self {
            tokens: Tokens::of(sql),
            peeked: None,
            levels: Vec::new(),
            level: Level::default(),
            ctes: Vec::new(),
            previous: "",
            summary: String::new(),
            is_full: false,
        }
    }

    fn read(&mut self) {
        let mut begins = true;
        while let Some(token) = self.next() {
            match token {
                Token::Word(word) => {
                    self.word(word, begins);
                    self.previous = word;
                    begins = false;
                }
                Token::Quoted(name) => {
                    self.expected_cte(name);
                    self.previous = "";
                    begins = false;
                }
                Token::Mark(b'(') => {
                    self.levels.push(std::mem::take(&mut self.level));
                    self.previous = "(";
                }
                Token::Mark(b')') => {
                    self.level = self.levels.pop().unwrap_or_default();
                    self.previous = ")";
                }
                Token::Mark(b',') => {
                    self.level.expects_cte = self.level.in_with;
                    self.previous = ",";
                }
                Token::Mark(b';') => {
                    self.levels.clear();
                    self.level = Level::default();
                    self.ctes.clear();
                    begins = true;
                }
                Token::Mark(_) | Token::Value => self.previous = "",
            }
        }
    }

    fn next(&mut self) -> Option<Token<'a>> {
        self.peeked.take().or_else(|| self.tokens.next())
    }

    fn peek(&mut self) -> Option<Token<'a>> {
        if self.peeked.is_none() {
            self.peeked = self.tokens.next();
        }
        self.peeked
    }

    fn word(&mut self, word: &'a str, begins: bool) {
        if self.expected_cte(word) {
            return;
        }
        let after = |words: &[&str]| words.iter().any(|word| self.previous.eq_ignore_ascii_case(word));
        match () {
            () if is(word, "WITH") && (begins || self.previous == "(") => {
                self.level.in_with = true;
                self.level.expects_cte = true;
                self.skip_words(&["RECURSIVE"]);
            }
            () if is(word, "SELECT") => {
                self.opens("SELECT", begins);
                self.level.selects = true;
            }
            () if is(word, "INSERT") || (is(word, "REPLACE") && begins) => {
                self.opens(if is(word, "INSERT") { "INSERT" } else { "REPLACE" }, begins);
                self.skip_words(&["OR", "IGNORE", "REPLACE", "ROLLBACK", "ABORT", "FAIL", "INTO"]);
                self.table();
            }
            // `FOR UPDATE`, `FOR NO KEY UPDATE`, `DO UPDATE`, `ON UPDATE` are clauses, not verbs.
            () if is(word, "UPDATE") && !after(&["FOR", "KEY", "DO", "ON"]) => {
                self.opens("UPDATE", begins);
                self.skip_words(&["OR", "IGNORE", "REPLACE", "ROLLBACK", "ABORT", "FAIL", "ONLY"]);
                self.table();
            }
            () if is(word, "DELETE") && !after(&["ON", "THEN"]) => {
                self.opens("DELETE", begins);
                self.skip_words(&["FROM", "ONLY"]);
                self.table();
            }
            () if is(word, "MERGE") && begins => {
                self.opens("MERGE", begins);
                self.skip_words(&["INTO", "ONLY"]);
                self.table();
            }
            // `IS DISTINCT FROM` compares; `EXTRACT(day FROM at)` is in parentheses without a SELECT.
            () if is(word, "FROM") && self.level.selects && !after(&["DISTINCT"]) => self.tables(),
            () if is(word, "JOIN") && self.level.selects => self.tables(),
            () if begins => self.other_verb(word),
            () => {}
        }
    }

    /// A statement that is neither a query nor a change of rows: its verb, and what the verb is about.
    fn other_verb(&mut self, word: &'a str) {
        let verb = word.to_ascii_uppercase();
        match verb.as_str() {
            "CREATE" | "ALTER" | "DROP" => {
                self.opens(&verb, true);
                self.skip_words(&[
                    "OR",
                    "REPLACE",
                    "TEMP",
                    "TEMPORARY",
                    "UNIQUE",
                    "UNLOGGED",
                    "VIRTUAL",
                    "MATERIALIZED",
                ]);
                if let Some(Token::Word(kind)) = self.peek() {
                    self.next();
                    self.push(&kind.to_ascii_uppercase());
                    self.skip_words(&["CONCURRENTLY", "IF", "NOT", "EXISTS"]);
                    self.table();
                }
                self.skip_statement();
            }
            "TRUNCATE" => {
                self.opens(&verb, true);
                self.skip_words(&["TABLE", "ONLY"]);
                self.table();
            }
            "CALL" | "EXEC" | "EXECUTE" | "PRAGMA" => {
                self.opens(&verb, true);
                self.table();
            }
            "EXPLAIN" | "ANALYZE" => self.opens(&verb, true),
            _ => {
                self.opens(&verb, true);
                self.skip_statement();
            }
        }
    }

    fn opens(&mut self, verb: &str, begins: bool) {
        self.level.in_with = false;
        self.level.expects_cte = false;
        if begins && !self.summary.is_empty() && !self.is_full {
            self.summary.push(';');
        }
        self.push(verb);
    }

    /// One table, the target of a verb.
    fn table(&mut self) {
        if let Some(name) = self.name() {
            self.push_table(&name);
        }
    }

    /// The tables of a FROM or JOIN, with their aliases passed over.
    fn tables(&mut self) {
        loop {
            self.skip_words(&["ONLY", "LATERAL"]);
            let Some(name) = self.name() else { return };
            // A name before a parenthesis is a function that returns rows.
            if self.peek() != Some(Token::Mark(b'(')) {
                self.push_table(&name);
            }
            self.skip_alias();
            if self.peek() != Some(Token::Mark(b',')) {
                return;
            }
            self.next();
        }
    }

    fn skip_alias(&mut self) {
        self.skip_words(&["AS"]);
        match self.peek() {
            Some(Token::Quoted(_)) => {
                self.next();
            }
            Some(Token::Word(word)) if !ends_from_item(word) => {
                self.next();
            }
            _ => {}
        }
    }

    /// A name with its dotted qualifiers.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        loop {
            match self.peek()? {
                Token::Quoted(word) if word.contains(char::is_whitespace) => {
                    name.push('"');
                    name.push_str(word);
                    name.push('"');
                }
                Token::Word(word) | Token::Quoted(word) => name.push_str(word),
                Token::Mark(_) | Token::Value => return None,
            }
            self.next();
            if self.peek() != Some(Token::Mark(b'.')) {
                return Some(name);
            }
            self.next();
            name.push('.');
        }
    }

    fn expected_cte(&mut self, name: &'a str) -> bool {
        let is_cte = self.level.expects_cte;
        if is_cte {
            self.ctes.push(name);
            self.level.expects_cte = false;
        }
        is_cte
    }

    fn skip_words(&mut self, words: &[&str]) {
        while let Some(Token::Word(word)) = self.peek() {
            if !words.iter().any(|skipped| is(word, skipped)) {
                return;
            }
            self.previous = word;
            self.next();
        }
    }

    fn skip_statement(&mut self) {
        while self.peek().is_some_and(|token| token != Token::Mark(b';')) {
            self.next();
        }
    }

    fn push_table(&mut self, name: &str) {
        if !self.ctes.iter().any(|cte| is(name, cte)) {
            self.push(name);
        }
    }

    fn push(&mut self, word: &str) {
        let space = usize::from(!self.summary.is_empty());
        self.is_full |= self.summary.len() + space + word.len() > MAX_SUMMARY;
        if self.is_full {
            return;
        }
        if space > 0 {
            self.summary.push(' ');
        }
        self.summary.push_str(word);
    }
}

/// Words that follow a table in a FROM clause and are not its alias.
fn ends_from_item(word: &str) -> bool {
    const ENDS: [&str; 25] = [
        "WHERE",
        "JOIN",
        "INNER",
        "LEFT",
        "RIGHT",
        "FULL",
        "CROSS",
        "NATURAL",
        "OUTER",
        "ON",
        "USING",
        "GROUP",
        "ORDER",
        "HAVING",
        "LIMIT",
        "OFFSET",
        "FETCH",
        "FOR",
        "UNION",
        "INTERSECT",
        "EXCEPT",
        "WINDOW",
        "INDEXED",
        "RETURNING",
        "SET",
    ];
    ENDS.iter().any(|end| is(word, end))
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}
