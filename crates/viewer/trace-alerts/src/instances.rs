//! Which instance of a service has most of what is wrong: asked when an alert or an anomaly begins, answered from spans.

use std::ops::Range;
use waypost_trace_analysis::BadInstance;
use waypost_trace_statistics::Subject;

/// What makes a call a bad one; either is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bad {
    /// It failed.
    pub failed: bool,
    /// It took more nanoseconds than this.
    pub slower_than: Option<u64>,
}

/// Calls by the instance that made or served them.
pub trait Instances {
    /// The one that has most of the bad calls of a subject in a window (nanoseconds since 1970), when there is such a one.
    fn worst(&self, subject: &Subject, bad: Bad, window: &Range<u64>) -> Option<BadInstance>;
}

/// Nothing is known of instances.
impl Instances for () {
    fn worst(&self, _: &Subject, _: Bad, _: &Range<u64>) -> Option<BadInstance> {
        None
    }
}

impl Bad {
    /// What bad calls did, in words.
    pub(crate) fn words(self) -> String {
        match (self.failed, self.slower_than) {
            (_, None) => "failed".to_owned(),
            (false, Some(limit)) => format!("took longer than {}", crate::words::latency(limit)),
            (true, Some(limit)) => format!("failed or took longer than {}", crate::words::latency(limit)),
        }
    }
}

/// A sentence with the instance that was found when it began.
pub(crate) fn with_instance(sentence: String, instance: Option<&String>) -> String {
    match instance {
        None => sentence,
        Some(instance) => format!("{sentence}; {instance}"),
    }
}
