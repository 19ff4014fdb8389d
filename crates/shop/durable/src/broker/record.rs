//! What goes into a broker and what comes out of it.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::SystemTime;

use crate::Companion;

/// Headers of a record, in order; a name may occur more than once.
pub type Headers = Vec<(String, Vec<u8>)>;

/// Header that tells the kind of an event.
pub const KIND_HEADER: &str = "event-kind";

/// A record to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Where it goes.
    pub topic: String,
    /// Records with the same key keep their order. An empty key belongs to no order.
    pub key: String,
    /// The content; the broker does not look into it.
    pub payload: Vec<u8>,
    /// Trace context and whatever else travels beside the payload.
    pub headers: Headers,
    /// The event's id, by which consumers tell a repetition.
    pub id: String,
    /// When what it tells happened, in whole milliseconds. A record without one gets the time at which the broker takes
    /// it; one that is handed out always has one.
    pub timestamp: Option<SystemTime>,
}

impl Record {
    /// The first value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }
}

/// Where a published record ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ack {
    /// Partition of the topic.
    pub partition: u32,
    /// Place in the partition; dense, from 0.
    pub offset: u64,
}

/// A record as a consumer gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The topic.
    pub topic: Arc<str>,
    /// Partition of the topic.
    pub partition: u32,
    /// Place in the partition.
    pub offset: u64,
    /// The record.
    pub record: Record,
    /// 1 when the broker hands it out; the consume loop counts repetitions up.
    pub attempt: u32,
    /// The way to commit its offset in a unit of somebody else.
    pub offsets: OffsetCommit,
}

impl Delivery {
    /// Commits the record's offset, to be a part of the unit that makes its effect, if the broker is in that unit's file: then
    /// both are committed or neither. `None`: the broker is in no file.
    ///
    /// For the last unit of a handler that gets the records of a partition in their order, as those of [`crate::consume`] do, as it
    /// says that this record and those before it are handled. It changes nothing when the partition has another consumer by
    /// then; so the record may come again all the same, and its effect still needs [`crate::inbox`].
    pub fn committing(&self) -> Option<Companion<()>> {
        let commit = self.offsets.0.as_ref()?;
        Some(commit(self.offset + 1))
    }
}

/// What [`Delivery::committing`] is made of. Default: nothing.
///
/// It says how a record was handed out, and is no part of what the record is: all are equal.
#[derive(Clone, Default)]
pub struct OffsetCommit(Option<Arc<CommitTo>>);

/// Makes the commit of an offset to go on with.
type CommitTo = dyn Fn(u64) -> Companion<()> + Send + Sync;

impl OffsetCommit {
    /// Commits the offset to go on with that it is given.
    pub fn new(commit: impl Fn(u64) -> Companion<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(commit)))
    }
}

impl PartialEq for OffsetCommit {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for OffsetCommit {}

impl Debug for OffsetCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OffsetCommit").field(&self.0.is_some()).finish()
    }
}

/// What a poll returns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Records, those of a partition in order.
    pub records: Vec<Delivery>,
    /// Partitions that go to another consumer with the next poll, or were lost already. A commit of one that was lost is
    /// rejected.
    pub revoked: Vec<u32>,
}

/// How far a partition has been processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Partition of the topic.
    pub partition: u32,
    /// The offset to go on with: one more than the last that was processed.
    pub next_offset: u64,
}
