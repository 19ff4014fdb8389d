//! The rules of W3C Trace Context, level 1 and 2, over real HTTP: what comes in at the service and what leaves it.

#![allow(clippy::unwrap_used, reason = "what a helper cannot set up fails the test that asked for it")]

mod harness;
mod traceparent;
mod tracestate;
