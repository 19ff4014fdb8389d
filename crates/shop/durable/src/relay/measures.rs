//! What a relay tells in numbers.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use waypost_telemetry::opentelemetry::metrics::Gauge;
use waypost_telemetry::{ErrorType, Telemetry, messaging};

use crate::broker::{Ack, PublishError};

pub(super) struct Measures {
    sent: messaging::Metrics,
    oldest: Gauge<f64>,
    parked: Gauge<u64>,
}

impl Measures {
    pub(super) fn new(telemetry: &Telemetry, system: &'static str) -> Measures {
        let oldest = telemetry
            .meter()
            .f64_gauge("waypost.outbox.oldest_unpublished.age")
            .with_description("Age of the oldest event that the broker does not have yet.")
            .with_unit("s")
            .build();
        let parked = telemetry
            .meter()
            .u64_gauge("waypost.outbox.parked")
            .with_description("Events that can never be published and wait for somebody to see to them.")
            .with_unit("{event}")
            .build();
        Measures { sent: messaging::Metrics::new(telemetry, system), oldest, parked }
    }

    /// When the oldest event that is not published was appended; `None`: there is none.
    pub(super) fn oldest(&self, appended_at: Option<SystemTime>) {
        let age = appended_at.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
        self.oldest.record(age.unwrap_or_default().as_secs_f64(), &[]);
    }

    pub(super) fn parked(&self, count: u64) {
        self.parked.record(count, &[]);
    }

    /// One call of the broker: what became of each record, by its topic.
    pub(super) fn published<'a>(
        &self,
        results: impl Iterator<Item = (&'a str, &'a Result<Ack, PublishError>)>,
        elapsed: Duration,
    ) {
        let mut counts: HashMap<_, (u64, Option<&dyn ErrorType>)> = HashMap::new();
        for (topic, result) in results {
            let failure = result.as_ref().err().map(|error| error as &dyn ErrorType);
            let of_a_kind = counts.entry((topic, failure.map(ErrorType::error_type))).or_insert((0, failure));
            of_a_kind.0 += 1;
        }
        for ((topic, _), (count, failure)) in counts {
            self.sent.sent(topic, count, elapsed, failure);
        }
    }
}
