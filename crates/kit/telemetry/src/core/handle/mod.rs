//! The handle of one service's telemetry.
//!
//! Cheap to clone and shared by everything the service does. It travels in the OpenTelemetry [`Context`]: the
//! server layers put it there, spans, clients and [`crate::spawn`] find it there. So several roles can run in
//! one process, each with its own resource, exporters and meters, and none can write to another's.

mod delivery;
pub(crate) mod globals;
mod tail;

use std::fmt;
use std::sync::{Arc, LazyLock, PoisonError, RwLock, Weak};

use opentelemetry::metrics::{Meter, MeterProvider, NoopMeterProvider};
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::{Context, KeyValue};

use crate::base::config::{ErrorSettings, Settings};
use crate::base::finished::FinishedLog;
use crate::core::clock::{HandleClock, Timer};
use crate::core::export::Exports;
use crate::core::handle::globals::Globals;
use crate::core::propagation::Propagation;
use crate::core::readings::MetricSource;
use crate::core::recorded::RecordedErrors;
use crate::core::sampling::DebugHeader;
use crate::core::tracer::Tracer;
use crate::core::tracer::scopes::{ScopeNumber, ScopedTracers};

static PROCESS_DEFAULT: RwLock<Option<Telemetry>> = RwLock::new(None);
static DISABLED: LazyLock<Telemetry> = LazyLock::new(|| {
    let settings = Settings { enabled: false, detectors: Vec::new(), ..Settings::default() };
    let service_name = settings.service_name.as_str().into();
    Telemetry::new(Shared::without_providers(&settings, service_name, Vec::new()))
});

/// Name of the instrumentation scope of the kit's spans and metrics.
pub(crate) const SCOPE: &str = "waypost-telemetry";

/// The telemetry of one service: made by [`crate::init()`], found through the context.
///
/// ```
/// use waypost_telemetry::{Settings, Telemetry, config::Exporter, span};
///
/// let mut settings = Settings::new("order-service");
/// settings.traces.exporters = vec![Exporter::Memory];
/// let telemetry = waypost_telemetry::init(settings)?;
/// let _attached = telemetry.context().attach();
/// span("place-order").in_scope(|| assert!(Telemetry::current().is_enabled()));
/// assert_eq!(telemetry.finished_spans()[0].name(), "place-order");
/// # Ok::<(), waypost_telemetry::InitError>(())
/// ```
#[derive(Clone)]
pub struct Telemetry {
    shared: Arc<Shared>,
}

/// What all clones of a handle share.
pub(crate) struct Shared {
    pub(crate) service_name: Arc<str>,
    pub(crate) resource: Vec<KeyValue>,
    /// `None` if the handle is disabled.
    pub(crate) tracer: Option<Tracer>,
    /// The same for scopes of the program's code.
    pub(crate) scoped: ScopedTracers,
    pub(crate) meter: Meter,
    pub(crate) metrics: MetricSource,
    pub(crate) exports: Exports,
    pub(crate) propagation: Propagation,
    pub(crate) debug_header: Option<DebugHeader>,
    pub(crate) globals: Globals,
    pub(crate) backtraces: bool,
    pub(crate) errors: ErrorSettings,
    pub(crate) recorded_errors: RecordedErrors,
    pub(crate) clock: HandleClock,
}

impl Shared {
    /// A handle that records nothing and passes context on.
    pub(crate) fn without_providers(
        settings: &Settings,
        service_name: Arc<str>,
        resource: Vec<KeyValue>,
    ) -> Self {
        Self {
            service_name,
            resource,
            tracer: None,
            scoped: ScopedTracers::default(),
            meter: NoopMeterProvider::new().meter(SCOPE),
            metrics: MetricSource::default(),
            exports: Exports::default(),
            propagation: Propagation::new(&settings.propagators, &settings.baggage),
            debug_header: None,
            globals: Globals::default(),
            backtraces: settings.logs.backtrace,
            errors: settings.errors.clone(),
            recorded_errors: RecordedErrors::default(),
            clock: HandleClock::default(),
        }
    }
}

impl Telemetry {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// A handle that records nothing and passes context on. The same one every time.
    ///
    /// ```
    /// use waypost_telemetry::Telemetry;
    ///
    /// let telemetry = Telemetry::disabled();
    /// telemetry.span("place-order").in_scope(|| ());
    /// assert!(!telemetry.is_enabled() && telemetry.ledger().started == 0);
    /// ```
    pub fn disabled() -> Self {
        DISABLED.clone()
    }

    /// The handle of the current context, else the process default if one was set, else [`Self::disabled`].
    pub fn current() -> Self {
        Context::map_current(Self::of)
    }

    /// As [`Self::current`], for a context that is not attached.
    ///
    /// ```
    /// use waypost_telemetry::{Telemetry, testing::TestTelemetry};
    ///
    /// let context = TestTelemetry::new("order-service").context();
    /// assert_eq!(Telemetry::of(&context).service_name(), "order-service");
    /// ```
    pub fn of(context: &Context) -> Self {
        Self::found_in(context).unwrap_or_else(Self::disabled)
    }

    /// The handle of `context`, else the process default.
    pub(crate) fn found_in(context: &Context) -> Option<Self> {
        context.get::<Self>().cloned().or_else(Self::process_default)
    }

    pub(crate) fn process_default() -> Option<Self> {
        PROCESS_DEFAULT.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes this the handle of code that runs outside any context with a handle. For programs with one role.
    ///
    /// ```standalone_crate
    /// use waypost_telemetry::{Telemetry, span, testing::TestTelemetry};
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// telemetry.set_process_default();
    /// assert_eq!(Telemetry::current().service_name(), "order-service");
    /// std::thread::spawn(|| span("start").in_scope(|| ())).join().unwrap();
    /// assert_eq!(telemetry.only_span("start").service_name(), "order-service");
    /// ```
    pub fn set_process_default(&self) {
        *PROCESS_DEFAULT.write().unwrap_or_else(PoisonError::into_inner) = Some(self.clone());
    }

    /// Sets tracer provider, meter provider and propagator of the OpenTelemetry API's globals, for libraries
    /// that use those. For programs with one role.
    ///
    /// ```standalone_crate
    /// use std::collections::HashMap;
    /// use waypost_telemetry::opentelemetry::{Context, global, trace::{TraceContextExt, Tracer}};
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// telemetry.set_opentelemetry_globals();
    ///
    /// let mut headers = HashMap::new();
    /// let context = Context::current_with_span(global::tracer("a-library").start("work"));
    /// global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut headers));
    /// context.span().end();
    /// assert!(headers.contains_key("traceparent"));
    /// assert_eq!(telemetry.only_span("work").scope(), "a-library");
    ///
    /// global::meter("a-library").u64_counter("library.calls").build().add(1, &[]);
    /// let page = waypost_telemetry::metrics::render_prometheus(&[telemetry.handle().clone()]);
    /// assert!(page.contains("library_calls_total"));
    /// ```
    pub fn set_opentelemetry_globals(&self) {
        self.shared.globals.set(self);
    }

    /// `service.name`.
    pub fn service_name(&self) -> &str {
        &self.shared.service_name
    }

    /// Whether this handle belongs to a service, disabled or not.
    pub(crate) fn is_named(&self) -> bool {
        !Arc::ptr_eq(&self.shared, &DISABLED.shared)
    }

    /// Attributes of the resource: what every span, metric and log record of this handle says about its origin.
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let name = telemetry.resource().iter().find(|attribute| attribute.key.as_str() == "service.name");
    /// assert_eq!(name.unwrap().value, "order-service".into());
    /// ```
    pub fn resource(&self) -> &[KeyValue] {
        &self.shared.resource
    }

    /// Whether anything is recorded.
    pub fn is_enabled(&self) -> bool {
        self.shared.tracer.is_some()
    }

    /// A context without span and baggage that carries this handle: for background tasks of a role.
    ///
    /// ```
    /// use waypost_telemetry::{Telemetry, testing::TestTelemetry};
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// let _attached = telemetry.context().attach();
    /// assert_eq!(Telemetry::current().service_name(), "order-service");
    /// ```
    pub fn context(&self) -> Context {
        Context::new().with_value(self.clone())
    }

    /// For own instruments. Build each instrument once and keep it.
    ///
    /// ```
    /// use waypost_telemetry::metrics::{render_prometheus, sample};
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// let orders = telemetry.meter().u64_counter("shop.orders").build();
    /// orders.add(2, &[]);
    /// let page = render_prometheus(&[telemetry.handle().clone()]);
    /// assert_eq!(sample(&page, "shop_orders_total", &[]), Some(2.0));
    /// ```
    pub fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    /// Writes the span and the baggage of `context` that may leave into a carrier.
    ///
    /// ```
    /// use std::collections::HashMap;
    ///
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let span = telemetry.span("call").start();
    /// let mut headers = HashMap::new();
    /// telemetry.inject(span.context(), &mut headers);
    /// assert!(headers["traceparent"].contains(&span.span_context().trace_id().to_string()));
    /// ```
    pub fn inject(&self, context: &Context, carrier: &mut dyn Injector) {
        self.shared.propagation.inject(context, carrier);
    }

    /// Writes the span of `context` into a carrier and no baggage: for systems outside the trust boundary.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use waypost_telemetry::{baggage, testing::TestTelemetry};
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// let span = telemetry.span("charge").start();
    /// let context = baggage::with(span.context(), "tenant.id", "acme");
    /// let mut headers = HashMap::new();
    /// telemetry.inject_without_baggage(&context, &mut headers);
    /// assert_eq!(headers.keys().collect::<Vec<_>>(), ["traceparent"]);
    /// ```
    pub fn inject_without_baggage(&self, context: &Context, carrier: &mut dyn Injector) {
        self.shared.propagation.inject_trace_context(context, carrier);
    }

    /// [`Self::context`] with the remote parent and the baggage that a carrier holds.
    ///
    /// ```
    /// use std::collections::HashMap;
    ///
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// let headers = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    /// telemetry.span("serve").parent(&telemetry.extract(&headers)).in_scope(|| ());
    /// assert!(telemetry.only_span("serve").parent_is_remote());
    /// ```
    pub fn extract(&self, carrier: &dyn Extractor) -> Context {
        self.shared.propagation.extract(&self.context(), carrier)
    }

    pub(crate) fn weak(&self) -> WeakTelemetry {
        WeakTelemetry(Arc::downgrade(&self.shared))
    }

    pub(crate) fn exports(&self) -> &Exports {
        &self.shared.exports
    }

    #[inline]
    pub(crate) fn tracer(&self) -> Option<&Tracer> {
        self.shared.tracer.as_ref()
    }

    /// What tells the times that are recorded.
    #[inline]
    pub(crate) fn clock(&self) -> &HandleClock {
        &self.shared.clock
    }

    /// Begins to measure how long something takes.
    #[inline]
    pub(crate) fn timer(&self) -> Timer {
        self.shared.clock.timer()
    }

    /// The clock of the handle of `context`.
    #[inline]
    #[cfg_attr(not(feature = "testing"), expect(unused_variables, reason = "there is one clock only then"))]
    pub(crate) fn clock_of(context: &Context) -> HandleClock {
        #[cfg(feature = "testing")]
        {
            Self::found_in(context).map(|telemetry| telemetry.clock().clone()).unwrap_or_default()
        }
        #[cfg(not(feature = "testing"))]
        {
            HandleClock::default()
        }
    }

    /// The tracer of a scope of the program's code.
    pub(crate) fn tracer_of(&self, scope: ScopeNumber) -> Option<Tracer> {
        Some(self.shared.scoped.get(self.tracer()?, scope))
    }

    pub(crate) fn metrics(&self) -> &MetricSource {
        &self.shared.metrics
    }

    pub(crate) fn propagation(&self) -> &Propagation {
        &self.shared.propagation
    }

    /// The header by which a request asks to be recorded.
    pub(crate) fn debug_header(&self) -> Option<&DebugHeader> {
        self.shared.debug_header.as_ref()
    }

    pub(crate) fn recorded_errors(&self) -> &RecordedErrors {
        &self.shared.recorded_errors
    }

    /// How failures are recorded.
    pub(crate) fn error_settings(&self) -> &ErrorSettings {
        &self.shared.errors
    }

    pub(crate) fn captures_backtraces(&self) -> bool {
        self.shared.backtraces
    }

    pub(crate) fn shared_service_name(&self) -> Arc<str> {
        Arc::clone(&self.shared.service_name)
    }

    /// Whether log records go anywhere beside standard output.
    pub(crate) fn takes_logs(&self) -> bool {
        self.shared.exports.takes_logs()
    }

    pub(crate) fn emit(&self, record: FinishedLog) {
        self.shared.exports.log(record);
    }

    /// `context`, carrying this handle.
    #[inline]
    pub(crate) fn carried_by(&self, context: Context) -> Context {
        match context.get::<Self>() {
            Some(carried) if carried.is_same(self) => context,
            _ => context.with_value(self.clone()),
        }
    }

    /// For edges whose handle is disabled: `context` as far as it is carried on, without anything to write to.
    pub(crate) fn passed_on(&self, context: Context) -> Context {
        self.carried_by(crate::core::propagation::unrecorded(context))
    }

    /// Whether both are clones of one handle.
    #[inline]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

/// For what the handle itself owns and would otherwise keep alive for ever.
#[derive(Clone)]
pub(crate) struct WeakTelemetry(Weak<Shared>);

impl WeakTelemetry {
    pub(crate) fn upgrade(&self) -> Option<Telemetry> {
        self.0.upgrade().map(|shared| Telemetry { shared })
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("service_name", &self.shared.service_name)
            .field("enabled", &self.is_enabled())
            .finish_non_exhaustive()
    }
}
