//! A response that is a stream: its span may end long before its body.

use std::borrow::Cow;
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::task::Context as TaskContext;
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::core::clock::Timer;
use crate::core::span::Outcome;

/// When the span of a stream ends.
///
/// ```
/// use std::time::Duration;
/// use waypost_telemetry::{Telemetry, http::StreamSpan};
///
/// # let telemetry = Telemetry::disabled();
/// let layer = telemetry.http_server().stream_spans(StreamSpan::UntilHead);
/// let other = telemetry.http_server().stream_spans(StreamSpan::AtMost(Duration::from_secs(60)));
/// # drop((layer, other));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamSpan {
    /// With the stream.
    #[default]
    Whole,
    /// With the head of the response.
    UntilHead,
    /// With the stream, or when it has lasted so long. Seen when the body is asked for more, and by a timer while it
    /// waits; that needs a tokio runtime with timers.
    AtMost(Duration),
}

/// What becomes of a stream's duration: is given the `error.type`, if it failed.
pub(crate) type MeasureStream = Box<dyn FnOnce(Option<Cow<'static, str>>, Duration) + Send + Sync>;

/// A stream that is open.
pub(super) struct OpenStream {
    measure: MeasureStream,
    timer: Timer,
    /// When the span ends, if that is before the stream does.
    ends: Option<Deadline>,
}

struct Deadline {
    at: Instant,
    /// Wakes the body's reader then.
    timer: Option<Pin<Box<Sleep>>>,
}

impl OpenStream {
    pub(super) fn new(measure: MeasureStream, timer: Timer, span: StreamSpan) -> Self {
        let ends = match span {
            StreamSpan::AtMost(limit) => {
                let left = limit.saturating_sub(timer.elapsed());
                Instant::now().checked_add(left).map(Deadline::new)
            }
            StreamSpan::Whole | StreamSpan::UntilHead => None,
        };
        Self { measure, timer, ends }
    }

    /// Whether the span has lasted long enough; true once.
    pub(super) fn span_is_over(&mut self, task: &mut TaskContext<'_>) -> bool {
        let is_over = self.ends.as_mut().is_some_and(|ends| ends.is_over(task));
        if is_over {
            self.ends = None;
        }
        is_over
    }

    /// A stream that its reader leaves has not failed: that is how most of them end.
    pub(super) fn end(self, outcome: &Outcome) {
        (self.measure)(outcome.error_type(), self.timer.elapsed());
    }
}

impl Deadline {
    fn new(at: Instant) -> Self {
        let has_runtime = tokio::runtime::Handle::try_current().is_ok();
        let timer = has_runtime.then(|| Box::pin(tokio::time::sleep_until(at.into())));
        Self { at, timer }
    }

    fn is_over(&mut self, task: &mut TaskContext<'_>) -> bool {
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(task).is_ready(),
            None => Instant::now() >= self.at,
        }
    }
}

impl fmt::Debug for OpenStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStream").field("timer", &self.timer).finish_non_exhaustive()
    }
}
