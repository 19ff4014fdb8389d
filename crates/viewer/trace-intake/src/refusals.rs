//! Refusals that never reached the store, on their way into its ledger.
//!
//! They are added up here and written one batch at a time, so that an overload does not grow by being counted: while one
//! batch of counts is on its way, all others wait as a few sums.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use waypost_trace_model::{Batch, Refusal, RefusalReason, Resource, Text};
use waypost_trace_store::TraceStore;

/// Services that wait with a sum of their own; more are added up as unknown.
const SERVICES: usize = 1_000;

/// Counts refusals. Cloning gives another handle to the same.
#[derive(Clone)]
pub(crate) struct Refusals {
    store: Arc<dyn TraceStore>,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    sums: BTreeMap<(Text, RefusalReason), Sum>,
    is_writing: bool,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    spans: u64,
    logs: u64,
}

impl Refusals {
    pub(crate) fn new(store: Arc<dyn TraceStore>) -> Refusals {
        Refusals { store, waiting: Arc::default() }
    }

    /// Counts a request of which nobody knows what it held.
    pub(crate) fn unknown(&self, reason: RefusalReason, spans: u64, logs: u64) {
        let service = Text::from_static(Resource::UNKNOWN_SERVICE);
        self.add([(&service, reason, Sum { spans, logs })]);
    }

    /// Counts a batch that is not kept because of overload; what it says itself was refused keeps its own reasons.
    pub(crate) fn overloaded(&self, batch: &Batch) {
        let one = |service, spans, logs| (service, RefusalReason::Overloaded, Sum { spans, logs });
        let spans = batch.spans.iter().map(|span| one(&span.resource.service, 1, 0));
        let logs = batch.logs.iter().map(|log| one(&log.resource.service, 0, 1));
        let told = batch.refused.iter().map(|refusal| {
            (&refusal.service, refusal.reason, Sum { spans: refusal.spans, logs: refusal.logs })
        });
        self.add(spans.chain(logs).chain(told));
    }

    fn add<'a>(&self, counts: impl IntoIterator<Item = (&'a Text, RefusalReason, Sum)>) {
        let mut waiting = self.lock();
        for (service, reason, sum) in counts {
            waiting.add(service, reason, sum);
        }
        if !waiting.is_writing && !waiting.sums.is_empty() {
            waiting.is_writing = true;
            drop(waiting);
            drop(waypost_telemetry::spawn(self.clone().write()));
        }
    }

    /// Writes until nothing waits.
    async fn write(self) {
        while let Some(refused) = self.next() {
            let batch = Arc::new(Batch { refused, ..Batch::default() });
            // In a task of its own, so that a store that panics does not end the counting.
            let written = waypost_telemetry::spawn(self.store.append(batch)).await;
            if let Ok(Err(error)) = written {
                tracing::debug!(%error, "refusals are not in the ledger yet");
            }
        }
    }

    fn next(&self) -> Option<Vec<Refusal>> {
        let mut waiting = self.lock();
        let sums = std::mem::take(&mut waiting.sums);
        waiting.is_writing = !sums.is_empty();
        let refusal = |((service, reason), sum): ((Text, RefusalReason), Sum)| Refusal {
            service,
            trace_id: None,
            reason,
            spans: sum.spans,
            logs: sum.logs,
        };
        waiting.is_writing.then(|| sums.into_iter().map(refusal).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn add(&mut self, service: &Text, reason: RefusalReason, sum: Sum) {
        let key = (service.clone(), reason);
        let known = if let Some(known) = self.sums.get_mut(&key) {
            known
        } else if self.sums.len() < SERVICES {
            // A copy, as the name is a slice of the request's body.
            self.sums.entry((Text::from(&**service), reason)).or_default()
        } else {
            self.sums.entry((Text::from_static(Resource::UNKNOWN_SERVICE), reason)).or_default()
        };
        known.spans += sum.spans;
        known.logs += sum.logs;
    }
}
