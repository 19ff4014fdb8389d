//! What stands between a request and the failures around it.
//!
//! For the gateway and for every service that calls another. [`deadline`] carries how long an answer is still
//! worth having from hop to hop; [`grpc::Channel`] calls another service under that deadline, behind a
//! [`breaker`], in a span, over as many connections as it takes and at one of the replicas that [`discovery`] finds; [`retry`] repeats a call that surely did nothing, on a budget; [`shed`] refuses what
//! is too much at once, [`rate_limit`] what is too much of one caller, and [`throttle`] slows down who fails again and
//! again. [`Tasks`] run what must go on when the request is over.
//!
//! Invariants: a deadline is never extended; what is refused is refused before anything is done; every queue,
//! table and wait has a bound; time and randomness can be handed in, so every rule is testable without waiting.
//!
//! Left out: hedging (a write must not be sent twice on purpose), and retries inside [`grpc::Channel`] of what may have
//! been sent (they belong to one layer only, and the caller knows which).

pub mod backoff;
pub mod breaker;
pub mod deadline;
pub mod discovery;
pub mod grpc;
pub mod rate_limit;
pub mod retry;
pub mod shed;
mod tasks;
pub mod throttle;

pub use tasks::Tasks;

/// The attribute that says on metrics which service was called.
const TARGET: &str = "waypost.target";
