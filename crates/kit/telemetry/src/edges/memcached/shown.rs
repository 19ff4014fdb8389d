//! What is shown of an operation. Never a value, and keys only where they are asked for.

use std::fmt::Write as _;

use super::QueryText;

/// The longest `db.query.text`, in bytes.
const MAX_TEXT: usize = 1024;

/// Keys of one operation that are shown.
const MAX_KEYS: usize = 16;

/// The text of an operation over these keys.
pub(super) fn text<K: AsRef<[u8]>>(
    command: &str,
    keys: impl ExactSizeIterator<Item = K>,
    text: QueryText,
) -> Option<String> {
    let more = keys.len() > MAX_KEYS;
    let mut shown = command.to_owned();
    for key in keys.take(MAX_KEYS) {
        match text {
            QueryText::Off => return None,
            QueryText::Masked => shown.push_str(" ?"),
            QueryText::Keys => {
                let key = key.as_ref();
                let key = String::from_utf8_lossy(key.get(..key.len().min(MAX_TEXT)).unwrap_or_default());
                // Writing to a String cannot fail.
                let _ = write!(shown, " {key}");
            }
        }
    }
    if more {
        shown.push_str(" ...");
    }
    shown.truncate(crate::base::redact::bounded_to(&shown, MAX_TEXT).len());
    (text != QueryText::Off).then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shown_to_those_who_ask_for_them() {
        let keys = || ["price:1", "price:2"].into_iter();
        assert_eq!(text("get", keys(), QueryText::Masked).as_deref(), Some("get ? ?"));
        assert_eq!(text("get", keys(), QueryText::Keys).as_deref(), Some("get price:1 price:2"));
        assert_eq!(text("get", keys(), QueryText::Off), None);
        let none: [&str; 0] = [];
        assert_eq!(text("flush_all", none.into_iter(), QueryText::Off), None);
        assert_eq!(text("flush_all", none.into_iter(), QueryText::Masked).as_deref(), Some("flush_all"));
    }

    #[test]
    fn the_text_is_bounded() {
        let many = vec!["x".repeat(250); 1_000];
        let masked = text("get", many.iter(), QueryText::Masked).unwrap();
        assert_eq!(masked, format!("get{} ...", " ?".repeat(16)));
        assert!(text("get", many.iter(), QueryText::Keys).unwrap().len() <= MAX_TEXT);
    }
}
