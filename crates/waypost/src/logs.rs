//! Where log lines go: standard output for `run`, as supervisors expect; standard error for `up`, whose standard
//! output is a page for people.

use waypost_telemetry::logs;

use crate::exit::{Exit, Failure, OrExit as _};
use crate::settings::Effective;

/// Makes the kit's subscriber that of the process, writing to standard output.
pub(crate) fn to_stdout(effective: &Effective) -> Result<(), Failure> {
    logs::install(&effective.settings.telemetry.logs).or_exit(Exit::BadConfig, "setting logs up")?;
    tell_of(effective);
    Ok(())
}

/// As [`to_stdout`], but to standard error.
pub(crate) fn to_stderr(effective: &Effective) -> Result<(), Failure> {
    let settings = &effective.settings.telemetry.logs;
    let subscriber =
        logs::subscriber(settings, std::io::stderr).or_exit(Exit::BadConfig, "setting logs up")?;
    tracing::subscriber::set_global_default(subscriber).or_exit(Exit::Internal, "setting logs up")?;
    tell_of(effective);
    Ok(())
}

/// What was ignored of the environment: once per process, not once per role.
fn tell_of(effective: &Effective) {
    effective.settings.telemetry.clone().log_warnings();
}
