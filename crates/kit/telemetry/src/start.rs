//! Everything a program with one service needs, in one line.
//!
//! For programs, not for libraries: it sets what belongs to the whole process. What it puts together is public, so a
//! program that wants it otherwise writes those lines itself; they are in the documentation of [`start_with`].

use std::ops::Deref;
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;

use crate::base::config::{Settings, SettingsError};
use crate::base::ledger::ShutdownReport;
use crate::core::handle::Telemetry;
use crate::core::init::{InitError, init};
use crate::edges::logs::{self, InstallError};

/// How long a guard that is dropped waits for what is not sent yet.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Telemetry of a process cannot start.
///
/// ```
/// use waypost_telemetry::{Settings, StartError};
///
/// let mut settings = Settings::new("shop");
/// settings.traces.ratio = 7.0;
/// assert!(matches!(waypost_telemetry::start_with(settings), Err(StartError::Init(_))));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The handle could not be made, or the environment cannot be honoured.
    #[error(transparent)]
    Init(#[from] InitError),
    /// Logging could not be set up.
    #[error(transparent)]
    Logs(#[from] InstallError),
}

impl From<SettingsError> for StartError {
    fn from(error: SettingsError) -> Self {
        Self::Init(error.into())
    }
}

/// Starts telemetry for this process under a service name, as the `OTEL_*` variables say.
///
/// Without variables spans, metrics and log records go by OTLP over HTTP to `localhost:4318`, as the specification has
/// it. `OTEL_SERVICE_NAME` wins over the name given here. See [`start_with`] for what is set up.
///
/// ```standalone_crate
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use waypost_telemetry::span;
///
/// let telemetry = waypost_telemetry::start("shop")?;
/// span("open").in_scope(|| tracing::info!("the shop is open"));
/// // Dropping the guard sends what waits, for five seconds at most.
/// # let telemetry = telemetry.shutdown_timeout(std::time::Duration::ZERO);
/// drop(telemetry);
/// # Ok(())
/// # }
/// ```
pub fn start(service_name: impl Into<String>) -> Result<TelemetryGuard, StartError> {
    start_with(Settings::standard(service_name).with_env()?)
}

/// As [`start`], with settings and without looking at the environment.
///
/// In this order: the subscriber of the process for log lines, log records and, with the cargo feature `tracing`, spans
/// of `tracing` (a subscriber that is there already stays and a warning is written to it); the handle; the process
/// default; the OpenTelemetry globals; the panic hook of [`crate::logs::install_panic_hook`].
///
/// ```standalone_crate
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use waypost_telemetry::testing::TestTelemetry;
/// use waypost_telemetry::{opentelemetry, span};
///
/// # let settings = TestTelemetry::settings("shop"); // to memory, not over the network
/// let telemetry = waypost_telemetry::start_with(settings)?;
/// span("open").in_scope(|| tracing::info_span!("count", items = 3).in_scope(|| tracing::info!("the shop is open")));
/// std::thread::spawn(|| {
///     use opentelemetry::trace::Tracer as _;
///     opentelemetry::global::tracer("a-library").in_span("elsewhere", |_| ());
/// })
/// .join()
/// .unwrap();
///
/// let names: Vec<_> = telemetry.finished_spans().iter().map(|span| span.name().to_owned()).collect();
/// assert_eq!(names, ["count", "open", "elsewhere"]);
/// assert_eq!(telemetry.finished_logs()[0].span_context().span_id(), telemetry.finished_spans()[0].span_id());
/// let report = telemetry.shutdown(Duration::from_secs(5)).await;
/// assert!(report.complete && report.traces.is_balanced());
/// # Ok(())
/// # }
/// ```
pub fn start_with(settings: Settings) -> Result<TelemetryGuard, StartError> {
    settings.check()?;
    let had_subscriber = !install(&settings)?;
    let telemetry = init(settings)?;
    telemetry.set_process_default();
    telemetry.set_opentelemetry_globals();
    logs::install_panic_hook();
    if had_subscriber {
        tracing::warn!(
            "a log subscriber is in place: lines, records and spans of `tracing` need the layers of \
             waypost_telemetry::logs and waypost_telemetry::bridge in it"
        );
    }
    Ok(TelemetryGuard { telemetry, timeout: SHUTDOWN, is_shut_down: false })
}

/// `false` if the process has a subscriber.
fn install(settings: &Settings) -> Result<bool, StartError> {
    let subscriber = tracing_subscriber::registry().with(logs::layer(&settings.logs)?);
    #[cfg(feature = "tracing")]
    let subscriber = subscriber.with(crate::edges::bridge::layer());
    match logs::set_global(subscriber) {
        Ok(()) => Ok(true),
        Err(InstallError::AlreadyInstalled) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The handle of a process; sends what waits when it is dropped. Made by [`start`].
///
/// Keep it in `main` until the end: `let _telemetry = ..`, not `let _ = ..`.
///
/// ```standalone_crate
/// use std::time::Duration;
/// # use waypost_telemetry::testing::TestTelemetry;
///
/// # let settings = TestTelemetry::settings("shop"); // to memory, not over the network
/// let telemetry = waypost_telemetry::start_with(settings)?.shutdown_timeout(Duration::from_secs(1));
/// waypost_telemetry::span("open").in_scope(|| ());
/// assert_eq!(telemetry.finished_spans().len(), 1);
/// drop(telemetry); // sends what waits, for a second at most
/// # Ok::<(), waypost_telemetry::StartError>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping the guard ends telemetry"]
pub struct TelemetryGuard {
    telemetry: Telemetry,
    timeout: Duration,
    is_shut_down: bool,
}

impl TelemetryGuard {
    /// How long dropping waits at most; five seconds unless said.
    pub fn shutdown_timeout(self, timeout: Duration) -> Self {
        let mut guard = self;
        guard.timeout = timeout;
        guard
    }

    /// Sends what waits, ends telemetry and says what was sent and what was dropped; see [`Telemetry::shutdown`].
    ///
    /// If the future is dropped, so is the guard, which then waits on its own.
    pub async fn shutdown(mut self, deadline: Duration) -> ShutdownReport {
        let report = self.telemetry.shutdown(deadline).await;
        self.is_shut_down = true;
        report
    }
}

impl Deref for TelemetryGuard {
    type Target = Telemetry;

    fn deref(&self) -> &Telemetry {
        &self.telemetry
    }
}

impl Drop for TelemetryGuard {
    /// Blocks the thread up to the time-out and prints nothing.
    fn drop(&mut self) {
        if !self.is_shut_down {
            self.telemetry.shutdown_blocking(self.timeout);
        }
    }
}
