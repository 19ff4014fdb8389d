//! Span processors and exporters that a program brings along, as the OpenTelemetry SDK knows them.
//!
//! They are served by the SDK itself: for every recorded span it has one of its own with the same ids and the same
//! decision, which is told whatever the kit's span is told. What a processor sets at the start comes back to the kit's span. A handle without
//! such parts pays nothing.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceId, TraceState, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, IdGenerator, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample, Span,
    SpanData, SpanExporter, SpanLimits, SpanProcessor, TracerProviderBuilder,
};

use super::{RANDOM, Start};

/// What the kit has decided about the span that is about to be made.
struct Given {
    trace_id: TraceId,
    span_id: SpanId,
    is_sampled: bool,
    attributes: Vec<KeyValue>,
    trace_state: TraceState,
}

thread_local! {
    static GIVEN: RefCell<Option<Given>> = const { RefCell::new(None) };
}

/// The parts as they are collected.
pub(crate) struct ForeignBuilder(TracerProviderBuilder);

impl Default for ForeignBuilder {
    fn default() -> Self {
        // The kit's limits are stricter and come first.
        let limits = SpanLimits {
            max_events_per_span: u32::MAX,
            max_attributes_per_span: u32::MAX,
            max_links_per_span: u32::MAX,
            max_attributes_per_event: u32::MAX,
            max_attributes_per_link: u32::MAX,
        };
        let builder = SdkTracerProvider::builder().with_sampler(Following).with_span_limits(limits);
        Self(builder.with_id_generator(Following))
    }
}

impl fmt::Debug for ForeignBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignBuilder")
    }
}

impl ForeignBuilder {
    pub(crate) fn processor(self, processor: impl SpanProcessor + 'static) -> Self {
        Self(self.0.with_span_processor(Amended { processor, only_sampled: false }))
    }

    /// On a thread of the SDK's own, in batches.
    pub(crate) fn exporter(self, exporter: impl SpanExporter + 'static) -> Self {
        let processor = BatchSpanProcessor::builder(exporter).build();
        Self(self.0.with_span_processor(Amended { processor, only_sampled: true }))
    }

    pub(crate) fn build(self, resource: &[KeyValue]) -> Foreign {
        let resource = Resource::builder_empty().with_attributes(resource.iter().cloned()).build();
        Foreign { provider: self.0.with_resource(resource).build(), is_flushing: Arc::default() }
    }
}

/// The SDK's provider behind the kit's.
#[derive(Clone, Debug)]
pub(crate) struct Foreign {
    provider: SdkTracerProvider,
    is_flushing: Arc<AtomicBool>,
}

impl Foreign {
    pub(super) fn tracer(&self, scope: &InstrumentationScope) -> opentelemetry_sdk::trace::SdkTracer {
        self.provider.tracer_with_scope(scope.clone())
    }

    /// Whether every processor sent what it had by the deadline.
    ///
    /// The SDK knows none, so a thread of its own waits for it. While that thread waits, no further one is started: a
    /// processor that never answers costs one thread, and every flush after it is incomplete.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        if self.is_flushing.swap(true, Ordering::AcqRel) {
            return false;
        }
        let (provider, is_flushing) = (self.provider.clone(), Arc::clone(&self.is_flushing));
        let (sender, flushed) = mpsc::channel();
        let work = move || {
            let is_flushed = provider.force_flush().is_ok();
            is_flushing.store(false, Ordering::Release);
            // Nobody waits any more if this fails.
            let _ = sender.send(is_flushed);
        };
        if std::thread::Builder::new().name("waypost-flush".to_owned()).spawn(work).is_err() {
            self.is_flushing.store(false, Ordering::Release);
            return false;
        }
        flushed.recv_timeout(timeout).unwrap_or(false)
    }

    /// Whether every processor stopped in time.
    pub(crate) fn shutdown(&self, timeout: Duration) -> bool {
        self.provider.shutdown_with_timeout(timeout).is_ok()
    }
}

/// In front of each processor: what the SDK's span lacks of the kit's.
#[derive(Debug)]
struct Amended<P> {
    processor: P,
    /// For exporters, which the specification shows only what is sampled; the SDK's batches do not look.
    only_sampled: bool,
}

impl<P: SpanProcessor> SpanProcessor for Amended<P> {
    fn on_start(&self, span: &mut Span, parent: &Context) {
        self.processor.on_start(span, parent);
    }

    fn on_end(&self, mut span: SpanData) {
        if self.only_sampled && !span.span_context.is_sampled() {
            return;
        }
        let of = &span.span_context;
        // The SDK gives a root no flag but the sampled one; the kit's ids are random, and the kit's span says so.
        if span.parent_span_id == SpanId::INVALID {
            let flags = of.trace_flags() | RANDOM;
            span.span_context = SpanContext::new(
                of.trace_id(),
                of.span_id(),
                flags,
                of.is_remote(),
                of.trace_state().clone(),
            );
        }
        self.processor.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.processor.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.processor.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.processor.set_resource(resource);
    }
}

/// Ids and decisions are those of the kit.
#[derive(Clone, Debug)]
struct Following;

impl IdGenerator for Following {
    fn new_trace_id(&self) -> TraceId {
        GIVEN.with_borrow(|given| given.as_ref().map_or(TraceId::INVALID, |given| given.trace_id))
    }

    fn new_span_id(&self) -> SpanId {
        GIVEN.with_borrow(|given| given.as_ref().map_or(SpanId::INVALID, |given| given.span_id))
    }
}

impl ShouldSample for Following {
    /// Asked after the ids.
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let given = GIVEN.take();
        let decision = match &given {
            None => SamplingDecision::Drop,
            Some(given) if given.is_sampled => SamplingDecision::RecordAndSample,
            Some(_) => SamplingDecision::RecordOnly,
        };
        let (attributes, trace_state) =
            given.map_or_else(Default::default, |given| (given.attributes, given.trace_state));
        SamplingResult { decision, attributes, trace_state }
    }
}

/// The SDK's span beside one of the kit.
#[derive(Debug)]
pub(super) struct ForeignSpan(Span);

impl ForeignSpan {
    /// Starts it, and gives the attributes that processors have set.
    pub(super) fn start(
        tracer: &opentelemetry_sdk::trace::SdkTracer,
        builder: SpanBuilder,
        start: &Start,
        parent: &Context,
    ) -> (Self, Vec<KeyValue>) {
        let given = builder.attributes.as_ref().map_or(0, Vec::len) + start.attributes.len();
        GIVEN.set(Some(Given {
            trace_id: start.context.trace_id(),
            span_id: start.context.span_id(),
            is_sampled: start.context.is_sampled(),
            attributes: start.attributes.clone(),
            trace_state: start.context.trace_state().clone(),
        }));
        let span = tracer.build_with_context(builder, parent);
        let set = span.exported_data().map(|data| data.attributes).unwrap_or_default();
        (Self(span), set.into_iter().skip(given).collect())
    }

    pub(super) fn set(&mut self, attribute: KeyValue) {
        self.0.set_attribute(attribute);
    }

    pub(super) fn event(&mut self, name: String, time: SystemTime, attributes: Vec<KeyValue>) {
        self.0.add_event_with_timestamp(name, time, attributes);
    }

    pub(super) fn link(&mut self, span: SpanContext, attributes: Vec<KeyValue>) {
        self.0.add_link(span, attributes);
    }

    pub(super) fn status(&mut self, status: Status) {
        self.0.set_status(status);
    }

    pub(super) fn rename(&mut self, name: String) {
        self.0.update_name(name);
    }

    pub(super) fn end(mut self, time: SystemTime) {
        self.0.end_with_timestamp(time);
    }
}
