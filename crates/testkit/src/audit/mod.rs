//! The books of a shop, added up against each other: what its databases say about every order, stock and money.
//!
//! For tests that break things: when the faults are over and everything has settled, [`audit`] finds nothing. It reads
//! the files of the embedded defaults or the schemas of a PostgreSQL server, beside the running roles or after they have
//! stopped, and changes nothing.
//!
//! Left out: what clients were told. A test that has told somebody something compares that itself.

mod books;
mod events;
mod rules;

use std::fmt;
use std::path::Path;

pub use books::{Books, Charge, Order, Payment};
pub use events::events_out_of_step;

/// Something that the books say and that must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The guarantee that is broken (docs/guarantees.md).
    pub guarantee: &'static str,
    /// The order it is about, if it is about one.
    pub order: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { guarantee, order, what } = self;
        match order {
            Some(order) => write!(f, "{guarantee} order {order}: {what}"),
            None => write!(f, "{guarantee} {what}"),
        }
    }
}

/// Everything that is wrong, in order.
///
/// # Errors
/// When a database cannot be read.
pub fn audit(data: &Path) -> anyhow::Result<Vec<Finding>> {
    Ok(rules::findings(&Books::read(data)?))
}

/// As [`audit`], of the schemas of a PostgreSQL server, by the URL of its database.
///
/// # Errors
/// When a schema cannot be read.
pub async fn audit_server(url: &str) -> anyhow::Result<Vec<Finding>> {
    Ok(rules::findings(&Books::read_server(url).await?))
}
