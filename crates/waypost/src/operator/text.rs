//! Text for a terminal of 80 columns.

use std::time::SystemTime;

use waypost_api::Timestamp;

/// The width that everything fits into.
const WIDTH: usize = 80;

/// Lines of at most [`WIDTH`] columns: the first begins with `first`, the others are indented as far. A word that is
/// longer stands alone on its line. What a terminal would obey is shown as `?`.
pub(super) fn wrapped(first: &str, text: &str) -> String {
    let indent = " ".repeat(first.chars().count());
    let mut lines = vec![first.to_owned()];
    let mut width = indent.len();
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let word: String = word.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let length = word.chars().count();
        if !is_empty && width + 1 + length > WIDTH {
            lines.push(indent.clone());
            width = indent.len();
            is_empty = true;
        }
        let Some(line) = lines.last_mut() else { break };
        if !is_empty {
            line.push(' ');
            width += 1;
        }
        line.push_str(&word);
        width += length;
        is_empty = false;
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

/// A moment to the second, in UTC.
pub(super) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{}Z", seconds.replace('T', " ")),
        None => text,
    }
}

/// How long ago a moment was, in its largest unit.
pub(super) fn ago(at: Timestamp) -> String {
    let seconds = Timestamp::from(SystemTime::now()).since(at).as_secs();
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_wrapped_and_indented() {
        let text = wrapped("  reason: ", &"word ".repeat(40));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("          word")), "{text}");
        assert_eq!(text.split_whitespace().count(), 41);
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        assert_eq!(wrapped("", "a\u{1b}[2Jb"), "a?[2Jb");
    }
}
