//! Closures of the program that an edge asks: filters, and who is a trusted proxy.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// A closure whose panic is its own trouble and not that of the request: the edge goes on with an answer that does no
/// harm, and says so once. The process's panic hook has spoken by then, every time.
pub(crate) struct Asked<F: ?Sized> {
    what: &'static str,
    has_panicked: AtomicBool,
    closure: F,
}

impl<F> Asked<F> {
    /// `what` it is, for the log.
    pub(crate) fn new(what: &'static str, closure: F) -> Self {
        Self { what, has_panicked: AtomicBool::new(false), closure }
    }
}

impl<F: ?Sized> Asked<F> {
    /// What the closure says, or `otherwise` if it panics.
    pub(crate) fn ask<T>(&self, otherwise: T, ask: impl FnOnce(&F) -> T) -> T {
        let Ok(answer) = catch_unwind(AssertUnwindSafe(|| ask(&self.closure))) else {
            if !self.has_panicked.swap(true, Ordering::Relaxed) {
                tracing::error!(
                    target: "waypost_telemetry::edges",
                    "{} panicked; requests go on as if it were not there. Said once",
                    self.what
                );
            }
            return otherwise;
        };
        answer
    }
}

impl<F: ?Sized> fmt::Debug for Asked<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("what", &self.what).finish_non_exhaustive()
    }
}
