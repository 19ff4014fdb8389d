//! The kit's own tracer behind the OpenTelemetry traits.
//!
//! For the kit's spans and, through the OpenTelemetry globals, for those of libraries. A span asks its sampler before
//! anything is built, encodes its attributes as they are set into a buffer that is used again, and becomes OTLP bytes
//! at its end ([`crate::core::export`]). What holds as for any implementation: limits are kept and counted, the last
//! value of an attribute wins, `Ok` is final, a span that is dropped has ended, and nothing is recorded where
//! telemetry is suppressed.

pub(crate) mod draft;
#[cfg(feature = "sdk")]
pub(crate) mod foreign;
mod record;
pub(crate) mod scopes;
mod span;
pub(crate) mod spare;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::trace::{
    Link, SpanBuilder, SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, InstrumentationScope, Key, KeyValue, StringValue};

use crate::base::attributes::TENANT_ID;
use crate::base::config::SamplerKind;
use crate::base::config::{BaggageSettings, Limits};
use crate::base::ledger::{ParentOrigin, SamplingResult};
use crate::core::clock::HandleClock;
use crate::core::export::{Scope, SpanPipeline};
use crate::core::ids::Ids;
use crate::core::sampler::{Decision, Sampler};
use crate::core::tenant;
use draft::Draft;
use record::Record;
pub(crate) use span::Span;

/// The flag that says that a trace id's low bits are random: W3C Trace Context level 2.
const RANDOM: TraceFlags = TraceFlags::new(0b10);

/// What all tracers of a handle share.
pub(crate) struct Provider {
    shared: Arc<Shared>,
}

struct Shared {
    sampler: Sampler,
    pipeline: Arc<SpanPipeline>,
    limits: Limits,
    baggage_keys: Vec<Key>,
    max_baggage_value: usize,
    clock: HandleClock,
    ids: Ids,
    #[cfg(feature = "sdk")]
    foreign: Option<foreign::Foreign>,
}

impl Provider {
    pub(crate) fn new(
        sampler: Sampler,
        pipeline: Arc<SpanPipeline>,
        limits: Limits,
        baggage: &BaggageSettings,
        clock: HandleClock,
        ids: Ids,
        #[cfg(feature = "sdk")] foreign: Option<foreign::Foreign>,
    ) -> Self {
        let baggage_keys = baggage.span_attributes.iter().cloned().map(Key::from).collect();
        let max_baggage_value = baggage.max_value_length;
        Self {
            shared: Arc::new(Shared {
                sampler,
                pipeline,
                limits,
                baggage_keys,
                max_baggage_value,
                clock,
                ids,
                #[cfg(feature = "sdk")]
                foreign,
            }),
        }
    }

    /// Decides from now on as this kind of sampler does. `false` when the sampler is the program's own.
    pub(crate) fn change_sampling(&self, kind: SamplerKind, ratio: f64) -> bool {
        self.shared.sampler.change(kind, ratio)
    }

    /// The processors and exporters of the program.
    #[cfg(feature = "sdk")]
    pub(crate) fn foreign(&self) -> Option<&foreign::Foreign> {
        self.shared.foreign.as_ref()
    }
}

impl Clone for Provider {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("sampler", &self.shared.sampler).finish_non_exhaustive()
    }
}

impl opentelemetry::trace::TracerProvider for Provider {
    type Tracer = Tracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> Tracer {
        Tracer(Arc::new(TracerParts {
            shared: Arc::clone(&self.shared),
            #[cfg(feature = "sdk")]
            foreign: self.shared.foreign.as_ref().map(|foreign| foreign.tracer(&scope)),
            scope: Scope::new(scope),
        }))
    }
}

/// Makes the spans of one instrumentation scope. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tracer(Arc<TracerParts>);

struct TracerParts {
    shared: Arc<Shared>,
    scope: Arc<Scope>,
    #[cfg(feature = "sdk")]
    foreign: Option<opentelemetry_sdk::trace::SdkTracer>,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("scope", &self.0.scope.scope.name()).finish_non_exhaustive()
    }
}

/// What a sampler may ask for.
struct Asked<'a> {
    name: &'a str,
    kind: &'a SpanKind,
    attributes: &'a [KeyValue],
    links: &'a [Link],
}

impl<'a> Asked<'a> {
    fn of(builder: &'a SpanBuilder) -> Self {
        Self {
            name: &builder.name,
            kind: builder.span_kind.as_ref().unwrap_or(&SpanKind::Internal),
            attributes: builder.attributes.as_deref().unwrap_or_default(),
            links: builder.links.as_deref().unwrap_or_default(),
        }
    }
}

/// What stands above a new span.
struct Above<'a> {
    /// `None` above a root.
    span: Option<&'a SpanContext>,
    trace_id: TraceId,
    /// Those that are passed on.
    flags: TraceFlags,
    origin: ParentOrigin,
}

impl<'a> Above<'a> {
    #[inline]
    fn of(span: &'a SpanContext, ids: &Ids) -> Self {
        if !span.is_valid() {
            return Self {
                span: None,
                trace_id: ids.new_trace_id(),
                flags: RANDOM,
                origin: ParentOrigin::None,
            };
        }
        let origin = if span.is_remote() { ParentOrigin::Remote } else { ParentOrigin::Local };
        Self { span: Some(span), trace_id: span.trace_id(), flags: span.trace_flags() & RANDOM, origin }
    }

    #[inline]
    fn span_id(&self) -> SpanId {
        self.span.map_or(SpanId::INVALID, SpanContext::span_id)
    }

    #[inline]
    fn is_remote(&self) -> bool {
        self.origin == ParentOrigin::Remote
    }

    /// Of a new span below it. `trace_state` is that of a sampler, in place of the one above.
    #[inline]
    fn context_below(
        &self,
        ids: &Ids,
        result: SamplingResult,
        trace_state: Option<TraceState>,
    ) -> SpanContext {
        let trace_state = trace_state
            .unwrap_or_else(|| self.span.map_or(TraceState::NONE, |span| span.trace_state().clone()));
        let flags = self.flags.with_sampled(result == SamplingResult::RecordAndSample);
        SpanContext::new(self.trace_id, ids.new_span_id(), flags, false, trace_state)
    }
}

/// Where a new span stands, and whether it is recorded.
pub(crate) struct Start {
    context: SpanContext,
    parent_id: SpanId,
    parent_is_remote: bool,
    result: SamplingResult,
    /// What a sampler of the program adds.
    attributes: Vec<KeyValue>,
}

impl Tracer {
    /// The same with another scope.
    fn with_scope(&self, scope: Arc<Scope>) -> Self {
        let shared = Arc::clone(&self.0.shared);
        Self(Arc::new(TracerParts {
            #[cfg(feature = "sdk")]
            foreign: shared.foreign.as_ref().map(|foreign| foreign.tracer(&scope.scope)),
            shared,
            scope,
        }))
    }

    /// Decides about a span. `None` where telemetry is suppressed.
    fn decide(&self, asked: &Asked<'_>, parent: &Context) -> Option<Start> {
        if parent.is_telemetry_suppressed() {
            return None;
        }
        let span = parent.span();
        let above = Above::of(span.span_context(), &self.0.shared.ids);
        let mut decision = self.0.shared.sampler.decide(
            parent,
            above.span,
            above.trace_id,
            asked.name,
            asked.kind,
            asked.attributes,
            asked.links,
        );
        self.0.shared.pipeline.amend(parent, above.span, above.trace_id, &mut decision);
        let Decision { result, may_be_kept: _, attributes, trace_state } = decision;
        self.0.shared.pipeline.started(result, above.origin);
        Some(Start {
            context: above.context_below(&self.0.shared.ids, result, trace_state),
            parent_id: above.span_id(),
            parent_is_remote: above.is_remote(),
            result,
            attributes,
        })
    }

    /// Whether somebody looks at a span's attributes when it starts: a sampler or a processor of the program. What is set
    /// a moment later is then too late.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        #[cfg(feature = "sdk")]
        if self.0.foreign.is_some() {
            return true;
        }
        self.0.shared.sampler.reads_attributes()
    }

    /// Decides about a span whose draft nobody looks at: then `parent` has the ids of one that is left out, and nothing
    /// more has to be made for it. Where somebody looks, the decision is made at the start. `caller` is the parent's span
    /// where it is not that of its context.
    pub(crate) fn decide_early(
        &self,
        draft: Draft,
        parent: &mut Context,
        caller: Option<&SpanContext>,
    ) -> Draft {
        if self.is_watched() || matches!(draft, Draft::Left | Draft::Decided(_)) {
            return draft;
        }
        let sampler = match &self.0.shared.sampler {
            Sampler::Own(sampler) => sampler,
            Sampler::Composite(_) => return draft,
            #[cfg(feature = "sdk")]
            Sampler::Foreign(_) => return draft,
        };
        if parent.is_telemetry_suppressed() {
            return draft.left(parent, SpanContext::empty_context());
        }
        let span = parent.span();
        let above = Above::of(caller.unwrap_or(span.span_context()), &self.0.shared.ids);
        let pipeline = &self.0.shared.pipeline;
        let (result, trace_state) = if pipeline.has_tail() {
            let mut decision = sampler.decide(parent, above.span, above.trace_id);
            pipeline.amend(parent, above.span, above.trace_id, &mut decision);
            (decision.result, decision.trace_state)
        } else {
            (sampler.result(parent, above.span, above.trace_id), None)
        };
        pipeline.started(result, above.origin);
        let context = above.context_below(&self.0.shared.ids, result, trace_state);
        if result == SamplingResult::Drop {
            return draft.left(parent, context);
        }
        let mut record = match draft {
            Draft::Record(record) => record,
            other => match other.moved_to(Some(self)) {
                Draft::Record(record) => record,
                _ => Record::take(),
            },
        };
        record.stands(context, &above, parent);
        Draft::Decided(record)
    }

    /// `parent` with a new span, and when it started if it is recorded.
    pub(crate) fn start_in(
        &self,
        name: Cow<'static, str>,
        kind: SpanKind,
        draft: Draft,
        mut parent: Context,
    ) -> (Context, Option<SystemTime>) {
        match self.decide_early(draft, &mut parent, None) {
            Draft::Left => (parent, None),
            Draft::Decided(record) => {
                let started = self.0.shared.clock.now();
                let span = Span::drafted(self.clone(), name, kind, started, record, &parent);
                (parent.with_span(span), Some(started))
            }
            draft => self.start_watched(draft.into_api(name, kind), &parent),
        }
    }

    fn start_watched(&self, builder: SpanBuilder, parent: &Context) -> (Context, Option<SystemTime>) {
        match self.decide(&Asked::of(&builder), parent) {
            None => (parent.with_remote_span_context(SpanContext::empty_context()), None),
            Some(start) if start.result == SamplingResult::Drop => {
                (parent.with_remote_span_context(start.context), None)
            }
            Some(start) => {
                let started = self.0.shared.clock.now();
                let builder = builder.with_start_time(started);
                (parent.with_span(Span::recorded(self.clone(), builder, start, parent)), Some(started))
            }
        }
    }
}

impl opentelemetry::trace::Tracer for Tracer {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Span {
        match self.decide(&Asked::of(&builder), parent) {
            None => Span::unrecorded(SpanContext::empty_context()),
            Some(start) if start.result == SamplingResult::Drop => Span::unrecorded(start.context),
            Some(start) => Span::recorded(self.clone(), builder, start, parent),
        }
    }
}

impl Shared {
    /// The attributes that baggage sets on every span below it.
    #[inline]
    fn baggage_attributes(&self, parent: &Context, mut set: impl FnMut(&Key, &StringValue)) {
        let baggage = parent.baggage();
        if baggage.is_empty() {
            return;
        }
        for key in &self.baggage_keys {
            if let Some(value) = member(baggage, key)
                && self.may_become_attribute(key, value.as_str())
            {
                set(key, value);
            }
        }
    }

    fn may_become_attribute(&self, key: &Key, value: &str) -> bool {
        if key.as_str() == TENANT_ID {
            return tenant::is_valid(value);
        }
        value.len() <= self.max_baggage_value && !value.chars().any(char::is_control)
    }
}

/// The value of a key. Baggage has few members, and to compare them takes less than to hash the key.
fn member<'a>(baggage: &'a Baggage, key: &Key) -> Option<&'a StringValue> {
    const FEW: usize = 4;
    if baggage.len() > FEW {
        return baggage.get(key);
    }
    let found = baggage.iter().find(|(known, _)| *known == key);
    found.map(|(_, (value, _))| value)
}
