//! The service skeleton over real sockets.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod bind;
mod data;
mod drain;
mod grpc;
mod health;
mod limits;
mod periodic;
mod process;
mod secured;
mod support;
mod unix;
