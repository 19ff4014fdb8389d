//! The viewer as its users meet it: the binary, real sockets, programs that nobody here wrote, a real browser.
#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod browser;
mod clients;
mod crash;
mod shop;

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_waypost");
