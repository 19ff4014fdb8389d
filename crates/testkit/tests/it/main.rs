//! The testkit's own tests: what it says must be so before the tests of others can lean on it.
#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod browser;
