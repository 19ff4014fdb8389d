//! What librdkafka calls.

use std::sync::Arc;

use rdkafka::client::ClientContext;
use rdkafka::consumer::ConsumerContext;

use super::statistics::Client;

/// The context of a consumer that has none of its own: shows librdkafka's statistics as metrics. Log lines and errors go
/// where rdkafka lets them go, to the `log` crate.
#[derive(Clone, Debug)]
pub struct Observing {
    client: Arc<Client>,
}

impl Observing {
    pub(super) fn new(client: &Arc<Client>) -> Self {
        Self { client: Arc::clone(client) }
    }

    /// Shows these statistics from now on.
    pub fn observe(&self, statistics: &rdkafka::Statistics) {
        self.client.statistics.observe(statistics);
    }
}

impl ClientContext for Observing {
    fn stats(&self, statistics: rdkafka::Statistics) {
        self.observe(&statistics);
    }
}

impl ConsumerContext for Observing {}
