//! From the words of a SQL text to its verbs and tables.
//!
//! Knows just enough of SQL to tell a verb from a clause (`FOR UPDATE`), a table from a function, a column or a
//! common table expression. What it does not understand it passes over. Words stand in the summary as they stand in
//! the text, quotes and letter case included.

use super::dialect::Dialect;
use super::sanitize::BARE_KINDS;
use super::summary::MAX_SUMMARY;
use super::tokens::{Token, Tokens};

/// What is known inside one pair of parentheses (or outside all).
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    /// A SELECT was opened here, so FROM names tables.
    selects: bool,
    /// Inside the list of a WITH, where a name is expected next.
    expects_cte: bool,
    /// What a comma goes on with.
    list: List,
}

/// The lists that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum List {
    #[default]
    Other,
    /// Common table expressions.
    With,
    /// Tables.
    From,
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
    pub(super) fn summarize(sql: &'a str, dialect: Dialect) -> String {
        let mut reader = Self::of(sql, dialect);
        reader.read();
        reader.summary
    }

    fn of(sql: &'a str, dialect: Dialect) -> Self {
        Self {
            tokens: Tokens::of(sql, dialect),
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
                Token::Quoted(name) | Token::MaybeQuoted(name) => {
                    self.expected_cte(name);
                    self.previous = "";
                    begins = false;
                }
                Token::Mark('(') => {
                    self.levels.push(std::mem::take(&mut self.level));
                    self.previous = "(";
                }
                Token::Mark(')') => {
                    self.level = self.levels.pop().unwrap_or_default();
                    self.previous = ")";
                }
                Token::Mark(',') => {
                    self.level.expects_cte = self.level.list == List::With;
                    self.previous = ",";
                    if self.level.list == List::From {
                        self.tables();
                    }
                }
                Token::Mark(';') => {
                    self.levels.clear();
                    self.level = Level::default();
                    self.ctes.clear();
                    begins = true;
                }
                Token::Lost => return,
                _ => self.previous = "",
            }
            if self.is_full {
                return;
            }
        }
    }

    fn next(&mut self) -> Option<Token<'a>> {
        self.peeked.take().or_else(|| self.read_token())
    }

    fn read_token(&mut self) -> Option<Token<'a>> {
        self.tokens.find(|token| !matches!(token, Token::Space(_) | Token::Comment))
    }

    fn peek(&mut self) -> Option<Token<'a>> {
        if self.peeked.is_none() {
            self.peeked = self.read_token();
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
                self.level.list = List::With;
                self.level.expects_cte = true;
                self.skip_words(&["RECURSIVE"]);
            }
            () if is(word, "SELECT") => {
                self.opens(word, begins);
                self.level.selects = true;
            }
            () if is(word, "INSERT") || (is(word, "REPLACE") && begins) => {
                self.opens(word, begins);
                self.skip_words(&["OR", "IGNORE", "REPLACE", "ROLLBACK", "ABORT", "FAIL", "INTO"]);
                self.table();
            }
            // `FOR UPDATE`, `FOR NO KEY UPDATE`, `DO UPDATE`, `ON UPDATE` are clauses, not verbs.
            () if is(word, "UPDATE") && !after(&["FOR", "KEY", "DO", "ON"]) => {
                self.opens(word, begins);
                self.skip_words(&["OR", "IGNORE", "REPLACE", "ROLLBACK", "ABORT", "FAIL", "ONLY"]);
                self.table();
            }
            () if is(word, "DELETE") && !after(&["ON", "THEN"]) => {
                self.opens(word, begins);
                self.skip_words(&["FROM", "ONLY"]);
                self.table();
            }
            () if is(word, "MERGE") && begins => {
                self.opens(word, begins);
                self.skip_words(&["INTO", "ONLY"]);
                self.table();
            }
            // `IS DISTINCT FROM` compares; `EXTRACT(day FROM at)` is in parentheses without a SELECT.
            () if is(word, "FROM") && self.level.selects && !after(&["DISTINCT"]) => self.tables(),
            () if is(word, "JOIN") && self.level.selects => self.tables(),
            () if begins => self.other_verb(word),
            () if ends_from(word) => self.level.list = List::Other,
            () => {}
        }
    }

    /// A statement that is neither a query nor a change of rows: its verb, and what the verb is about.
    fn other_verb(&mut self, word: &'a str) {
        match word.to_ascii_uppercase().as_str() {
            "CREATE" | "ALTER" | "DROP" => {
                self.opens(word, true);
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
                    self.push(kind);
                    // What these are called is not of the schema: it names persons, hosts, secrets.
                    if !BARE_KINDS.iter().any(|bare| is(kind, bare)) {
                        self.skip_words(&["CONCURRENTLY", "IF", "NOT", "EXISTS"]);
                        self.table();
                    }
                }
                self.skip_statement();
            }
            "TRUNCATE" => {
                self.opens(word, true);
                self.skip_words(&["TABLE", "ONLY"]);
                self.table();
            }
            "CALL" | "EXEC" | "EXECUTE" | "PRAGMA" => {
                self.opens(word, true);
                self.table();
            }
            "EXPLAIN" | "ANALYZE" => self.opens(word, true),
            _ => {
                self.opens(word, true);
                self.skip_statement();
            }
        }
    }

    fn opens(&mut self, verb: &str, begins: bool) {
        self.level.list = List::Other;
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
        self.level.list = List::From;
        loop {
            self.skip_words(&["ONLY", "LATERAL"]);
            // A subquery, a literal: a comma behind it goes on with the list.
            let Some(name) = self.name() else { return };
            // A name before a parenthesis is a function that returns rows.
            if self.peek() != Some(Token::Mark('(')) {
                self.push_table(&name);
            }
            self.skip_alias();
            if self.peek() != Some(Token::Mark(',')) {
                return;
            }
            self.next();
        }
    }

    fn skip_alias(&mut self) {
        self.skip_words(&["AS"]);
        match self.peek() {
            Some(Token::Quoted(_) | Token::MaybeQuoted(_)) => {
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
                Token::Word(word) | Token::Quoted(word) | Token::MaybeQuoted(word) => name.push_str(word),
                _ => return None,
            }
            self.next();
            if self.peek() != Some(Token::Mark('.')) {
                return Some(name);
            }
            self.next();
            name.push('.');
        }
    }

    fn expected_cte(&mut self, name: &'a str) -> bool {
        let is_cte = self.level.expects_cte;
        if is_cte {
            self.ctes.push(unquoted(name));
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
        while self.peek().is_some_and(|token| token != Token::Mark(';')) {
            self.next();
        }
    }

    fn push_table(&mut self, name: &str) {
        if !self.ctes.iter().any(|cte| is(unquoted(name), cte)) {
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
    const GOES_ON: [&str; 11] =
        ["JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL", "OUTER", "ON", "USING", "INDEXED"];
    ends_from(word) || GOES_ON.iter().any(|end| is(word, end))
}

/// Words that end the list of a FROM clause.
fn ends_from(word: &str) -> bool {
    const ENDS: [&str; 22] = [
        "WHERE",
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
        "RETURNING",
        "SET",
        "CONNECT",
        "START",
        "QUALIFY",
        "PREWHERE",
        "SETTINGS",
        "OPTION",
        "MINUS",
        "VALUES",
    ];
    ENDS.iter().any(|end| is(word, end))
}

/// Without its quotes, for a comparison.
fn unquoted(name: &str) -> &str {
    name.trim_matches(['"', '`', '[', ']'])
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}
