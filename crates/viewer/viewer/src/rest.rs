//! Returning memory to the system when the viewer has taken spans and rests.
//!
//! What a load took at its peak is kept by the allocator for the next one. It goes back when nothing came for [`RESTED`]
//! looks after something had, and once more a while later, when threads that took part have ended and what waited in memory has become
//! blocks; under a load that does not end, every [`UNDER_LOAD`] looks.
//!
//! Each thread keeps memory of its own. Those of the runtime that sleep are woken for it: they would keep theirs until the next load.

use crate::Memory;
use std::{sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use waypost_service::Worker;
use waypost_telemetry::{Telemetry, with_context};
use waypost_trace_store::TraceStore;

const EVERY: Duration = Duration::from_secs(1);
/// Looks without anything new after which the viewer rests.
const RESTED: u32 = 2;
/// Looks after which threads of the runtime that have nothing to do have ended.
const SETTLED: u32 = 15;
/// Looks at a load.
const UNDER_LOAD: u32 = 5;

/// What to do after a look.
#[derive(Debug, Default)]
struct Watch {
    /// Records that ever came.
    received: u64,
    /// Looks since something came; beyond [`SETTLED`] nothing is counted.
    quiet: u32,
    /// Looks at which something came, since memory was returned.
    busy: u32,
    /// Whether something came at all since the last rest.
    has_worked: bool,
}

impl Watch {
    /// Whether memory is to be returned, where so many records had come by now.
    fn look(&mut self, received: u64) -> bool {
        if received != self.received {
            self.received = received;
            self.has_worked = true;
            self.quiet = 0;
            self.busy += 1;
            let is_due = self.busy >= UNDER_LOAD;
            self.busy %= UNDER_LOAD;
            return is_due;
        }
        if !self.has_worked {
            return false;
        }
        self.busy = 0;
        self.quiet += 1;
        self.has_worked = self.quiet < SETTLED;
        self.quiet == RESTED || self.quiet == SETTLED
    }
}

pub(crate) fn worker(telemetry: &Telemetry, store: &Arc<dyn TraceStore>, memory: Memory) -> Worker {
    let (store, context) = (Arc::clone(store), telemetry.context());
    Worker::new("viewer-rest", move |drain| {
        with_context(context, async move {
            tokio::select! { () = drain.started() => {}, () = watch(store, memory) => {} }
        })
    })
}

/// Never ends.
async fn watch(store: Arc<dyn TraceStore>, memory: Memory) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch::default();
    loop {
        ticks.tick().await;
        let store = Arc::clone(&store);
        // The store may hold its account while it writes.
        let ledger = spawn_blocking(move || store.ledger()).await;
        let received = ledger.map(|ledger| {
            ledger.services.iter().map(|service| service.received + service.logs_received).sum::<u64>()
        });
        if received.is_ok_and(|received| watch.look(received)) {
            spawn_blocking(memory.give_back).await.ok();
            wake_all(memory.on_idle).await;
        }
    }
}

/// Gives every thread of the runtime something to do, also those that sleep: a thread that is woken wakes the next one while more waits than it
/// can take.
async fn wake_all(on_idle: fn()) {
    let handle = Handle::current();
    let work = || waypost_telemetry::spawn(async move { on_idle() });
    let woken: Vec<_> = (0..2 * handle.metrics().num_workers()).map(|_| work()).collect();
    for one in woken {
        one.await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_back_at_rest_after_work_and_now_and_then_under_load() {
        let mut watch = Watch::default();
        assert!(!(0..100).any(|_| watch.look(0)), "nothing came");
        let under_load = (1..=90).filter(|number| watch.look(*number)).count();
        assert_eq!(under_load, 18);
        let at_rest: Vec<u32> = (1..=100).filter(|_| watch.look(90)).collect();
        assert_eq!(at_rest, [RESTED, SETTLED]);
        assert!(!watch.look(91) && !watch.look(91) && watch.look(91));
    }
}
