//! What librdkafka tells a member of a group: its events are kept here until a poll of ours takes them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

use super::list;
use crate::trouble::{Trouble, log};

/// A change of the partitions of a member. librdkafka waits until it is answered by an (un)assignment.
#[derive(Debug)]
pub(super) enum Change {
    /// These come to it.
    Assigned(Vec<i32>),
    /// These are to go to somebody else.
    Revoked(Vec<i32>),
    /// These went to somebody else.
    Lost(Vec<i32>),
}

impl Change {
    /// Lets librdkafka go on, whatever it is.
    pub(super) fn answer(self, consumer: &BaseConsumer<Member>, topic: &str) {
        let answered = match self {
            Change::Assigned(partitions) => consumer.incremental_assign(&list(topic, &partitions)),
            Change::Revoked(partitions) | Change::Lost(partitions) => {
                consumer.incremental_unassign(&list(topic, &partitions))
            }
        };
        if let Err(error) = answered {
            tracing::debug!(%error, "a rebalance at the end of a consumer failed");
        }
    }
}

/// The context of a member.
#[derive(Debug)]
pub(super) struct Member {
    trouble: Arc<Trouble>,
    changes: Mutex<VecDeque<Change>>,
    served: AtomicU64,
    /// Nobody polls, not yet or not any more: a change is answered at once, because it would hold up the end.
    is_left_alone: AtomicBool,
}

impl Member {
    pub(super) fn new(trouble: Arc<Trouble>) -> Self {
        Self {
            trouble,
            changes: Mutex::default(),
            served: AtomicU64::new(0),
            is_left_alone: AtomicBool::new(true),
        }
    }

    /// How many events were served so far. A poll that finds no record has emptied the queue if this did not rise.
    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    pub(super) fn next_change(&self) -> Option<Change> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Somebody polls from now on, and answers changes.
    pub(super) fn begin(&self) {
        self.is_left_alone.store(false, Ordering::Relaxed);
    }

    /// Nobody polls any more.
    pub(super) fn end(&self) {
        self.is_left_alone.store(true, Ordering::Relaxed);
    }

    fn serve(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.serve();
        log(level, facility, message);
    }

    fn stats_raw(&self, _: &[u8]) {
        self.serve();
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.serve();
        self.trouble.note(&error, reason);
    }
}

impl ConsumerContext for Member {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        self.serve();
        let is_assignment = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let numbers = partitions.elements().iter().map(TopicPartitionListElem::partition).collect();
        let change = if is_assignment {
            Change::Assigned(numbers)
        } else if consumer.assignment_lost() {
            Change::Lost(numbers)
        } else {
            Change::Revoked(numbers)
        };
        if self.is_left_alone.load(Ordering::Relaxed) {
            let topic = partitions.elements().first().map(|element| element.topic().to_owned());
            change.answer(consumer, &topic.unwrap_or_default());
            return;
        }
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }

    fn commit_callback(&self, _: rdkafka::error::KafkaResult<()>, _: &TopicPartitionList) {
        self.serve();
    }
}
