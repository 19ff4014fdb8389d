//! What a topic is to be.

use std::time::Duration;

/// A topic that a program needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Partitions of the topic if it has to be made; at least 1. Default 4.
    pub partitions: u32,
    /// When its records may be deleted. Default: never.
    pub retention: Retention,
}

impl TopicSpec {
    /// A topic of this name with the defaults.
    pub fn new(name: impl Into<String>) -> TopicSpec {
        TopicSpec { name: name.into(), partitions: 4, retention: Retention::FOREVER }
    }
}

/// When records of a topic may be deleted. Whichever limit is reached first counts.
///
/// A broker may keep records longer. The embedded one keeps those that a group has still to read; Kafka does not, so
/// a group that may be away for longer than that loses records there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Records that are older may be deleted. `None`: of any age are kept.
    pub age: Option<Duration>,
    /// The oldest records may be deleted while their partition has more bytes of payloads and headers. `None`: any size.
    pub bytes: Option<u64>,
}

impl Retention {
    /// Nothing may be deleted.
    pub const FOREVER: Retention = Retention { age: None, bytes: None };
}
