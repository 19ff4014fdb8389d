//! How the program ends: the one table of exit codes, and the error that carries one.
//!
//! The numbers follow BSD `sysexits.h` where it has a fitting one. `waypost --help` and docs/operations.md
//! show this table; a test keeps the document in step.

use std::fmt;
use std::process::ExitCode;

/// How the program ended, as a number for scripts and supervisors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    NotWell,
    BadConfig,
    NotFound,
    Unavailable,
    Internal,
    CannotCreate,
    Io,
    Temporary,
    Refused,
    Interrupted,
}

impl Exit {
    pub(crate) const ALL: &[Exit] = &[
        Exit::Done,
        Exit::NotWell,
        Exit::BadConfig,
        Exit::NotFound,
        Exit::Unavailable,
        Exit::Internal,
        Exit::CannotCreate,
        Exit::Io,
        Exit::Temporary,
        Exit::Refused,
        Exit::Interrupted,
    ];

    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::NotWell => 1,
            Exit::BadConfig => 64,
            Exit::NotFound => 66,
            Exit::Unavailable => 69,
            Exit::Internal => 70,
            Exit::CannotCreate => 73,
            Exit::Io => 74,
            Exit::Temporary => 75,
            Exit::Refused => 77,
            Exit::Interrupted => 130,
        }
    }

    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done, or stopped by a signal after a clean drain",
            Exit::NotWell => {
                "`load` saw answers that its mix does not explain, or `health` found a process that is not well"
            }
            Exit::BadConfig => "wrong command line or configuration; every problem is named",
            Exit::NotFound => "there is no such order or dead letter",
            Exit::Unavailable => {
                "an address or the data folder is held by another process, or a target or the database server does not answer \
                 or refuses"
            }
            Exit::Internal => "a fault of the program itself",
            Exit::CannotCreate => "the data folder or a database cannot be created or opened",
            Exit::Io => "reading or writing failed, for instance a full disk",
            Exit::Temporary => "not finished in time (the drain's grace ran out); trying again may help",
            Exit::Refused => {
                "an action of an operator is not allowed as things stand, or was refused; nothing was done"
            }
            Exit::Interrupted => {
                "interrupted before it was ready, or a second time; left at once without draining"
            }
        }
    }

    /// The table as text, one line a code.
    pub(crate) fn table() -> String {
        let line = |exit: &Exit| format!("  {:>3}  {}\n", exit.code(), exit.meaning());
        Exit::ALL.iter().map(line).collect()
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// An error with the exit code that it leads to.
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Failure {
        Failure { exit, error: error.into() }
    }

    pub(crate) fn message(exit: Exit, message: impl fmt::Display) -> Failure {
        Failure { exit, error: anyhow::anyhow!("{message}") }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure").field("exit", &self.exit).field("error", &self.error).finish()
    }
}

/// The error and its causes on one line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// Gives an error its exit code and says what was attempted.
pub(crate) trait OrExit<T> {
    fn or_exit(self, exit: Exit, attempted: impl fmt::Display + Send + Sync + 'static) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit, attempted: impl fmt::Display + Send + Sync + 'static) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit, error: error.into().context(attempted) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_told_apart_and_documented() {
        let operations = include_str!("../../../docs/operations.md");
        let mut codes = Vec::new();
        for exit in Exit::ALL {
            assert!(!codes.contains(&exit.code()), "code {} is used twice", exit.code());
            codes.push(exit.code());
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(operations.contains(&row), "docs/operations.md lacks the row {row:?}");
        }
    }
}
