//! Publishing: offsets are given and records written in one unit.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::params;

use super::consumer::raise;
use super::{Ack, Inner, Record, Topic, position};
use crate::broker::{PublishError, partition_of};
use crate::clock::millis;
use crate::{Companion, Error, Unit, headers};

/// A record with the partition it goes to.
pub(super) struct Routed {
    record: Record,
    headers: Vec<u8>,
    partition: u32,
    partition_id: i64,
}

impl Routed {
    fn bytes(&self) -> i64 {
        i64::try_from(self.record.payload.len() + self.headers.len()).unwrap_or(i64::MAX)
    }
}

impl Inner {
    /// Appends what can be appended, and does `then`, in one unit.
    pub(super) async fn append(
        &self,
        records: Vec<Record>,
        then: Option<Companion<Vec<usize>>>,
    ) -> Vec<Result<Ack, PublishError>> {
        let mut topics: HashMap<String, Arc<Topic>> = HashMap::new();
        let mut routed = Vec::with_capacity(records.len());
        // What is refused without asking the database; the others get their result from it.
        let mut refusals = Vec::with_capacity(records.len());
        for record in records {
            match self.routed(record, &mut topics).await {
                Ok(record) => {
                    routed.push(record);
                    refusals.push(None);
                }
                Err(refusal) => refusals.push(Some(refusal)),
            }
        }
        let now = millis(self.clock.now());
        let taken = |(place, refusal): (usize, &Option<PublishError>)| refusal.is_none().then_some(place);
        let taken: Vec<usize> = refusals.iter().enumerate().filter_map(taken).collect();
        let inserting = self.database.write("publish-records", move |unit| {
            let acks = insert(unit, routed, now)?;
            if let Some(then) = then {
                then.run(unit, taken)?;
            }
            unit.after_commit(move || topics.values().for_each(|topic| raise(&topic.signals.records)));
            Ok(acks)
        });
        // A failure of the database says nothing about a record.
        let written: Result<Vec<Ack>, Error> = inserting.await;
        let mut acks = written.as_ref().map(|acks| acks.iter().copied());
        let result = |refusal: Option<PublishError>| match (refusal, &mut acks) {
            (Some(refusal), _) => Err(refusal),
            (None, Ok(acks)) => acks.next().ok_or_else(PublishError::unanswered),
            (None, Err(error)) => Err(PublishError::Retryable((*error).clone())),
        };
        refusals.into_iter().map(result).collect()
    }

    async fn routed(
        &self,
        record: Record,
        topics: &mut HashMap<String, Arc<Topic>>,
    ) -> Result<Routed, PublishError> {
        self.check_size(&record).map_err(PublishError::Refused)?;
        if let Some(topic) = topics.get(&record.topic) {
            return Ok(route(record, topic));
        }
        let topic = self.topic(&record.topic).await.map_err(PublishError::Retryable)?;
        topics.insert(record.topic.clone(), Arc::clone(&topic));
        Ok(route(record, &topic))
    }

    /// Headers do not count: what was taken once is taken again as a dead letter, which has more of them.
    fn check_size(&self, record: &Record) -> Result<(), Error> {
        let size = record.key.len() + record.payload.len();
        if size <= self.max_record {
            return Ok(());
        }
        let reason = format!("the record has {size} bytes, more than the {} that are taken", self.max_record);
        Err(Error::Broker { reason, retryable: false })
    }
}

pub(super) fn route(record: Record, topic: &Topic) -> Routed {
    let partitions = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
    // A record without key belongs to no order; its id spreads it.
    let key = if record.key.is_empty() { &record.id } else { &record.key };
    let partition = partition_of(key, partitions);
    let partition_id = topic.partitions.get(partition as usize).copied().unwrap_or_default();
    Routed { headers: headers::encode(&record.headers), record, partition, partition_id }
}

pub(super) fn insert(unit: &mut Unit<'_>, routed: Vec<Routed>, now: i64) -> Result<Vec<Ack>, Error> {
    let mut next_offsets = reserve_offsets(unit, &routed)?;
    let mut acks = Vec::with_capacity(routed.len());
    for Routed { record, headers, partition, partition_id } in routed {
        let Some(offset) = next_offsets.get_mut(&partition_id) else {
            return Err(Error::Malformed { what: "partition of a topic" });
        };
        unit.execute(
            "INSERT INTO broker_records (position, event_id, key, payload, headers, appended_at, timestamp)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                position(partition_id, *offset),
                record.id,
                record.key,
                record.payload,
                headers,
                now,
                record.timestamp.map_or(now, millis)
            ],
        )?;
        acks.push(Ack { partition, offset: *offset });
        *offset += 1;
    }
    Ok(acks)
}

/// Takes as many offsets of each partition as it gets records; returns the first of each.
fn reserve_offsets(unit: &mut Unit<'_>, routed: &[Routed]) -> Result<HashMap<i64, u64>, Error> {
    let mut wanted: HashMap<i64, (i64, i64)> = HashMap::new();
    for record in routed {
        let (count, bytes) = wanted.entry(record.partition_id).or_default();
        *count += 1;
        *bytes += record.bytes();
    }
    let mut first_offsets = HashMap::with_capacity(wanted.len());
    for (partition_id, (count, bytes)) in wanted {
        let next: Option<i64> = unit.query_optional(
            "UPDATE broker_partitions SET next_offset = next_offset + ?2, bytes = bytes + ?3
             WHERE id = ?1 RETURNING next_offset",
            params![partition_id, count, bytes],
            |row| row.get(0),
        )?;
        let first = next.and_then(|next| u64::try_from(next - count).ok());
        first_offsets.insert(partition_id, first.ok_or(Error::Malformed { what: "offset of a partition" })?);
    }
    Ok(first_offsets)
}
