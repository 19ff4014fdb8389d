//! What texts of SQL look like: where the products differ in what is a literal, a name or a comment.
//!
//! Known from `db.system.name`. Where it is not known what a character means, reading ends there: a literal that was
//! taken for a name would become the name of a span and a label of metrics.

/// A family of products that write literals, names and comments alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Dialect {
    Postgres,
    MySql,
    Sqlite,
    SqlServer,
    Oracle,
    /// Any other, or none was said.
    Unknown,
}

/// An answer that may be unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Yes,
    No,
    Unsure,
}

/// What stands between double quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DoubleQuoted {
    Name,
    Text,
    Unsure,
}

/// What `#` begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Comment,
    Operator,
    Name,
    Unsure,
}

/// What `$` begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dollar {
    /// `$1`, and texts as `$tag$ ... $tag$`.
    ParameterOrText,
    Parameter,
    Name,
    /// An amount of money.
    Number,
    Unsure,
}

impl Dialect {
    /// The dialect of a `db.system.name`.
    pub(super) fn of(system: &str) -> Self {
        match system {
            "postgresql" | "cockroachdb" => Self::Postgres,
            "mysql" | "mariadb" => Self::MySql,
            "sqlite" => Self::Sqlite,
            "microsoft.sql_server" => Self::SqlServer,
            "oracle.db" => Self::Oracle,
            _ => Self::Unknown,
        }
    }

    /// Whether a backslash keeps the quote behind it inside a text. By the default of the product: MySQL's mode
    /// `NO_BACKSLASH_ESCAPES` and PostgreSQL's `standard_conforming_strings = off` are not known here.
    pub(super) fn backslash_escapes(self) -> Rule {
        match self {
            Self::MySql => Rule::Yes,
            Self::Unknown => Rule::Unsure,
            _ => Rule::No,
        }
    }

    /// SQLite and SQL Server take a name in double quotes for a text where they know no such name, or are told to.
    pub(super) fn double_quoted(self) -> DoubleQuoted {
        match self {
            Self::Postgres | Self::Oracle => DoubleQuoted::Name,
            Self::MySql => DoubleQuoted::Text,
            Self::Sqlite | Self::SqlServer | Self::Unknown => DoubleQuoted::Unsure,
        }
    }

    /// Whether `[name]` is a name; elsewhere brackets are those of arrays.
    pub(super) fn bracketed_names(self) -> Rule {
        match self {
            Self::Sqlite | Self::SqlServer => Rule::Yes,
            Self::Unknown => Rule::Unsure,
            _ => Rule::No,
        }
    }

    pub(super) fn backquoted_names(self) -> bool {
        matches!(self, Self::MySql | Self::Sqlite | Self::Unknown)
    }

    pub(super) fn hash(self) -> Hash {
        match self {
            Self::MySql => Hash::Comment,
            Self::Postgres | Self::Sqlite => Hash::Operator,
            Self::SqlServer | Self::Oracle => Hash::Name,
            Self::Unknown => Hash::Unsure,
        }
    }

    /// Whether two dashes begin a comment though no space follows.
    pub(super) fn dashes_alone_comment(self) -> Rule {
        match self {
            Self::MySql => Rule::No,
            Self::Unknown => Rule::Unsure,
            _ => Rule::Yes,
        }
    }

    /// Whether comments of the form `/* */` hold others.
    pub(super) fn nested_comments(self) -> Rule {
        match self {
            Self::Postgres | Self::SqlServer => Rule::Yes,
            Self::Unknown => Rule::Unsure,
            _ => Rule::No,
        }
    }

    pub(super) fn dollar(self) -> Dollar {
        match self {
            Self::Postgres => Dollar::ParameterOrText,
            Self::Sqlite => Dollar::Parameter,
            Self::MySql | Self::Oracle => Dollar::Name,
            Self::SqlServer => Dollar::Number,
            Self::Unknown => Dollar::Unsure,
        }
    }

    /// Whether `:1` is a parameter; elsewhere it may be the end of a slice.
    pub(super) fn numbered_parameters(self) -> bool {
        matches!(self, Self::Sqlite | Self::Oracle)
    }

    /// The port of a server that is told no other.
    pub(super) fn default_port(system: &str) -> Option<u16> {
        match system {
            "postgresql" => Some(5432),
            "mysql" | "mariadb" => Some(3306),
            "microsoft.sql_server" => Some(1433),
            "oracle.db" => Some(1521),
            "cockroachdb" => Some(26257),
            _ => None,
        }
    }
}
