//! Topics of one's own.

use crate::{KAFKA, own_name, variable};

/// A prefix for topics and groups on the tests' Kafka that no other test has. The server makes no topic by itself.
#[derive(Debug, Clone)]
pub struct Topics {
    bootstrap: String,
    prefix: String,
}

impl Topics {
    /// A new prefix.
    pub fn own() -> Self {
        Self { bootstrap: variable(KAFKA), prefix: own_name() }
    }

    /// The address to begin with: `host:port`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The topic or group of this name that is this test's own.
    pub fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }
}
