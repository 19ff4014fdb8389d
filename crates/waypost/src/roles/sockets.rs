//! All sockets of a process, bound before anything else is done.

use std::net::SocketAddr;

use waypost_service::{Listener, bind};

use super::Role;
use crate::exit::{Exit, Failure};
use crate::settings::Listen;

/// Bound sockets that nobody accepts from yet.
#[derive(Debug)]
pub(crate) struct Sockets {
    roles: Vec<(Role, Listener)>,
    pub(crate) admin: Listener,
}

impl Sockets {
    /// Binds a socket for each role that has one, and the admin socket. Every address that cannot be had is named,
    /// with who holds it and how to move it. Must be called inside a tokio runtime.
    pub(crate) fn bind(listen: &Listen, roles: &[Role]) -> Result<Sockets, Failure> {
        let mut bound = Vec::new();
        let mut problems = Vec::new();
        for role in roles {
            let Some(address) = address_of(listen, *role) else { continue };
            match named(address, role.name()) {
                Ok(listener) => bound.push((*role, listener)),
                Err(problem) => problems.push(problem),
            }
        }
        let admin = named(listen.admin, "admin").map_err(|problem| problems.push(problem));
        match admin {
            Ok(admin) if problems.is_empty() => Ok(Sockets { roles: bound, admin }),
            _ => Err(Failure::message(Exit::Unavailable, problems.join("\n  "))),
        }
    }

    /// Where a role of this process listens.
    pub(crate) fn address(&self, role: Role) -> Option<SocketAddr> {
        self.roles.iter().find(|(known, _)| *known == role).map(|(_, listener)| listener.address())
    }

    /// Where a role of this process answers, as its callers write it.
    pub(crate) fn url(&self, role: Role) -> Option<String> {
        self.roles.iter().find(|(known, _)| *known == role).map(|(_, listener)| listener.url())
    }

    /// Each role with its address.
    pub(crate) fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let roles = self.roles.iter().map(|(role, listener)| (role.name(), listener.address()));
        roles.chain([("admin", self.admin.address())]).collect()
    }

    /// Takes a role's socket out, to be served.
    pub(super) fn take(&mut self, role: Role) -> Option<Listener> {
        let place = self.roles.iter().position(|(known, _)| *known == role)?;
        Some(self.roles.remove(place).1)
    }
}

fn address_of(listen: &Listen, role: Role) -> Option<SocketAddr> {
    match role {
        Role::Gateway => Some(listen.gateway),
        Role::Order => Some(listen.order),
        Role::User => Some(listen.user),
        Role::Inventory => Some(listen.inventory),
        Role::Payment => Some(listen.payment),
        Role::Provider => Some(listen.provider),
        Role::Notification => None,
    }
}

/// Binds an address of `[listen]`, with the ways to move it in the error.
pub(crate) fn named(address: SocketAddr, name: &str) -> Result<Listener, String> {
    bind(address).map_err(|error| {
        let (flag, variable) = (name.replace('_', "-"), name.to_uppercase());
        let ways = format!(
            "--{flag} ADDR, --port-offset N, WAYPOST_LISTEN__{variable} or listen.{name} in the configuration"
        );
        format!("{name}: {}", error.with_setting(ways))
    })
}
