//! The commands of `cargo xtask`, by running it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dist;
mod stack;
