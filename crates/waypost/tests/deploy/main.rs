//! The files of `deploy/` with the programs that they are for: real servers in front of a real shop, a real Prometheus beside it.
//!
//! Each test takes the file as it is, puts free ports in the place of its own, and starts the server. What this machine lacks is left
//! out and said; `cargo xtask deploy` says how to have it.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod dashboards;
mod proxies;
mod restart;
mod server;

/// The order of seed 002's curl.
const ORDER: &str = r#"{"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#;
