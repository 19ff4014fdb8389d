//! The skeleton that every role of Waypost shares: sockets with limits, health, background
//! tasks and an ordered end.
//!
//! For the authors of roles and of the binary. A role's `build` returns an [`App`]; the binary binds sockets
//! with [`bind`], hands both to [`Process`], and later asks it to drain. The pieces also stand alone: tests use
//! [`serve`] with a [`Drain`] and nothing else.
//!
//! Invariants:
//! - No connection is served without a limit on headers, size, count and time ([`Limits`]).
//! - What is accepted before a drain is answered, or reported as cut ([`Served`]).
//! - Nothing here reads the process environment or arguments; they come in as values.
//!
//! - A method is called by the roles that its service's table names, wherever the caller's role is known ([`Callers`]).
//!
//! Left out: storage ([`DataDir`] only gives paths), TLS of the public edge, signals and exit codes (the binary's).

mod address;
mod app;
mod bind;
mod callers;
mod data;
mod drain;
mod filesystem;
mod grpc;
mod holder;
mod limits;
mod network;
mod once;
mod process;
mod secured;
mod serve;
mod when_away;

pub mod admin;
pub mod answers;
pub mod browser;
pub mod health;
pub mod operator;

pub use crate::{
    address::{ListenAddress, NoListenAddress},
    app::{App, Check, Worker},
    bind::{BindError, Listener, UnixBindError, UnixListener, bind, bind_unix},
    callers::Callers,
    data::{DataDir, DataDirError},
    drain::{Drain, DrainTrigger},
    filesystem::observe_filesystem,
    grpc::{GrpcLimits, grpc_app, grpc_app_favouring},
    limits::Limits,
    network::{Network, NoNetwork, one_holder},
    process::{Drained, Pacing, Process},
    secured::{Secured, Watching, watch},
    serve::{Served, Socket, serve},
    when_away::WhenAway,
};
/// What a role runs beside its requests; [`Process`] waits for it.
pub use waypost_resilience::Tasks;
