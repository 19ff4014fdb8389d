//! From settings to a [`Telemetry`] handle.
//!
//! Sets no global and needs no runtime: exporters that send over the network get a thread of their own.

use std::sync::Arc;

use opentelemetry::InstrumentationScope;
use opentelemetry::global;
use opentelemetry::metrics::{MeterProvider, NoopMeterProvider};
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanLimits};

use crate::config::{Exporter, Limits, Settings, SettingsError};
use crate::error::RecordedErrors;
use crate::export::{Exports, HEADROOM};
use crate::handle::{Shared, Telemetry};
use crate::metrics::{self, MetricSource};
use crate::propagation::Propagation;
use crate::resource;
use crate::sampler::Sampler;

/// Name of the instrumentation scope of the kit's spans and metrics.
const SCOPE: &str = "waypost-telemetry";

/// Telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The settings contradict themselves or name what cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// An exporter could not be built.
    #[error("the {exporter} exporter could not be built: {reason}")]
    Exporter {
        /// Its name in the settings.
        exporter: &'static str,
        /// What its client says.
        reason: String,
    },
    /// The export thread could not be started.
    #[error("the export thread could not be started")]
    Thread(#[source] std::io::Error),
}

impl InitError {
    pub(crate) fn exporter(exporter: Exporter, error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(Some(error), |cause| (*cause).source());
        let reason = causes.last().map(ToString::to_string).unwrap_or_default();
        Self::Exporter { exporter: exporter.name(), reason }
    }
}

/// Starts telemetry for one service.
///
/// Returns at once: whether a receiver can be reached shows in the ledger, not here. Call
/// [`Telemetry::shutdown`] before the process ends, or what waits is lost with it.
///
/// ```
/// use waypost_telemetry::{Settings, config::Exporter};
///
/// let mut settings = Settings::new("order-service");
/// settings.traces.exporters = vec![Exporter::Memory];
/// let telemetry = waypost_telemetry::init(settings)?;
/// telemetry.span("start").in_scope(|| ());
/// assert_eq!(telemetry.ledger().exported(), 1);
/// # Ok::<(), waypost_telemetry::InitError>(())
/// ```
#[expect(clippy::needless_pass_by_value, reason = "settings are spent: later changes have no effect")]
pub fn init(settings: Settings) -> Result<Telemetry, InitError> {
    settings.check()?;
    let service_name: Arc<str> = settings.service_name.as_str().into();
    let attributes = resource::attributes(&settings);
    if !settings.enabled {
        return Ok(without_providers(&settings, service_name, attributes));
    }

    let resource = Resource::builder_empty().with_attributes(attributes.iter().cloned()).build();
    let (source, meters) = metrics::provider(&settings.metrics, &resource);
    let exports = Exports::start(&settings, &service_name, &resource, &source)?;
    let tracers = SdkTracerProvider::builder()
        .with_sampler(Sampler::new(settings.traces.sampler, settings.traces.ratio))
        .with_span_limits(span_limits(&settings.limits))
        .with_resource(resource)
        .with_span_processor(exports.pipeline(&settings))
        .build();

    let scope = InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION")).build();
    let meter = match &meters {
        Some(meters) => meters.meter_with_scope(scope.clone()),
        None => NoopMeterProvider::new().meter(SCOPE),
    };
    let telemetry = Telemetry::new(Shared {
        service_name,
        resource: attributes,
        tracer: Some(tracers.tracer_with_scope(scope)),
        meter,
        metrics: source,
        exports,
        propagation: Propagation::new(&settings.propagators, &settings.baggage),
        globals: Globals { tracers: Some(tracers), meters },
        backtraces: settings.logs.backtrace,
        recorded_errors: RecordedErrors::default(),
    });
    metrics::observe(&telemetry, &settings.metrics);
    Ok(telemetry)
}

/// The handle that records nothing.
pub(crate) fn disabled() -> Telemetry {
    let settings = Settings { enabled: false, detectors: Vec::new(), ..Settings::default() };
    without_providers(&settings, settings.service_name.as_str().into(), Vec::new())
}

fn without_providers(settings: &Settings, service_name: Arc<str>, resource: Vec<KeyValue>) -> Telemetry {
    Telemetry::new(Shared {
        service_name,
        resource,
        tracer: None,
        meter: NoopMeterProvider::new().meter(SCOPE),
        metrics: MetricSource::default(),
        exports: Exports::default(),
        propagation: Propagation::new(&settings.propagators, &settings.baggage),
        globals: Globals::default(),
        backtraces: settings.logs.backtrace,
        recorded_errors: RecordedErrors::default(),
    })
}

fn span_limits(limits: &Limits) -> SpanLimits {
    SpanLimits {
        max_events_per_span: limits.span_events,
        max_attributes_per_span: limits.span_attributes.saturating_mul(HEADROOM),
        max_links_per_span: limits.span_links,
        max_attributes_per_event: limits.event_attributes.saturating_mul(HEADROOM),
        max_attributes_per_link: limits.link_attributes.saturating_mul(HEADROOM),
    }
}

/// What [`Telemetry::set_opentelemetry_globals`] sets.
#[derive(Debug, Default)]
pub(crate) struct Globals {
    tracers: Option<SdkTracerProvider>,
    meters: Option<SdkMeterProvider>,
}

impl Globals {
    pub(crate) fn set(&self, telemetry: &Telemetry) {
        if let Some(tracers) = &self.tracers {
            global::set_tracer_provider(tracers.clone());
        }
        if let Some(meters) = &self.meters {
            global::set_meter_provider(meters.clone());
        }
        global::set_text_map_propagator(GlobalPropagator(telemetry.clone()));
    }
}

#[derive(Debug)]
struct GlobalPropagator(Telemetry);

impl TextMapPropagator for GlobalPropagator {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        self.0.inject(context, injector);
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        self.0.propagation().extract(context, extractor)
    }

    /// Only senders that clear a carrier before use ask for this.
    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&[])
    }
}
