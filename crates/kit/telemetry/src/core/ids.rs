//! Where the ids of traces and spans come from: random bits, unless a test has given a generator.

use opentelemetry::trace::{SpanId, TraceId};

/// Makes the ids of one handle, in tests; see [`Builder::id_generator`](crate::Builder::id_generator).
///
/// An id of zeros is none, and another is asked for in its place; so a generator must not give zeros alone.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use waypost_telemetry::opentelemetry::trace::{SpanId, TraceId};
/// use waypost_telemetry::testing::{IdGenerator, TestTelemetry};
///
/// #[derive(Debug, Default)]
/// struct Counting(AtomicU64);
///
/// impl IdGenerator for Counting {
///     fn new_trace_id(&self) -> TraceId {
///         TraceId::from(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
///     }
///
///     fn new_span_id(&self) -> SpanId {
///         SpanId::from(self.0.fetch_add(1, Ordering::Relaxed))
///     }
/// }
///
/// let settings = TestTelemetry::settings("order-service");
/// let telemetry = TestTelemetry::build(waypost_telemetry::Builder::new(settings).id_generator(Counting::default()));
/// telemetry.span("place").in_scope(|| ());
/// // 0 is no id, and 1 became that of the instance, since the settings have none.
/// assert_eq!(telemetry.only_span("place").trace_id(), TraceId::from(2_u128));
/// assert_eq!(telemetry.only_span("place").span_id(), SpanId::from(3_u64));
/// ```
#[cfg(feature = "testing")]
pub trait IdGenerator: std::fmt::Debug + Send + Sync + 'static {
    /// The id of a new trace.
    fn new_trace_id(&self) -> TraceId;

    /// The id of a new span.
    fn new_span_id(&self) -> SpanId;
}

/// What makes the ids of a handle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    #[cfg(feature = "testing")]
    given: Option<std::sync::Arc<dyn IdGenerator>>,
}

impl Ids {
    /// Those of a generator that a test gives.
    #[cfg(feature = "testing")]
    pub(crate) fn given(generator: impl IdGenerator) -> Self {
        Self { given: Some(std::sync::Arc::new(generator)) }
    }

    /// Never zero. All bits are random, as the flag says, unless a test makes them.
    #[inline]
    pub(crate) fn new_trace_id(&self) -> TraceId {
        loop {
            let id = self.any_trace_id();
            if id != TraceId::INVALID {
                return id;
            }
        }
    }

    /// Never zero.
    #[inline]
    pub(crate) fn new_span_id(&self) -> SpanId {
        loop {
            let id = self.any_span_id();
            if id != SpanId::INVALID {
                return id;
            }
        }
    }

    #[inline]
    #[cfg_attr(not(feature = "testing"), expect(clippy::unused_self, reason = "there is none to ask then"))]
    fn any_trace_id(&self) -> TraceId {
        #[cfg(feature = "testing")]
        if let Some(given) = &self.given {
            return given.new_trace_id();
        }
        TraceId::from(u128::from(fastrand::u64(..)) << 64 | u128::from(fastrand::u64(..)))
    }

    #[inline]
    #[cfg_attr(not(feature = "testing"), expect(clippy::unused_self, reason = "there is none to ask then"))]
    fn any_span_id(&self) -> SpanId {
        #[cfg(feature = "testing")]
        if let Some(given) = &self.given {
            return given.new_span_id();
        }
        SpanId::from(fastrand::u64(..))
    }
}
