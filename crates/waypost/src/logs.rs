//! Where log lines go: standard output for `run`, as supervisors expect; standard error for `up`, whose standard
//! output is a page for people.

use tracing::Subscriber;
use waypost_telemetry::logs::{self, FilterHandle, InstallError};

use crate::exit::{Exit, Failure, OrExit as _};
use crate::output::Output;
use crate::settings::Effective;

/// Makes the kit's subscriber that of the process, writing to standard output. What it gives changes its filter.
pub(crate) fn to_stdout(effective: &Effective) -> Result<FilterHandle, Failure> {
    install(effective, logs::subscriber_with_filter(&effective.settings.telemetry.logs, || Output::Standard))
}

/// As [`to_stdout`], but to standard error.
pub(crate) fn to_stderr(effective: &Effective) -> Result<FilterHandle, Failure> {
    install(effective, logs::subscriber_with_filter(&effective.settings.telemetry.logs, || Output::Error))
}

fn install<S: Subscriber + Send + Sync>(
    effective: &Effective,
    made: Result<(S, FilterHandle), InstallError>,
) -> Result<FilterHandle, Failure> {
    let (subscriber, filter) = made.or_exit(Exit::BadConfig, "setting logs up")?;
    tracing::subscriber::set_global_default(subscriber).or_exit(Exit::Internal, "setting logs up")?;
    tell_of(effective);
    Ok(filter)
}

/// What was ignored of the environment: once per process, not once per role.
fn tell_of(effective: &Effective) {
    effective.settings.telemetry.clone().log_warnings();
}
