//! Keys of one's own.

use crate::{REDIS, own_name, variable};

/// A prefix on the tests' Redis that no other test has. What is kept under it stays until it runs out or the server ends.
#[derive(Debug, Clone)]
pub struct Keys {
    url: String,
    prefix: String,
}

impl Keys {
    /// A new prefix.
    pub fn own() -> Self {
        Self { url: variable(REDIS), prefix: format!("{}:", own_name()) }
    }

    /// The URL of the server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What each key has to begin with. Ends with `:`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}
