//! Statements and addresses without the values in them, so that calls which differ only by a value are alike.

/// Characters of a statement that are looked at.
const MAX_READ: usize = 4_000;

/// Statements with `?` in the place of literals, numbers and parameters, lists of them as one, and single spaces.
///
/// Names in double quotes or backticks are kept. What is no SQL comes back readable too.
pub(crate) fn without_values(statement: &str) -> String {
    let mut text = String::with_capacity(statement.len().min(MAX_READ));
    let mut characters = statement.chars().take(MAX_READ).peekable();
    while let Some(character) = characters.next() {
        match character {
            '\'' => {
                // Two quotes within a literal are one; the next literal begins at once and is part of this one.
                while let Some(inner) = characters.next() {
                    if inner == '\'' && characters.next_if_eq(&'\'').is_none() {
                        break;
                    }
                }
                value(&mut text);
            }
            '$' | '?' | ':' | '@' if !ends_a_word(&text) && !text.ends_with(':') => {
                let mut is_parameter = character == '?';
                while characters.next_if(|next| next.is_alphanumeric() || *next == '_').is_some() {
                    is_parameter = true;
                }
                if is_parameter { value(&mut text) } else { text.push(character) }
            }
            digit if digit.is_ascii_digit() && !ends_a_word(&text) => {
                while characters.next_if(|next| next.is_ascii_alphanumeric() || *next == '.').is_some() {}
                value(&mut text);
            }
            space if space.is_whitespace() => {
                if !text.is_empty() && !text.ends_with(' ') {
                    text.push(' ');
                }
            }
            other => text.push(other),
        }
    }
    text.truncate(text.trim_end_matches([' ', ';']).len());
    text
}

/// Adds a value, unless it is the next of a list of values.
fn value(text: &mut String) {
    let is_next = text.trim_end().strip_suffix(',').is_some_and(|before| before.trim_end().ends_with('?'));
    if is_next {
        let length = text.trim_end().trim_end_matches(',').trim_end().len();
        text.truncate(length);
    } else {
        text.push('?');
    }
}

fn ends_a_word(text: &str) -> bool {
    text.chars().next_back().is_some_and(|last| last.is_alphanumeric() || last == '_')
}

/// A path with `{}` in the place of parts that are ids: numbers, UUIDs, long hexadecimal ones. Without its query.
pub(crate) fn without_ids(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let parts = path.split('/').map(|part| if is_id(part) { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn is_id(part: &str) -> bool {
    let digits = part.chars().filter(char::is_ascii_digit).count();
    let is_hexadecimal = part.chars().all(|character| character.is_ascii_hexdigit() || character == '-');
    digits > 0 && (digits == part.len() || (is_hexadecimal && part.len() >= 8) || part.len() >= 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_differ_by_values_are_alike() {
        for (statement, expected) in [
            ("SELECT *  FROM t1\n WHERE id = 42;", "SELECT * FROM t1 WHERE id = ?"),
            ("SELECT a FROM t WHERE b = 'it''s' AND c=-1.5e3", "SELECT a FROM t WHERE b = ? AND c=-?"),
            ("... WHERE id = $1 OR id = :name OR id = @p", "... WHERE id = ? OR id = ? OR id = ?"),
            ("... WHERE id IN (1, 2,3 , ?4)", "... WHERE id IN (?)"),
            ("SELECT \"x 1\", a::text FROM t", "SELECT \"x ?\", a::text FROM t"),
            ("GET user:17", "GET user:?"),
            ("open 'never closed", "open ?"),
            ("", ""),
        ] {
            assert_eq!(without_values(statement), expected);
        }
    }

    #[test]
    fn paths_that_differ_by_ids_are_alike() {
        for (path, expected) in [
            ("/v1/charges/42?x=1", "/v1/charges/{}"),
            ("/orders/01a22889-5ecb-718b-8d20-4b763d5e7632/items", "/orders/{}/items"),
            ("/o/deadbeef", "/o/deadbeef"),
            ("/o/deadbeef1", "/o/{}"),
            ("/v1/ch_01a228895ed1755facdd42bc339d88c1", "/v1/{}"),
            ("/api/orders", "/api/orders"),
        ] {
            assert_eq!(without_ids(path), expected);
        }
    }
}
