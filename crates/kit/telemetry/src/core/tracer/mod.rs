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

use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{
    Link, SpanBuilder, SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, InstrumentationScope, Key, KeyValue};

use crate::base::attributes::TENANT_ID;
use crate::base::config::SamplerKind;
use crate::base::config::{BaggageSettings, Limits};
use crate::base::ledger::{ParentOrigin, SamplingResult};
use crate::core::export::{Scope, SpanPipeline};
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
    #[cfg(feature = "sdk")]
    foreign: Option<foreign::Foreign>,
}

impl Provider {
    pub(crate) fn new(
        sampler: Sampler,
        pipeline: Arc<SpanPipeline>,
        limits: Limits,
        baggage: &BaggageSettings,
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
    #[inline]
    fn decide(&self, asked: &Asked<'_>, parent: &Context, caller: Option<&SpanContext>) -> Option<Start> {
        if parent.is_telemetry_suppressed() {
            return None;
        }
        let span = parent.span();
        let parent_span = caller.or(Some(span.span_context())).filter(|parent| parent.is_valid());
        let (trace_id, flags) = match parent_span {
            Some(parent) => (parent.trace_id(), parent.trace_flags() & RANDOM),
            None => (new_trace_id(), RANDOM),
        };
        let mut decision = self.0.shared.sampler.decide(
            parent,
            parent_span,
            trace_id,
            asked.name,
            asked.kind,
            asked.attributes,
            asked.links,
        );
        self.0.shared.pipeline.amend(parent, parent_span, trace_id, &mut decision);
        let Decision { result, may_be_kept: _, attributes, trace_state } = decision;
        let origin = match parent_span {
            None => ParentOrigin::None,
            Some(parent) if parent.is_remote() => ParentOrigin::Remote,
            Some(_) => ParentOrigin::Local,
        };
        self.0.shared.pipeline.started(result, origin);
        let trace_state = trace_state
            .unwrap_or_else(|| parent_span.map_or(TraceState::NONE, |parent| parent.trace_state().clone()));
        let flags = flags.with_sampled(result == SamplingResult::RecordAndSample);
        Some(Start {
            context: SpanContext::new(trace_id, new_span_id(), flags, false, trace_state),
            parent_id: parent_span.map_or(SpanId::INVALID, SpanContext::span_id),
            parent_is_remote: origin == ParentOrigin::Remote,
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
        name: &str,
        kind: &SpanKind,
        draft: Draft,
        parent: &mut Context,
        caller: Option<&SpanContext>,
    ) -> Draft {
        if self.is_watched() || matches!(draft, Draft::Left | Draft::Decided(_)) {
            return draft;
        }
        let context = match self.decide(&Asked { name, kind, attributes: &[], links: &[] }, parent, caller) {
            Some(start) if start.result != SamplingResult::Drop => {
                let mut record = match draft {
                    Draft::Record(record) => record,
                    other => match other.moved_to(Some(self)) {
                        Draft::Record(record) => record,
                        _ => Record::take(),
                    },
                };
                record.decided(start, parent, &self.0.shared.limits);
                return Draft::Decided(record);
            }
            Some(start) => start.context,
            None => SpanContext::empty_context(),
        };
        draft.give_back();
        // One allocation: nothing can be set on it.
        *parent = parent.with_remote_span_context(context);
        Draft::Left
    }

    /// `parent` with a new span, and whether it is recorded.
    pub(crate) fn start_in(
        &self,
        name: Cow<'static, str>,
        kind: SpanKind,
        draft: Draft,
        mut parent: Context,
    ) -> (Context, bool) {
        match self.decide_early(&name, &kind, draft, &mut parent, None) {
            Draft::Left => (parent, false),
            Draft::Decided(record) => {
                let span = Span::drafted(self.clone(), name, kind, record, &parent);
                (parent.with_span(span), true)
            }
            draft => self.start_watched(draft.into_api(name, kind), &parent),
        }
    }

    fn start_watched(&self, builder: SpanBuilder, parent: &Context) -> (Context, bool) {
        match self.decide(&Asked::of(&builder), parent, None) {
            None => (parent.with_remote_span_context(SpanContext::empty_context()), false),
            Some(start) if start.result == SamplingResult::Drop => {
                (parent.with_remote_span_context(start.context), false)
            }
            Some(start) => (parent.with_span(Span::recorded(self.clone(), builder, start, parent)), true),
        }
    }
}

impl opentelemetry::trace::Tracer for Tracer {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Span {
        match self.decide(&Asked::of(&builder), parent, None) {
            None => Span::unrecorded(SpanContext::empty_context()),
            Some(start) if start.result == SamplingResult::Drop => Span::unrecorded(start.context),
            Some(start) => Span::recorded(self.clone(), builder, start, parent),
        }
    }
}

impl Shared {
    /// The attributes that baggage sets on every span below it.
    #[inline]
    fn baggage_attributes(&self, parent: &Context, mut set: impl FnMut(KeyValue)) {
        let baggage = parent.baggage();
        if baggage.is_empty() {
            return;
        }
        for key in &self.baggage_keys {
            if let Some(value) = baggage.get(key)
                && self.may_become_attribute(key, value.as_str())
            {
                set(KeyValue::new(key.clone(), value.clone()));
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

/// All bits are random, as the flag says.
#[inline]
fn new_trace_id() -> TraceId {
    loop {
        let id = u128::from(fastrand::u64(..)) << 64 | u128::from(fastrand::u64(..));
        if id != 0 {
            return TraceId::from(id);
        }
    }
}

#[inline]
fn new_span_id() -> SpanId {
    loop {
        let id = fastrand::u64(..);
        if id != 0 {
            return SpanId::from(id);
        }
    }
}
