//! How often a cache had what it was asked for: `waypost.cache.lookups`, for caches in memory and for those in other processes.

use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, StringValue};

use crate::core::handle::Telemetry;

/// `cache.name`.
pub(crate) const NAME: &str = "cache.name";

/// `cache.hit`.
pub(crate) const HIT: &str = "cache.hit";

/// The look-ups of one cache.
#[derive(Clone)]
pub(crate) struct Lookups {
    name: StringValue,
    counter: Counter<u64>,
}

impl Lookups {
    pub(crate) fn new(telemetry: &Telemetry, name: StringValue) -> Self {
        let counter = telemetry
            .meter()
            .u64_counter("waypost.cache.lookups")
            .with_unit("{lookup}")
            .with_description("Values that a cache was asked for.")
            .build();
        Self { name, counter }
    }

    /// Counts this many look-ups with the same answer.
    pub(crate) fn count(&self, is_hit: bool, how_many: u64) {
        if how_many > 0 {
            let labels = [KeyValue::new(NAME, self.name.clone()), KeyValue::new(HIT, is_hit)];
            self.counter.add(how_many, &labels);
        }
    }
}
