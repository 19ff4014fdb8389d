//! What every store promises, and what the store of files promises beyond that.

#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod arbitrary;
mod contract;
mod crash;
mod files;
mod logs;
mod pages;
mod parity;
mod retention;
mod round_trip;
mod sample;
mod survey;
