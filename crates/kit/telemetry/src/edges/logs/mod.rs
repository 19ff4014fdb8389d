//! Log lines on standard output and log records over OTLP, both tied to the trace they were written in.
//!
//! Code logs with the `tracing` macros, or with those of the `log` crate (cargo feature `log`). One subscriber a
//! process, set by [`install`], writes each event as a line with the trace and span id and the service name of the
//! moment, and hands it to the handle of the current context, which sends it where its [`LogSettings::exporters`] say.
//! So several roles in one process share the output and keep their records apart.
//!
//! A program with a subscriber of its own adds [`layer`] to it, or [`Lines`] and [`Records`] one by one. `tracing`
//! spans lend their fields to the lines and records inside them; they become spans of the trace by the bridge, a layer
//! of its own.
//!
//! What the exporters' own clients log is never exported, so telemetry cannot feed on itself.

mod event;
mod fields;
mod lines;
mod panics;
mod records;

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::Arc;

use tracing::Subscriber;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

use crate::base::config::log_filter::parse_filter;
use crate::base::config::{LogFormat, LogSettings};
pub use lines::Lines;
pub use panics::install_panic_hook;
pub use records::Records;

/// Logging cannot be set up.
///
/// ```
/// use waypost_telemetry::config::LogSettings;
/// use waypost_telemetry::logs::{self, InstallError};
///
/// let settings = LogSettings { filter: "shop=loud".to_owned(), ..LogSettings::default() };
/// assert!(matches!(logs::install(&settings), Err(InstallError::Filter { .. })));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The filter cannot be read.
    #[error("the log filter {filter:?} cannot be read: {reason}")]
    Filter {
        /// The filter given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The process has a subscriber already.
    #[error("another log subscriber is in place")]
    AlreadyInstalled,
}

/// Makes the kit's subscriber that of the process. Once, in `main`. With the cargo feature `log` the events of the
/// `log` crate go there too.
///
/// ```standalone_crate
/// use waypost_telemetry::testing::TestTelemetry;
/// use waypost_telemetry::{config::LogSettings, logs};
///
/// logs::install(&LogSettings::default())?;
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("open").in_scope(|| tracing::info!(doors = 2, "the shop is open"));
///
/// let log = &telemetry.finished_logs()[0];
/// assert_eq!(log.body(), "the shop is open");
/// assert_eq!(log.span_context().span_id(), telemetry.only_span("open").span_id());
/// # Ok::<(), logs::InstallError>(())
/// ```
pub fn install(settings: &LogSettings) -> Result<(), InstallError> {
    set_global(tracing_subscriber::registry().with(layer(settings)?))
}

/// Makes a subscriber that of the process, and that of the `log` crate.
pub(crate) fn set_global(subscriber: impl Subscriber + Send + Sync) -> Result<(), InstallError> {
    tracing::subscriber::set_global_default(subscriber).map_err(|_| InstallError::AlreadyInstalled)?;
    #[cfg(feature = "log")]
    take_log_crate();
    Ok(())
}

/// Hands the events of the `log` crate to the current `tracing` subscriber, for programs with a subscriber of their
/// own. `false` if the `log` crate has another logger. [`install`] does it by itself.
///
/// ```standalone_crate
/// use tracing_subscriber::layer::SubscriberExt as _;
/// use waypost_telemetry::{logs, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// tracing::subscriber::set_global_default(tracing_subscriber::registry().with(logs::Records::new()))?;
/// assert!(logs::take_log_crate());
/// telemetry.span("open").in_scope(|| log::info!("the shop is open"));
/// assert_eq!(telemetry.finished_logs()[0].body(), "the shop is open");
/// # Ok::<(), tracing::subscriber::SetGlobalDefaultError>(())
/// ```
#[cfg(feature = "log")]
pub fn take_log_crate() -> bool {
    use tracing::level_filters::LevelFilter;
    let max_level = match LevelFilter::current() {
        LevelFilter::OFF => log::LevelFilter::Off,
        LevelFilter::ERROR => log::LevelFilter::Error,
        LevelFilter::WARN => log::LevelFilter::Warn,
        LevelFilter::INFO => log::LevelFilter::Info,
        LevelFilter::DEBUG => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    tracing_log::LogTracer::builder().with_max_level(max_level).init().is_ok()
}

/// What [`install`] sets up, as a layer for any subscriber: lines on standard output and records for the handle of the
/// moment, both under the filter of the settings and nobody else's.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt as _;
/// use waypost_telemetry::config::LogSettings;
/// use waypost_telemetry::logs;
///
/// let subscriber = tracing_subscriber::registry()
///     .with(logs::layer(&LogSettings::default())?)
///     .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink)); // any other layer
/// # let _ = subscriber;
/// # Ok::<(), logs::InstallError>(())
/// ```
pub fn layer<S>(settings: &LogSettings) -> Result<impl Layer<S> + Send + Sync + use<S>, InstallError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = Lines::new(settings.format, std::io::stdout).colours(std::io::stdout().is_terminal());
    Ok(lines.with_filter(filter(settings)?).and_then(Records::new().with_filter(filter(settings)?)))
}

/// The kit's subscriber, writing to `output`: for tests and for programs with an output of their own. Other layers can
/// be put over it.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt as _;
/// use waypost_telemetry::config::{LogFormat, LogSettings};
/// use waypost_telemetry::logs;
///
/// let settings = LogSettings { format: LogFormat::Json, ..LogSettings::default() };
/// let subscriber = logs::subscriber(&settings, std::io::sink)?
///     .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink));
/// tracing::subscriber::with_default(subscriber, || tracing::info!(order.id = "order-1", "placed"));
/// # Ok::<(), logs::InstallError>(())
/// ```
pub fn subscriber<W>(
    settings: &LogSettings,
    output: W,
) -> Result<impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync + use<W>, InstallError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = Lines::new(settings.format, output).with_filter(filter(settings)?);
    let records = Records::new().with_filter(filter(settings)?);
    Ok(tracing_subscriber::registry().with(lines).with(records))
}

/// As [`subscriber`], with a handle that changes the filter while the program runs.
///
/// ```
/// use waypost_telemetry::config::LogSettings;
/// use waypost_telemetry::logs;
///
/// let settings = LogSettings { filter: "warn".to_owned(), ..LogSettings::default() };
/// let (subscriber, filter) = logs::subscriber_with_filter(&settings, std::io::sink)?;
/// tracing::subscriber::with_default(subscriber, || {
///     assert!(!tracing::enabled!(tracing::Level::INFO));
///     filter.change("info").unwrap();
///     assert!(tracing::enabled!(tracing::Level::INFO));
///     assert!(filter.change("shop=loud").is_err(), "what is in effect stays");
/// });
/// # Ok::<(), logs::InstallError>(())
/// ```
pub fn subscriber_with_filter<W>(
    settings: &LogSettings,
    output: W,
) -> Result<(impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync + use<W>, FilterHandle), InstallError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (of_lines, lines_handle) = reload::Layer::new(filter(settings)?);
    let (of_records, records_handle) = reload::Layer::new(filter(settings)?);
    let lines = Lines::new(settings.format, output).with_filter(of_lines);
    let subscriber = tracing_subscriber::registry().with(lines).with(Records::new().with_filter(of_records));
    let change = move |filter: &dyn Fn() -> Result<EnvFilter, InstallError>| {
        let (lines, records) = (filter()?, filter()?);
        // They fail when the subscriber is gone, and then there is nothing to filter.
        let _ = lines_handle.reload(lines);
        let _ = records_handle.reload(records);
        Ok(())
    };
    Ok((subscriber, FilterHandle(Arc::new(change))))
}

/// Changes a filter for both of its layers.
type Change = dyn Fn(&dyn Fn() -> Result<EnvFilter, InstallError>) -> Result<(), InstallError> + Send + Sync;

/// Changes which events are logged; see [`subscriber_with_filter`]. Clones change the same filter.
#[derive(Clone)]
pub struct FilterHandle(Arc<Change>);

impl FilterHandle {
    /// Logs by this filter from now on, in the syntax of [`LogSettings::filter`].
    ///
    /// # Errors
    /// [`InstallError::Filter`] when it cannot be read; the filter in effect stays.
    pub fn change(&self, text: &str) -> Result<(), InstallError> {
        let parse =
            || parse_filter(text).map_err(|reason| InstallError::Filter { filter: text.to_owned(), reason });
        (self.0)(&parse)
    }
}

impl fmt::Debug for FilterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterHandle").finish_non_exhaustive()
    }
}

/// One a layer: a filter is part of its layer and cannot be shared.
fn filter(settings: &LogSettings) -> Result<EnvFilter, InstallError> {
    parse_filter(&settings.filter)
        .map_err(|reason| InstallError::Filter { filter: settings.filter.clone(), reason })
}

/// Writes one line; output that is gone is no reason to stop.
fn write_line<'a>(output: &'a impl MakeWriter<'a>, line: &[u8]) {
    let _ = output.make_writer().write_all(line);
}
