//! Which spans are entered on this thread, with what detaches their contexts again.
//!
//! A subscriber hears of entering and leaving, but has nowhere on the stack to keep a guard. `tracing` allows to leave
//! in another order than spans were entered; so does the OpenTelemetry context.

use std::cell::RefCell;

use opentelemetry::{Context, ContextGuard};
use tracing::span::Id;

thread_local! {
    static ENTERED: RefCell<Entered> = const { RefCell::new(Entered(Vec::new())) };
}

struct Entered(Vec<(Id, ContextGuard)>);

impl Drop for Entered {
    /// At the end of the thread the context may be gone already, and a guard would panic.
    fn drop(&mut self) {
        for (_, attached) in self.0.drain(..) {
            std::mem::forget(attached);
        }
    }
}

/// Makes the context of a span the current one.
pub(super) fn enter(id: &Id, context: Context) {
    let attached = context.attach();
    // Fails only while the thread ends; what is attached then is never read.
    let _ = ENTERED.try_with(|entered| match entered.try_borrow_mut() {
        Ok(mut entered) => entered.0.push((id.clone(), attached)),
        Err(_) => drop(attached),
    });
}

/// Undoes the latest [`enter`] of this span, if there was one on this thread.
pub(super) fn leave(id: &Id) {
    let attached = ENTERED.try_with(|entered| {
        let mut entered = entered.try_borrow_mut().ok()?;
        let place = entered.0.iter().rposition(|(known, _)| known == id)?;
        Some(entered.0.remove(place))
    });
    // Dropped here, where the list is free again: it may end a span, and that may be logged.
    drop(attached);
}
