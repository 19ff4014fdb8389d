//! The hook.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use diesel::connection::{DebugQuery, Instrumentation, InstrumentationEvent};

use super::super::dialect::Dialect;
use super::super::running::{DriverError, Running};
use super::super::target::{Description, Target};
use super::super::tokens::{Token, Tokens};
use super::place;

/// What diesel writes between the text of a query and what is bound to it.
const BINDS: &str = " -- binds: ";

/// The longest text that is taken from diesel, in bytes. What comes after it is not read.
const MAX_QUERY: usize = 64 * 1024;

/// The instrumentation of one connection. Made by [`Diesel::instrumentation`](super::Diesel::instrumentation).
pub struct Traced {
    description: Description,
    target: Arc<Target>,
    /// What a connection does while it connects is part of that.
    connecting: Option<Running>,
    /// A connection does one thing at a time.
    running: Option<Running>,
}

impl Traced {
    pub(super) fn new(description: Description) -> Self {
        Self { target: description.target(), description, connecting: None, running: None }
    }
}

fn end(running: &mut Option<Running>, error: Option<&impl DriverError>) {
    if let Some(running) = running.take() {
        running.end(error.map_or(Ok(None), Err));
    }
}

impl Instrumentation for Traced {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartEstablishConnection { url, .. } => {
                self.description = place::described(self.description.clone(), url);
                self.target = self.description.target();
                self.connecting = Some(Running::start_as(&self.target, Cow::Borrowed("CONNECT"), "", false));
            }
            InstrumentationEvent::FinishEstablishConnection { error, .. } => end(&mut self.connecting, error),
            InstrumentationEvent::StartQuery { query, .. } => {
                let shown = written(query);
                let (text, is_bound) = parts(&shown, self.target.database.shared.dialect);
                self.running = Some(Running::start(&self.target, text, is_bound));
            }
            InstrumentationEvent::FinishQuery { error, .. } => end(&mut self.running, error),
            // Transactions begin and end by queries, which are told as well; what is prepared is told when it is run.
            _ => {}
        }
    }
}

/// A query as diesel shows it.
fn written(query: &dyn DebugQuery) -> String {
    let mut written = Bounded(String::new());
    // One that cannot be shown has no text. What is bound to it comes last and may be cut off.
    let _ = write!(written, "{query}");
    written.0
}

/// The text and whether values come beside it. What is bound is left out. A literal or a comment may look like the place where the
/// binds begin: the text ends there, and what is left of it is no whole text, so its literals are taken for values.
fn parts(shown: &str, dialect: Dialect) -> (&str, bool) {
    match shown.split_once(BINDS) {
        Some((text, _)) => (text, is_template(text, dialect)),
        None => (shown, false),
    }
}

/// Whether it is a whole text with parameters.
fn is_template(text: &str, dialect: Dialect) -> bool {
    let mut has_parameter = false;
    for token in Tokens::of(text, dialect) {
        match token {
            Token::Lost => return false,
            Token::Parameter(_) => has_parameter = true,
            _ => {}
        }
    }
    has_parameter
}

/// Text that ends where there is too much of it.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_QUERY {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

impl fmt::Debug for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced").field("database", &self.target.database).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Dialect, parts};

    #[test]
    fn what_is_bound_is_no_part_of_the_text() {
        for (shown, text, is_bound) in [
            ("SELECT 1 WHERE a = $1 -- binds: [\"x\"]", "SELECT 1 WHERE a = $1", true),
            ("SELECT 1 WHERE a = $1 -- binds: [\"x -- binds: [1]\"]", "SELECT 1 WHERE a = $1", true),
            ("SELECT 1 -- binds: []", "SELECT 1", false),
            ("BEGIN", "BEGIN", false),
        ] {
            assert_eq!(parts(shown, Dialect::Postgres), (text, is_bound), "{shown}");
        }
    }

    #[test]
    fn what_looks_like_the_end_of_the_text_is_not_taken_for_it() {
        for (shown, text) in [
            ("SELECT 'secret -- binds: [1]'", "SELECT 'secret"),
            ("SELECT 'secret -- binds: [1]' WHERE a = $1 -- binds: [1]", "SELECT 'secret"),
            ("SELECT 'secret' /* a -- binds: [1] */", "SELECT 'secret' /* a"),
            ("SELECT 'secret' -- a -- binds: [1]", "SELECT 'secret' -- a"),
        ] {
            assert_eq!(parts(shown, Dialect::Postgres), (text, false), "{shown}");
        }
    }
}
