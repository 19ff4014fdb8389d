//! The gateway over real sockets, with fake services behind it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod access;
mod drain;
mod edge;
mod http;
mod openapi;
mod orders;
mod overload;
mod pages;
mod readiness;
mod replays;
mod services;
mod shop;
mod tokens;
mod trace;
