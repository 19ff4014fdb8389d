//! Samplers, processors and exporters of the OpenTelemetry SDK that a program brings along.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    SamplingDecision, SamplingResult, ShouldSample, Span as SdkSpan, SpanData, SpanExporter, SpanProcessor,
};
use waypost_telemetry::opentelemetry::trace::{
    Link, Span as _, SpanKind, Status, TraceContextExt as _, TraceId, TraceState, Tracer as _,
};
use waypost_telemetry::opentelemetry::{Context, KeyValue};
use waypost_telemetry::{ParentOrigin, SamplingResult as Counted};

use super::{Traced, remote, texts};
use crate::receiver::{PATIENCE, wait_until};

/// Keeps what it is told; a processor and an exporter.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept(pub(super) Arc<Mutex<Vec<SpanData>>>);

impl Kept {
    fn only(&self) -> SpanData {
        let mut kept = self.0.lock().unwrap();
        assert_eq!(kept.len(), 1, "{kept:?}");
        kept.remove(0)
    }
}

impl SpanProcessor for Kept {
    fn on_start(&self, span: &mut SdkSpan, _: &Context) {
        span.set_attribute(KeyValue::new("set.by", "processor"));
    }

    fn on_end(&self, span: SpanData) {
        self.0.lock().unwrap().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

/// Says the same of every span.
#[derive(Clone, Debug)]
struct Says(SamplingDecision);

impl ShouldSample for Says {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent = parent.map(|parent| parent.span().span_context().trace_state().clone());
        let trace_state = parent.unwrap_or(TraceState::NONE).insert("sampler", "was-here").unwrap();
        let attributes = vec![KeyValue::new("sampler", true)];
        SamplingResult { decision: self.0.clone(), attributes, trace_state }
    }
}

#[test]
fn a_processor_sees_the_span_that_is_exported() {
    let kept = Kept::default();
    let processor = kept.clone();
    let traced = Traced::built(|_| (), |builder| builder.span_processor(processor));
    let parent = Context::new().with_remote_span_context(remote(0b11, "k=v"));
    let builder = traced.tracer.span_builder("first").with_kind(SpanKind::Server);
    let builder = builder.with_attributes([KeyValue::new("given", 1)]);
    let mut span = traced.tracer.build_with_context(builder, &parent);
    span.set_attribute(KeyValue::new("later", 2));
    span.add_event("event", vec![KeyValue::new("n", 3)]);
    span.add_link(remote(1, ""), vec![]);
    span.set_status(Status::error("why"));
    span.update_name("second");
    span.end();

    let wire = traced.only();
    assert_eq!(texts(&wire.attributes), ["given=1", "set.by=processor", "later=2"]);
    let seen = opentelemetry_proto::tonic::trace::v1::Span::from(kept.only());
    assert_eq!(seen, wire);
}

#[test]
fn a_processor_sees_that_the_id_of_a_root_is_random() {
    let kept = Kept::default();
    let processor = kept.clone();
    let traced = Traced::built(|_| (), |builder| builder.span_processor(processor));
    traced.tracer.start("root").end();
    let seen = opentelemetry_proto::tonic::trace::v1::Span::from(kept.only());
    let wire = traced.only();
    assert_eq!((seen.flags, wire.flags & 0xff), (wire.flags, 0b11));
}

/// Hangs in the first flush until the test is over.
#[derive(Debug, Default)]
struct Hangs(Mutex<Option<std::sync::mpsc::Receiver<()>>>);

impl SpanProcessor for Hangs {
    fn on_start(&self, _: &mut SdkSpan, _: &Context) {}

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        if let Some(over) = self.0.lock().unwrap().take() {
            let _ = over.recv();
        }
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[test]
fn a_flush_does_not_wait_for_a_processor_that_hangs() {
    let (over, waits) = std::sync::mpsc::channel();
    let processor = Hangs(Mutex::new(Some(waits)));
    let traced = Traced::built(|_| (), |builder| builder.span_processor(processor));
    assert!(!traced.telemetry.flush_blocking(Duration::from_millis(50)).complete);
    assert!(!traced.telemetry.flush_blocking(PATIENCE).complete, "no second thread is started for it");
    over.send(()).unwrap();
    wait_until("a complete flush", || traced.telemetry.flush_blocking(PATIENCE).complete);
}

#[test]
fn an_exporter_gets_what_has_ended_at_a_flush() {
    let kept = Kept::default();
    let exporter = kept.clone();
    let traced = Traced::built(|_| (), |builder| builder.span_exporter(exporter));
    traced.telemetry.span("own").attr("a", 1).in_scope(|| traced.tracer.start("library").end());
    let sent = traced.sent();
    let seen: Vec<_> = kept.0.lock().unwrap().drain(..).collect();
    let names: Vec<_> =
        seen.iter().map(|span| (span.name.as_ref(), span.instrumentation_scope.name())).collect();
    assert_eq!(names, [("library", "library"), ("own", "waypost-telemetry")]);
    let ids: Vec<_> = seen.iter().map(|span| span.span_context.span_id().to_bytes().to_vec()).collect();
    assert_eq!(ids, sent.iter().map(|span| span.span_id.clone()).collect::<Vec<_>>());
    assert!(traced.telemetry.shutdown_blocking(PATIENCE).complete);
}

#[test]
fn what_is_only_recorded_is_shown_to_processors_and_not_exported() {
    let (processed, exported) = (Kept::default(), Kept::default());
    let (processor, exporter) = (processed.clone(), exported.clone());
    let traced = Traced::built(
        |_| (),
        |builder| {
            let builder = builder.sampler(Says(SamplingDecision::RecordOnly));
            builder.span_processor(processor).span_exporter(exporter)
        },
    );
    let mut span = traced.tracer.start("a");
    assert!(span.is_recording() && !span.span_context().is_sampled());
    span.set_attribute(KeyValue::new("later", 2));
    span.end();
    assert!(traced.sent().is_empty());
    let seen = processed.only();
    traced.telemetry.span("own").in_scope(|| waypost_telemetry::set("set", true));
    assert!(processed.only().attributes.contains(&KeyValue::new("set", true)));
    let keys: Vec<_> = seen.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(keys, ["sampler", "set.by", "later"]);
    assert!(!seen.span_context.is_sampled());
    assert!(exported.0.lock().unwrap().is_empty());
    let ledger = traced.telemetry.ledger();
    assert_eq!(ledger.starts.of(Counted::RecordOnly, ParentOrigin::None), 2);
    assert_eq!((ledger.started, ledger.ended), (0, 0));
}

#[test]
fn what_a_sampler_adds_is_on_the_span() {
    let kept = Kept::default();
    let processor = kept.clone();
    let traced = Traced::built(
        |_| (),
        |builder| builder.sampler(Says(SamplingDecision::RecordAndSample)).span_processor(processor),
    );
    let parent = Context::new().with_remote_span_context(remote(0b11, "k=v"));
    traced.tracer.start_with_context("a", &parent).end();
    let wire = traced.only();
    assert_eq!(texts(&wire.attributes), ["sampler=true", "set.by=processor"]);
    assert_eq!(wire.trace_state, "sampler=was-here,k=v");
    assert_eq!(opentelemetry_proto::tonic::trace::v1::Span::from(kept.only()), wire);
}

#[test]
fn a_sampler_writes_before_a_trace_state_the_api_cannot_hold() {
    let traced = Traced::built(|_| (), |builder| builder.sampler(Says(SamplingDecision::RecordAndSample)));
    let headers = std::collections::HashMap::from([
        ("traceparent".to_owned(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        ("tracestate".to_owned(), "foo@@bar=1".to_owned()),
    ]);
    let parent = traced.telemetry.extract(&headers);
    traced.tracer.start_with_context("a", &parent).end();
    assert_eq!(traced.only().trace_state, "sampler=was-here,foo@@bar=1");
}

#[test]
fn a_sampler_that_drops_leaves_ids_to_pass_on() {
    let traced = Traced::built(|_| (), |builder| builder.sampler(Says(SamplingDecision::Drop)));
    let span = traced.tracer.start("a");
    assert!(!span.is_recording() && span.span_context().is_valid() && !span.span_context().is_sampled());
    drop(span);
    assert!(traced.sent().is_empty());
}
