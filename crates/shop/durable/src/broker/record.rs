//! What goes into a broker and what comes out of it.

use std::sync::Arc;

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
}

/// How far a partition has been processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Partition of the topic.
    pub partition: u32,
    /// The offset to go on with: one more than the last that was processed.
    pub next_offset: u64,
}

/// The partition of a key: the same for ever and in every process.
pub fn partition_of(key: &str, partitions: u32) -> u32 {
    // FNV-1a, folded, so that few partitions see all bits.
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let folded = hash ^ (hash >> 32);
    u32::try_from(folded % u64::from(partitions.max(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_of_a_key_never_changes() {
        let partitions: Vec<u32> =
            ["order-1", "order-2", "order-3", "a", ""].map(|key| partition_of(key, 4)).to_vec();
        // Written down once: another result would break the order of keys that are stored already.
        assert_eq!(partitions, [2, 3, 0, 0, 1]);
    }

    #[test]
    fn keys_spread_over_all_partitions() {
        let mut counts = [0_u32; 4];
        for number in 0..4_000 {
            counts[partition_of(&format!("order-{number}"), 4) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }
}
