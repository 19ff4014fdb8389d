//! The topics of the shop: one list, whichever broker has them.

use waypost_api::events::ORDER_EVENTS_TOPIC;
use waypost_durable::broker::{Retention, TopicSpec};
use waypost_durable::consume::dead_letter_topic;

use crate::settings::{Broker as Settings, BrokerKind};

/// A topic and what it is for.
pub(crate) struct Topic {
    pub(crate) spec: TopicSpec,
    pub(crate) about: &'static str,
}

/// The topics that these settings ask for.
pub(crate) fn topics(settings: &Settings) -> Vec<Topic> {
    let retries = settings.retry.topics();
    let events = match settings.kind {
        BrokerKind::Embedded => {
            Retention { age: Some(settings.retention.get()), bytes: Some(settings.retention_size.get()) }
        }
        BrokerKind::Kafka => Retention { age: Some(settings.kafka.retention.get()), bytes: None },
    };
    // An event comes into a retry topic with its own time, and may have waited in its topic as long as it is kept there.
    let waiting = Retention { age: events.age.map(|age| age.saturating_add(retries.total())), ..events };
    let dead_letters = match settings.kind {
        // However many they are, they are kept until somebody has seen to them.
        BrokerKind::Embedded => Retention { bytes: None, ..events },
        // Kafka deletes by age what nobody has read as well.
        BrokerKind::Kafka => Retention::FOREVER,
    };
    let topic = |name: String, retention, about| Topic {
        spec: TopicSpec { retention, ..TopicSpec::new(name) },
        about,
    };
    let mut topics = vec![topic(ORDER_EVENTS_TOPIC.to_owned(), events, "events of orders")];
    topics.extend(
        retries
            .names(ORDER_EVENTS_TOPIC)
            .into_iter()
            .map(|name| topic(name, waiting, "events that wait for another try")),
    );
    let parked = dead_letter_topic(ORDER_EVENTS_TOPIC);
    topics.push(topic(parked, dead_letters, "events that could not be handled"));
    topics
}

/// Only what the broker has to be told of them.
pub(super) fn specs(settings: &Settings) -> Vec<TopicSpec> {
    topics(settings).into_iter().map(|topic| topic.spec).collect()
}
