//! What an operator can set.

use crate::domain::Channel;
use serde::{Deserialize, Serialize};
use waypost_settings::{Duration, settings};
use waypost_telemetry::messaging;

settings! {
    /// The notification service.
    pub struct Config {
        /// The consumer group. Members of one group share the events; each group gets all of them.
        pub group: String = "notification-service".to_owned(),
        /// How its spans belong to an order's trace: `parent` makes them part of it, `link` begins traces of their own
        /// that point to it.
        pub correlation: Correlation = Correlation::Parent,
        /// By which ways users are told: `email`, `sms`.
        pub channels: Vec<Channel> = vec![Channel::Email],
        /// How often an event is tried before it is parked. While the database is locked, full or failing, events wait and
        /// nothing is counted.
        pub attempts: u32 = 5,
        /// How long it is remembered which events were seen. Must be longer than the broker keeps them.
        pub inbox_retention: Duration = Duration::from_secs(7 * 24 * 3600),
        /// How often old ones are forgotten.
        pub inbox_purge_interval: Duration = Duration::from_secs(600),
        /// How long notifications are kept. Must be longer than the broker keeps events.
        pub retention: Duration = Duration::from_secs(10 * 365 * 24 * 3600),
        /// How often notifications are looked for that need not be kept any more.
        pub retention_interval: Duration = Duration::from_secs(60),
    }
}

/// How the span of an event belongs to the trace of its order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Correlation {
    /// As a child, in the same trace.
    #[default]
    Parent,
    /// In a trace of its own that links to it.
    Link,
}

impl From<Correlation> for messaging::Correlation {
    fn from(correlation: Correlation) -> messaging::Correlation {
        match correlation {
            Correlation::Parent => messaging::Correlation::Parent,
            Correlation::Link => messaging::Correlation::Link,
        }
    }
}
