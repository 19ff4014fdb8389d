//! The live tail: what intake has kept goes to those who listen, as it comes.
//!
//! Invariants: with no listener, a batch costs one comparison. A listener that is slow or asks for more than it can
//! read never holds up intake or another listener; it misses spans and is told how many.

use crate::problem::Problem;
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        broadcast::{self, error::RecvError},
    },
    task::yield_now,
    time::{Duration, Instant},
};
use waypost_trace_intake::Observer;
use waypost_trace_model::{Batch, Span};
use waypost_trace_store::SpanFilter;

/// Batches that wait for a slow listener.
const WAITING_BATCHES: usize = 32;

/// Spans that one listener is sent a second: more would not be read by anybody, and would keep a browser busy.
const SPANS_A_SECOND: u32 = 500;

/// Spans that are looked at before others get their turn on the thread.
const SPANS_AT_A_TIME: usize = 1024;

/// Hands batches to listeners. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tail(Arc<Shared>);

struct Shared {
    sender: broadcast::Sender<Message>,
    /// Spans that were handed on while somebody listened. Held while sending, so that counts and batches keep one order.
    handed_on: Mutex<u64>,
    is_closed: AtomicBool,
    places: Arc<Semaphore>,
}

#[derive(Clone)]
enum Message {
    Kept {
        batch: Arc<Batch>,
        /// Spans that were handed on before these.
        before: u64,
    },
    /// The viewer ends.
    End,
}

impl Tail {
    pub(crate) fn new(listeners: usize) -> Tail {
        let (sender, _) = broadcast::channel(WAITING_BATCHES);
        let (handed_on, is_closed) = (Mutex::new(0), AtomicBool::new(false));
        Tail(Arc::new(Shared { sender, handed_on, is_closed, places: Arc::new(Semaphore::new(listeners)) }))
    }

    /// Begins to listen for spans that meet the filter.
    pub(crate) fn listen(&self, filter: SpanFilter) -> Result<Listener, Problem> {
        let place = Arc::clone(&self.0.places).try_acquire_owned();
        let place = place.map_err(|_| Problem::busy("as many live tails are open as may be at once"))?;
        let handed_on = self.0.handed_on();
        let (receiver, expected) = (self.0.sender.subscribe(), *handed_on);
        drop(handed_on);
        if self.0.is_closed.load(Ordering::SeqCst) {
            return Err(Problem::unavailable("the viewer is ending"));
        }
        Ok(Listener {
            receiver,
            filter,
            expected,
            batch: None,
            missed: 0,
            allowance: Allowance::new(SPANS_A_SECOND, Instant::now()),
            _place: place,
        })
    }

    /// Ends every listener, and those who come later at once.
    pub(crate) fn close(&self) {
        self.0.is_closed.store(true, Ordering::SeqCst);
        // Without a listener there is nobody to tell.
        self.0.sender.send(Message::End).ok();
    }
}

impl Shared {
    fn handed_on(&self) -> MutexGuard<'_, u64> {
        self.handed_on.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").field("listeners", &self.0.sender.receiver_count()).finish()
    }
}

impl Observer for Tail {
    fn kept(&self, batch: &Arc<Batch>) {
        if self.0.sender.receiver_count() == 0 || batch.spans.is_empty() {
            return;
        }
        let mut handed_on = self.0.handed_on();
        let message = Message::Kept { batch: Arc::clone(batch), before: *handed_on };
        *handed_on += batch.spans.len() as u64;
        self.0.sender.send(message).ok();
    }
}

/// Something for a listener.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A span that meets the filter.
    Span(Box<Span>),
    /// So many spans were not looked at, or not sent.
    Missed(u64),
}

/// One who listens.
pub(crate) struct Listener {
    receiver: broadcast::Receiver<Message>,
    filter: SpanFilter,
    /// How many spans were handed on before the next batch, if none is missed.
    expected: u64,
    /// The batch in hand, and the place of its next span.
    batch: Option<(Arc<Batch>, usize)>,
    missed: u64,
    allowance: Allowance,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// Waits for the next; `None` when the viewer ends. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        loop {
            while let Some((batch, place)) = self.batch.take() {
                let looked_at = (place + SPANS_AT_A_TIME).min(batch.spans.len());
                let found = batch.spans.get(place..looked_at).and_then(|spans| self.find(spans));
                let next = found.map_or(looked_at, |found| place + found + 1);
                let span = next.checked_sub(1).filter(|_| found.is_some()).and_then(|at| batch.spans.get(at));
                let span = span.map(|span| Heard::Span(Box::new(span.clone())));
                if next < batch.spans.len() {
                    self.batch = Some((batch, next));
                }
                if span.is_some() {
                    return span;
                }
                yield_now().await;
            }
            if self.missed > 0 {
                return Some(Heard::Missed(std::mem::take(&mut self.missed)));
            }
            match self.receiver.recv().await {
                Ok(Message::Kept { batch, before }) => self.receive(batch, before),
                // What was lost is seen from the next batch's count.
                Err(RecvError::Lagged(_)) => {}
                Ok(Message::End) | Err(RecvError::Closed) => return None,
            }
        }
    }

    fn receive(&mut self, batch: Arc<Batch>, before: u64) {
        self.missed += before.saturating_sub(self.expected);
        self.expected = before + batch.spans.len() as u64;
        self.batch = Some((batch, 0));
    }

    /// The place of the first span to send.
    fn find(&mut self, spans: &[Span]) -> Option<usize> {
        spans.iter().position(|span| {
            let is_wanted = self.filter.matches(span);
            let is_sent = is_wanted && self.allowance.take(Instant::now());
            self.missed += u64::from(is_wanted && !is_sent);
            is_sent
        })
    }
}

/// So many a second.
#[derive(Debug)]
struct Allowance {
    a_second: u32,
    left: u32,
    since: Instant,
}

impl Allowance {
    fn new(a_second: u32, now: Instant) -> Allowance {
        Allowance { a_second, left: a_second, since: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            *self = Allowance::new(self.a_second, now);
        }
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_trace_model::{Kind, Resource, Scope, SpanId, Status, TraceId};

    fn batch(names: &[&str]) -> Arc<Batch> {
        let span = |name: &&str| Span {
            trace_id: TraceId::from_bytes(&[1; 16]).unwrap(),
            span_id: SpanId::from_bytes(&[1; 8]).unwrap(),
            parent_span_id: None,
            trace_state: "".into(),
            flags: 0,
            name: (*name).into(),
            kind: Kind::Internal,
            start: 1,
            end: 2,
            status: Status::default(),
            attributes: Vec::new(),
            dropped_attributes: 0,
            events: Vec::new(),
            dropped_events: 0,
            links: Vec::new(),
            dropped_links: 0,
            resource: Arc::new(Resource::new(Vec::new(), 0, "".into())),
            scope: Arc::new(Scope::default()),
        };
        Arc::new(Batch { spans: names.iter().map(span).collect(), ..Batch::default() })
    }

    fn wanting(name: &'static str) -> SpanFilter {
        SpanFilter { operation: Some(name.into()), ..SpanFilter::default() }
    }

    async fn heard(listener: &mut Listener) -> String {
        match listener.next().await {
            Some(Heard::Missed(spans)) => format!("missed {spans}"),
            Some(Heard::Span(span)) => span.name.to_string(),
            None => "end".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_listener_hears_the_spans_that_meet_its_filter_until_the_end() {
        let tail = Tail::new(1);
        tail.kept(&batch(&["a"]));
        let mut listener = tail.listen(wanting("a")).unwrap();
        tail.kept(&batch(&["b", "a", "a"]));
        tail.kept(&batch(&["b"]));
        tail.close();
        assert_eq!(heard(&mut listener).await, "a");
        assert_eq!(heard(&mut listener).await, "a");
        assert_eq!(heard(&mut listener).await, "end");
        assert!(tail.listen(wanting("a")).is_err(), "one place, and the end has come");
    }

    #[tokio::test]
    async fn one_who_is_too_slow_is_told_how_many_spans_it_missed() {
        let tail = Tail::new(1);
        let mut listener = tail.listen(wanting("a")).unwrap();
        tail.kept(&batch(&["a"]));
        assert_eq!(heard(&mut listener).await, "a");
        for _ in 0..WAITING_BATCHES + 3 {
            tail.kept(&batch(&["b", "b"]));
        }
        tail.kept(&batch(&["a"]));
        assert_eq!(heard(&mut listener).await, "missed 8");
        assert_eq!(heard(&mut listener).await, "a");
    }

    #[tokio::test]
    async fn more_than_a_browser_can_show_is_counted_instead() {
        let tail = Tail::new(1);
        let mut listener = tail.listen(wanting("a")).unwrap();
        listener.allowance = Allowance::new(2, Instant::now() + Duration::from_hours(1));
        tail.kept(&batch(&["a", "a", "a", "b", "a"]));
        assert_eq!(heard(&mut listener).await, "a");
        assert_eq!(heard(&mut listener).await, "a");
        assert_eq!(heard(&mut listener).await, "missed 2");
    }

    #[test]
    fn an_allowance_comes_back_every_second() {
        let start = Instant::now();
        let mut allowance = Allowance::new(1, start);
        assert!(allowance.take(start));
        assert!(!allowance.take(start + Duration::from_millis(999)));
        assert!(allowance.take(start + Duration::from_secs(1)));
    }
}
