//! What a parent decides for the spans below it: four kinds of parent, and roots.

use opentelemetry::trace::SpanContext;

use super::threshold::Threshold;
use super::{ComposableSampler, Intent, SpanStart};
use crate::core::propagation::is_left_to_us;

/// Has `root` decide about roots; what stands below a parent is decided as the parent was.
///
/// ```
/// use waypost_telemetry::{Builder, sampling, span, testing::TestTelemetry};
///
/// let sampler = sampling::parent_based(sampling::ratio(0.5));
/// let telemetry = Builder::new(TestTelemetry::settings("order-service")).composable_sampler(sampler).init()?;
/// (0..100).for_each(|_| telemetry.span("place").in_scope(|| span("price").in_scope(|| ())));
/// let spans = telemetry.finished_spans();
/// let count = |name| spans.iter().filter(|span| span.name() == name).count();
/// assert_eq!(count("place"), count("price"));
/// # Ok::<(), waypost_telemetry::InitError>(())
/// ```
pub fn parent_based(root: impl ComposableSampler + 'static) -> ParentBased {
    ParentBased {
        root: Box::new(root),
        remote_sampled: None,
        remote_not_sampled: None,
        local_sampled: None,
        local_not_sampled: None,
    }
}

/// See [`parent_based`]. Each kind of parent can have a sampler of its own.
///
/// ```
/// use waypost_telemetry::{Builder, sampling, span, testing::TestTelemetry};
///
/// let sampler = sampling::parent_based(sampling::always_off()).local_not_sampled(sampling::always_on());
/// let telemetry = Builder::new(TestTelemetry::settings("order-service")).composable_sampler(sampler).init()?;
/// telemetry.span("left-out").in_scope(|| span("recorded").in_scope(|| ()));
/// assert_eq!(telemetry.finished_spans()[0].name(), "recorded");
/// # Ok::<(), waypost_telemetry::InitError>(())
/// ```
#[derive(Debug)]
pub struct ParentBased {
    root: Box<dyn ComposableSampler>,
    remote_sampled: Option<Box<dyn ComposableSampler>>,
    remote_not_sampled: Option<Box<dyn ComposableSampler>>,
    local_sampled: Option<Box<dyn ComposableSampler>>,
    local_not_sampled: Option<Box<dyn ComposableSampler>>,
}

impl ParentBased {
    /// Below sampled spans of other processes.
    #[must_use]
    pub fn remote_sampled(mut self, sampler: impl ComposableSampler + 'static) -> Self {
        self.remote_sampled = Some(Box::new(sampler));
        self
    }

    /// Below spans of other processes that are not sampled.
    #[must_use]
    pub fn remote_not_sampled(mut self, sampler: impl ComposableSampler + 'static) -> Self {
        self.remote_not_sampled = Some(Box::new(sampler));
        self
    }

    /// Below sampled spans of this process.
    #[must_use]
    pub fn local_sampled(mut self, sampler: impl ComposableSampler + 'static) -> Self {
        self.local_sampled = Some(Box::new(sampler));
        self
    }

    /// Below spans of this process that are not sampled.
    #[must_use]
    pub fn local_not_sampled(mut self, sampler: impl ComposableSampler + 'static) -> Self {
        self.local_not_sampled = Some(Box::new(sampler));
        self
    }
}

impl ComposableSampler for ParentBased {
    fn intent(&self, span: &SpanStart<'_>) -> Intent {
        let parent = span.parent.filter(|parent| !is_left_to_us(span.parent_context, parent));
        let Some(parent) = parent else { return self.root.intent(span) };
        let own = match (parent.is_remote(), parent.is_sampled()) {
            (true, true) => &self.remote_sampled,
            (true, false) => &self.remote_not_sampled,
            (false, true) => &self.local_sampled,
            (false, false) => &self.local_not_sampled,
        };
        own.as_ref().map_or_else(|| follow(parent, span), |own| own.intent(span))
    }
}

/// As the parent. Its threshold stays in force where it says the same as its flag.
pub(super) fn follow(parent: &SpanContext, span: &SpanStart<'_>) -> Intent {
    if !parent.is_sampled() {
        return Intent::never();
    }
    let threshold = span.parent_threshold.filter(|threshold| threshold.takes(span.randomness));
    match threshold {
        Some(threshold) => Intent::threshold_of(Some(threshold)),
        None => Intent::threshold_of(Some(Threshold::EVERYTHING)).unreliable(),
    }
}
