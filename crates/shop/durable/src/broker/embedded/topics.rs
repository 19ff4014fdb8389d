//! Topics: made when they are asked for by [`Broker::ensure_topics`](crate::broker::Broker::ensure_topics), and found.

use std::sync::{Arc, PoisonError};

use rusqlite::params;

use super::Inner;
use super::consumer::Signals;
use crate::broker::TopicSpec;
use crate::clock::saturating_millis;
use crate::{Error, Unit};

/// A topic as this process knows it.
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    /// The partitions' ids, by number.
    pub(super) partitions: Vec<i64>,
    pub(super) signals: Signals,
}

impl Inner {
    pub(super) async fn ensure_topics(&self, topics: Vec<TopicSpec>) -> Result<(), Error> {
        self.database
            .write("ensure-topics", move |unit| topics.iter().try_for_each(|topic| ensure(unit, topic)))
            .await
    }

    /// The topic with this name. One that is missing may be made by another process at any time.
    pub(super) async fn topic(&self, name: &str) -> Result<Arc<Topic>, Error> {
        if let Some(known) = self.known_topic(name) {
            return Ok(known);
        }
        let wanted = name.to_owned();
        let partitions = self.database.read("find-topic", move |unit| partitions(unit, &wanted)).await?;
        if partitions.is_empty() {
            return Err(Error::Broker { reason: format!("there is no topic `{name}`"), retryable: true });
        }
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        // Another task may have been faster; there must be one set of signals.
        let topic = topics
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Topic { name: name.into(), partitions, signals: Signals::new() }));
        Ok(Arc::clone(topic))
    }

    fn known_topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

fn ensure(unit: &mut Unit<'_>, topic: &TopicSpec) -> Result<(), Error> {
    let bytes = topic.retention.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    unit.execute(
        "INSERT INTO broker_topics (name, retention_age, retention_bytes) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET retention_age = ?2, retention_bytes = ?3",
        params![topic.name, topic.retention.age.map(saturating_millis), bytes],
    )?;
    if partitions(unit, &topic.name)?.is_empty() {
        for number in 0..topic.partitions.max(1) {
            let insert = "INSERT INTO broker_partitions (topic, number) VALUES (?1, ?2)";
            unit.execute(insert, params![topic.name, number])?;
        }
    }
    Ok(())
}

/// The ids of a topic's partitions, by number.
fn partitions(unit: &mut Unit<'_>, topic: &str) -> Result<Vec<i64>, Error> {
    let select = "SELECT id FROM broker_partitions WHERE topic = ?1 ORDER BY number";
    unit.query_all(select, params![topic], |row| row.get(0))
}
