//! Tests that drive the binary as a person or a supervisor would.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![expect(unreachable_pub, reason = "a test binary has no outside")]

mod answers;
mod business;
mod commit;
mod configuration;
#[cfg(feature = "kafka")]
mod deployment;
mod environment;
mod health;
mod http;
mod identity;
#[cfg(feature = "kafka")]
mod kafka;
mod load;
mod migration;
mod name_server;
mod one_file;
mod operator;
mod postgres;
mod postgres_cuts;
mod postgres_tls;
mod program;
mod provider_faults;
mod provider_tls;
mod redis;
mod reload;
mod run;
mod sockets;
mod space;
mod stopping;
mod transfer;
mod trouble;
mod up;
