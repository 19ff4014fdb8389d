//! Standard output, for a look while developing: spans as trees or as lines, log records as lines, metrics as the text that
//! would be scraped.

mod lines;
mod trees;

use std::io::IsTerminal as _;

use super::decode;
use crate::base::config::{ConsoleForm, ConsoleSettings};
use trees::Trees;

/// What the requests of one signal look like.
pub(super) enum Console {
    Trees(Trees),
    Lines,
    Logs,
    Metrics,
}

impl Console {
    /// For the signal of this path.
    pub(super) fn new(path: &str, settings: &ConsoleSettings) -> Self {
        match (path, settings.form) {
            ("/v1/traces", ConsoleForm::Tree) => Self::Trees(Trees::new(settings, wants_colours())),
            ("/v1/traces", ConsoleForm::Lines) => Self::Lines,
            ("/v1/logs", _) => Self::Logs,
            _ => Self::Metrics,
        }
    }

    /// The text of a request.
    pub(super) fn render(&self, request: &[u8]) -> String {
        match self {
            Self::Trees(trees) => trees.render(&decode::spans(request)),
            Self::Lines => decode::spans(request).iter().map(|span| lines::span_line(span) + "\n").collect(),
            Self::Logs => decode::logs(request).iter().map(|record| lines::log_line(record) + "\n").collect(),
            // A reading comes as text.
            Self::Metrics => String::from_utf8_lossy(request).into_owned(),
        }
    }
}

/// Somebody reads at a terminal and has not asked for plain text: <https://no-color.org>.
fn wants_colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
