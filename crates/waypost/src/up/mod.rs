//! `waypost up`: everything in one process, one order to begin with, and what happened to it.
//!
//! For a person who has just cloned the project. Standard output carries what is to be read; log lines go to
//! standard error. The story is made from the spans that the roles recorded, the same that a collector would get.

mod first_order;
mod page;

use std::path::Path;
use std::time::Instant;

use waypost_telemetry::logs::FilterHandle;

use crate::cli::UpArgs;
use crate::console::{Style, say};
use crate::exit::{Exit, Failure};
use crate::reload::Reload;
use crate::roles::{Role, Sockets, Spans, System};
use crate::settings::{Effective, Environment, Profile, load};
use crate::shutdown::Signals;
use crate::viewer::{self, Viewer, ViewerSockets};

/// The configuration of `up`.
pub(crate) fn settings(
    args: &UpArgs,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Effective, Failure> {
    let flags = [args.settings.flags(), args.listen.flags(), args.signals.flags()].concat();
    let mut effective = load(Profile::Up, file, environment, flags)?;
    effective.shift_ports(args.listen.port_offset)?;
    effective.check_exposure(&Role::ALL)?;
    Ok(effective)
}

/// Runs everything until a signal comes. `begin` is when the program started.
pub(crate) async fn up(
    args: UpArgs,
    effective: Effective,
    filter: FilterHandle,
    environment: &Environment,
    begin: Instant,
) -> Result<Exit, Failure> {
    let style = Style::choose(args.plain, environment.get("NO_COLOR"));
    let mut signals = Signals::listen()?;
    let mut reload = Reload::listen(&effective, filter)?;
    let sockets = Sockets::bind(&effective.settings.listen, &Role::ALL);
    let viewer_sockets =
        (!args.no_viewer).then(|| ViewerSockets::bind(&effective.settings.listen)).transpose();
    let (sockets, viewer_sockets) = both(sockets, viewer_sockets)?;
    let spans = if args.no_first_order { Spans::Exported } else { Spans::Remembered };
    let running = tokio::select! {
        started = Running::start(&effective, sockets, viewer_sockets, spans) => started?,
        _ = signals.next() => return Ok(Exit::Interrupted),
    };
    let Running { system, viewer } = &running;
    page::welcome(&effective, system, viewer.as_ref(), begin.elapsed(), style).iter().for_each(say);
    let mut order_id = None;
    if !args.no_first_order {
        let told = tokio::select! {
            told = first_order::tell(system, viewer.as_ref(), &effective.settings.gateway, style) => told,
            _ = signals.next() => return stop(running, &mut signals).await,
        };
        told.lines.iter().for_each(say);
        system.stop_remembering();
        say(page::measured(begin.elapsed()));
        order_id = told.order_id;
    }
    page::next_steps(&effective, system, order_id.as_deref(), style).iter().for_each(say);
    tokio::select! {
        _ = signals.next() => {}
        never = reload.keep(&running.system) => match never {},
    }
    stop(running, &mut signals).await
}

/// The roles, and the viewer beside them.
struct Running {
    system: System,
    viewer: Option<Viewer>,
}

impl Running {
    /// The viewer first, so that the roles' first spans find it.
    async fn start(
        effective: &Effective,
        sockets: Sockets,
        viewer: Option<ViewerSockets>,
        spans: Spans,
    ) -> Result<Running, Failure> {
        let viewer = match viewer {
            Some(sockets) => Some(Viewer::start(&effective.settings, sockets).await?),
            None => None,
        };
        let receiver = viewer.as_ref().map(Viewer::receiver);
        let system = System::start(effective, &Role::ALL, sockets, spans, receiver).await?;
        Ok(Running { system, viewer })
    }

    /// The viewer last, so that the roles' last spans find it.
    async fn stop(self) -> Exit {
        let exit = self.system.stop().await;
        let Some(viewer) = self.viewer else { return exit };
        match viewer::verdict(&viewer.stop().await) {
            Exit::Done => exit,
            unclean => unclean,
        }
    }
}

/// Both sets of sockets, or the addresses of both that cannot be had.
fn both(
    sockets: Result<Sockets, Failure>,
    viewer: Result<Option<ViewerSockets>, Failure>,
) -> Result<(Sockets, Option<ViewerSockets>), Failure> {
    match (sockets, viewer) {
        (Ok(sockets), Ok(viewer)) => Ok((sockets, viewer)),
        (Err(failure), Ok(_)) => Err(failure),
        (Ok(_), Err(viewer)) => Err(Failure::message(viewer.exit, format!("{viewer}\n  {WITHOUT_VIEWER}"))),
        (Err(failure), Err(viewer)) => {
            Err(Failure::message(failure.exit, format!("{failure}\n  {viewer}\n  {WITHOUT_VIEWER}")))
        }
    }
}

const WITHOUT_VIEWER: &str = "(`--no-viewer` starts the shop without its viewer)";

async fn stop(running: Running, signals: &mut Signals) -> Result<Exit, Failure> {
    say("\nFinishing what was accepted; Ctrl-C again leaves at once.");
    tokio::select! {
        exit = running.stop() => {
            say("Stopped.");
            Ok(exit)
        }
        _ = signals.next() => Ok(Exit::Interrupted),
    }
}
