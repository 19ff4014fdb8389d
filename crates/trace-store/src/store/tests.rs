//! Faults that only a test can cause.

use std::sync::atomic::{AtomicBool, Ordering};

/// What goes wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// The process dies between the commit of the blocks and that of the journal.
    pub(crate) die_before_finish: AtomicBool,
}

impl Faults {
    pub(crate) fn dies_before_finish(&self) -> bool {
        self.die_before_finish.load(Ordering::Relaxed)
    }
}
