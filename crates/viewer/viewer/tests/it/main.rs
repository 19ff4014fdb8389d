//! The viewer over real sockets: what goes in by the import comes out of every endpoint.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod access;
mod aggregate;
mod alert_causes;
mod alerts;
mod compare;
mod day;
mod findings;
mod fixture;
mod ground_truth;
mod groups;
mod http;
mod import;
mod logs;
mod mail;
#[path = "../../../trace-alerts/tests/it/numbers.rs"]
mod numbers;
mod page;
mod page_logic;
mod page_types;
mod parameters;
mod pins;
mod receiver;
mod search;
mod series;
mod smtp;
mod span;
mod statistics;
mod status;
mod tail;
mod tls;
mod trace;
mod viewer;
