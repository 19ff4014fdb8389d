//! `waypost run`: one or several roles in this process, as in production.
//!
//! Log lines go to standard output; nothing else is printed. The addresses of roles in other processes come from
//! the configuration, and those in this process from the sockets.

use std::path::Path;

use crate::cli::RunArgs;
use waypost_telemetry::logs::FilterHandle;

use crate::exit::{Exit, Failure};
use crate::reload::Reload;
use crate::roles::{Role, Sockets, Spans, System};
use crate::settings::{Effective, Environment, Profile, load};
use crate::shutdown::Signals;

/// The configuration of a run.
pub(crate) fn settings(
    args: &RunArgs,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Effective, Failure> {
    let flags = [args.settings.flags(), args.listen.flags(), args.signals.flags()].concat();
    let mut effective = load(Profile::Run, file, environment, flags)?;
    effective.shift_ports(args.listen.port_offset)?;
    effective.check_exposure(&args.roles)?;
    Ok(effective)
}

/// Runs the roles until a signal comes.
pub(crate) async fn run(args: RunArgs, effective: Effective, filter: FilterHandle) -> Result<Exit, Failure> {
    let mut roles = args.roles;
    roles.sort_unstable();
    roles.dedup();
    let mut signals = Signals::listen()?;
    let mut reload = Reload::listen(&effective, filter)?;
    let sockets = Sockets::bind(&effective.settings.listen, &roles)?;
    let started = tokio::select! {
        started = System::start(&effective, &roles, sockets, Spans::Exported, None) => started?,
        _ = signals.next() => return Ok(Exit::Interrupted),
    };
    for (role, address) in started.addresses() {
        tracing::info!(role, %address, "listening");
    }
    let names: Vec<&str> = roles.iter().copied().map(Role::name).collect();
    tracing::info!(roles = names.join(","), version = env!("CARGO_PKG_VERSION"), "ready");
    let signal = tokio::select! {
        signal = signals.next() => signal,
        never = reload.keep(&started) => match never {},
    };
    tracing::info!(signal, "draining; a second signal leaves at once");
    tokio::select! {
        exit = started.stop() => Ok(exit),
        _ = signals.next() => Ok(Exit::Interrupted),
    }
}
