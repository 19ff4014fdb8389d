//! The OpenTelemetry globals, for the one handle that asks to serve them.

use opentelemetry::Context;
use opentelemetry::global;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};

use super::Telemetry;
use crate::core::readings::exemplars::provider::Meters;
use crate::core::tracer::Provider;

/// What [`Telemetry::set_opentelemetry_globals`] sets.
#[derive(Debug, Default)]
pub(crate) struct Globals {
    pub(crate) tracers: Option<Provider>,
    pub(crate) meters: Option<Meters>,
}

impl Globals {
    /// The provider of spans, unless the handle is disabled.
    pub(crate) fn tracers(&self) -> Option<&Provider> {
        self.tracers.as_ref()
    }
}

#[cfg(feature = "sdk")]
impl Globals {
    fn foreign(&self) -> Option<&crate::core::tracer::foreign::Foreign> {
        self.tracers.as_ref()?.foreign()
    }

    /// Whether the program's own processors sent what they had in time.
    pub(crate) fn flush_foreign(&self, timeout: std::time::Duration) -> bool {
        self.foreign().is_none_or(|foreign| foreign.flush(timeout))
    }

    /// Whether the program's own processors stopped in time.
    pub(crate) fn shutdown_foreign(&self, timeout: std::time::Duration) -> bool {
        self.foreign().is_none_or(|foreign| foreign.shutdown(timeout))
    }
}

impl Globals {
    pub(crate) fn set(&self, telemetry: &Telemetry) {
        if let Some(tracers) = &self.tracers {
            global::set_tracer_provider(tracers.clone());
        }
        if let Some(meters) = &self.meters {
            global::set_meter_provider(meters.clone());
        }
        let fields = telemetry.propagation().fields();
        global::set_text_map_propagator(GlobalPropagator { telemetry: telemetry.clone(), fields });
    }
}

#[derive(Debug)]
struct GlobalPropagator {
    telemetry: Telemetry,
    fields: Vec<String>,
}

impl TextMapPropagator for GlobalPropagator {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        self.telemetry.inject(context, injector);
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        self.telemetry.propagation().extract(context, extractor)
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.fields)
    }
}
