//! The words of a SQL text: names, literals, parameters, marks, and what lies between.
//!
//! Invariant: no part of a literal is ever given out as a word. Where the dialect leaves open what a character means,
//! or a text never ends, the last token is [`Token::Lost`] and nothing behind it is read.

#[cfg(test)]
mod tests;

use super::dialect::{Dialect, Dollar, DoubleQuoted, Hash, Rule};

/// More of a text than this is not read.
const MAX_READ: usize = 32 * 1024;

/// One token of a statement, as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword or a bare name.
    Word(&'a str),
    /// A name with its quotes.
    Quoted(&'a str),
    /// In double quotes: a name or a text, this product takes both.
    MaybeQuoted(&'a str),
    /// A parameter.
    Parameter(&'a str),
    /// A number.
    Number,
    /// A text.
    Text,
    /// Any other single character: `( ) , ; .` and the rest.
    Mark(char),
    /// Between tokens.
    Space(&'a str),
    /// Passed over.
    Comment,
    /// It cannot be told what comes from here on.
    Lost,
}

/// Iterates over the tokens of a text.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    dialect: Dialect,
    /// The last token but space and comments was a text in which backslashes escape; PostgreSQL goes on with it on
    /// the next line.
    continues_escaped: bool,
    is_lost: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(text: &'a str, dialect: Dialect) -> Self {
        let mut end = text.len().min(MAX_READ);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = text.get(..end).unwrap_or_default();
        Self { text, at: 0, dialect, continues_escaped: false, is_lost: false }
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn from(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn skip_while(&mut self, accept: impl Fn(u8) -> bool) {
        while self.byte(0).is_some_and(&accept) {
            self.at += 1;
        }
    }

    /// Moves behind the next `end`; false, and nowhere, if there is none.
    fn skip_behind(&mut self, end: &str) -> bool {
        let found = self.rest().find(end);
        if let Some(length) = found {
            self.at += length + end.len();
        }
        found.is_some()
    }

    fn is_name_byte(&self, byte: u8) -> bool {
        is_plain_name_byte(byte) || byte == b'$' || (byte == b'#' && self.dialect.hash() == Hash::Name)
    }

    fn skip_name(&mut self) {
        while self.byte(0).is_some_and(|byte| self.is_name_byte(byte)) {
            self.at += 1;
        }
    }

    /// At an opening quote: moves behind the closing one. A doubled quote is part of the text. False if it cannot be
    /// told where the text ends.
    fn skip_text(&mut self, escapes: Rule) -> bool {
        let Some(quote) = self.byte(0) else { return false };
        // Three quotes begin a text of another kind in some products.
        let is_triple = self.byte(1) == Some(quote) && self.byte(2) == Some(quote);
        if is_triple && self.dialect == Dialect::Unknown {
            return false;
        }
        self.at += 1;
        while let Some(byte) = self.byte(0) {
            self.at += 1;
            if byte == b'\\' {
                match escapes {
                    Rule::Yes => self.at += 1,
                    Rule::No => {}
                    Rule::Unsure => {
                        let start = self.at;
                        self.skip_while(|byte| byte == b'\\');
                        let escapes_next = (self.at - start).is_multiple_of(2);
                        if escapes_next && self.byte(0) == Some(quote) {
                            return false;
                        }
                    }
                }
            } else if byte == quote {
                if self.byte(0) != Some(quote) {
                    return true;
                }
                self.at += 1;
            }
        }
        false
    }

    fn text_token(&mut self, escapes: Rule) -> Token<'a> {
        if self.skip_text(escapes) { Token::Text } else { self.lost() }
    }

    fn lost(&mut self) -> Token<'a> {
        self.is_lost = true;
        Token::Lost
    }

    /// A text with a letter before its quote: `N'..'`, `X'..'`, `E'..'`, `U&'..'`, `q'[..]'`.
    fn prefixed_text(&mut self) -> Option<Token<'a>> {
        let rest = self.rest().as_bytes();
        let length = rest.iter().position(|byte| *byte == b'\'').filter(|length| (1..=2).contains(length))?;
        let prefix = rest.get(..length)?.to_ascii_uppercase();
        let escapes = match (prefix.as_slice(), self.dialect) {
            (b"E", Dialect::Postgres) => Rule::Yes,
            (b"Q" | b"NQ", Dialect::Oracle) => {
                self.at += length;
                return Some(self.alternatively_quoted());
            }
            (b"Q" | b"NQ", Dialect::Unknown) => return Some(self.lost()),
            (b"E" | b"N" | b"X" | b"B" | b"U&", dialect) => dialect.backslash_escapes(),
            _ => return None,
        };
        self.at += length;
        self.continues_escaped = escapes == Rule::Yes;
        Some(self.text_token(escapes))
    }

    /// Oracle's `q'[it's]'`, at the quote.
    fn alternatively_quoted(&mut self) -> Token<'a> {
        let Some(open) = self.rest().chars().nth(1) else { return self.lost() };
        let close = match open {
            '[' => ']',
            '{' => '}',
            '(' => ')',
            '<' => '>',
            other => other,
        };
        self.at += 1 + open.len_utf8();
        if self.skip_behind(&format!("{close}'")) { Token::Text } else { self.lost() }
    }

    fn double_quoted(&mut self) -> Token<'a> {
        let start = self.at;
        match self.dialect.double_quoted() {
            DoubleQuoted::Text => self.text_token(self.dialect.backslash_escapes()),
            DoubleQuoted::Name if self.skip_text(Rule::No) => Token::Quoted(self.from(start)),
            DoubleQuoted::Unsure if self.skip_text(self.dialect.backslash_escapes()) => {
                Token::MaybeQuoted(self.from(start))
            }
            _ => self.lost(),
        }
    }

    fn bracket(&mut self) -> Token<'a> {
        let start = self.at;
        let length = match self.dialect.bracketed_names() {
            Rule::No => None,
            Rule::Yes => self.rest().find(']').map_or(Some(0), Some),
            Rule::Unsure => self.rest().find(']').filter(|length| {
                self.rest()
                    .bytes()
                    .skip(1)
                    .take(length - 1)
                    .all(|byte| is_plain_name_byte(byte) || byte == b' ')
            }),
        };
        match (length, self.dialect.bracketed_names()) {
            (Some(0), _) | (None, Rule::Unsure) => self.lost(),
            (Some(length), _) => {
                self.at += length + 1;
                // A doubled bracket is part of the name.
                while self.dialect == Dialect::SqlServer && self.byte(0) == Some(b']') {
                    self.at += 1;
                    if !self.skip_behind("]") {
                        return self.lost();
                    }
                }
                let name = self.from(start);
                let is_index =
                    name.as_bytes().get(1).is_none_or(|first| first.is_ascii_digit() || *first == b']');
                if self.dialect == Dialect::Unknown && is_index {
                    self.at = start + 1;
                    return Token::Mark('[');
                }
                Token::Quoted(name)
            }
            (None, _) => {
                self.at += 1;
                Token::Mark('[')
            }
        }
    }

    fn line_comment(&mut self) -> Token<'a> {
        let rest = self.rest();
        let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let is_bare_return =
            rest.get(end..).is_some_and(|end| end.starts_with('\r') && !end.starts_with("\r\n"));
        // Products do not agree whether a carriage return alone ends the line.
        if is_bare_return && self.dialect != Dialect::Postgres {
            return self.lost();
        }
        self.at += end;
        Token::Comment
    }

    fn block_comment(&mut self) -> Token<'a> {
        // MySQL runs what stands in `/*! */`.
        let runs = self.rest().starts_with("/*!") || self.rest().starts_with("/*M!");
        if runs && matches!(self.dialect, Dialect::MySql | Dialect::Unknown) {
            return self.lost();
        }
        let mut depth = 1_u32;
        self.at += 2;
        loop {
            match (self.byte(0), self.byte(1)) {
                (Some(b'*'), Some(b'/')) => {
                    self.at += 2;
                    depth -= 1;
                    if depth == 0 {
                        return Token::Comment;
                    }
                }
                (Some(b'/'), Some(b'*')) => match self.dialect.nested_comments() {
                    Rule::Yes => {
                        self.at += 2;
                        depth += 1;
                    }
                    Rule::No => self.at += 1,
                    Rule::Unsure => return self.lost(),
                },
                (Some(_), _) => self.at += 1,
                (None, _) => return self.lost(),
            }
        }
    }

    fn dollar(&mut self) -> Token<'a> {
        let start = self.at;
        self.at += 1;
        let is_number = self.byte(0).is_some_and(|byte| byte.is_ascii_digit() || byte == b'.');
        match self.dialect.dollar() {
            Dollar::Name => {
                self.skip_name();
                Token::Word(self.from(start))
            }
            Dollar::Number | Dollar::Unsure if is_number => {
                self.skip_while(|byte| is_plain_name_byte(byte) || byte == b'.');
                Token::Number
            }
            Dollar::ParameterOrText if is_number => {
                self.skip_while(|byte| byte.is_ascii_digit());
                Token::Parameter(self.from(start))
            }
            kind => {
                self.skip_while(is_plain_name_byte);
                if self.byte(0) != Some(b'$') || matches!(kind, Dollar::Parameter | Dollar::Number) {
                    return Token::Parameter(self.from(start));
                }
                self.at += 1;
                let tag = self.from(start);
                if kind == Dollar::ParameterOrText && self.skip_behind(tag) {
                    Token::Text
                } else {
                    self.lost()
                }
            }
        }
    }

    /// Digits, and what belongs to them: a fraction, an exponent with its sign, letters of other notations.
    fn number(&mut self) -> Token<'a> {
        let start = self.at;
        loop {
            self.skip_while(|byte| is_plain_name_byte(byte) || byte == b'.');
            let number = self.from(start).as_bytes();
            let is_open =
                matches!(number.last(), Some(b'e' | b'E')) && !matches!(number, [b'0', b'x' | b'X', ..]);
            let has_sign = matches!(self.byte(0), Some(b'+' | b'-'));
            if !(is_open && has_sign && self.byte(1).is_some_and(|byte| byte.is_ascii_digit())) {
                return Token::Number;
            }
            self.at += 1;
        }
    }

    fn mark(&mut self) -> Token<'a> {
        let Some(mark) = self.rest().chars().next() else { return self.lost() };
        self.at += mark.len_utf8();
        Token::Mark(mark)
    }

    fn read(&mut self, byte: u8, next: Option<u8>) -> Token<'a> {
        let start = self.at;
        let begins_name = next.is_some_and(is_plain_name_byte);
        let begins_number = next.is_some_and(|byte| byte.is_ascii_digit());
        let follows_name = start
            .checked_sub(1)
            .and_then(|before| self.text.as_bytes().get(before))
            .is_some_and(|before| is_plain_name_byte(*before) || b"\"`])".contains(before));
        match byte {
            b'-' if next == Some(b'-') => match self.dialect.dashes_alone_comment() {
                Rule::Yes => self.line_comment(),
                _ if self.byte(2).is_none_or(|third| third <= b' ') => self.line_comment(),
                Rule::No => self.mark(),
                Rule::Unsure => self.lost(),
            },
            b'/' if next == Some(b'*') => self.block_comment(),
            b'/' if next == Some(b'/') && self.dialect == Dialect::Unknown => self.lost(),
            b'#' if self.dialect.hash() == Hash::Comment => self.line_comment(),
            b'#' if self.dialect.hash() == Hash::Unsure => self.lost(),
            b'\'' if self.continues_escaped => self.text_token(Rule::Yes),
            b'\'' => self.text_token(self.dialect.backslash_escapes()),
            b'"' => self.double_quoted(),
            b'`' if self.dialect.backquoted_names() => {
                if self.skip_text(Rule::No) {
                    Token::Quoted(self.from(start))
                } else {
                    self.lost()
                }
            }
            b'[' => self.bracket(),
            b'$' => self.dollar(),
            b'?' => {
                self.at += 1;
                self.skip_while(is_plain_name_byte);
                Token::Parameter(self.from(start))
            }
            b':' if begins_number && !self.dialect.numbered_parameters() => self.mark(),
            b':' | b'@' if begins_name || (byte == b'@' && next == Some(b'@')) => {
                self.skip_while(|byte| byte == b'@' || byte == b':');
                self.skip_name();
                Token::Parameter(self.from(start))
            }
            b'0'..=b'9' => self.number(),
            b'.' if begins_number && !follows_name => self.number(),
            byte if byte.is_ascii_whitespace() => {
                self.skip_while(|byte| byte.is_ascii_whitespace());
                Token::Space(self.from(start))
            }
            byte if self.is_name_byte(byte) => self.prefixed_text().unwrap_or_else(|| {
                self.skip_name();
                Token::Word(self.from(start))
            }),
            _ => self.mark(),
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if self.is_lost {
            return None;
        }
        let byte = self.byte(0)?;
        let token = self.read(byte, self.byte(1));
        // Only space, a comment or the text itself leave it open.
        self.continues_escaped &= matches!(token, Token::Space(_) | Token::Comment | Token::Text)
            && self.dialect == Dialect::Postgres;
        Some(token)
    }
}

fn is_plain_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
