//! Rules, states and anomalies, over figures made from spans with a clock that the test holds.

#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod days;
mod engine;
mod machine;
mod numbers;
mod rules;
mod shop;
