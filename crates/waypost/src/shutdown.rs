//! The end of a process: the signals that ask for it, and the order in which things end.
//!
//! The order is that of docs/operations.md: not ready, a pause for whoever probes, then role by role in a request's
//! direction (refuse connections, finish requests, finish tasks, stop consumers, publish what waits in the outbox),
//! databases, and telemetry last so that it hears of all of that. A second signal leaves at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Exit, Failure, OrExit as _};

/// SIGINT (Ctrl-C) and SIGTERM, heard from the moment this is made.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Starts to listen. Must be called inside a tokio runtime.
    pub(crate) fn listen() -> Result<Signals, Failure> {
        let listen = || -> io::Result<Signals> {
            Ok(Signals {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        };
        listen().or_exit(Exit::Internal, "listening for signals")
    }

    /// The next signal's name. Cancel safe.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
