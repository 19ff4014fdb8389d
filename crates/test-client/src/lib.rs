//! The HTTP client of every test: a request with whatever a test wants in it, an answer with everything in it.
//!
//! For the tests of all crates, so it stands on nothing of ours. A [`Request`] goes over a connection of its own
//! ([`Request::send`]), through a router without a socket ([`Request::call`]), or over the kept connections of a
//! [`Client`]. Nothing is added that a test did not ask for, but for the `Host` that HTTP demands.
//!
//! Left out: bytes that are no HTTP (tests write those to a socket), TLS, waiting for something to become so.
#![allow(clippy::missing_panics_doc, reason = "a test helper that cannot do its work fails the test")]
#![allow(clippy::unwrap_used, reason = "a test helper that cannot do its work fails the test")]

mod answer;
mod client;
mod request;

pub use answer::Answer;
pub use client::{Client, Failed};
pub use request::{Body, Request};
