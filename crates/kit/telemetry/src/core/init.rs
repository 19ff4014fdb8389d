//! From settings to a [`Telemetry`] handle.
//!
//! Sets no global and needs no runtime: exporters that send over the network get a thread of their own.

use std::sync::Arc;

use opentelemetry::InstrumentationScope;
use opentelemetry::metrics::{MeterProvider, NoopMeterProvider};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;

use crate::base::attributes::SCHEMA_URL;
use crate::base::config::{Settings, SettingsError};
use crate::core::clock::HandleClock;
use crate::core::export::{ExportError, Exports, Parts, TailGroup};
use crate::core::handle::globals::Globals;
use crate::core::handle::{SCOPE, Shared, Telemetry};
use crate::core::ids::Ids;
use crate::core::propagation::Propagation;
use crate::core::recorded::RecordedErrors;
use crate::core::sampler::Sampler;
use crate::core::sampling::{ComposableSampler, Composite, DebugHeader, SettingsSampler};
use crate::core::tracer::Provider;
use crate::core::tracer::scopes::ScopedTracers;
use crate::core::{metrics, readings, resource};

/// Telemetry cannot start.
///
/// ```
/// use waypost_telemetry::{InitError, Settings};
///
/// let mut settings = Settings::new("order-service");
/// settings.traces.ratio = 7.0;
/// assert!(matches!(waypost_telemetry::init(settings), Err(InitError::Settings(_))));
/// ```
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
pub fn init(settings: Settings) -> Result<Telemetry, InitError> {
    Builder::new(settings).init()
}

/// [`init()`] with parts that settings cannot name: a provider of cryptography, samplers, span processors and
/// exporters of the OpenTelemetry SDK.
///
/// ```
/// use waypost_telemetry::{Builder, Settings, config::Exporter};
///
/// let mut settings = Settings::new("order-service");
/// settings.traces.exporters = vec![Exporter::OtlpHttp];
/// settings.otlp.endpoint = Some("https://collector.example:4318".to_owned());
/// let telemetry =
///     Builder::new(settings).tls_provider(rustls::crypto::ring::default_provider().into()).init()?;
/// # Ok::<(), waypost_telemetry::InitError>(())
/// ```
#[derive(Debug)]
pub struct Builder {
    settings: Settings,
    parts: Parts,
    composable: Option<Box<dyn ComposableSampler>>,
    clock: HandleClock,
    ids: Ids,
    #[cfg(feature = "sdk")]
    sampler: Option<Box<dyn opentelemetry_sdk::trace::ShouldSample>>,
    #[cfg(feature = "sdk")]
    foreign: Option<crate::core::tracer::foreign::ForeignBuilder>,
}

impl Builder {
    /// Starts from these settings; later changes to them have no effect.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            parts: Parts::default(),
            composable: None,
            clock: HandleClock::default(),
            ids: Ids::default(),
            #[cfg(feature = "sdk")]
            sampler: None,
            #[cfg(feature = "sdk")]
            foreign: None,
        }
    }

    /// The provider of cryptography for https receivers, for example `rustls::crypto::ring::default_provider()`.
    /// Without one that of the process is used if it has any; nothing is ever installed for the process.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls_provider(mut self, provider: Arc<rustls::crypto::CryptoProvider>) -> Self {
        self.parts.tls = Some(provider);
        self
    }

    /// The handles of this process with which this one keeps traces together, if it has a tail buffer.
    #[must_use]
    pub fn tail_group(mut self, group: &TailGroup) -> Self {
        self.parts.tail_group = Some(group.clone());
        self
    }

    /// A sampler in place of that of the settings and their rules; [`crate::sampling`] has an example. With one of the SDK
    /// beside it, that one decides.
    #[must_use]
    pub fn composable_sampler(mut self, sampler: impl ComposableSampler + 'static) -> Self {
        self.composable = Some(Box::new(sampler));
        self
    }

    /// A clock in place of the system's, for tests: it tells the times of spans, events, log records, exemplars and readings, and
    /// by it the kit measures durations. Waiting and time-outs stay the system's. Of times that are made outside of the kit it
    /// knows nothing: `SpanRef::add_event` and `SpanRef::end` of the OpenTelemetry API take the system's.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn clock(mut self, clock: impl crate::core::clock::Clock) -> Self {
        self.clock = HandleClock::given(clock);
        self
    }

    /// A generator of ids in place of random ones, for tests. `service.instance.id` is made by it too, unless the settings say it.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn id_generator(mut self, generator: impl crate::core::ids::IdGenerator) -> Self {
        self.ids = Ids::given(generator);
        self
    }

    /// A sampler of the OpenTelemetry SDK in place of that of the settings.
    ///
    /// ```
    /// use opentelemetry_sdk::trace::Sampler;
    /// use waypost_telemetry::{Builder, testing::TestTelemetry};
    ///
    /// let telemetry = Builder::new(TestTelemetry::settings("order-service")).sampler(Sampler::AlwaysOff).init()?;
    /// telemetry.span("show").in_scope(|| ());
    /// assert!(telemetry.finished_spans().is_empty());
    /// # Ok::<(), waypost_telemetry::InitError>(())
    /// ```
    #[cfg(feature = "sdk")]
    #[must_use]
    pub fn sampler(mut self, sampler: impl opentelemetry_sdk::trace::ShouldSample + 'static) -> Self {
        self.sampler = Some(Box::new(sampler));
        self
    }

    /// A span processor beside the exporters of the settings. It is told of the start and end of every recorded span;
    /// attributes that it sets at the start are set on the kit's span too.
    ///
    /// ```
    /// use std::time::Duration;
    /// use opentelemetry_sdk::error::OTelSdkResult;
    /// use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
    /// use waypost_telemetry::opentelemetry::trace::Span as _;
    /// use waypost_telemetry::opentelemetry::{Context, KeyValue};
    /// use waypost_telemetry::{Builder, testing::TestTelemetry};
    ///
    /// #[derive(Debug)]
    /// struct Region;
    ///
    /// impl SpanProcessor for Region {
    ///     fn on_start(&self, span: &mut Span, _: &Context) {
    ///         span.set_attribute(KeyValue::new("cloud.region", "eu"));
    ///     }
    ///     # fn on_end(&self, _: SpanData) {}
    ///     # fn force_flush(&self) -> OTelSdkResult { Ok(()) }
    ///     # fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult { Ok(()) }
    /// }
    ///
    /// let telemetry = Builder::new(TestTelemetry::settings("order-service")).span_processor(Region).init()?;
    /// telemetry.span("show").in_scope(|| ());
    /// assert_eq!(telemetry.finished_spans()[0].attribute("cloud.region"), Some(&"eu".into()));
    /// # Ok::<(), waypost_telemetry::InitError>(())
    /// ```
    #[cfg(feature = "sdk")]
    #[must_use]
    pub fn span_processor(
        mut self,
        processor: impl opentelemetry_sdk::trace::SpanProcessor + 'static,
    ) -> Self {
        self.foreign = Some(self.foreign.unwrap_or_default().processor(processor));
        self
    }

    /// A span exporter beside those of the settings, served in batches on a thread of the SDK. It has no account in
    /// the ledger.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use std::time::Duration;
    /// use opentelemetry_sdk::error::OTelSdkResult;
    /// use opentelemetry_sdk::trace::{SpanData, SpanExporter};
    /// use waypost_telemetry::{Builder, testing::TestTelemetry};
    ///
    /// static SEEN: AtomicUsize = AtomicUsize::new(0);
    ///
    /// #[derive(Debug)]
    /// struct Counts;
    ///
    /// impl SpanExporter for Counts {
    ///     async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
    ///         SEEN.fetch_add(batch.len(), Ordering::Relaxed);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let telemetry = Builder::new(TestTelemetry::settings("order-service")).span_exporter(Counts).init()?;
    /// telemetry.span("show").in_scope(|| ());
    /// assert!(telemetry.flush_blocking(Duration::from_secs(5)).complete);
    /// assert_eq!(SEEN.load(Ordering::Relaxed), 1);
    /// # Ok::<(), waypost_telemetry::InitError>(())
    /// ```
    #[cfg(feature = "sdk")]
    #[must_use]
    pub fn span_exporter(mut self, exporter: impl opentelemetry_sdk::trace::SpanExporter + 'static) -> Self {
        self.foreign = Some(self.foreign.unwrap_or_default().exporter(exporter));
        self
    }

    /// Starts telemetry; see [`init()`].
    pub fn init(self) -> Result<Telemetry, InitError> {
        let mut settings = self.settings;
        settings.log_warnings();
        settings.check()?;
        let service_name: Arc<str> = settings.service_name.as_str().into();
        let attributes = resource::attributes(&settings, &self.ids);
        if !settings.enabled {
            return Ok(Telemetry::new(Shared::without_providers(&settings, service_name, attributes)));
        }

        let resource =
            Resource::builder_empty().with_schema_url(attributes.iter().cloned(), SCHEMA_URL).build();
        let additional = settings.otlp.additional.iter().filter(|additional| additional.metrics).count();
        let (source, meters) = readings::provider(&settings.metrics, additional, &resource, &self.clock);
        let exports = Exports::start(&settings, &service_name, &attributes, &source, &self.parts)?;
        let composite = match self.composable {
            Some(sampler) => Some(Composite::Program(sampler)),
            None => SettingsSampler::new(&settings.traces, &self.parts.strategies).map(Composite::Settings),
        };
        let own_sampler = || match composite {
            Some(composite) => Sampler::Composite(Box::new(composite)),
            None => Sampler::new(settings.traces.sampler, settings.traces.ratio),
        };
        #[cfg(feature = "sdk")]
        let sampler = self.sampler.map_or_else(own_sampler, Sampler::Foreign);
        #[cfg(not(feature = "sdk"))]
        let sampler = own_sampler();
        let tracers = Provider::new(
            sampler,
            Arc::clone(exports.spans()),
            settings.limits.clone(),
            &settings.baggage,
            self.clock.clone(),
            self.ids,
            #[cfg(feature = "sdk")]
            self.foreign.map(|foreign| foreign.build(&attributes)),
        );

        let scope = InstrumentationScope::builder(SCOPE)
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url(SCHEMA_URL)
            .build();
        let meter = match &meters {
            Some(meters) => meters.meter_with_scope(scope.clone()),
            None => NoopMeterProvider::new().meter(SCOPE),
        };
        let telemetry = Telemetry::new(Shared {
            service_name,
            resource: attributes,
            tracer: Some(tracers.tracer_with_scope(scope)),
            scoped: ScopedTracers::default(),
            meter,
            metrics: source,
            exports,
            propagation: Propagation::new(&settings.propagators, &settings.baggage),
            debug_header: DebugHeader::new(&settings.traces.sampling.debug_header),
            globals: Globals { tracers: Some(tracers), meters },
            backtraces: settings.logs.backtrace,
            errors: settings.errors,
            recorded_errors: RecordedErrors::default(),
            clock: self.clock,
        });
        metrics::observe(&telemetry, &settings.metrics);
        Ok(telemetry)
    }
}
