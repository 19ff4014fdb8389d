//! The query APIs over a store in memory: whole answers, compared with what those APIs are documented to say.

#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]
#![expect(clippy::needless_pass_by_value, reason = "what json! makes reads better without borrows")]

mod bounds;
mod dependencies;
mod fixtures;
mod legacy_metrics;
mod legacy_names;
mod legacy_refusals;
mod legacy_search;
mod legacy_trace;
mod legacy_transform;
mod prometheus;
mod site;
mod stores;
mod v3;
mod v3_refusals;
mod zipkin;
mod zipkin_refusals;
