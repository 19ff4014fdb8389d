//! What stands below the handle: settings, values, names. No handle, no IO, no threads.

pub mod attributes;
#[cfg(any(feature = "_broker", feature = "mongodb"))]
pub(crate) mod bounded_set;
pub mod config;
pub(crate) mod error;
pub(crate) mod fields;
pub(crate) mod finished;
pub(crate) mod ledger;
pub(crate) mod names;
pub mod redact;
pub(crate) mod slots;
pub(crate) mod value;
pub(crate) mod wire;
#[cfg(any(feature = "config-file", feature = "testing"))]
pub(crate) mod yaml;
