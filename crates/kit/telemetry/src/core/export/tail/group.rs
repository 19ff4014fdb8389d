//! Handles of one process that keep traces together.

use std::sync::{Arc, PoisonError, RwLock, Weak};

use opentelemetry::trace::TraceId;

use super::super::pipeline::SpanPipeline;

/// Handles of one process whose tail buffers keep a trace together: what speaks for it in one of them speaks for it in all.
///
/// For processes with several handles, each with its own settings and exporters. Cheap to clone.
///
/// ```
/// use waypost_telemetry::opentelemetry::{Context, trace::TraceContextExt as _};
/// use waypost_telemetry::testing::TestTelemetry;
/// use waypost_telemetry::{Builder, Outcome, TailGroup};
///
/// let group = TailGroup::default();
/// let handle = |name| {
///     let mut settings = TestTelemetry::settings(name);
///     settings.traces.sampler = waypost_telemetry::config::SamplerKind::ParentBasedRatio;
///     settings.traces.ratio = 1e-9;
///     settings.traces.tail.enabled = true;
///     settings.traces.tail.rare_interval = std::time::Duration::ZERO;
///     Builder::new(settings).tail_group(&group).init()
/// };
/// let (gateway, order) = (handle("gateway")?, handle("order")?);
/// let call = gateway.span("call").start();
/// // As it comes with a request; a context of the gateway would bring its handle along.
/// let caller = Context::new().with_remote_span_context(call.span_context());
/// order.span("fine").parent(&caller).in_scope(|| ());
/// assert!(order.finished_spans().is_empty(), "nothing speaks for it yet");
/// call.end(Outcome::Error("refused".into()));
/// assert_eq!(order.finished_spans()[0].name(), "fine");
/// # Ok::<(), waypost_telemetry::InitError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TailGroup(Arc<RwLock<Vec<Weak<SpanPipeline>>>>);

impl TailGroup {
    pub(in crate::core::export) fn join(&self, pipeline: &Arc<SpanPipeline>) {
        let mut members = self.0.write().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| member.strong_count() > 0);
        members.push(Arc::downgrade(pipeline));
    }

    /// Has every member keep a trace.
    pub(in crate::core::export) fn keep(&self, trace_id: TraceId) {
        let members: Vec<_> = {
            let members = self.0.read().unwrap_or_else(PoisonError::into_inner);
            members.iter().filter_map(Weak::upgrade).collect()
        };
        for member in members {
            member.keep(trace_id);
        }
    }
}
