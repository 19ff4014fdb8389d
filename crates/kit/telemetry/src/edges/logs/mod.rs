//! Log lines on standard output and log records over OTLP, both tied to the trace they were written in.
//!
//! Code logs with the `tracing` macros. One subscriber a process, set by [`install`], writes each event as a
//! line with the trace and span id and the service name of the moment, and hands it to the handle of the current
//! context, which sends it where its [`LogSettings::exporters`] say. So several roles in one process share the
//! output and keep their records apart. `tracing` spans are not used: spans are OpenTelemetry's
//! ([`crate::span()`]).
//!
//! What the exporters' own clients log is never exported, so telemetry cannot feed on itself.

mod bridge;
mod event;
mod format;

use std::io::{IsTerminal, Write};

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::base::config::log_filter::parse_filter;
use crate::base::config::{LogFormat, LogSettings};
use bridge::Bridge;
use format::Lines;

/// Logging cannot be set up.
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

/// Makes the kit's subscriber that of the process. Once, in `main`.
pub fn install(settings: &LogSettings) -> Result<(), InstallError> {
    let colours = std::io::stdout().is_terminal();
    with_colours(settings, std::io::stdout, colours)?.try_init().map_err(|_| InstallError::AlreadyInstalled)
}

/// The kit's subscriber, writing to `output`: for tests and for programs with an output of their own.
///
/// ```
/// use waypost_telemetry::config::{LogFormat, LogSettings};
/// use waypost_telemetry::logs;
///
/// let settings = LogSettings { format: LogFormat::Json, ..LogSettings::default() };
/// let subscriber = logs::subscriber(&settings, std::io::sink)?;
/// tracing::subscriber::with_default(subscriber, || tracing::info!(order.id = "order-1", "placed"));
/// # Ok::<(), logs::InstallError>(())
/// ```
pub fn subscriber<W>(
    settings: &LogSettings,
    output: W,
) -> Result<impl Subscriber + Send + Sync + use<W>, InstallError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    with_colours(settings, output, false)
}

fn with_colours<W>(
    settings: &LogSettings,
    output: W,
    colours: bool,
) -> Result<impl Subscriber + Send + Sync + use<W>, InstallError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = parse_filter(&settings.filter)
        .map_err(|reason| InstallError::Filter { filter: settings.filter.clone(), reason })?;
    let lines = Lines::new(settings.format, colours, output);
    Ok(tracing_subscriber::registry().with(filter).with(lines).with(Bridge))
}

/// Writes one line; output that is gone is no reason to stop.
fn write_line<'a>(output: &'a impl MakeWriter<'a>, line: &[u8]) {
    let _ = output.make_writer().write_all(line);
}
