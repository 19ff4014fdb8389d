//! `waypost viewer`: the viewer alone, for any program that speaks OTLP or Zipkin.
//!
//! Standard output carries where it listens, then log lines. `up` runs the same viewer beside the roles ([`Viewer`]).

mod running;

use std::path::Path;

use waypost_service::health::Health;
use waypost_service::{App, Drained, Process, Tasks, admin};
use waypost_telemetry::Telemetry;

use crate::cli::ViewerArgs;
use crate::console::say;
use crate::exit::{Exit, Failure};
use crate::roles::named;
use crate::settings::{Effective, Environment, Profile, load};
use crate::shutdown::Signals;

pub(crate) use running::{Viewer, ViewerSockets};

/// The configuration of the viewer.
pub(crate) fn settings(
    args: &ViewerArgs,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Effective, Failure> {
    let mut effective = load(Profile::Run, file, environment, args.flags())?;
    effective.shift_ports(args.port_offset)?;
    Ok(effective)
}

/// Runs the viewer until a signal comes.
pub(crate) async fn viewer(effective: Effective) -> Result<Exit, Failure> {
    let settings = &effective.settings;
    let mut signals = Signals::listen()?;
    let sockets = ViewerSockets::bind(&settings.listen)?;
    let admin_socket = named(settings.listen.admin, "admin")
        .map_err(|problem| Failure::message(Exit::Unavailable, problem))?;
    let admin_address = admin_socket.address();

    let viewer = tokio::select! {
        started = Viewer::start(settings, sockets) => started?,
        _ = signals.next() => return Ok(Exit::Interrupted),
    };
    let health = viewer.health().clone();
    let mut process = Process::new(Health::new(settings.health.clone()));
    let router = admin::router(Vec::new(), &health);
    let socket = Some((admin_socket.into(), settings.limits.internal.clone()));
    process.start("admin", &Telemetry::disabled(), Tasks::new(), App { router, ..App::default() }, socket);

    for (name, address) in viewer.addresses().iter().chain([&("admin", admin_address)]) {
        tracing::info!(role = *name, %address, "listening");
    }
    say(format!("Traces are shown at {}", viewer.link("/")));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
    let signal = signals.next().await;
    tracing::info!(signal, "draining; a second signal leaves at once");
    let ending = async {
        let pacing = viewer.pacing().clone();
        let mut drained = viewer.stop().await;
        drained.extend(process.drain(&pacing).await);
        verdict(&drained)
    };
    tokio::select! {
        exit = ending => Ok(exit),
        _ = signals.next() => Ok(Exit::Interrupted),
    }
}

/// How the end went.
pub(crate) fn verdict(drained: &[Drained]) -> Exit {
    let unclean: Vec<&Drained> = drained.iter().filter(|drained| !drained.is_clean()).collect();
    for drained in &unclean {
        tracing::error!(role = drained.role, ?drained, "not everything was finished in time");
    }
    if unclean.is_empty() { Exit::Done } else { Exit::Temporary }
}
