//! What is wrong with a configuration, and where it was written.

use std::fmt;

/// Where a value came from. Ordered as the layers are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A default.
    Default,
    /// A value that the program set itself.
    Program,
    /// A line of the file.
    File {
        /// The file's name as it was given.
        name: String,
        /// From 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Program => f.write_str("program"),
            Origin::File { name, line } => write!(f, "{name}:{line}"),
            Origin::Environment(name) | Origin::Flag(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written.
    pub origin: Origin,
    /// The setting; empty when the file is not TOML at this place.
    pub key: String,
    /// What is wrong with it and what would be right, in one sentence without a full stop.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { origin, key, reason } = self;
        if *origin == Origin::Program {
            return write!(f, "{key}: {reason}");
        }
        if key.is_empty() { write!(f, "{origin}: {reason}") } else { write!(f, "{origin}: {key}: {reason}") }
    }
}

/// Every problem of a configuration, in the order of the layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// All of them, whatever their order.
    pub fn new(mut problems: Vec<Problem>) -> Problems {
        problems.sort_by(|left, right| left.origin.cmp(&right.origin));
        Problems(problems)
    }

    /// `Ok` if there are no complaints about settings that the program set itself.
    pub fn check(complaints: Vec<Complaint>) -> Result<(), Problems> {
        if complaints.is_empty() {
            return Ok(());
        }
        let problem = |Complaint { key, reason }| Problem { origin: Origin::Program, key, reason };
        Err(Problems(complaints.into_iter().map(problem).collect()))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the configuration has a problem")?,
            count => write!(f, "the configuration has {count} problems")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}

/// A rule between values that a type cannot state, broken: returned by the owner's own check of the struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The setting, from the struct that was checked.
    pub key: String,
    /// As [`Problem::reason`].
    pub reason: String,
}

impl Complaint {
    /// A complaint about a setting.
    pub fn new(key: impl Into<String>, reason: impl Into<String>) -> Complaint {
        Complaint { key: key.into(), reason: reason.into() }
    }

    /// The same complaint, seen from a struct that holds the checked one in `section`.
    #[must_use]
    pub fn under(self, section: &str) -> Complaint {
        Complaint { key: format!("{section}.{}", self.key), reason: self.reason }
    }
}
