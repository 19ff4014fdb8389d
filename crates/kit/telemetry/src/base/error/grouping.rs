//! What is the same failure, whatever values it was about.

use std::fmt::Write as _;

/// Longest text that is looked at, in bytes.
const MAX: usize = 4_096;

/// A text without what changes from one occurrence to the next: numbers, hexadecimal ids, UUIDs and what stands in quotes become
/// `?`. The words that are left are those of the program, but for values that look like words.
///
/// ```
/// use waypost_telemetry::error::masked;
///
/// assert_eq!(masked("order 17 of \"anna\" was refused after 3.5s"), "order ? of \"?\" was refused after ?");
/// assert_eq!(masked("no row 4bf92f35-77b3-4da6-a3ce-929d0e0e4736"), "no row ?");
/// ```
pub fn masked(text: &str) -> String {
    let end = (0..=text.len().min(MAX)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    let mut rest = text.get(..end).unwrap_or_default();
    let mut masked = String::with_capacity(rest.len());
    while let Some(first) = rest.chars().next() {
        let length = first.len_utf8();
        if is_quote(first)
            && !masked.ends_with(|before: char| before.is_alphanumeric())
            && let Some(inside) = rest.get(length..).and_then(|after| after.find(first))
        {
            let _ = write!(masked, "{first}?{first}");
            rest = rest.get(inside + 2 * length..).unwrap_or_default();
        } else if first.is_alphanumeric() {
            let is_inside =
                |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | ':' | '@');
            let word =
                rest.find(|letter| !is_inside(letter)).map_or(rest, |end| rest.get(..end).unwrap_or(rest));
            let trimmed = word.trim_end_matches(|letter: char| !letter.is_alphanumeric());
            masked.push_str(if is_value(trimmed) { "?" } else { trimmed });
            rest = rest.get(trimmed.len()..).unwrap_or_default();
        } else {
            masked.push(first);
            rest = rest.get(length..).unwrap_or_default();
        }
    }
    masked
}

fn is_quote(letter: char) -> bool {
    matches!(letter, '"' | '\'' | '`')
}

/// A word with a digit or an address in it, or eight hexadecimal digits and more.
fn is_value(word: &str) -> bool {
    let is_hex = word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_hex || word.chars().any(|letter| letter.is_ascii_digit() || letter == '@')
}

/// A number for failures that belong together: stable between builds, machines and versions of Rust (FNV-1a).
pub(crate) fn group_of(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        // A part's end counts, so that "ab" "c" is not "a" "bc".
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_and_words_stay() {
        for (text, expected) in [
            ("connection to 10.0.0.7:5432 refused", "connection to ? refused"),
            ("user anna@example.com is unknown", "user ? is unknown"),
            ("key 'secret value' of `orders` is taken", "key '?' of `?` is taken"),
            ("it's the caller's turn", "it's the caller's turn"),
            ("id deadbeefcafe", "id ?"),
            ("a quote \" that does not end", "a quote \" that does not end"),
            ("naïve façade, 3 times", "naïve façade, ? times"),
            ("", ""),
        ] {
            assert_eq!(masked(text), expected);
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert!(masked(&"ä ".repeat(10_000)).len() <= MAX);
        assert_eq!(masked(&"\"".repeat(10_001)).len(), MAX / 2 * 3);
    }

    #[test]
    fn a_group_is_stable_and_told_apart() {
        assert_eq!(group_of(&["a"]), group_of(&["a"]));
        assert_ne!(group_of(&["ab", "c"]), group_of(&["a", "bc"]));
        // Written down, so that it stays so.
        assert_eq!(group_of(&[]), 0xcbf2_9ce4_8422_2325);
    }
}
