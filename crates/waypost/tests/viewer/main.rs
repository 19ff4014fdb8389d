//! The viewer as its users meet it: the binary, real sockets, programs that nobody here wrote, a real browser.
#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod access;
mod account;
mod browser;
mod clients;
mod clock;
mod crash;
mod disk;
mod doors;
mod findings;
mod guarantees;
mod limits;
mod otlp;
mod retention;
mod search;
mod shop;
mod starting;
mod tail;

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_waypost");
