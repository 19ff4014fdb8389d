//! A server as a child that ends with the thread that started it, where the system can do that.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use crate::own_postgres::is_root;

/// A program that the kernel ends with the thread that starts it. As somebody who is not root if `needs_user`, for
/// servers that refuse to be.
pub(crate) fn command(program: &str, needs_user: bool) -> Command {
    if !has_setpriv() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if needs_user && is_root() {
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    }
    command.arg("--").arg(program);
    command
}

/// A port that nobody has at this moment.
pub(crate) fn free_port() -> u16 {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    bound.unwrap_or_else(|error| panic!("no port is free: {error}")).port()
}

fn has_setpriv() -> bool {
    Command::new("setpriv").arg("--version").output().is_ok_and(|output| output.status.success())
}
