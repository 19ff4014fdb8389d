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

use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogSettings;
use bridge::Bridge;
use format::Lines;

/// Libraries that are quiet unless the filter names them. The SDK's own messages are replaced by the kit's one
/// line a minute.
const QUIET: &str =
    "opentelemetry=off,h2=warn,hyper=warn,hyper_util=warn,reqwest=warn,rustls=warn,tonic=warn,tower=warn";

/// Form of the lines on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    Pretty,
    /// One JSON object a line.
    Json,
}

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

/// Whether a filter can be read.
pub(crate) fn check_filter(filter: &str) -> Result<(), String> {
    parse_filter(filter).map(drop)
}

/// Later directives win, so what the user names is not quiet.
fn parse_filter(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(format!("{QUIET},{filter}")).map_err(|error| error.to_string())
}

/// Writes one line; output that is gone is no reason to stop.
fn write_line<'a>(output: &'a impl MakeWriter<'a>, line: &[u8]) {
    let _ = output.make_writer().write_all(line);
}
