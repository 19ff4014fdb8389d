//! Trees, paths and overlaps of drawn traces, and what holds for any trace at all.
#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod aggregate;
mod compare;
mod completeness;
mod findings;
mod large;
mod overlap;
mod path;
mod picture;
mod projection;
mod properties;
mod tree;
