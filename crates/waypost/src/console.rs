//! What a person reads: text on standard output, with or without emoji and colour.
//!
//! Only the story of the first order uses emoji; without a terminal, with `--plain` or with `NO_COLOR` there are
//! neither emoji nor colours, and only ASCII. A reader that went away (`waypost up | head`) is not an error.

use std::io::{self, IsTerminal as _, Write as _};

use crate::output::Output;

/// Whether text is made for a person at a terminal or for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Emoji, box-drawing characters and colour.
    Rich,
    /// ASCII only, no escape codes.
    Plain,
}

impl Style {
    /// Rich on a terminal, unless the person or `NO_COLOR` (<https://no-color.org>) asks for plain text.
    pub(crate) fn choose(wants_plain: bool, no_color: Option<&str>) -> Style {
        let is_declined = wants_plain || no_color.is_some_and(|value| !value.is_empty());
        if is_declined || !io::stdout().is_terminal() { Style::Plain } else { Style::Rich }
    }

    pub(crate) fn is_rich(self) -> bool {
        self == Style::Rich
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.painted("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.painted("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.painted("31", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.painted("33", text)
    }

    fn painted(self, code: &str, text: &str) -> String {
        if self.is_rich() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Writes a line to standard output and gives it out at once, so that a pipe sees it too.
pub(crate) fn say(line: impl AsRef<str>) {
    // Nobody is left to tell when standard output is gone.
    drop(Output::Standard.write_all(format!("{}\n", line.as_ref()).as_bytes()));
}

/// Writes a line to standard error.
pub(crate) fn complain(line: impl AsRef<str>) {
    drop(Output::Error.write_all(format!("{}\n", line.as_ref()).as_bytes()));
}
