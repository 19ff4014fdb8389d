//! The words of a SQL text, as far as a summary needs them: names, quoted names and punctuation.
//!
//! Comments, string literals, numbers and parameters are passed over. Written for the dialects of SQLite,
//! PostgreSQL and MySQL; a text of another dialect gives a poorer summary, never a failure.

/// One token of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword or a bare name.
    Word(&'a str),
    /// A name in double quotes, backquotes or brackets, without them.
    Quoted(&'a str),
    /// Any other single character that matters: `( ) , ; .` and the rest.
    Mark(u8),
    /// A literal or a parameter; its value is not looked at.
    Value,
}

/// Iterates over the tokens of `text`.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while self.byte(0).is_some_and(&accept) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Moves behind the next `end`, or to the end of the text; returns what stood before it.
    fn take_until(&mut self, end: &str) -> &'a str {
        let rest = self.rest();
        let length = rest.find(end).unwrap_or(rest.len());
        self.at = (self.at + length + end.len()).min(self.text.len());
        rest.get(..length).unwrap_or_default()
    }

    /// Behind the opening quote: moves behind the closing one. A doubled quote is part of the text.
    fn take_quoted(&mut self, close: u8) -> &'a str {
        let start = self.at;
        while let Some(byte) = self.byte(0) {
            self.at += 1;
            if byte == close {
                if self.byte(0) != Some(close) || close == b']' {
                    return self.text.get(start..self.at - 1).unwrap_or_default();
                }
                self.at += 1;
            }
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0_u32;
        while let Some(byte) = self.byte(0) {
            match (byte, self.byte(1)) {
                (b'/', Some(b'*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    /// `$1`, `$name`, or a dollar-quoted text of PostgreSQL: `$$ ... $$`, `$tag$ ... $tag$`.
    fn skip_dollar(&mut self) {
        let start = self.at;
        self.at += 1;
        self.take_while(is_name_byte_without_dollar);
        if self.byte(0) == Some(b'$') {
            self.at += 1;
            let tag = self.text.get(start..self.at).unwrap_or("$$");
            self.take_until(tag);
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let byte = self.byte(0)?;
            match (byte, self.byte(1)) {
                (b'-', Some(b'-')) => {
                    self.take_until("\n");
                }
                (b'/', Some(b'*')) => self.skip_block_comment(),
                (b'\'', _) => {
                    self.at += 1;
                    self.take_quoted(b'\'');
                    return Some(Token::Value);
                }
                (b'"' | b'`' | b'[', _) => {
                    self.at += 1;
                    return Some(Token::Quoted(self.take_quoted(if byte == b'[' { b']' } else { byte })));
                }
                (b'$', _) => {
                    self.skip_dollar();
                    return Some(Token::Value);
                }
                (b'?' | b':' | b'@', _) => {
                    self.at += 1;
                    self.take_while(is_name_byte);
                    return Some(Token::Value);
                }
                (b'0'..=b'9', _) => {
                    self.take_while(|byte| is_name_byte(byte) || byte == b'.');
                    return Some(Token::Value);
                }
                (byte, _) if is_name_byte(byte) => return Some(Token::Word(self.take_while(is_name_byte))),
                (byte, _) => {
                    self.at += 1;
                    if !byte.is_ascii_whitespace() {
                        return Some(Token::Mark(byte));
                    }
                }
            }
        }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte == b'$' || is_name_byte_without_dollar(byte)
}

fn is_name_byte_without_dollar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        Tokens::of(text)
            .filter_map(|token| match token {
                Token::Word(word) | Token::Quoted(word) => Some(word),
                Token::Mark(_) | Token::Value => None,
            })
            .collect()
    }

    #[test]
    fn comments_literals_and_parameters_are_passed_over() {
        let text = "SELECT /* FROM a /* nested */ */ 'FROM '' b' -- FROM c\n, $1, $$ FROM d $$, $x$FROM e$x$, ?2, :f, 0x1F FROM g";
        assert_eq!(words(text), ["SELECT", "FROM", "g"]);
    }

    #[test]
    fn quoted_names_lose_their_quotes() {
        assert_eq!(words(r#""order" `order` [order] "a""b""#), ["order", "order", "order", r#"a""b"#]);
    }

    #[test]
    fn text_that_never_ends_ends() {
        for text in ["'abc", "\"abc", "/* abc", "$tag$ abc", "-- abc", "[", "$", "é'"] {
            assert!(Tokens::of(text).count() <= 2, "{text}");
        }
    }
}
