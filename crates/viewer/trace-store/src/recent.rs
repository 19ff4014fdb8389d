//! Which requests came lately, so that one that is sent again is not kept again.
//!
//! A client that does not see the answer sends the same bytes again: the digest of the bytes is the request's
//! name. It is written to disk, so it must not change from one process to the next.

use bytes::Bytes;
use foldhash::{HashSet, HashSetExt};
use std::collections::VecDeque;
use waypost_trace_model::{Batch, Wire, otlp};

/// Requests that are remembered.
pub(crate) const REQUESTS: usize = 4096;

/// 128 bits that stand for the bytes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Digest(pub(crate) u128);

/// The bytes of a batch's records, as it came or encoded anew: of spans, and of log records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payload {
    pub(crate) spans: Bytes,
    pub(crate) logs: Bytes,
}

impl Payload {
    /// Of the whole batch.
    pub(crate) fn of(batch: &Batch) -> Payload {
        match &batch.wire {
            Some(Wire::Traces(bytes)) if batch.logs.is_empty() => {
                Payload { spans: bytes.clone(), logs: Bytes::new() }
            }
            Some(Wire::Logs(bytes)) if batch.spans.is_empty() => {
                Payload { spans: Bytes::new(), logs: bytes.clone() }
            }
            _ => Payload {
                spans: if batch.spans.is_empty() {
                    Bytes::new()
                } else {
                    otlp::traces_to_protobuf(&batch.spans)
                },
                logs: if batch.logs.is_empty() { Bytes::new() } else { otlp::logs_to_protobuf(&batch.logs) },
            },
        }
    }

    /// Stands for the bytes.
    pub(crate) fn digest(&self) -> Digest {
        use xxhash_rust::xxh3::xxh3_128_with_seed;
        // Different seeds, so that the same bytes as spans and as log records are different requests.
        Digest(xxh3_128_with_seed(&self.spans, 1) ^ xxh3_128_with_seed(&self.logs, 2))
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len() + self.logs.len()
    }
}

/// The last requests that were kept.
#[derive(Debug)]
pub(crate) struct Recent {
    known: HashSet<Digest>,
    order: VecDeque<Digest>,
}

impl Recent {
    pub(crate) fn new() -> Recent {
        Recent { known: HashSet::new(), order: VecDeque::new() }
    }

    pub(crate) fn contains(&self, digest: Digest) -> bool {
        self.known.contains(&digest)
    }

    pub(crate) fn insert(&mut self, digest: Digest) {
        if self.known.insert(digest) {
            self.order.push_back(digest);
        }
        while self.order.len() > REQUESTS {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}
