//! `waypost up`: everything in one process, one order to begin with, and what happened to it.
//!
//! For a person who has just cloned the project. Standard output carries what is to be read; log lines go to
//! standard error. The story is made from the spans that the roles recorded, the same that a collector would get.

mod first_order;
mod page;

use std::path::Path;
use std::time::Instant;

use crate::cli::UpArgs;
use crate::console::{Style, say};
use crate::exit::{Exit, Failure};
use crate::roles::{Role, Sockets, Spans, System};
use crate::settings::{Effective, Environment, Profile, load};
use crate::shutdown::Signals;

/// The configuration of `up`.
pub(crate) fn settings(
    args: &UpArgs,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Effective, Failure> {
    let flags = [args.settings.flags(), args.listen.flags(), args.signals.flags()].concat();
    let mut effective = load(Profile::Up, file, environment, flags)?;
    effective.shift_ports(args.listen.port_offset)?;
    Ok(effective)
}

/// Runs everything until a signal comes. `begin` is when the program started.
pub(crate) async fn up(
    args: UpArgs,
    effective: Effective,
    environment: &Environment,
    begin: Instant,
) -> Result<Exit, Failure> {
    let style = Style::choose(args.plain, environment.get("NO_COLOR"));
    let mut signals = Signals::listen()?;
    let sockets = Sockets::bind(&effective.settings.listen, &Role::ALL)?;
    let spans = if args.no_first_order { Spans::Exported } else { Spans::Remembered };
    let system = tokio::select! {
        started = System::start(&effective, &Role::ALL, sockets, spans) => started?,
        _ = signals.next() => return Ok(Exit::Interrupted),
    };
    page::welcome(&effective, &system, begin.elapsed(), style).iter().for_each(say);
    let mut order_id = None;
    if !args.no_first_order {
        let told = tokio::select! {
            told = first_order::tell(&system, effective.settings.gateway.auth, style) => told,
            _ = signals.next() => return stop(system, &mut signals).await,
        };
        told.lines.iter().for_each(say);
        system.stop_remembering();
        say(page::measured(begin.elapsed()));
        order_id = told.order_id;
    }
    page::next_steps(&effective, &system, order_id.as_deref(), style).iter().for_each(say);
    signals.next().await;
    stop(system, &mut signals).await
}

async fn stop(system: System, signals: &mut Signals) -> Result<Exit, Failure> {
    say("\nFinishing what was accepted; Ctrl-C again leaves at once.");
    tokio::select! {
        exit = system.stop() => {
            say("Stopped.");
            Ok(exit)
        }
        _ = signals.next() => Ok(Exit::Interrupted),
    }
}
