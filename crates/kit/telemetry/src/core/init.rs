//! From settings to a [`Telemetry`] handle.
//!
//! Sets no global and needs no runtime: exporters that send over the network get a thread of their own.

use std::sync::Arc;

use opentelemetry::InstrumentationScope;
use opentelemetry::metrics::{MeterProvider, NoopMeterProvider};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanLimits};

use crate::base::config::{Limits, Settings, SettingsError};
use crate::core::export::{ExportError, Exports, HEADROOM};
use crate::core::handle::globals::Globals;
use crate::core::handle::{SCOPE, Shared, Telemetry};
use crate::core::propagation::Propagation;
use crate::core::recorded::RecordedErrors;
use crate::core::sampler::Sampler;
use crate::core::{metrics, readings, resource};

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

impl From<ExportError> for InitError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Exporter { exporter, reason } => Self::Exporter { exporter, reason },
            ExportError::Thread(error) => Self::Thread(error),
        }
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
pub fn init(mut settings: Settings) -> Result<Telemetry, InitError> {
    settings.log_warnings();
    settings.check()?;
    let service_name: Arc<str> = settings.service_name.as_str().into();
    let attributes = resource::attributes(&settings);
    if !settings.enabled {
        return Ok(Telemetry::new(Shared::without_providers(&settings, service_name, attributes)));
    }

    let resource = Resource::builder_empty().with_attributes(attributes.iter().cloned()).build();
    let (source, meters) = readings::provider(&settings.metrics, &resource);
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

fn span_limits(limits: &Limits) -> SpanLimits {
    SpanLimits {
        max_events_per_span: limits.span_events,
        max_attributes_per_span: limits.span_attributes.saturating_mul(HEADROOM),
        max_links_per_span: limits.span_links,
        max_attributes_per_event: limits.event_attributes.saturating_mul(HEADROOM),
        max_attributes_per_link: limits.link_attributes.saturating_mul(HEADROOM),
    }
}
